"""CRDs whose conversion webhook nobody serves."""

from __future__ import annotations

from typing import Any

import pytest

from installer.core.objects import Object
from installer.preflight.dead_conversions import conversion_verdicts, dead_conversions

CLIENT = {"service": {"namespace": "there", "name": "hook"}}


def crd(conversion: Any) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"conversion": conversion} if conversion else {},
    }


HOOK = crd({"strategy": "Webhook", "webhook": {"clientConfig": CLIENT}})


@pytest.mark.parametrize(
    ("definition", "state", "why"),
    [
        (HOOK, "gone", "Service there/hook does not exist"),
        (HOOK, "no-endpoints", "Service there/hook has no ready pod"),
        (
            crd({"strategy": "Webhook", "webhookClientConfig": CLIENT}),
            "gone",
            "Service there/hook does not exist",
        ),
        (HOOK, "", None),
        (crd({"strategy": "None"}), "gone", None),
        (crd(None), "gone", None),
        (
            crd({"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://x"}}}),
            "gone",
            None,
        ),
    ],
)
def test_only_a_service_that_does_not_serve_is_dead(
    definition: Object, state: str, why: str | None
) -> None:
    found = dead_conversions([definition], lambda *_: state)
    assert [dead.why for dead in found] == ([] if why is None else [why])


@pytest.mark.parametrize(
    ("brought", "verdict", "remedy"),
    [
        ({("there", "hook"): "kfserving"}, "warning", "an install brings kfserving back"),
        ({("there", "other"): "kfserving"}, "failed", "bring that Service back"),
    ],
)
def test_what_an_install_brings_back_is_a_warning(
    brought: dict[tuple[str, str], str], verdict: str, remedy: str
) -> None:
    (detail,) = conversion_verdicts(dead_conversions([HOOK], lambda *_: "gone"), brought)
    assert detail.verdict == verdict
    assert detail.remedy.startswith(remedy)
    assert "kubectl patch crd things.example.com" in detail.remedy
