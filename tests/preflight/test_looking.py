"""What stands in the way of looking: it is told, and stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accounts import account, give, until
from fault_proxy import FaultProxy
from foreign_installs import deployment, namespace, placed

from installer.catalog.sources import SourceOptions
from installer.cluster import ledger as ledgers
from installer.cluster import watching
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.checks import Detail, failed, note
from installer.core.errors import InstallerError, Interrupted
from installer.core.events import silent
from installer.operations import preflight as operation
from installer.operations.choice import InstallOptions, choose
from installer.operations.drift_report import drift
from installer.operations.matrix import matrix
from installer.operations.planning import make_plan
from installer.operations.preflight import Selection
from installer.preflight.check import Check
from installer.preflight.run import run_checks
from installer.preflight.world import World
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

QUOTAS = r"/resourcequotas"
GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}


def check(name: str, look: Any) -> Check:
    return Check(name, "kubernetes", f"{name} holds", look)


def fine(_: World) -> Iterator[Detail]:
    yield note("seen")


def broken(_: World) -> Iterator[Detail]:
    yield failed("one thing is wrong")
    raise InstallerError("the rest cannot be read", remedy="ask for the right")


WORLD: World = None  # type: ignore[assignment]


def test_a_check_that_hangs_is_unknown_and_the_others_are_not() -> None:
    release = threading.Event()

    def hang(_: World) -> Iterator[Detail]:
        release.wait()
        yield note("too late")

    checks = [check("hangs", hang), check("fine", fine)]
    found = run_checks(WORLD, checks, timeout=0.3, cancel=Cancel())
    release.set()
    assert [finding.verdict for finding in found] == ["unknown", "note"]
    assert "no end after" in found[0].details[0].reason


def test_what_a_check_found_before_it_could_not_look_further_is_kept() -> None:
    found = run_checks(WORLD, [check("broken", broken)], cancel=Cancel())[0]
    assert [detail.verdict for detail in found.details] == ["failed", "unknown"]
    assert "could not look, because the rest cannot be read" in found.details[1].reason
    assert found.verdict == "failed"


def test_a_mistake_in_one_check_takes_no_other_with_it() -> None:
    def wrong(_: World) -> Iterator[Detail]:
        yield note(f"{1 // 0}")

    found = run_checks(WORLD, [check("wrong", wrong), check("fine", fine)], cancel=Cancel())
    assert [finding.verdict for finding in found] == ["unknown", "note"]
    assert "ZeroDivisionError" in found[0].details[0].reason


def test_a_skipped_check_says_who_asked_for_it_and_is_not_run() -> None:
    found = run_checks(WORLD, [check("broken", broken)], skip=("broken",), cancel=Cancel())[0]
    assert found.verdict == "skipped"
    assert "--skip" in found.details[0].reason


def test_an_interrupt_ends_all_checks_at_once() -> None:
    cancel = Cancel()

    def interrupt(_: World) -> Iterator[Detail]:
        cancel.stop()
        cancel.sleep(3600, "sleeping")
        yield note("never")

    with pytest.raises(Interrupted):
        run_checks(WORLD, [check("interrupts", interrupt)], cancel=cancel)


@pytest.mark.cluster
def test_a_403_on_a_list_is_told_as_not_seen_and_never_as_fine(
    look: Any, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    narrow = account(cluster, sandbox, "narrow", tmp_path)
    give(cluster, [viewing("narrow")])
    theirs = Cluster.connect(kubeconfig=str(narrow))
    until(lambda: _may_list(theirs))
    found = look(sandbox, kubeconfig=narrow)
    for name in ("kubernetes-version-skew", "capacity-nodes", "policy-webhooks"):
        assert found[name].verdict == "unknown", found[name]
        assert "could not look, because" in found[name].details[0].reason
    assert found["kubernetes-version"].verdict in ("ok", "note")
    rights = found["rights-objects"]
    assert rights.verdict == "failed"
    assert [d.verdict for d in rights.details if d.verdict != "warning"][-1] == "unknown"
    assert sum(d.verdict == "unknown" and "kinds" in d.data for d in rights.details) == 1
    assert {name: found[name].verdict for name in NEED_DEFINITIONS} == dict.fromkeys(
        NEED_DEFINITIONS, "unknown"
    )
    assert found["existing-release"].verdict == "ok"
    assert "new CRDs" not in str(found["apis-valid"].details)


NEED_DEFINITIONS = (
    "apis-valid",
    "apis-conflicts",
    "existing-components",
    "existing-duplicates",
    "existing-halves",
    "existing-webhooks",
    "existing-terminating",
    "crds-stored-versions",
    "crds-foreign",
    "crds-objects",
)


@pytest.mark.cluster
def test_to_an_account_without_rights_nothing_that_is_there_looks_fine(
    look: Any, sandbox: SandboxInfo, shared: Path, tmp_path: Path
) -> None:
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    nobody = account(admin, sandbox, "nobody", tmp_path)
    found = look(sandbox, kubeconfig=nobody, only=("existing", "crds", "apis"))
    needing = ("existing-release", "existing-gateways", *NEED_DEFINITIONS)
    assert {name: found[name].verdict for name in needing} == dict.fromkeys(needing, "unknown")
    for name in needing:
        assert any("could not look" in d.reason for d in found[name].details), found[name]
    cluster = Cluster.connect(kubeconfig=str(nobody))
    sources = SourceOptions(mirror=str(shared / "upstream"))
    options = InstallOptions("", sources=sources)
    rows = matrix(cluster, options, Selection(only=("existing",)), silent, Cancel()).rows
    assert len(rows) > 1
    assert "yes" not in {row.answer for row in rows}
    with pytest.raises(ApiError) as refused:
        make_plan(cluster, choose(replace(options, release="kfserving-0.5.1")), silent, Cancel())
    with pytest.raises(ApiError) as unread:
        drift(cluster, options, silent, Cancel())
    for error in (refused.value, unread.value):
        assert 'cannot list resource "' in error.message
        assert "the right to list " in error.remedy
        assert "kserve-installer rbac" in error.remedy


def viewing(name: str) -> dict[str, Any]:
    """The binding that lets an account see what the ClusterRole view shows."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
    }


