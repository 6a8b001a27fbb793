"""Versions that run, told by images."""

from __future__ import annotations

from typing import Any

import pytest

from installer.catalog.load import load
from installer.serving.running_versions import (
    disagreements,
    image_key,
    index_of,
    of_workload,
    running,
)

_DIGEST = "sha256:69065cec1c1d57d1b16eb448c1abd895c2c554ef0ec19bedd1c14dc3150d2ff1"


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("docker.io/istio/pilot:1.6.2", "pilot:1.6.2"),
        ("registry.example.com:5000/mirror/istio/pilot:1.6.2", "pilot:1.6.2"),
        ("registry.example.com:5000/pilot", "pilot:latest"),
        (f"gcr.io/knative-releases/activator:v1@{_DIGEST}", _DIGEST),
    ],
)
def test_an_image_is_recognised_wherever_it_is_mirrored(image: str, key: str) -> None:
    assert image_key(image) == key


def _pod(image: str, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "istio-system", "labels": {"app": "istiod", "x": "y"}},
        "spec": {"containers": [{"image": image}]},
        "status": {"phase": phase},
    }


def test_an_image_of_another_version_disagrees_with_the_ledger() -> None:
    index = index_of(load(None))
    found = running([_pod("docker.io/istio/pilot:1.9.1")], index)
    (said,) = disagreements("istio", "1.6.2", found)
    assert said.endswith("is that of istio 1.9.1, and 1.6.2 was installed")
    assert disagreements("istio", "1.9.1", found) == []


def test_pods_that_do_not_run_say_nothing_of_what_runs() -> None:
    assert running([_pod("docker.io/istio/pilot:1.9.1", "Pending")], {}) == []


def test_a_workload_s_pods_are_those_that_it_selects() -> None:
    workload = {
        "metadata": {"namespace": "istio-system"},
        "spec": {"selector": {"matchLabels": {"app": "istiod"}}},
    }
    pods = [_pod("a"), {**_pod("b"), "metadata": {"namespace": "other", "labels": {}}}]
    assert of_workload(pods, workload) == pods[:1]
