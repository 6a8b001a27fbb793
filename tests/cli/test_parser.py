"""Words into options: what is accepted, and what is said about the rest."""

from __future__ import annotations

import argparse

import pytest

from installer.cli.commands import build, parse
from installer.cli.parser import duration
from installer.core.errors import ExitCode, UsageError


def test_install_has_careful_defaults() -> None:
    args = parse(["install", "kfserving-0.5.1"])

    assert (args.release, args.yes, args.dry_run, args.wait) == (
        "kfserving-0.5.1",
        False,
        False,
        True,
    )
    assert (args.timeout, args.output, args.settings, args.take_ownership) == (
        900.0,
        "text",
        [],
        False,
    )


def test_flags_for_output_may_stand_before_or_after_the_command() -> None:
    before = parse(["--no-color", "-v", "status"])
    after = parse(["status", "--no-color", "-v"])

    assert (before.no_color, before.verbose) == (after.no_color, after.verbose) == (True, True)


def test_settings_may_be_given_several_times() -> None:
    args = parse(["install", "r", "-f", "a.yaml", "--settings", "b.yaml"])

    assert args.settings == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1m0.5s", 60.5)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "10 m", "-5s", "0s", "m", "5s3m"])
def test_a_duration_without_sense_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 10m"):
        duration(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["instal"], "there is no command 'instal'; did you mean install"),
        (["sandbox", "upp"], "there is no command 'upp'; did you mean up?"),
        (["install", "r", "--contxt", "c"], "there is no flag --contxt; did you mean --context"),
        (["install", "r", "--contxt=c"], "there is no flag --contxt; did you mean --context"),
        (["install", "r", "s"], "unexpected argument 's'"),
        (["install"], "the following arguments are required: RELEASE"),
        (["install", "r", "--timeout", "10"], "'10' is not a duration such as 10m"),
        (["status", "-o", "yamll"], "'yamll' is not a FORMAT; did you mean yaml?"),
        (["install", "r", "-o", "yaml"], "'yaml' is not a FORMAT; there are text, json"),
        (["sandbox", "up", "--nodes", "0"], "'0' is not a whole number from 1"),
        (["install", "r", "--kube", "x"], "there is no flag --kube"),
    ],
)
def test_a_wrong_word_is_answered_with_what_is_near(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)

    assert said in caught.value.message
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.remedy.endswith("--help")


def test_every_flag_has_a_help_text() -> None:
    def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
        inner = [
            choice
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
            for choice in action.choices.values()
        ]
        return [parser, *(p for child in inner for p in parsers(child))]

    silent = [
        f"{parser.prog} {action.dest}"
        for parser in parsers(build())
        for action in parser._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]

    assert silent == []


def test_as_a_plugin_of_kubectl_it_calls_itself_so() -> None:
    assert build("kubectl kserve").format_usage().startswith("usage: kubectl kserve ")
