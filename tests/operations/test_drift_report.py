"""`status --drift`: which fields differ from what was installed, and who made them so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import RELEASE, Place, Stack, audited_writes

from installer.core.objects import Ref, fingerprint
from installer.operations.drift_report import beside_ours, differences_of
from installer.operations.preview import Preview
from installer.plan.diff import compare
from installer.plan.drift import Entry
from installer.plan.wanted import Wanted

REF = Ref("v1", "ConfigMap", "n", "c")
GATEWAY = Ref("v1", "Service", "istio-system", "istio-ingressgateway")
CONFIG = Ref("v1", "ConfigMap", "knative-serving", "config-gc")
NOBODY = "http://127.0.0.1:9"
"""A proxy where nothing listens."""
LOGGING = Ref("v1", "ConfigMap", "knative-serving", "config-logging")


def config(data: dict[str, str], *entries: tuple[str, str]) -> dict[str, Any]:
    """A live ConfigMap; entries: (manager, key of data that it owns)."""
    managed = [
        {
            "manager": manager,
            "operation": "Apply" if manager == "kserve-installer" else "Update",
            "time": "2021-03-02T10:00:00Z",
            "fieldsV1": {"f:data": {f"f:{key}": {}}},
        }
        for manager, key in entries
    ]
    metadata = {"name": "c", "namespace": "n", "managedFields": managed}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def told(
    live: dict[str, Any], wanted: dict[str, str], after: dict[str, str], *, same: bool = True
) -> list[tuple[str, str, str]]:
    """(path, origin, manager); after: data as the server would store it; same: the body is that
    which was sent when it was installed."""
    body = config(wanted)
    del body["metadata"]["managedFields"]
    digest = fingerprint(body)
    item = Wanted(REF, "kfserving", "setup", body, digest)
    entry = Entry(REF, digest if same else "another", "seen")
    stored = config(after)
    preview = Preview(live, stored, compare(live, stored))
    return [(d.path, d.origin, d.manager) for d in differences_of(item, preview, entry)]


@pytest.mark.parametrize(
    ("live", "wanted", "after", "same", "expected"),
    [
        pytest.param(
            config({"a": "2"}, ("kubectl-edit", "a")),
            {"a": "1"}, {"a": "1"}, True,
            [("data.a", "edit", "kubectl-edit")],
            id="a user's edit",
        ),
        pytest.param(
            config({"a": "2"}, ("kube-controller-manager", "a")),
            {"a": "1"}, {"a": "1"}, True,
            [("data.a", "controller", "kube-controller-manager")],
            id="a controller's edit",
        ),
        pytest.param(
            config({"a": "1"}, ("kserve-installer", "a")),
            {"a": "2"}, {"a": "2"}, False,
            [("data.a", "version", "")],
            id="a newer installer",
        ),
        pytest.param(
            config({"a": "1", "b": "1"}, ("kserve-installer", "b")),
            {"a": "1"}, {"a": "1"}, False,
            [("data.b", "version", "")],
            id="a newer installer that has a field no more",
        ),
        pytest.param(
            config({}, ("kserve-installer", "b")),
            {"a": "1"}, {"a": "1"}, True,
            [("data.a", "unknown", "")],
            id="a field that somebody removed",
        ),
        pytest.param(
            config({"a": "2"}, ("kubectl-edit", "a")),
            {"a": "1"}, {"a": "1", "filled": "x"}, True,
            [("data.a", "edit", "kubectl-edit"), ("data.filled", "server", "")],
            id="what the server fills in as a consequence",
        ),
        pytest.param(
            config({"a": "1"}, ("kserve-installer", "a")), {"a": "1"}, {"a": "1"}, True, [],
            id="nothing",
        ),
    ],
)  # fmt: skip
def test_each_field_says_who_made_it(
    live: Any, wanted: Any, after: Any, same: bool, expected: list[Any]
) -> None:
    assert told(live, wanted, after, same=same) == expected


@pytest.mark.parametrize(
    ("manager", "origin"),
    [
        ("kubectl-set", "added"),
        ("alice", "added"),
        ("kubectl-client-side-apply", "added"),
        ("kube-controller-manager", "others"),
        ("cainjector", "others"),
        ("pilot-discovery", "others"),
        ("webhook", "others"),
    ],
)
def test_a_field_beside_ours_is_quiet_only_when_a_controller_wrote_it(
    manager: str, origin: str
) -> None:
    live = config({"a": "1", "b": "1"}, ("kserve-installer", "a"), (manager, "b"))
    body = config({"a": "1"})
    item = Wanted(REF, "kfserving", "setup", body, fingerprint(body))

    found = [(d.path, d.origin, d.manager, d.time) for d in beside_ours(item, live, None)]

    assert found == [("data.b", origin, manager, "2021-03-02T10:00:00Z")]


def drift(there: Place, *words: str) -> dict[str, Any]:
    """The drift report in the document of `status --drift`."""
    code, document = there.installer.status("--drift", *words)
    assert code == 0
    found: dict[str, Any] = document["drift_report"]
    return found


def unexpected(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Differences that are shown without -v."""
    quiet = ("controller", "others", "server")
    return [d for d in report["differences"] if d["origin"] not in quiet]


