"""Runs that are refused before their first write: everything is told, nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import RELEASE, Installer, MakePlace, Place, audited_writes

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


KFSERVING = "raw.githubusercontent.com/kserve/kserve/v0.5.1/install/v0.5.1/kfserving.yaml"


def mirror_with(folder: Path, upstream: Path, changed: bytes | None) -> Path:
    """The real mirror but for KFServing's manifest: these bytes, or none at all."""
    own = folder / KFSERVING
    own.parent.mkdir(parents=True)
    if changed is not None:
        own.write_bytes(changed)
    here, there = folder, upstream
    for step in Path(KFSERVING).parts:
        for path in there.iterdir():
            if path.name != step:
                (here / path.name).symlink_to(path)
        here, there = here / step, there / step
        if there.is_file():
            break
    return folder


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (lambda good: good.replace(b"kfserving", b"kfsevring"), "source-tampered", "its SHA-256"),
        (lambda good: good[: len(good) // 2], "source-truncated", "is cut off"),
        (lambda good: good * 2, "source-oversized", "is larger than"),
        (lambda _: b"<!DOCTYPE html><html>log in</html>", "source-html", "is a web page"),
        (lambda _: None, "source-missing", "found in none of"),
    ],
)
def test_a_source_that_is_not_the_catalogs_stops_the_install_before_any_write(
    there: Place,
    shared: Path,
    tmp_path: Path,
    change: Callable[[bytes], bytes | None],
    kind: str,
    said: str,
) -> None:
    upstream = shared / "upstream"
    mirror = mirror_with(tmp_path / "m", upstream, change((upstream / KFSERVING).read_bytes()))
    nothing_kept = {"KSERVE_INSTALLER_CACHE": str(tmp_path / "cache")}
    refused = Installer(there.installer.kubeconfig, mirror, nothing_kept).run("install", RELEASE)
    assert refused.code == 3, (refused.events, refused.stderr)
    assert refused.finished["event"] == "finished", refused.events
    error = refused.finished["error"]

    assert error["kind"] == kind
    assert said in error["message"]
    assert KFSERVING in error["object"]
    assert "kfserving 0.5.1, kfserving: " in error["message"] or kind == "source-missing"
    assert error["remedy"]
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
