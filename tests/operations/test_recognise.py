"""Which release others have installed, by the versions that run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from installer.catalog.load import load
from installer.core.errors import ChecksFailed
from installer.operations.recognise import release_of

CATALOG = load()
OWN = {"kfserving": {"0.6.1"}}
REST = {"istio": {"1.9.0"}, "knative-serving": {"0.22.0"}, "net-istio": {"0.22.0"}}
HELD = {**OWN, **REST, "cert-manager": {"0.15.1"}}


def brought_by(script: dict[str, Any]) -> dict[str, set[str]]:
    """Versions by component, as an install script of upstream pins them."""
    names = ("istio", "knative_serving", "net_istio", "cert_manager")
    return {name.replace("_", "-"): {str(script[name]).removeprefix("v")} for name in names}


def test_what_upstreams_own_scripts_install_is_recognised(shared: Path) -> None:
    """All thirty, whether by istioctl and kubectl or by Helm and Knative's operator."""
    facts = json.loads((shared / "facts" / "releases.json").read_text())
    assert len(facts) == len(CATALOG.releases) == 30
    for fact in facts:
        script = fact["upstream_quick_install"]
        project, version = fact["project"].lower(), fact["version"].removeprefix("v")
        running = {**brought_by(script), project: {version}}
        assert release_of(CATALOG, running) == f"{project}-{version}"


def test_a_candidate_of_a_release_is_recognised_as_that_release() -> None:
    assert release_of(CATALOG, {**HELD, "kfserving": {"0.6.0-rc0"}}) == "kfserving-0.6.0"
    first = {**HELD, "istio": {"1.6.2"}, "kfserving": {"0.5.0-rc0"}}
    first |= {"knative-serving": {"0.15.0"}, "net-istio": {"0.15.0"}}
    assert release_of(CATALOG, first) == "kfserving-0.5.0-rc0", "which is a release itself"


def test_what_is_external_may_be_of_any_version() -> None:
    running = {**HELD, "istio": {"1.12.0"}}
    assert release_of(CATALOG, running, ("istio",)) == "kfserving-0.6.1"
    assert release_of(CATALOG, {**OWN, **REST}, ("cert-manager",)) == "kfserving-0.6.1"


@pytest.mark.parametrize(
    ("running", "said"),
    [
        ({**HELD, "istio": {"1.9.2"}}, "kfserving-0.6.1 with other components"),
        ({**HELD, "istio": {"1.7.0"}}, "kfserving-0.6.1 with other components"),
        ({**HELD, "knative-serving": {"0.21.0"}}, "kfserving-0.6.1 with other components"),
        ({**OWN, **REST}, "kfserving-0.6.1 with other components"),
        ({**HELD, "kfserving": {"0.6.2"}}, "no release is that"),
        ({**HELD, "kfserving": {"0.6.0", "0.6.1"}}, "no release is that"),
        (REST, "no release is that"),
    ],
    ids=[
        "a later patch",
        "two minors behind",
        "Knative behind",
        "without one",
        "unknown",
        "two at once",
        "no controller",
    ],
)
def test_what_is_no_release_is_named_as_it_runs(running: dict[str, set[str]], said: str) -> None:
    with pytest.raises(ChecksFailed) as caught:
        release_of(CATALOG, running)
    assert caught.value.kind == "not-recognised"
    assert said in caught.value.message
    assert "istio 1." in caught.value.message