def _may_list(cluster: Cluster) -> bool:
    try:
        cluster.list("v1", "ConfigMap", "kserve-installer")
    except InstallerError:
        return False
    return True


@pytest.mark.cluster
def test_one_list_that_hangs_and_one_that_is_refused_leave_the_rest_as_it_is(
    look: Any, sandbox: SandboxInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "PATIENCE", 4.0)
    undisturbed = look(sandbox)
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        proxy.on("GET", QUOTAS, times=None, hang=True)
        proxy.on("GET", r"/storageclasses", times=None, status=500)
        proxy.on("GET", r"/kube-node-lease/leases", times=None, status=503)
        found = look(sandbox, kubeconfig=proxy.kubeconfig)
    blind = {name for name, finding in found.items() if finding.verdict == "unknown"}
    assert blind == {"policy-quota", "time-skew"}
    same = {name: f.verdict for name, f in found.items() if name not in blind}
    assert same == {name: f.verdict for name, f in undisturbed.items() if name not in blind}


@pytest.mark.cluster
def test_answers_that_fail_in_passing_change_nothing(
    look: Any, sandbox: SandboxInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = look(sandbox)
    monkeypatch.setattr(watching, "PAGE", 3)  # so that lists come in pages
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        expired = proxy.on("GET", r"continue=", times=2, status=410, body=GONE)
        proxy.on("GET", r"/nodes|/pods|/namespaces", times=2, status=503)
        proxy.on("POST", r"selfsubject", times=1, close=True)
        proxy.on("GET", r"/apis/apps/v1", times=1, status=429, headers={"Retry-After": "1"})
        found = look(sandbox, kubeconfig=proxy.kubeconfig)
    assert expired.hits == 2
    assert {n: f.verdict for n, f in found.items()} == {
        n: f.verdict for n, f in undisturbed.items()
    }


@pytest.mark.cluster
def test_an_api_server_that_is_restarted_meanwhile_ends_in_findings_or_one_sentence(
    look: Any, sandbox_factory: Any
) -> None:
    own = sandbox_factory("1.20.2", fresh=True)
    found: dict[str, Any] = {}
    refused: list[InstallerError] = []

    def run() -> None:
        try:
            found.update(look(own))
        except InstallerError as error:  # away before the first answer, for longer than is tried
            refused.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    lifecycle.restart(own.name, "kube-apiserver")
    thread.join(120)
    lifecycle.down(own.name)
    assert found or refused, "it did not end"
    failed = {name for name, finding in found.items() if finding.verdict == "failed"}
    assert failed <= {"kubernetes-reachable"}
    assert all("no answer from the API server" in error.message for error in refused)


@pytest.mark.cluster
def test_what_runs_is_told_to_somebody_who_may_not_list_crds_and_nodes(
    look: Any, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    viewer = account(cluster, sandbox, "viewer", tmp_path)
    give(cluster, [viewing("viewer")])
    theirs = Cluster.connect(kubeconfig=str(viewer))
    until(lambda: _may_list(theirs))
    image = "quay.io/jetstack/cert-manager-controller:v0.15.1"
    there = [namespace("somewhere"), deployment("somewhere", "cert-manager", image)]
    with placed(cluster, there, ready=False):
        details = look(sandbox, kubeconfig=viewer, only=("existing",))[
            "existing-components"
        ].details
    assert [d.verdict for d in details] == ["failed", "unknown", "unknown"]
    assert "somewhere" in details[0].reason
    for kind, detail in zip(("customresourcedefinitions", "nodes"), details[1:], strict=True):
        assert f'cannot list resource "{kind}"' in detail.reason
        assert f"the right to list {kind}" in detail.remedy


@pytest.mark.cluster
def test_beside_another_release_of_ours_what_an_upgrade_changes_in_steps_is_left_to_it(
    look: Any, sandbox_factory: Any
) -> None:
    own = sandbox_factory("1.20.2", fresh=True)
    cluster = Cluster.connect(kubeconfig=str(own.kubeconfig))
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ledgers.NAMESPACE}}
    cluster.create(space)
    ledgers.write_stack(cluster, Ledger(release="kfserving-0.5.1", state="installed"))
    found = look(own, release="kfserving-0.6.1", only=("apis", "existing", "crds"))
    lifecycle.down(own.name)
    assert found["existing-release"].verdict == "failed"
    for name in ("apis-valid", "apis-conflicts", "crds-stored-versions"):
        (detail,) = found[name].details
        assert detail.verdict == "unknown"
        assert "`kserve-installer upgrade kfserving-0.6.1`" in detail.remedy
