"""Commands that ask no cluster of the user's, with their flags. Standard library only."""

from __future__ import annotations

from typing import Any

from installer.cli.command import command
from installer.cli.parser import Parser, positive
from installer.cli.shared_flags import catalog_flag, releases_argument, source_flags

_SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")


def releases(commands: Any) -> None:
    """`releases`."""
    text = "List the releases that can be installed."
    run = "installer.cli.catalog_commands:releases"
    parser = command(commands, "releases", run, text, "text|json|yaml")
    catalog_flag(parser)


def images(commands: Any) -> None:
    """`images`."""
    text = "List the images that releases take, for a registry or nodes without a network."
    run = "installer.cli.bundle_commands:images"
    parser = command(commands, "images", run, text, "text|json|yaml")
    releases_argument(parser, "+")
    catalog_flag(parser)


def bundle(commands: Any) -> None:
    """`bundle create` and `bundle inspect`."""
    text = "Pack the manifests of releases into one file, for where there is no network."
    group = command(commands, "bundle", None, text)
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    module = "installer.cli.bundle_commands"
    text = "Fetch and verify every manifest, and write them into one file for --bundle."
    parser = command(inner, "create", f"{module}:create", text, "text|json")
    text = "file to write; compressed when it ends with .gz or .tgz"
    parser.add_argument("file", metavar="FILE", help=text)
    releases_argument(parser, "+")
    source_flags(parser)
    text = "Verify a bundle or a mirror's folder, and say which releases it holds."
    parser = command(inner, "inspect", f"{module}:inspect", text, "text|json")
    parser.add_argument("file", metavar="FILE", help="bundle, or folder laid out as a mirror")
    releases_argument(parser, "*")
    catalog_flag(parser)


def catalog(commands: Any) -> None:
    """`catalog check`."""
    group = command(commands, "catalog", None, "Check a catalog of releases.")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    text = "Check every file of a catalog and report all problems."
    run = "installer.cli.catalog_commands:check"
    parser = command(inner, "check", run, text, "text|json")
    text = "folder of the catalog (default: the packaged one)"
    parser.add_argument("directory", metavar="DIR", nargs="?", help=text)
    text = "also read the manifests in this folder and check every claim about them"
    parser.add_argument("--mirror", metavar="DIR", help=text)


def sandbox(commands: Any) -> None:
    """`sandbox up`, `down` and `status`."""
    text = "Run a local cluster to try things on: a real API server with simulated nodes."
    group = command(commands, "sandbox", None, text)
    inner = group.add_subparsers(title="commands", metavar="COMMAND", dest="subcommand")
    module = "installer.cli.sandbox_commands"
    parser = command(inner, "up", f"{module}:up", "Start a sandbox.", "text|json")
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
    _name_flag(command(inner, "down", f"{module}:down", text, "text|json"))
    command(inner, "status", f"{module}:status", "List the sandboxes.", "text|json")


def _name_flag(parser: Parser) -> None:
    text = "name of the sandbox (default: default)"
    parser.add_argument("--name", metavar="NAME", default="default", help=text)


def completion(commands: Any) -> None:
    """`completion`."""
    text = "Print a completion script for a shell."
    parser = command(commands, "completion", "installer.cli.catalog_commands:completion", text)
    what = ", ".join(_SHELLS)
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=what)
