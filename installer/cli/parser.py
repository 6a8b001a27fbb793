"""The command line: commands, flags, and what is said when one is misspelt. Standard library only.

Every command names the function that runs it as text (`module:function`), so that `--help` and
completion import nothing but this.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from installer import __version__
from installer.core.errors import UsageError

PROGRAM = "kserve-installer"
_MAX_WIDTH = 100
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")


def duration(text: str) -> float:
    """Seconds of `10m`, `90s`, `1h30m`."""
    match = _DURATION.fullmatch(text)
    seconds = sum(
        float(part or 0) * unit
        for part, unit in zip(match.groups() if match else (), (3600, 60, 1), strict=False)
    )
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 10m, 90s or 1h30m")
    return seconds


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def nearest(word: str, offered: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing where no offered word is near."""
    found = difflib.get_close_matches(word, list(offered), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str):
        width = min(shutil.get_terminal_size().columns - 2, _MAX_WIDTH)
        super().__init__(prog, max_help_position=28, width=width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # `-o, --output FORMAT` on every Python; before 3.13 the metavar is repeated.
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        metavar = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {metavar}"


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError and offers the nearest word."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **kwargs)
        if hasattr(self, "color"):
            self.color = False

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(message, kind="usage", remedy=f"see: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        what = action.metavar or action.dest
        offered = [str(choice) for choice in action.choices]
        hint = nearest(str(value), offered) or f"; there are {', '.join(offered)}"
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"there is no command {value!r}{hint}")
        self.error(f"{value!r} is not a {what}{hint}")


def parse(words: Sequence[str], program: str = PROGRAM) -> argparse.Namespace:
    """The words as options; UsageError with the nearest word for what is unknown."""
    parser = build(program)
    args, unknown = parser.parse_known_args(list(words))
    chosen: Parser = args.parser
    if unknown:
        flags = [flag for p in (parser, chosen) for flag in p._option_string_actions]
        word = unknown[0].partition("=")[0]
        if word.startswith("-"):
            chosen.error(f"there is no flag {word}{nearest(word, flags)}")
        chosen.error(f"unexpected argument {word!r}")
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
        run=None, parser=parser, no_color=False, debug=False, verbose=False, output="text"
    )
    _output_flags(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    _install(commands)
    _status(commands)
    _uninstall(commands)
    _releases(commands)
    _catalog(commands)
    _sandbox(commands)
    _completion(commands)
    return parser


def _command(commands: Any, name: str, run: str | None, text: str, formats: str = "") -> Parser:
    parser: Parser = commands.add_parser(name, help=text[0].lower() + text[1:-1], description=text)
    parser.set_defaults(run=run, parser=parser)
    _output_flags(parser)
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


def _output_flags(parser: Parser) -> None:
    # Allowed before and after the command: the later parser must not reset what the first saw.
    group = parser.add_argument_group("output")
    quiet = argparse.SUPPRESS
    text = "no colours; NO_COLOR in the environment does the same"
    group.add_argument("--no-color", action="store_true", default=quiet, help=text)
    text = "one line per object"
    group.add_argument("-v", "--verbose", action="store_true", default=quiet, help=text)
    text = "tracebacks of unexpected errors"
    group.add_argument("--debug", action="store_true", default=quiet, help=text)


def _cluster_flags(parser: Parser) -> None:
    group = parser.add_argument_group("cluster")
    text = "kubeconfig file (default: $KUBECONFIG, else ~/.kube/config, else in-cluster)"
    group.add_argument("--kubeconfig", metavar="FILE", help=text)
    text = "context in the kubeconfig (default: the current one)"
    group.add_argument("--context", metavar="NAME", help=text)


def _run_flags(parser: Parser) -> None:
    text = "show what would be done; write nothing"
    parser.add_argument("--dry-run", action="store_true", help=text)
    text = "limit for the whole run, e.g. 10m or 90s (default: 15m)"
    parser.add_argument("--timeout", metavar="DURATION", type=duration, default=900.0, help=text)
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask before the first write"
    )


def _source_flags(parser: Parser) -> None:
    group = parser.add_argument_group("sources")
    text = "take sources from this folder or URL, laid out HOST/PATH"
    group.add_argument("--mirror", metavar="DIR|URL", help=text)
    group.add_argument("--bundle", metavar="FILE", help="take sources from this bundle file")
    text = "use this catalog instead of the packaged one"
    group.add_argument("--catalog", metavar="DIR", help=text)


def _install(commands: Any) -> None:
    text = "Install a release, or bring what is there back to it."
    parser = _command(commands, "install", "installer.cli.engines:install", text, "text|json")
    parser.add_argument("release", metavar="RELEASE", help="release name; see: releases")
    text = "settings file; may be given several times, later files win"
    parser.add_argument("-f", "--settings", metavar="FILE", action="append", default=[], help=text)
    _run_flags(parser)
    text = "wait until each stage is ready before the next begins (default)"
    parser.add_argument("--wait", action=argparse.BooleanOptionalAction, default=True, help=text)
    text = "take fields over from other field managers instead of stopping"
    parser.add_argument("--take-ownership", action="store_true", help=text)
    _cluster_flags(parser)
    _source_flags(parser)


def _status(commands: Any) -> None:
    text = "Show what is installed, whether it is ready, and what drifted."
    parser = _command(commands, "status", "installer.cli.engines:status", text, "text|json|yaml")
    text = "exit with 5 unless everything is as installed and ready"
    parser.add_argument("--exit-code", action="store_true", help=text)
    _cluster_flags(parser)


def _uninstall(commands: Any) -> None:
    text = "Remove what was installed, in the order that lets finalizers run."
    parser = _command(commands, "uninstall", "installer.cli.engines:uninstall", text, "text|json")
    _run_flags(parser)
    text = "delete InferenceServices too; without it their presence stops the uninstall"
    parser.add_argument("--delete-inferenceservices", action="store_true", help=text)
    text = "delete users' other custom resources of the removed kinds too, such as Certificates"
    parser.add_argument("--delete-custom-resources", action="store_true", help=text)
    _cluster_flags(parser)


def _releases(commands: Any) -> None:
    text = "List the releases that can be installed."
    run = "installer.cli.catalog_commands:releases"
    parser = _command(commands, "releases", run, text, "text|json|yaml")
    text = "use this catalog instead of the packaged one"
    parser.add_argument("--catalog", metavar="DIR", help=text)


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
