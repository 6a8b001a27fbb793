"""A command of the tree, and how it is said. Standard library only."""

from __future__ import annotations

from typing import Any

from installer.cli.parser import Parser
from installer.cli.shared_flags import output_flags


def command(commands: Any, name: str, run: str | None, text: str, formats: str = "") -> Parser:
    """A command of a group, with what all take.

    run: the function it runs, `module:function`; None for a group of commands. text: a sentence.
    formats: those of `-o`, such as `text|json`; empty where there is no choice.
    """
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
