"""Checks of the category kubernetes: tables of versions, and real API servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from installer.catalog.load import load
from installer.catalog.resolve import fits, nearest_fit
from installer.cluster.client import Cluster
from installer.core.kubernetes_version import KubernetesVersion
from installer.core.objects import Ref
from installer.plan.settings import Settings
from installer.preflight.kubernetes import skew
from installer.sandbox.lifecycle import SandboxInfo


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v1.20.2", (1, 20, 2)),
        ("v1.20.2-gke.300", (1, 20, 2)),
        ("v1.29.6+rke2r1", (1, 29, 6)),
        ("v1.30.4+k3s1", (1, 30, 4)),
        ("v1.27.3-eks-a5565ad", (1, 27, 3)),
        ("v1.19.0+2f3101c", (1, 19, 0)),
        ("v1.31.0-alpha.1.123+abcdef", (1, 31, 0)),
        ("1.27+", (1, 27, 0)),
        ("1.27", (1, 27, 0)),
        (" v1.22.17 ", (1, 22, 17)),
    ],
)
def test_versions_are_read_with_what_vendors_append(
    text: str, expected: tuple[int, int, int]
) -> None:
    version = KubernetesVersion.parse(text)
    assert (version.major, version.minor, version.patch) == expected


@pytest.mark.parametrize("text", ["", "latest", "v1", "1.x", "vv1.20"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Kubernetes version"):
        KubernetesVersion.parse(text)


@pytest.mark.parametrize(
    ("release", "server", "who", "other"),
    [
        ("kfserving-0.5.1", "v1.15.12", "Knative Serving 0.18.0 refuses to start below 1.16",
         "kfserving-0.5.0-rc0"),
        ("kfserving-0.5.1", "v1.22.0-gke.1", "gone in 1.22", "kserve-0.9.0"),
        ("kserve-0.20.0", "1.27+", "Knative Serving 1.21.1 refuses to start below 1.33",
         "kserve-0.14.1"),
    ],
)  # fmt: skip
def test_the_binding_component_is_named_and_the_nearest_release_offered(
    release: str, server: str, who: str, other: str
) -> None:
    catalog, version = load(), KubernetesVersion.parse(server)
    (reason,) = fits(catalog, catalog.releases[release], version)
    assert who in str(reason)
    nearest = nearest_fit(catalog, catalog.releases[release], version)
    assert (nearest.name if nearest else "") == other


@pytest.mark.parametrize(
    ("server", "kubelet", "expected"),
    [
        ("1.20.2", "v1.20.9", ""),
        ("1.20.2", "v1.18.0", ""),
        ("1.20.2", "v1.17.17", "older than 1.18"),
        ("1.27.0", "v1.24.0", "older than 1.25"),
        ("1.28.0", "v1.25.0", ""),
        ("1.28.0", "v1.24.17", "older than 1.25"),
        ("1.34.4", "v1.31.0-eks-1", ""),
        ("1.34.4", "v1.35.0", "newer than the API server"),
        ("1.34.4", "", "no kubelet version"),
        ("1.34.4", "devel", "'devel', which cannot be compared"),
    ],
)
def test_kubelets_are_held_against_the_version_skew_policy(
    server: str, kubelet: str, expected: str
) -> None:
    details = list(skew(KubernetesVersion.parse(server), {"node-1": kubelet}))
    assert bool(details) is bool(expected)
    assert all(d.verdict == "warning" and expected in d.reason for d in details)


def test_nodes_with_one_kubelet_version_are_told_together() -> None:
    kubelets = {f"node-{index}": "v1.10.0" for index in range(7)}
    (detail,) = skew(KubernetesVersion.parse("1.20.2"), kubelets)
    assert detail.reason.startswith(
        "nodes node-0, node-1, node-2, node-3, node-4 and 2 more run kubelet v1.10.0"
    )
    assert len(detail.data["nodes"]) == 7


@pytest.mark.cluster
def test_a_release_fits_the_kubernetes_it_was_tested_on(look: Any, sandbox: SandboxInfo) -> None:
    found = look(sandbox, only=("kubernetes",))
    assert {f.verdict for f in found.values()} <= {"ok", "note"}, found


@pytest.mark.cluster
def test_a_too_old_kubernetes_names_who_binds_and_the_release_that_fits(
    look: Any, sandbox: SandboxInfo
) -> None:
    found = look(sandbox, release="kserve-0.20.0", only=("kubernetes",))["kubernetes-version"]
    first = found.details[0]
    assert found.verdict == "failed"
    assert "Knative Serving 1.21.1 refuses to start below 1.33" in first.reason
    assert first.data["nearest"] == "kserve-0.8.0"
    theirs = Settings(external=("knative-serving", "net-istio"))
    found = look(sandbox, release="kserve-0.20.0", only=("kubernetes",), settings=theirs)
    assert not any("Knative" in d.reason for d in found["kubernetes-version"].details)


@pytest.mark.cluster
def test_an_old_node_is_seen(look: Any, sandbox: SandboxInfo) -> None:
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    ref = Ref("v1", "Node", "", "old-node")
    cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": ref.name}})
    try:
        status = {"status": {"nodeInfo": {"kubeletVersion": "v1.16.4"}}}
        cluster.patch(ref, status, subresource="status", type="strategic")
        found = look(sandbox, only=("kubernetes",))["kubernetes-version-skew"]
        assert found.verdict == "warning"
        assert "node old-node run kubelet v1.16.4, older than 1.18" in found.details[0].reason
    finally:
        cluster.delete(ref)


@pytest.mark.cluster
def test_an_api_server_that_does_not_answer_is_the_one_finding(
    look: Any, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    nobody = tmp_path / "kubeconfig"
    nobody.write_text(sandbox.kubeconfig.read_text().replace(sandbox.server, "https://127.0.0.1:9"))
    found = look(sandbox, kubeconfig=nobody)
    assert list(found) == ["kubernetes-reachable"]
    (detail,) = found["kubernetes-reachable"].details
    assert (detail.verdict, detail.data["kind"]) == ("failed", "unreachable")
    assert "https://127.0.0.1:9" in detail.reason
    assert detail.remedy
    assert look(sandbox, only=("kubernetes",))["kubernetes-reachable"].verdict in ("ok", "note")
