"""Knative's operator made to let go of small objects: killed runs, other people's deletions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accounts import account, allow, until
from foreign_installs import definition, deployment, namespace, placed
from harness import RELEASE, Installer
from keepers import OPERATOR, SERVING, operator_keeps, record

from installer.catalog.sources import SourceOptions
from installer.cluster import helm
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.deletion import wait_gone
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import Event, silent
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations import knative_operator
from installer.operations.choice import InstallOptions, choose
from installer.operations.handovers import give_up, let_go_first, let_go_last
from installer.operations.prepare import prepare
from installer.plan.handover import Handover
from installer.plan.settings import Settings
from installer.sandbox import lifecycle
from installer.sandbox.lifecycle import SandboxInfo

pytestmark = pytest.mark.cluster

KEPT = Handover("knative-operator", SERVING.namespace, SERVING.name, ("knative-serving",))
MADE = Ref("v1", "ConfigMap", SERVING.namespace, "made-by-the-operator")
OTHER = Ref("v1", "ConfigMap", SERVING.namespace, "of-somebody-else")
GONE = Ref("v1", "ConfigMap", SERVING.namespace, "deleted-since")
UNSERVED = Ref("policy/v1beta9", "PodSecurityPolicy", "", "of-an-older-kubernetes")
CHART = Handover("helm", SERVING.namespace, "cm", ("cert-manager",))
REPLICAS = "kserve-installer/replicas"
FINALIZER = "knativeservings.operator.knative.dev"
IMAGE = "gcr.io/knative-releases/knative.dev/operator/cmd/operator:v1.16.0"


@pytest.fixture(scope="module")
def info(sandbox_factory: Any) -> Iterator[SandboxInfo]:
    """A sandbox that knows KnativeServings and has the namespaces for them."""
    made = sandbox_factory("1.20.2", fresh=True)
    cluster = Cluster.connect(kubeconfig=str(made.kubeconfig))
    crd = definition("knativeservings", "operator.knative.dev", "KnativeServing")
    crd["spec"]["versions"][0]["name"] = "v1beta1"
    for obj in (namespace(OPERATOR.namespace), namespace(SERVING.namespace), crd):
        cluster.create(obj)
    wait_ready(cluster, [ref_of(crd)], deadline=120, cancel=Cancel())
    cluster.close()
    yield made
    lifecycle.down(made.name)


@pytest.fixture
def cluster(info: SandboxInfo) -> Iterator[Cluster]:
    """An operator of two replicas, a KnativeServing, and an object that it made."""
    cluster = Cluster.connect(kubeconfig=str(info.kubeconfig))
    operator = deployment(OPERATOR.namespace, OPERATOR.name, IMAGE)
    operator["spec"]["replicas"] = 2
    made: Object = {"apiVersion": "v1", "kind": "ConfigMap"}
    made["metadata"] = {"name": MADE.name, "namespace": MADE.namespace}
    with placed(cluster, [operator, made]):
        operator_keeps(cluster, [MADE])
        yield cluster
        cluster.delete(ledgers.HOME)
        cluster.delete(ref_of(record(CHART.name, CHART.namespace, [])))
        wait_gone(cluster, [ledgers.HOME], deadline=120, cancel=Cancel())
        if cluster.get(SERVING) is not None:
            cluster.patch(SERVING, {"metadata": {"finalizers": None}})
            cluster.delete(SERVING)
            wait_gone(cluster, [SERVING], deadline=120, cancel=Cancel())
    cluster.close()


def let_go(cluster: Cluster) -> None:
    let_go_first(cluster, [KEPT], (), silent, Cancel(60))


def replicas(cluster: Cluster) -> int:
    return int(dig(cluster.get(OPERATOR), "spec", "replicas"))


def test_what_a_knativeserving_owns_is_disowned_and_nothing_else_is_touched(
    cluster: Cluster,
) -> None:
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "other",
        "uid": "1",
        "controller": False,
    }
    owners = dig(cluster.get(MADE), "metadata", "ownerReferences")
    cluster.patch(MADE, {"metadata": {"ownerReferences": [*owners, owner]}})
    mine = cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": OTHER.name, "namespace": OTHER.namespace},
        }
    )
    let_go(cluster)
    assert cluster.get(SERVING) is None
    assert dig(cluster.get(MADE), "metadata", "ownerReferences") == [owner]
    assert cluster.get(OTHER) == mine
    assert replicas(cluster) == 2
    cluster.delete(OTHER)


@pytest.mark.parametrize("finalizers", [["example.com/holds"], [FINALIZER, "example.com/holds"]])
def test_a_knativeserving_that_somebody_else_holds_is_left_alone(
    cluster: Cluster, finalizers: list[str]
) -> None:
    cluster.patch(SERVING, {"metadata": {"finalizers": finalizers}})
    with pytest.raises(InstallerError, match="held by finalizers of somebody else: example"):
        let_go(cluster)
    assert dig(cluster.get(SERVING), "metadata", "finalizers") == finalizers
    assert dig(cluster.get(MADE), "metadata", "ownerReferences")


def test_a_knativeserving_that_somebody_deletes_is_left_to_them(cluster: Cluster) -> None:
    cluster.delete(SERVING)
    with pytest.raises(InstallerError, match="is being deleted, and Knative with it") as refused:
        let_go(cluster)
    assert refused.value.object == str(SERVING)
    assert "wait until both are gone" in refused.value.remedy
    assert dig(cluster.get(SERVING), "metadata", "finalizers") == [FINALIZER]
    assert replicas(cluster) == 2


class BesideARunningOperator(Cluster):
    """A cluster in which an operator runs that nobody found: it puts its finalizer back as soon as
    it is taken off."""

    def patch(self, ref: Ref, body: Any, **options: Any) -> Object:
        answer = super().patch(ref, body, **options)
        if ref == SERVING:
            super().patch(ref, {"metadata": {"finalizers": [FINALIZER]}}, manager="operator")
        return answer


class WhereOneIsStarted(Cluster):
    """A cluster in which an operator is started just before the KnativeServing goes."""

    def delete(self, ref: Ref, **options: Any) -> bool:
        if ref == SERVING:
            super().patch(ref, {"metadata": {"finalizers": [FINALIZER]}}, manager="operator")
        return super().delete(ref, **options)


@pytest.mark.parametrize("kind", [BesideARunningOperator, WhereOneIsStarted])
def test_an_operator_that_runs_all_the_same_never_sees_a_deletion(
    cluster: Cluster, info: SandboxInfo, kind: type[Cluster]
) -> None:
    beside = kind.connect(kubeconfig=str(info.kubeconfig))
    with pytest.raises(InstallerError, match="still runs somewhere, and would delete") as refused:
        let_go(beside)
    assert "another image, another cluster" in refused.value.remedy
    serving = cluster.get(SERVING)
    assert serving is not None
    assert not dig(serving, "metadata", "deletionTimestamp")
    assert cluster.get(MADE) is not None
    assert replicas(cluster) == 2


def test_where_no_operator_is_found_it_is_told_that_one_is_looked_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knative_operator, "LISTENS_LONG", 0.5)
    cluster.delete(OPERATOR)
    told: list[Event] = []
    let_go_first(cluster, [KEPT], (), told.append, Cancel(60))
    warned, done = told
    assert "no Deployment of Knative's operator was found" in warned.fields["message"]
    assert (done.name, done.fields["left"]) == ("handed_over", [str(MADE)])


def test_what_a_chart_has_brought_and_may_not_be_seen_counts_as_left(
    cluster: Cluster, info: SandboxInfo, tmp_path: Path
) -> None:
    cluster.create(record(CHART.name, CHART.namespace, [MADE, GONE, UNSERVED]))
    few = account(cluster, info, "without-config-maps", tmp_path)
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "delete"]}
    maps = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    allow(cluster, "without-config-maps", [rule, maps])
    theirs = Cluster.connect(kubeconfig=str(few))
    until(lambda: may_list(theirs))
    told: list[Event] = []
    let_go_last(theirs, [CHART], (), told.append)
    theirs.close()
    assert [event.fields["left"] for event in told] == [[str(MADE), str(GONE)]]
    assert cluster.get(ref_of(record(CHART.name, CHART.namespace, []))) is None
    assert cluster.get(MADE) is not None


def may_list(cluster: Cluster) -> bool:
    """Whether the rights have come to hold."""
    try:
        return bool(helm.revisions(cluster, CHART.namespace, CHART.name))
    except ApiError:
        return False


def stopped_half_way(cluster: Cluster) -> None:
    """As a run leaves it that was killed while the operator was stopped."""
    stopped = {
        "metadata": {"annotations": {REPLICAS: "2"}},
        "spec": {"replicas": 0},
    }
    cluster.patch(OPERATOR, stopped)
    ledgers.create_home(cluster)
    ledgers.write_stack(
        cluster, Ledger(release=RELEASE, state="installing", handovers=(CHART, KEPT))
    )


def test_an_uninstall_ends_what_a_killed_adoption_has_begun(
    cluster: Cluster, info: SandboxInfo, shared: Path
) -> None:
    stopped_half_way(cluster)
    cluster.create(record(CHART.name, CHART.namespace, [MADE]))
    ended = Installer(info.kubeconfig, shared / "upstream").run("uninstall")
    assert ended.code == 0, ended.finished
    assert replicas(cluster) == 2
    assert REPLICAS not in dig(cluster.get(OPERATOR), "metadata", "annotations", default={})
    told = next(e for e in ended.of("warning") if e["object"] == str(CHART))
    assert "Helm still has its record" in told["message"]
    assert told["remedy"] == "helm uninstall cm -n knative-serving"
    assert cluster.get(SERVING) is not None
    assert cluster.get(MADE) is not None


def test_an_operator_whose_knativeserving_is_gone_is_not_stopped_again(cluster: Cluster) -> None:
    let_go(cluster)
    stopped_half_way(cluster)  # the run was killed before it started the operator
    told: list[Event] = []
    let_go_first(cluster, [KEPT], (), told.append, Cancel(60))
    assert replicas(cluster) == 2
    before = cluster.get(OPERATOR)
    let_go_first(cluster, [KEPT], (), told.append, Cancel(60))
    after = cluster.get(OPERATOR)
    assert before is not None
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert not told


def test_nobody_lets_go_of_what_is_declared_external_after_all(
    cluster: Cluster, shared: Path
) -> None:
    stopped_half_way(cluster)
    names = ("cert-manager", "knative-serving")
    sources = SourceOptions(mirror=str(shared / "upstream"))
    options = InstallOptions(RELEASE, Settings(external=names), sources)
    prepared = prepare(cluster, choose(options), silent, Cancel(60))
    assert prepared.handovers == ()
    give_up(cluster, prepared.ledger.handovers, prepared.handovers)
    assert replicas(cluster) == 2