@pytest.fixture
def edited(stack: Stack) -> Iterator[Place]:
    """The stack with a field changed, an object deleted, a key of ours taken and one added."""
    cluster = stack.cluster()
    cluster.patch(GATEWAY, {"spec": {"type": "ClusterIP"}}, manager="kubectl-edit")
    cluster.patch(LOGGING, {"data": {"added": "by me"}}, manager="somebody")
    cluster.delete(CONFIG)
    yield stack
    cluster.patch(LOGGING, {"data": {"added": None}}, manager="somebody")  # an install leaves it
    ended = stack.installer.run("install", RELEASE)
    assert ended.code == 0, ended.stderr


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_right_after_an_install_only_what_controllers_do_differs(stack: Stack) -> None:
    report = drift(stack, "--mirror", str(stack.installer.mirror))

    assert report["fields_known"]
    assert (unexpected(report), report["note"]) == ([], "")
    bundles = [d for d in report["differences"] if d["path"].endswith("caBundle")]
    assert {d["manager"] for d in bundles} >= {"cainjector"}


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_an_edit_has_its_field_values_manager_and_time(edited: Place) -> None:
    writes = audited_writes(edited.audit_log)

    report = drift(edited, "--mirror", str(edited.installer.mirror))

    found = {(d["object"]["name"], d["path"]): d for d in unexpected(report)}
    added = (LOGGING.name, "data.added")
    assert set(found) == {(GATEWAY.name, "spec.type"), (CONFIG.name, ""), added}
    edit = found[GATEWAY.name, "spec.type"]
    assert (edit["origin"], edit["live"], edit["installed"]) == (
        "edit",
        "ClusterIP",
        "LoadBalancer",
    )
    assert edit["manager"] == "kubectl-edit"
    assert edit["time"].startswith("20")
    assert found[CONFIG.name, ""]["origin"] == "deleted"
    assert (found[added]["origin"], found[added]["manager"]) == ("added", "somebody")
    assert audited_writes(edited.audit_log) == writes


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_without_manifests_objects_are_told_and_what_fields_would_need(
    edited: Place, tmp_path: Path
) -> None:
    offline = {"KSERVE_INSTALLER_CACHE": str(tmp_path / "cache"), "HTTPS_PROXY": NOBODY}
    cut_off = replace(edited, installer=replace(edited.installer, environment=offline))
    report = drift(cut_off, "--mirror", str(tmp_path))

    assert not report["fields_known"]
    assert "they need the release's manifests, from --mirror" in report["problem"]
    found = {d["object"]["name"]: (d["origin"], d["manager"]) for d in report["differences"]}
    assert found == {GATEWAY.name: ("edit", "kubectl-edit"), CONFIG.name: ("deleted", "")}


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_other_settings_than_those_of_the_install_are_told(stack: Stack, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "apiVersion: kserve-installer/v1\nkind: Settings\ngateway: {type: NodePort}\n"
    )

    report = drift(stack, "--mirror", str(stack.installer.mirror), "-f", str(settings))

    found = [(d["object"]["name"], d["path"], d["origin"]) for d in unexpected(report)]
    assert found == [(GATEWAY.name, "spec.type", "version")]
    assert "the settings are not those it was installed with" in report["note"]
