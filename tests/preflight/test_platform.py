"""Which distribution of Kubernetes this is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from installer.catalog.platforms import load_platforms, recognised
from installer.cluster.client import Cluster
from installer.core.objects import Object, ref_of
from installer.preflight.platform import platform_details
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo
from installer.sandbox.shape import nodes_of

KNOWN = load_platforms()


def names(
    labels: dict[str, str] | None = None, provider: str = "", kubelet: str = "", group: str = ""
) -> list[str]:
    found = recognised(
        KNOWN.platforms, [labels or {}], [provider], [kubelet], [group] if group else []
    )
    return [platform.name for platform, _ in found]


@pytest.mark.parametrize(
    ("seen", "platforms"),
    [
        ({"provider": "kind://docker/kind/kind-control-plane"}, ["kind"]),
        ({"provider": "kind://podman/other/node"}, ["kind"]),
        ({"labels": {"minikube.k8s.io/name": "minikube"}}, ["minikube"]),
        ({"provider": "k3s://box"}, ["k3s"]),
        ({"labels": {"node.kubernetes.io/instance-type": "k3s"}}, ["k3s"]),
        ({"labels": {"node.kubernetes.io/instance-type": "m5.large"}}, []),
        ({"kubelet": "v1.26.3+k3s1"}, ["k3s"]),
        ({"labels": {"microk8s.io/cluster": "true"}}, ["microk8s"]),
        ({"group": "config.openshift.io"}, ["openshift"]),
        ({"labels": {"node.openshift.io/os_id": "rhcos"}}, ["openshift"]),
        ({"labels": {"cloud.google.com/gke-nodepool": "default-pool"}}, ["gke"]),
        ({"kubelet": "v1.20.2-gke.300"}, ["gke"]),
        ({"labels": {"eks.amazonaws.com/nodegroup": "a"}}, ["eks"]),
        ({"kubelet": "v1.27.1-eks-2f008fe"}, ["eks"]),
        ({"labels": {"kubernetes.azure.com/cluster": "MC_a_b_c"}}, ["aks"]),
        # a cloud's machines are not the cloud's Kubernetes
        ({"provider": "aws:///eu-west-1a/i-1"}, []),
        ({"provider": "aws:///eu-west-1a/i-1", "group": "config.openshift.io"}, ["openshift"]),
        ({"kubelet": "v1.29.6+rke2r1"}, []),
        ({}, []),
    ],
)
def test_a_platform_is_recognised_by_any_of_its_marks(
    seen: dict[str, Any], platforms: list[str]
) -> None:
    assert names(**seen) == platforms


def test_every_fact_about_a_platform_says_where_it_was_read() -> None:
    for platform in KNOWN.platforms:
        facts: list[Any] = [*platform.marks, *platform.differs]
        facts += [platform.webhook_ports] if platform.webhook_ports else []
        assert all(fact.origin for fact in facts), platform.name
        for mark in platform.marks:
            kinds = [mark.label, mark.provider_id, mark.kubelet, mark.group]
            assert sum(map(bool, kinds)) == 1, mark


@pytest.mark.parametrize(
    ("component", "version", "image", "built"),
    [
        ("istio", "1.6.2", "docker.io/istio/pilot:1.6.2", ("amd64",)),
        ("istio", "1.14.9", "docker.io/istio/pilot:1.14.9", ("amd64",)),
        ("istio", "1.17.8", "docker.io/istio/pilot:1.17.8", ("amd64", "arm64")),
        ("knative-serving", "0.18.0", "gcr.io/a/activator@sha256:1", ("amd64",)),
        ("knative-serving", "0.22.0", "gcr.io/a/activator@sha256:1", ()),
        ("kserve", "0.15.0", "registry:5000/kserve/storage-initializer:v0.15.0", ("amd64",)),
        ("kserve", "0.15.0", "kserve/kserve-controller:v0.15.0", ()),
        ("cert-manager", "1.3.1", "quay.io/jetstack/cert-manager-webhook:v1.3.1", ()),
    ],
)
def test_what_images_are_built_for_goes_by_component_version_and_repository(
    component: str, version: str, image: str, built: tuple[str, ...]
) -> None:
    assert KNOWN.architectures(component, version, image) == built


def test_what_differs_only_matters_where_the_release_has_what_it_is_about() -> None:
    openshift = [(p, "seen") for p in KNOWN.platforms if p.name == "openshift"]
    with_istio = [d.verdict for d in platform_details(openshift, ["istio"])]
    assert with_istio.count("warning") == 1
    assert "warning" not in [d.verdict for d in platform_details(openshift, ["kserve"])]
    assert [d.verdict for d in platform_details([], ["istio"])] == ["note"]


@pytest.fixture(scope="module")
def place(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """A node as kind makes them."""
    shape = nodes_of({"nodes": [{"provider_id": "kind://docker/kind/kind-control-plane"}]})
    info = sandbox_factory("1.20.2", fresh=True, shape=shape)
    yield info
    lifecycle.down(info.name)


CONFIG: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "infrastructures.config.openshift.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved"},
    },
    "spec": {
        "group": "config.openshift.io",
        "scope": "Cluster",
        "names": {"kind": "Infrastructure", "plural": "infrastructures"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }
        ],
    },
}


def served(cluster: Cluster) -> bool:
    return bool(cluster.refresh_discovery().versions("config.openshift.io"))


@pytest.mark.cluster
def test_kind_is_seen_and_needs_nothing(look: Callable[..., Any], place: SandboxInfo) -> None:
    found = look(place, only=("kubernetes",))["kubernetes-platform"]
    assert found.verdict == "note"
    assert found.details[0].data["platform"] == "kind"


@pytest.mark.cluster
def test_openshift_is_seen_by_its_apis_and_wants_rights_for_istio_first(
    look: Callable[..., Any], place: SandboxInfo, eventually_true: Callable[[Any], None]
) -> None:
    cluster = Cluster.connect(kubeconfig=str(place.kubeconfig))
    cluster.create(CONFIG)
    try:
        eventually_true(lambda: served(cluster))
        found = look(place, only=("kubernetes",))["kubernetes-platform"]
    finally:
        cluster.delete(ref_of(CONFIG))
        cluster.close()
    assert found.verdict == "warning"
    (told,) = (detail for detail in found.details if detail.verdict == "warning")
    assert told.remedy.startswith("oc adm policy add-scc-to-group anyuid")


@pytest.fixture
def eventually_true() -> Callable[[Callable[[], bool]], None]:
    """Asks until it is so; the server needs a moment to serve a new kind."""
    from installer.core.cancel import Cancel

    def wait(condition: Callable[[], bool]) -> None:
        cancel = Cancel(30.0)
        while not condition():
            cancel.sleep(0.05, "looking")

    return wait
