"""The command tree: every command with its flags. Standard library only.

Every command names the function that runs it as text (`module:function`), so that `--help` and
completion import nothing but this.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from installer import __version__
from installer.cli import fleet_flags
from installer.cli.bench_flags import bench_flags
from installer.cli.parser import PROGRAM, Parser, positive
from installer.cli.serving_flags import model_flags, name_argument, request_flags
from installer.cli.shared_flags import (
    adopt_flag,
    catalog_flag,
    cluster_flags,
    output_flags,
    ownership_flag,
    releases_argument,
    run_flags,
    settings_flag,
    skip_flag,
    source_flags,
    timeout_flag,
)
from installer.cli.upgrade_flags import (
    backup_flags,
    care_flags,
    read_upgrade_words,
    rehearse_flags,
    upgrade_flags,
)

_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")


def parse(words: Sequence[str], program: str = PROGRAM) -> argparse.Namespace:
    """The words as options; UsageError with the nearest word for what is unknown."""
    args = build(program).read(words)
    if args.command == "install" and not args.release and not args.plan:
        args.parser.error("the following arguments are required: RELEASE, or --plan FILE")
    if args.command == "upgrade":
        read_upgrade_words(args)
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
    _upgrade(commands)
    _rollback(commands)
    _rehearse(commands)
    _backup(commands)
    _restore(commands)
    _status(commands)
    _verify(commands)
    _trace(commands)
    _autoscaling(commands)
    _bench(commands)
    _uninstall(commands)
    _fleet(commands)
    _rbac(commands)
    _releases(commands)
    _images(commands)
    _bundle(commands)
    _catalog(commands)
    _sandbox(commands)
    _completion(commands)
    return parser


def _command(commands: Any, name: str, run: str | None, text: str, formats: str = "") -> Parser:
    parser: Parser = commands.add_parser(name, help=text[0].lower() + text[1:-1], description=text)
    parser.set_defaults(run=run, parser=parser)
    output_flags(parser)
    if formats:
        parser.add_argument(
            "-o",
            "--output",
            metavar="FORMAT",
            choices=formats.split("|"),
            default="text",
            help=formats.replace("|", ", ") + " (default: text)",
        )
    return parser


def _preflight(commands: Any) -> None:
    text = "Check whether a release can be installed on a cluster; write nothing."
    run = "installer.cli.preflight_command:preflight"
    parser = _command(commands, "preflight", run, text, "text|json|yaml")
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
    parser = _command(commands, "plan", run, text, "text|json|yaml")
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
    parser = _command(
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


def _upgrade(commands: Any) -> None:
    text = "Go from the installed release to a later one, hop by hop."
    run = "installer.cli.upgrade_command:upgrade"
    parser = _command(commands, "upgrade", run, text, "text|json")
    upgrade_flags(parser)
    text = "first take over what others have installed, as the release that it is recognised as"
    parser.add_argument(
        "--adopt", metavar="all|NAME[,NAME]", action="append", default=[], help=text
    )
    _moving_flags(parser)


def _rollback(commands: Any) -> None:
    text = "Go back to the release before the last upgrade, as far as that can be undone."
    run = "installer.cli.upgrade_command:rollback"
    parser = _command(commands, "rollback", run, text, "text|json")
    care_flags(parser)
    backup_flags(parser)
    _moving_flags(parser)


def _moving_flags(parser: Parser) -> None:
    """What commands take that go from one release to another."""
    parser.set_defaults(events=True)
    settings_flag(parser)
    skip_flag(parser)
    run_flags(parser, 7200.0, "2h")
    ownership_flag(parser)
    cluster_flags(parser)
    source_flags(parser)


def _rehearse(commands: Any) -> None:
    text = "Run an upgrade in a sandbox filled from the cluster, which is only read."
    run = "installer.cli.upgrade_command:rehearse"
    parser = _command(commands, "rehearse", run, text, "text|json")
    parser.set_defaults(events=True)
    rehearse_flags(parser)
    settings_flag(parser)
    skip_flag(parser)
    timeout_flag(parser, 7200.0, "2h")
    cluster_flags(parser)
    source_flags(parser)


def _backup(commands: Any) -> None:
    text = "Write what users have made and edited into one file."
    run = "installer.cli.backup_command:backup"
    parser = _command(commands, "backup", run, text, "text|json")
    parser.set_defaults(events=True)
    text = "file to write (default: a new one in the state folder, whose name is told)"
    parser.add_argument("file", metavar="FILE", nargs="?", help=text)
    timeout_flag(parser, 7200.0, "2h")
    cluster_flags(parser)
    catalog_flag(parser)


def _restore(commands: Any) -> None:
    text = "Bring back from a backup what is not there."
    run = "installer.cli.backup_command:restore"
    parser = _command(commands, "restore", run, text, "text|json")
    parser.set_defaults(events=True)
    parser.add_argument("file", metavar="FILE", help="file of a backup")
    text = "objects that are there and differ: refuse (default), keep or overwrite"
    choices = ("refuse", "keep", "overwrite")
    parser.add_argument("--existing", metavar="WHAT", choices=choices, default="refuse", help=text)
    run_flags(parser, 7200.0, "2h")
    cluster_flags(parser)


def _status(commands: Any) -> None:
    text = "Show what is installed, whether it is ready, and what drifted."
    parser = _command(
        commands, "status", "installer.cli.status_command:status", text, "text|json|yaml"
    )
    text = "exit with 5 unless everything is as installed and ready"
    parser.add_argument("--exit-code", action="store_true", help=text)
    text = "show every field that differs and who made it; -v: controllers' fields too"
    parser.add_argument("--drift", action="store_true", help=text)
    settings_flag(parser)
    cluster_flags(parser)
    source_flags(parser)


def _verify(commands: Any) -> None:
    text = "Prove that what is installed serves: a sample model must answer through the ingress."
    run = "installer.cli.verify_command:verify"
    parser = _command(commands, "verify", run, text, "text|json")
    parser.set_defaults(events=True)
    model_flags(parser)
    parser.add_argument("--keep", action="store_true", help="do not remove what was made")
    timeout_flag(parser, 600.0, "10m")
    request_flags(parser)
    cluster_flags(parser)


def _trace(commands: Any) -> None:
    text = "Show everything an InferenceService made, and follow a request through it."
    run = "installer.cli.trace_command:trace"
    parser = _command(commands, "trace", run, text, "text|json|dot")
    name_argument(parser)
    text = "also write one self-contained picture of tree and path to this file"
    parser.add_argument("--html", metavar="FILE", help=text)
    text = "send a real request too (default); it wakes what is scaled to zero"
    parser.add_argument("--request", action=argparse.BooleanOptionalAction, default=True, help=text)
    timeout_flag(parser, 60.0, "1m")
    request_flags(parser)
    cluster_flags(parser)


def _autoscaling(commands: Any) -> None:
    text = "Show how an InferenceService scales: each setting in effect, and where it comes from."
    run = "installer.cli.autoscaling_command:autoscaling"
    parser = _command(commands, "autoscaling", run, text, "text|json|yaml")
    name_argument(parser)
    text = "also say how many pods so many requests at the same time would have"
    parser.add_argument("--concurrency", metavar="N", type=positive, help=text)
    cluster_flags(parser)


def _bench(commands: Any) -> None:
    text = "Send load to an InferenceService, and show how it answered and scaled."
    parser = _command(commands, "bench", "installer.cli.bench_command:bench", text, "text|json|csv")
    name_argument(parser)
    bench_flags(parser)
    request_flags(parser, limit=False)
    cluster_flags(parser)


def _uninstall(commands: Any) -> None:
    text = "Remove what was installed, in the order that lets finalizers run."
    parser = _command(
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
    group = _command(commands, "fleet", None, text)
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    for name, text in fleet_flags.COMMANDS.items():
        run = "installer.cli.fleet_command:fleet"
        fleet_flags.fleet_flags(_command(inner, name, run, text, "text|json"), name)


def _rbac(commands: Any) -> None:
    text = "Print the rights that installing, watching and removing a release takes."
    parser = _command(commands, "rbac", "installer.cli.rbac_command:rbac", text)
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


def _releases(commands: Any) -> None:
    text = "List the releases that can be installed."
    run = "installer.cli.catalog_commands:releases"
    parser = _command(commands, "releases", run, text, "text|json|yaml")
    catalog_flag(parser)


def _images(commands: Any) -> None:
    text = "List the images that releases take, for a registry or nodes without a network."
    run = "installer.cli.bundle_commands:images"
    parser = _command(commands, "images", run, text, "text|json|yaml")
    releases_argument(parser, "+")
    catalog_flag(parser)


def _bundle(commands: Any) -> None:
    text = "Pack the manifests of releases into one file, for where there is no network."
    group = _command(commands, "bundle", None, text)
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    module = "installer.cli.bundle_commands"
    text = "Fetch and verify every manifest, and write them into one file for --bundle."
    parser = _command(inner, "create", f"{module}:create", text, "text|json")
    text = "file to write; compressed when it ends with .gz or .tgz"
    parser.add_argument("file", metavar="FILE", help=text)
    releases_argument(parser, "+")
    source_flags(parser)
    text = "Verify a bundle or a mirror's folder, and say which releases it holds."
    parser = _command(inner, "inspect", f"{module}:inspect", text, "text|json")
    parser.add_argument("file", metavar="FILE", help="bundle, or folder laid out as a mirror")
    releases_argument(parser, "*")
    catalog_flag(parser)


def _catalog(commands: Any) -> None:
    group = _command(commands, "catalog", None, "Check a catalog of releases.")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    text = "Check every file of a catalog and report all problems."
    run = "installer.cli.catalog_commands:check"
    parser = _command(inner, "check", run, text, "text|json")
    text = "folder of the catalog (default: the packaged one)"
    parser.add_argument("directory", metavar="DIR", nargs="?", help=text)
    text = "also read the manifests in this folder and check every claim about them"
    parser.add_argument("--mirror", metavar="DIR", help=text)


def _sandbox(commands: Any) -> None:
    text = "Run a local cluster to try things on: a real API server with simulated nodes."
    group = _command(commands, "sandbox", None, text)
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    module = "installer.cli.sandbox_commands"
    parser = _command(inner, "up", f"{module}:up", "Start a sandbox.", "text|json")
    text = "version of the API server (default: 1.20.2)"
    parser.add_argument("--kubernetes", metavar="VERSION", default="1.20.2", help=text)
    parser.add_argument("--nodes", metavar="N", type=positive, default=1, help="simulated nodes")
    text = "the nodes one by one, as README.md describes (YAML; instead of --nodes)"
    parser.add_argument("--shape", metavar="FILE", help=text)
    text = "record every request with its metadata in this file"
    parser.add_argument("--audit-log", metavar="FILE", help=text)
    text = "folder with kube-apiserver, kube-controller-manager and etcd"
    parser.add_argument("--control-plane", metavar="DIR", help=text)
    _name_flag(parser)
    text = "Stop a sandbox and remove its files."
    _name_flag(_command(inner, "down", f"{module}:down", text, "text|json"))
    _command(inner, "status", f"{module}:status", "List the sandboxes.", "text|json")


def _name_flag(parser: Parser) -> None:
    text = "name of the sandbox (default: default)"
    parser.add_argument("--name", metavar="NAME", default="default", help=text)


def _completion(commands: Any) -> None:
    text = "Print a completion script for a shell."
    parser = _command(commands, "completion", "installer.cli.catalog_commands:completion", text)
    what = ", ".join(_SHELLS)
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=what)
