"""Waiting until objects are gone, on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_proxy import FaultProxy

from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.core.cancel import Cancel
from installer.core.errors import Interrupted, NotReady
from installer.core.objects import Ref
from installer.sandbox.options import SandboxInfo

pytestmark = pytest.mark.cluster
HELD = Ref("v1", "ConfigMap", "default", "held")
FINALIZER = "example.com/never"


@pytest.fixture
def held(sandbox: SandboxInfo) -> Iterator[Cluster]:
    """A ConfigMap that is being deleted and that a finalizer holds."""
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    metadata = {"name": HELD.name, "namespace": HELD.namespace, "finalizers": [FINALIZER]}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    cluster.delete(HELD)
    yield cluster
    cluster.patch(HELD, {"metadata": {"finalizers": None}})
    cluster.close()


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("broken", [r"watch=1", r"configmaps\?(?!.*watch)"])
def test_a_limit_that_passes_in_any_request_says_what_is_left_and_why(
    sandbox: SandboxInfo, tmp_path: Path, broken: str
) -> None:
    """The watch hangs, or the second list: the clock is noticed there, what is left here."""
    with FaultProxy(sandbox.kubeconfig, tmp_path) as proxy:
        first = proxy.on("GET", r"configmaps\?", times=1, lines=None)
        proxy.on("GET", r"configmaps\?.*watch=1", times=1, cut=0, after=first)
        proxy.on("GET", broken, times=None, hang=True, after=first)
        cancel = Cancel(3.0)
        cluster = Cluster.connect(kubeconfig=str(proxy.kubeconfig), cancel=cancel)
        with pytest.raises(NotReady) as late:
            wait_gone(cluster, [HELD], deadline=cancel.left(), cancel=cancel)
        cluster.close()
    assert "ConfigMap default/held is still there" in late.value.message
    assert FINALIZER in late.value.message
    assert late.value.object == str(HELD)


@pytest.mark.parametrize("sandbox", ["1.20.2", "1.34.4"], indirect=True)
def test_a_namespace_that_waits_for_an_api_without_a_server_names_it(sandbox: SandboxInfo) -> None:
    cluster, cancel = Cluster.connect(kubeconfig=str(sandbox.kubeconfig)), Cancel()
    service = Ref("apiregistration.k8s.io/v1", "APIService", "", "v1beta1.gone.example.com")
    namespace = Ref("v1", "Namespace", "", "held-by-an-api")
    cluster.create(
        {
            "apiVersion": service.api_version,
            "kind": service.kind,
            "metadata": {"name": service.name},
            "spec": {
                "group": "gone.example.com",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 10,
                "insecureSkipTLSVerify": True,
                "service": {"name": "nobody", "namespace": "default"},
            },
        }
    )
    try:
        metadata = {"name": namespace.name}
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        cluster.delete(namespace)
        with pytest.raises(NotReady) as late:
            wait_gone(cluster, [namespace], deadline=10, cancel=cancel)
        assert "APIService v1beta1.gone.example.com cannot be asked" in late.value.message
        assert "repair or delete APIService v1beta1.gone.example.com" in late.value.remedy
    finally:
        cluster.delete(service)
    wait_gone(cluster, [namespace], deadline=60, cancel=cancel)
    cluster.close()


@pytest.mark.usefixtures("held")
def test_a_stop_by_the_user_is_no_lateness(sandbox: SandboxInfo) -> None:
    cancel = Cancel(30.0)
    cluster = Cluster.connect(kubeconfig=str(sandbox.kubeconfig), cancel=cancel)
    with pytest.raises(Interrupted):
        wait_gone(
            cluster,
            [HELD],
            deadline=cancel.left(),
            cancel=cancel,
            progress=lambda *_: cancel.stop(),
        )
    cluster.close()
