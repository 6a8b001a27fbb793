"""`plan` and `install --plan` as words, without a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cli_process import Run

from installer import __version__
from installer.cli.commands import parse
from installer.cli.planned_install import promise
from installer.core.errors import UsageError
from installer.plan.saved import SavedPlan

RELEASE = "kfserving-0.5.1"
SAVED = SavedPlan(
    installer=__version__,
    cluster="uid",
    kubernetes="v1.20.2",
    release=RELEASE,
    settings=("/settings.yaml",),
    settings_digest="d",
    take_ownership=True,
    adopt=("istio",),
    catalog="",
    ledger="l",
    run="",
    objects=(),
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "plan.json"
    path.write_text(SAVED.text())
    return str(path)


def test_a_plan_stands_for_release_settings_and_flags(file: str) -> None:
    args = parse(["install", "--plan", file])

    found = promise(args)

    assert found.saved == SAVED
    assert (args.release, args.settings, args.take_ownership) == (
        RELEASE,
        ["/settings.yaml"],
        True,
    )


def test_naming_the_same_release_again_is_no_mistake(file: str) -> None:
    assert promise(parse(["install", RELEASE, "--plan", file])).saved == SAVED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kfserving-0.6.1"], "one of kfserving-0.5.1, not of kfserving-0.6.1"),
        (["-f", "other.yaml"], "-f cannot be given with --plan"),
    ],
)
def test_words_that_say_otherwise_than_the_plan_are_refused(
    file: str, words: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        promise(parse(["install", *words, "--plan", file]))


def test_taking_ownership_must_have_been_planned(file: str) -> None:
    Path(file).write_text(replace(SAVED, take_ownership=False).text())

    with pytest.raises(UsageError, match="--take-ownership cannot be given"):
        promise(parse(["install", "--plan", file, "--take-ownership"]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the plan: No such file"),
        (b"\xff\xfe", "cannot read the plan: it is not UTF-8 text"),
        (b"kind: Settings\n", "this file is not a plan"),
    ],
)
def test_a_file_that_is_no_plan_ends_with_2_and_one_sentence(
    command: Run, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_bytes(content)

    done = command("install", "--plan", str(path), "-o", "json")

    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"], last["exit_code"]) == (2, "finished", 2)
    assert said in last["error"]["message"]
    assert last["error"]["object"] == str(path)


def test_a_plan_that_was_edited_ends_with_3(command: Run, file: str) -> None:
    Path(file).write_text(SAVED.text().replace("uid", "other"))

    done = command("install", "--plan", file)

    assert done.returncode == 3
    assert "changed after it was saved" in done.stderr


def test_plan_answers_in_the_form_that_was_asked_for(command: Run) -> None:
    done = command("plan", "kfserving-9", "-o", "json")

    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
