"""Runs that are refused before their first write: everything is told, nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import RELEASE, MakePlace, Place, audited_writes

from installer.cluster import ledger as ledgers
from installer.cluster.lock import held
from installer.core.cancel import Cancel
from installer.core.events import silent

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def there(place: MakePlace) -> Place:
    return place()


def test_settings_that_fit_no_object_are_told_for_all_components_at_once(
    there: Place, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        """\
apiVersion: kserve-installer/v1
kind: Settings
deployments:
  istio-system/istiodd: {replicas: 2}
  istio-system/istiod: {containers: {nope: {limits: {cpu: 1}}}}
  knative-serving/controller: {containers: {nope: {limits: {cpu: 1}}}}
patches:
- target: {kind: ConfigMap, name: nowhere}
  patch: [{op: add, path: /data/x, value: y}]
"""
    )
    refused = there.installer.run("install", RELEASE, "-f", str(file))

    assert refused.code == 2
    error = refused.finished["error"]
    assert (error["kind"], error["object"]) == ("invalid-input", str(file))
    lines = error["message"].splitlines()
    assert lines[0] == "the settings have 4 problems:"
    assert [line.split(": ")[1] for line in lines[1:]] == [
        "deployments.istio-system/istiod",
        "deployments.knative-serving/controller",
        "deployments.istio-system/istiodd",
        "patches[0]",
    ]
    assert audited_writes(there.audit_log) == []


def test_a_run_that_finds_the_lock_held_has_written_nothing(there: Place) -> None:
    cluster = there.cluster()
    ledgers.create_home(cluster)
    with held(cluster, run="theirs", command="install", emit=silent, cancel=Cancel()):
        refused = there.installer.run("install", RELEASE)
    error = refused.finished["error"]

    assert (refused.code, error["kind"]) == (3, "locked")
    assert refused.finished["writes"] == 0
    cluster.delete(ledgers.HOME)
