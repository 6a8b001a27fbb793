"""`external`: a component that somebody else manages is looked at and never written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from harness import RELEASE, MakePlace, Place, audited_writes

from installer.catalog.load import load_release
from installer.catalog.manifests import load_objects
from installer.catalog.sources import SourceOptions
from installer.cluster import ledger as ledgers
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.core.objects import Object, ObjectId, Ref
from installer.operations.live import read_live
from installer.plan.settings import Settings
from installer.plan.wanted import Wanted, wanted_of

pytestmark = pytest.mark.cluster

WEBHOOK = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager-webhook")


@pytest.fixture(scope="module")
def there(place: MakePlace) -> Place:
    return place()


@pytest.fixture
def settings(tmp_path: Path) -> str:
    file = tmp_path / "settings.yaml"
    file.write_text("apiVersion: kserve-installer/v1\nkind: Settings\nexternal: [cert-manager]\n")
    return str(file)


def test_an_external_component_that_is_missing_stops_the_install_before_any_write(
    there: Place, settings: str
) -> None:
    refused = there.installer.run("install", RELEASE, "-f", settings)
    assert refused.code == 3
    error = refused.finished["error"]
    assert "external-components: cert-manager is declared external" in error["message"]
    assert "namespace cert-manager has no Deployment" in error["message"]
    assert "bring external cert-manager to a version that serves it" in error["remedy"]
    assert audited_writes(there.audit_log) == []


@pytest.mark.timeout(300)
def test_an_external_component_is_used_and_none_of_it_is_ours(
    there: Place, settings: str, shared: Path
) -> None:
    cluster = there.cluster()
    component = load_release(RELEASE).components[("cert-manager", "0.15.1")]
    options = SourceOptions(mirror=str(shared / "upstream"))
    objects = load_objects(component, options, silent, Cancel())
    wanted = wanted_of(component, objects, lambda *_: None, Settings(), set())
    for item in wanted:
        cluster.apply(item.body, manager="somebody")
    deployments = [item.ref for item in wanted if item.ref.kind == "Deployment"]
    wait_ready(cluster, deployments, deadline=60, cancel=Cancel())
    before = set(_live(there, wanted))

    ended = there.installer.run("install", RELEASE, "-f", settings, "--timeout", "3m")
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    ledger = ledgers.read(cluster)
    assert ledger.external == ("cert-manager",)
    assert "cert-manager" not in ledger.components
    managers = {
        entry["manager"]
        for obj in _live(there, wanted).values()
        for entry in obj["metadata"].get("managedFields", [])
    }
    assert "kserve-installer" not in managers
    assert set(_live(there, wanted)) == before

    gone = there.installer.run("uninstall")
    assert gone.code == 0, gone.finished.get("error") or gone.stderr
    assert there.cluster().get(WEBHOOK) is not None


def _live(there: Place, wanted: Sequence[Wanted]) -> Mapping[ObjectId, Object]:
    return read_live(there.cluster(), [item.ref for item in wanted])
