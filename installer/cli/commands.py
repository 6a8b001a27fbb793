"""The command tree: every command with its flags. Standard library only.

Every command names the function that runs it as text (`module:function`), so that `--help` and
completion import nothing but this.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from installer import __version__
from installer.cli import fleet_flags, local_flags, serving_flags, upgrade_flags
from installer.cli.command import command
from installer.cli.parser import PROGRAM, Parser
from installer.cli.shared_flags import (
    adopt_flag,
    cluster_flags,
    output_flags,
    ownership_flag,
    run_flags,
    settings_flag,
    skip_flag,
    source_flags,
)


def parse(words: Sequence[str], program: str = PROGRAM) -> argparse.Namespace:
    """The words as options; UsageError with the nearest word for what is unknown."""
    args = build(program).read(words)
    if args.command == "install" and not args.release and not args.plan:
        args.parser.error("the following arguments are required: RELEASE, or --plan FILE")
    if args.command == "upgrade":
        upgrade_flags.read_upgrade_words(args)
    args.program = program
    args.words = list(words)
    return args


def build(program: str = PROGRAM) -> Parser:
    """The whole parser, for parsing, help and completion."""
    parser = Parser(
        prog=program,
        description="Install, check and remove the KFServing/KServe stack (Istio, Knative "
        "Serving, cert-manager, KFServing or KServe) on a Kubernetes cluster.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 checks failed, 4 not ready in time, "
        "5 differences found, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(
        run=None,
        parser=parser,
        events=False,
        no_color=False,
        debug=False,
        verbose=False,
        output="text",
    )
    output_flags(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    _preflight(commands)
    _plan(commands)
    _install(commands)
    upgrade_flags.upgrade(commands)
    upgrade_flags.rollback(commands)
    upgrade_flags.rehearse(commands)
    upgrade_flags.backup(commands)
    upgrade_flags.restore(commands)
    _status(commands)
    serving_flags.verify(commands)
    serving_flags.trace(commands)
    serving_flags.autoscaling(commands)
    serving_flags.bench(commands)
    _uninstall(commands)
    _fleet(commands)
    _rbac(commands)
    local_flags.releases(commands)
    local_flags.images(commands)
    local_flags.bundle(commands)
    local_flags.catalog(commands)
    local_flags.sandbox(commands)
    local_flags.completion(commands)
    return parser


def _preflight(commands: Any) -> None:
    text = "Check whether a release can be installed on a cluster; write nothing."
    run = "installer.cli.preflight_command:preflight"
    parser = command(commands, "preflight", run, text, "text|json|yaml")
    parser.add_argument("release", metavar="RELEASE", nargs="?", help="release name; see: releases")
    text = "check this cluster against every release of the catalog"
    parser.add_argument("--all-releases", action="store_true", help=text)
    text = "print every check with its id and what it looks at"
    parser.add_argument("--list", action="store_true", help=text)
    skip_flag(parser)
    text = "run the checks of these categories only"
    parser.add_argument("--only", metavar="CATEGORY", action="append", default=[], help=text)
    adopt_flag(parser)
    settings_flag(parser)
    cluster_flags(parser)
    source_flags(parser)


def _plan(commands: Any) -> None:
    text = "Show what an install would do, object by object; write nothing."
    run = "installer.cli.plan_command:plan"
    parser = command(commands, "plan", run, text, "text|json|yaml")
    parser.add_argument("release", metavar="RELEASE", help="release name; see: releases")
    text = "show every field that differs; KUBECTL_EXTERNAL_DIFF names another diff program"
    parser.add_argument("--diff", action="store_true", help=text)
    text = "exit with 5 when an install would change something"
    parser.add_argument("--exit-code", action="store_true", help=text)
    text = "write the plan to this file, for install --plan"
    parser.add_argument("--save", metavar="FILE", help=text)
    settings_flag(parser)
    text = "plan to take fields over from other field managers"
    parser.add_argument("--take-ownership", action="store_true", help=text)
    adopt_flag(parser)
    cluster_flags(parser)
    source_flags(parser)


def _install(commands: Any) -> None:
    text = "Install a release, or bring what is there back to it."
    parser = command(
        commands, "install", "installer.cli.install_command:install", text, "text|json"
    )
    parser.set_defaults(events=True)
    parser.add_argument("release", metavar="RELEASE", nargs="?", help="release name; see: releases")
    text = "do what this file of plan --save says, or nothing when the cluster moved on since"
    parser.add_argument("--plan", metavar="FILE", help=text)
    settings_flag(parser)
    skip_flag(parser)
    run_flags(parser)
    text = "wait until each stage is ready before the next begins (default)"
    parser.add_argument("--wait", action=argparse.BooleanOptionalAction, default=True, help=text)
    ownership_flag(parser)
    adopt_flag(parser)
    text = "first delete webhook configurations of these components that nobody serves any more"
    parser.add_argument("--remove-stale-webhooks", action="store_true", help=text)
    cluster_flags(parser)
    source_flags(parser)


def _status(commands: Any) -> None:
    text = "Show what is installed, whether it is ready, and what drifted."
    parser = command(
        commands, "status", "installer.cli.status_command:status", text, "text|json|yaml"
    )
    text = "exit with 5 unless everything is as installed and ready"
    parser.add_argument("--exit-code", action="store_true", help=text)
    text = "show every field that differs and who made it; -v: controllers' fields too"
    parser.add_argument("--drift", action="store_true", help=text)
    settings_flag(parser)
    cluster_flags(parser)
    source_flags(parser)


def _uninstall(commands: Any) -> None:
    text = "Remove what was installed, in the order that lets finalizers run."
    parser = command(
        commands, "uninstall", "installer.cli.uninstall_command:uninstall", text, "text|json"
    )
    parser.set_defaults(events=True)
    run_flags(parser)
    text = "delete InferenceServices too; without it their presence stops the uninstall"
    parser.add_argument("--delete-inferenceservices", action="store_true", help=text)
    text = "delete users' other custom resources of the removed kinds too, such as Certificates"
    parser.add_argument("--delete-custom-resources", action="store_true", help=text)
    cluster_flags(parser)


def _fleet(commands: Any) -> None:
    text = "Do the same on every cluster of an Ansible inventory."
    group = command(commands, "fleet", None, text)
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    for name, text in fleet_flags.COMMANDS.items():
        run = "installer.cli.fleet_command:fleet"
        fleet_flags.fleet_flags(command(inner, name, run, text, "text|json"), name)


def _rbac(commands: Any) -> None:
    text = "Print the rights that installing, watching and removing a release takes."
    parser = command(commands, "rbac", "installer.cli.rbac_command:rbac", text)
    text = "yaml (roles to apply), json, text (default: yaml)"
    formats = ("yaml", "json", "text")
    parser.add_argument(
        "-o", "--output", metavar="FORMAT", choices=formats, default="yaml", help=text
    )
    parser.add_argument("release", metavar="RELEASE", help="release name; see: releases")
    group = parser.add_argument_group("who gets them")
    group.add_argument("--user", metavar="NAME", help="bind the roles to this user")
    group.add_argument("--group", metavar="NAME", help="bind the roles to this group")
    text = "bind the roles to this ServiceAccount"
    group.add_argument("--service-account", metavar="NAMESPACE/NAME", help=text)
    text = "also what uninstall takes to remove InferenceServices and other objects of users"
    parser.add_argument("--delete-custom-resources", action="store_true", help=text)
    text = "also what an upgrade from this release takes, and the way back to it"
    parser.add_argument("--from", dest="origin", metavar="RELEASE", help=text)
    text = "with --from: for upgrades with --no-backup, which read no Secrets of users"
    parser.add_argument("--no-backup", action="store_true", help=text)
    settings_flag(parser)
    source_flags(parser)
