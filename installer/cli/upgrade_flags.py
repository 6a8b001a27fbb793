"""`upgrade`, `rollback`, `rehearse`, `backup`, `restore` and their flags. Standard library only."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from installer.cli.command import command
from installer.cli.parser import Parser, duration, positive
from installer.cli.shared_flags import (
    catalog_flag,
    cluster_flags,
    ownership_flag,
    run_flags,
    settings_flag,
    skip_flag,
    source_flags,
    timeout_flag,
)

PLAN = "plan"


def upgrade(commands: Any) -> None:
    """`upgrade`, and `upgrade plan`."""
    text = "Go from the installed release to a later one, hop by hop."
    run = "installer.cli.upgrade_command:upgrade"
    parser = command(commands, "upgrade", run, text, "text|json")
    _upgrade_flags(parser)
    text = "first take over what others have installed, as the release that it is recognised as"
    parser.add_argument(
        "--adopt", metavar="all|NAME[,NAME]", action="append", default=[], help=text
    )
    _moving_flags(parser)


def rollback(commands: Any) -> None:
    """`rollback`."""
    text = "Go back to the release before the last upgrade, as far as that can be undone."
    run = "installer.cli.upgrade_command:rollback"
    parser = command(commands, "rollback", run, text, "text|json")
    _care_flags(parser)
    _backup_flags(parser)
    _moving_flags(parser)


def _moving_flags(parser: Parser) -> None:
    """What commands take that go from one release to another."""
    parser.set_defaults(events=True)
    settings_flag(parser)
    skip_flag(parser)
    run_flags(parser, "2h")
    ownership_flag(parser)
    cluster_flags(parser)
    source_flags(parser)


def rehearse(commands: Any) -> None:
    """`rehearse`."""
    text = "Run an upgrade in a sandbox filled from the cluster, which is only read."
    run = "installer.cli.upgrade_command:rehearse"
    parser = command(commands, "rehearse", run, text, "text|json")
    parser.set_defaults(events=True)
    _rehearse_flags(parser)
    settings_flag(parser)
    skip_flag(parser)
    timeout_flag(parser, "2h")
    cluster_flags(parser)
    source_flags(parser)


def backup(commands: Any) -> None:
    """`backup`."""
    text = "Write what users have made and edited into one file."
    run = "installer.cli.backup_command:backup"
    parser = command(commands, "backup", run, text, "text|json")
    parser.set_defaults(events=True)
    text = "file to write (default: a new one in the state folder, whose name is told)"
    parser.add_argument("file", metavar="FILE", nargs="?", help=text)
    timeout_flag(parser, "2h")
    cluster_flags(parser)
    catalog_flag(parser)


def restore(commands: Any) -> None:
    """`restore`."""
    text = "Bring back from a backup what is not there."
    run = "installer.cli.backup_command:restore"
    parser = command(commands, "restore", run, text, "text|json")
    parser.set_defaults(events=True)
    parser.add_argument("file", metavar="FILE", help="file of a backup")
    text = "objects that are there and differ: refuse (default), keep or overwrite"
    choices = ("refuse", "keep", "overwrite")
    parser.add_argument("--existing", metavar="WHAT", choices=choices, default="refuse", help=text)
    run_flags(parser, "2h")
    cluster_flags(parser)


def _upgrade_flags(parser: Parser) -> None:
    """What `upgrade` takes beside the flags of every command that writes."""
    text = "release to end at; `plan`, with or without a release, shows the way and writes nothing"
    parser.add_argument("what", metavar="[plan] RELEASE", nargs="+", help=text)
    text = "of `plan`: fetch manifests that are not at hand, to count the objects of every hop"
    parser.add_argument("--objects", action="store_true", help=text)
    group = parser.add_argument_group("hops")
    text = "go at most this many hops; the same command goes on from there"
    group.add_argument("--to-hop", metavar="N", type=positive, default=0, help=text)
    text = "end after each hop; the same command goes on with the next"
    group.add_argument("--pause-between-hops", action="store_true", help=text)
    group = parser.add_argument_group("from KFServing to KServe")
    text = "move only these InferenceServices, then end; the same command without it goes on"
    group.add_argument("--only", metavar="NAMESPACE/NAME", action="append", default=[], help=text)
    _care_flags(parser)
    _backup_flags(parser)


def _backup_flags(parser: Parser) -> None:
    """Where the backup goes that comes before each hop."""
    group = parser.add_argument_group("backup")
    text = "folder for the backup that is made before each hop (default: the state folder)"
    group.add_argument("--backup-dir", metavar="DIR", help=text)
    group.add_argument("--no-backup", action="store_true", help="make none")


def _care_flags(parser: Parser) -> None:
    """What `upgrade` and `rollback` take alike."""
    group = parser.add_argument_group("ConfigMaps that were edited in place")
    text = "where both users and the release have changed CONFIGMAP/KEY[/FIELD]: which counts"
    group.add_argument(
        "--resolve", metavar="PATH=ours|theirs|VALUE", action="append", default=[], help=text
    )
    text = "YAML file of such PATHs with ours, theirs or a value"
    group.add_argument("--resolve-file", metavar="FILE", help=text)
    text = "take the release's values, whatever was edited"
    group.add_argument("--discard-edits", action="store_true", help=text)
    text = "how long InferenceServices may take to be as well as before (default: 5m)"
    parser.add_argument(
        "--serving-timeout", metavar="DURATION", type=duration, default=300.0, help=text
    )


def _rehearse_flags(parser: Parser) -> None:
    """What `rehearse` takes beside the flags of every command that looks at a cluster."""
    parser.add_argument("release", metavar="RELEASE", help="release to end at; see: releases")
    text = "go at most this many hops"
    parser.add_argument("--to-hop", metavar="N", type=positive, default=0, help=text)
    _care_flags(parser)
    group = parser.add_argument_group("sandbox")
    text = "name of the sandbox (default: rehearsal)"
    group.add_argument("--name", metavar="NAME", default="rehearsal", help=text)
    text = "folder with kube-apiserver, kube-controller-manager and etcd"
    group.add_argument("--control-plane", metavar="DIR", help=text)
    text = "leave the sandbox there, for a closer look"
    group.add_argument("--keep", action="store_true", help=text)


def read_upgrade_words(args: Namespace) -> None:
    """Sort the words: `plan`, `plan RELEASE` or `RELEASE`."""
    words = list(args.what)
    args.release = ""
    if words[0] == PLAN:
        args.run = "installer.cli.upgrade_command:plan"
        args.events = False
        words = words[1:]
    if len(words) > 1:
        args.parser.error(f"unrecognized arguments: {' '.join(words[1:])}")
    if words:
        args.release = words[0]
