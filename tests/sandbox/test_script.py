from __future__ import annotations

from pathlib import Path

import pytest

from installer.core.errors import InvalidInput
from installer.sandbox.script import ImageRule, Script, ScriptFile, WebhookRule, parse, read, write

SCRIPT = Script(
    images=(ImageRule("controller", pull_seconds=5.0), ImageRule("broken", fail="ErrImagePull")),
    webhooks={"cert-manager/webhook": WebhookRule("slow", seconds=4.0, on="conversion", count=3)},
    load_balancer=True,
    delays="none",
    paused=("cainjector",),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    write(path, SCRIPT)
    assert read(path) == SCRIPT
    write(path, Script())
    assert path.read_text() == "{}"


def test_an_absent_script_changes_nothing(tmp_path: Path) -> None:
    script = read(tmp_path / "script.json")
    assert script == Script()
    assert script.instant(default=True)
    assert not script.instant(default=False)


def test_the_first_matching_image_rule_counts() -> None:
    rule = SCRIPT.image_rule("gcr.io/broken/controller:1")
    assert rule is not None
    assert rule.pull_seconds == 5
    assert SCRIPT.image_rule("gcr.io/other:1") is None
    assert SCRIPT.webhook_rule("cert-manager", "webhook") == SCRIPT.webhooks["cert-manager/webhook"]
    assert SCRIPT.webhook_rule("other", "webhook") is None


def test_every_problem_of_a_script_is_reported() -> None:
    broken = {
        "images": [{"fail": "cras"}, 3],
        "webhooks": {"no-namespace": {"fault": "gone", "seconds": -1}, "a/b": {}},
        "load_balancer": "yes",
        "delays": "short",
        "colour": "red",
    }
    with pytest.raises(InvalidInput) as refused:
        parse(broken)
    paths = {problem.path for problem in refused.value.problems}
    assert paths == {
        "colour",
        "images[0].match",
        "images[0].fail",
        "images[1]",
        "images[1].match",
        "webhooks[no-namespace]",
        "webhooks[no-namespace].fault",
        "webhooks[no-namespace].seconds",
        "webhooks[a/b].fault",
        "load_balancer",
        "delays",
    }


def test_a_running_sandbox_sees_changes_and_keeps_the_last_good_script(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    file = ScriptFile(path)
    assert file.current() == Script()
    write(path, SCRIPT)
    assert file.current() == SCRIPT
    path.write_text("{not json")
    assert file.current() == SCRIPT
    assert file.problem is not None
    path.unlink()
    assert file.current() == Script()
    assert file.problem is None
