"""Each release on an API server it supports: converges, then nothing to write, then gone."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from harness import MakePlace, applied_refs, audited_writes, counts, state_of

from installer.cluster import ledger as ledgers
from installer.cluster.readiness import readiness
from installer.sandbox import lifecycle

pytestmark = pytest.mark.cluster

RELEASES = [
    ("kfserving-0.5.0-rc0", "1.20.2"),
    ("kfserving-0.6.1", "1.20.2"),
    ("kserve-0.11.2", "1.25.3"),
    ("kserve-0.20.0", "1.34.4"),
]
"""A small sample; `test_catalog_runs` has all, and the reference release has its own modules."""


_STEPS = {
    "validatingwebhookconfigurations": 1,
    "mutatingwebhookconfigurations": 1,
    "deployments": 2,
    "statefulsets": 2,
    "customresourcedefinitions": 3,
}


def step_of(write: str, defined: Collection[str]) -> int | None:
    """In which step of an uninstall this request belongs; None when it may come at any time.

    defined: names of the CRDs, whose objects go first; namespaces go last.
    """
    verb, _, uri = write.partition(" ")
    path = uri.partition("?")[0].strip("/").split("/")
    if verb != "delete":
        return None
    if path[:3] == ["api", "v1", "namespaces"] and len(path) == 4:
        return 4
    plural = path[-2]
    return 0 if f"{plural}.{path[1]}" in defined else _STEPS.get(plural)


def converges_then_writes_nothing_then_leaves_nothing(
    place: MakePlace, release: str, kubernetes: str
) -> None:
    """Install it twice, then remove it, in a sandbox of its own."""
    there = place(kubernetes)
    first = there.installer.run("install", release, timeout=600)
    assert first.code == 0, first.finished.get("error") or first.stderr
    cluster = there.cluster()
    refs = applied_refs(first)
    assert [str(ref) for ref in refs if not readiness(cluster.get(ref)).ready] == []

    before = len(audited_writes(there.audit_log))
    second = there.installer.run("install", release, timeout=600)
    assert counts(second) == (0, 0, len(refs)), second.of("object")
    assert second.finished["writes"] == 0
    assert audited_writes(there.audit_log)[before:] == []

    gone = there.installer.run("uninstall", timeout=600)
    assert gone.code == 0, gone.finished.get("error") or gone.stderr
    defined = {ref.name for ref in refs if ref.kind == "CustomResourceDefinition"}
    steps = [step_of(write, defined) for write in audited_writes(there.audit_log)[before:]]
    order = [step for step in steps if step is not None]
    assert order == sorted(order), "finalizers run while their controllers are there"
    assert {1, 2, 3, 4} <= set(order)
    assert state_of(there.cluster(), refs) == {}
    assert there.cluster().get(ledgers.HOME) is None
    lifecycle.down(there.sandbox.name)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("release", "kubernetes"), RELEASES)
def test_a_release_converges_then_writes_nothing_then_leaves_nothing(
    place: MakePlace, release: str, kubernetes: str
) -> None:
    converges_then_writes_nothing_then_leaves_nothing(place, release, kubernetes)
