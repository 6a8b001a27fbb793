"""The parser under the command tree: what is said of a misspelt word. Standard library only."""

from __future__ import annotations

import argparse
import difflib
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from installer.core.errors import UsageError

PROGRAM = "kserve-installer"
_MAX_WIDTH = 100
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


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


def split(words: Iterable[str]) -> tuple[str, ...]:
    """`--skip a,b --skip c` as (a, b, c)."""
    return tuple(part.strip() for word in words for part in word.split(",") if part.strip())


def nearest(word: str, offered: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing where no offered word is near."""
    found = difflib.get_close_matches(word, list(offered), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def format_asked(words: Sequence[str]) -> str:
    """The value of the last `-o` or `--output` among words that need not make sense otherwise."""
    asked = "text"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--":
            break
        if word in ("-o", "--output"):
            asked = following
        elif match := re.match(r"(?:-o|--output=)(.+)", word):
            asked = match[1]
    return asked


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


class WrongWords(UsageError):
    """A command line that cannot be understood.

    events: it was meant for a command whose `-o json` prints event lines.
    """

    def __init__(self, message: str, parser: Parser):
        super().__init__(message, kind="usage", remedy=f"see: {parser.prog} --help")
        self.events = bool(parser.get_default("events"))


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError and offers the nearest word."""

    def __init__(self, **kwargs: Any):
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **kwargs)
        if hasattr(self, "color"):
            self.color = False

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        if message.startswith("the following arguments are required"):
            message += "".join(
                f"; {action.metavar} is one of {', '.join(map(str, action.choices))}"
                for action in self._actions
                if action.choices and action.metavar in message.split(": ")[-1].split(", ")
            )
        raise WrongWords(message, self)

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse drops what a full disk does not take; whoever asked for it would not know.
        (file or sys.stderr).write(message)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The words as options; UsageError with the nearest word for what is unknown."""
        args, unknown = self.parse_known_args(list(words))
        chosen: Parser = args.parser
        if unknown:
            flags = [flag for p in (self, chosen) for flag in p._option_string_actions]
            word = unknown[0].partition("=")[0]
            if word.startswith("-"):
                chosen.error(f"there is no flag {word}{nearest(word, flags)}")
            chosen.error(f"unexpected argument {word!r}")
        return args

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        what = action.metavar or action.dest
        offered = [str(choice) for choice in action.choices]
        hint = nearest(str(value), offered) or f"; there are {', '.join(offered)}"
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"there is no command {value!r}{hint}")
        self.error(f"{value!r} is not a {what}{hint}")
