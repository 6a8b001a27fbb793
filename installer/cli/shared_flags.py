"""Flags that several commands take. Standard library only."""

from __future__ import annotations

import argparse
from typing import Any

from installer.cli.parser import Parser, duration


def output_flags(parser: Parser) -> None:
    """How it is said."""
    # Allowed before and after the command: the later parser must not reset what the first saw.
    group = parser.add_argument_group("output")
    quiet = argparse.SUPPRESS
    text = "no colours; NO_COLOR in the environment does the same"
    group.add_argument("--no-color", action="store_true", default=quiet, help=text)
    text = "one line per object"
    group.add_argument("-v", "--verbose", action="store_true", default=quiet, help=text)
    text = "tracebacks of unexpected errors"
    group.add_argument("--debug", action="store_true", default=quiet, help=text)


def cluster_flags(parser: Parser) -> None:
    """Which cluster."""
    group = parser.add_argument_group("cluster")
    text = "kubeconfig file (default: $KUBECONFIG, else ~/.kube/config, else in-cluster)"
    group.add_argument("--kubeconfig", metavar="FILE", help=text)
    text = "context in the kubeconfig (default: the current one)"
    group.add_argument("--context", metavar="NAME", help=text)


def run_flags(parser: Parser, limit: str = "15m") -> None:
    """What commands take that write. limit: the usual --timeout."""
    text = "show what would be done; write nothing"
    parser.add_argument("--dry-run", action="store_true", help=text)
    timeout_flag(parser, limit)
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask before the first write"
    )


def source_flags(parser: Parser) -> None:
    """Where manifests come from."""
    group = parser.add_argument_group("sources")
    text = "take sources from this folder or URL, laid out HOST/PATH"
    group.add_argument("--mirror", metavar="DIR|URL", help=text)
    group.add_argument("--bundle", metavar="FILE", help="take sources from this bundle file")
    catalog_flag(group)


def settings_flag(parser: Parser) -> None:
    """-f."""
    text = "settings file; may be given several times, later files win"
    parser.add_argument("-f", "--settings", metavar="FILE", action="append", default=[], help=text)


def ownership_flag(parser: Parser) -> None:
    """--take-ownership."""
    text = "take fields over from other field managers instead of stopping"
    parser.add_argument("--take-ownership", action="store_true", help=text)


def skip_flag(parser: Parser) -> None:
    """--skip."""
    text = "checks not to run, by id; see: preflight --list"
    parser.add_argument("--skip", metavar="ID[,ID]", action="append", default=[], help=text)


def adopt_flag(parser: Parser) -> None:
    """--adopt."""
    text = "take these components over from whoever installed them; see docs/checks.md"
    parser.add_argument("--adopt", metavar="NAME[,NAME]", action="append", default=[], help=text)


def timeout_flag(parser: Parser, limit: str) -> None:
    """--timeout; limit: the usual one, as a user would write it."""
    text = f"limit for the whole run, e.g. 10m or 90s (default: {limit})"
    usual = duration(limit)
    parser.add_argument("--timeout", metavar="DURATION", type=duration, default=usual, help=text)


def catalog_flag(parser: Any) -> None:
    """--catalog, of a parser or a group of flags."""
    text = "use this catalog instead of the packaged one"
    parser.add_argument("--catalog", metavar="DIR", help=text)


def releases_argument(parser: Parser, count: str) -> None:
    """Releases, and the way to them. count: how many, as argparse's nargs."""
    text = "release name; see: releases"
    parser.add_argument("releases", metavar="RELEASE", nargs=count, help=text)
    text = "with every stop of the upgrade from this release, and the way back to it"
    parser.add_argument("--from", metavar="RELEASE", dest="origin", default="", help=text)
