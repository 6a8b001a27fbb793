"""What a stream is taken to be able to show, and words for times, sizes and tables."""

from __future__ import annotations

import io

import pytest

from installer.cli.terminal import Terminal, duration, size, table
from installer.core.words import plural


class Screen(io.TextIOWrapper):
    """A stream that calls itself a terminal."""

    def __init__(self, encoding: str = "utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


XTERM = {"TERM": "xterm"}


def test_a_terminal_gets_colours_and_a_live_region() -> None:
    terminal = Terminal.of(Screen(), environ=XTERM)

    assert (terminal.colour, terminal.live, terminal.unicode) == (True, True, True)
    assert terminal.width


def test_a_pipe_gets_neither_and_lines_of_any_length() -> None:
    terminal = Terminal.of(io.StringIO(), environ=XTERM)

    assert (terminal.colour, terminal.live, terminal.width) == (False, False, None)


@pytest.mark.parametrize("value", ["1", "0", "no"])
def test_no_color_in_the_environment_turns_colours_off(value: str) -> None:
    terminal = Terminal.of(Screen(), environ={**XTERM, "NO_COLOR": value})

    assert (terminal.colour, terminal.live) == (False, True)


def test_an_empty_no_color_means_nothing() -> None:
    assert Terminal.of(Screen(), environ={**XTERM, "NO_COLOR": ""}).colour


def test_the_flag_turns_colours_off() -> None:
    assert not Terminal.of(Screen(), no_colour=True, environ=XTERM).colour


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}])
def test_a_terminal_that_understands_no_codes_gets_plain_lines(environ: dict[str, str]) -> None:
    terminal = Terminal.of(Screen(), environ=environ)

    assert (terminal.colour, terminal.live) == (False, False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_signs_are_those_the_encoding_has(encoding: str) -> None:
    terminal = Terminal.of(Screen(encoding), environ=XTERM)

    assert terminal.icon("ok") == "+"
    assert terminal.spinner(0).isascii()


def test_text_is_cut_to_the_width_and_the_cut_is_shown() -> None:
    terminal = Terminal(unicode=True, width=5)

    assert [terminal.fit(text) for text in ("12345", "123456")] == ["12345", "1234…"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m0s"), (90, "1m30s"), (7500, "2h5m")],
)
def test_durations_for_readers(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes_for_readers(count: float, words: str) -> None:
    assert size(count) == words


def test_one_is_singular() -> None:
    assert [plural(n, "object") for n in (0, 1, 2)] == ["0 objects", "1 object", "2 objects"]


def test_columns_are_aligned_without_trailing_spaces() -> None:
    rows = [["a", "1", ""], ["bbb", "22", "x"]]

    assert table(rows, indent=1, right=frozenset({1})) == [" a     1", " bbb  22  x"]
