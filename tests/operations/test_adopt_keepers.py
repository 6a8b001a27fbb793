"""Adoption from Helm and from Knative's operator, who would put theirs back, or take it away."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

import pytest
from foreign_installs import definition, deployment, namespace
from harness import RELEASE, Stack, applied_refs, counts, differing_from, follow, state_of
from keepers import OPERATOR, SERVING, helm_keeps, operator_keeps, record

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.objects import Ref, dig, ref_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CONTROLLER = Ref("apps/v1", "Deployment", "cert-manager", "cert-manager")
STRAY = Ref("v1", "ConfigMap", "cert-manager", "made-by-the-chart")
DOMAIN = Ref("v1", "ConfigMap", "knative-serving", "config-domain")
HPA = Ref("v1", "Service", "knative-serving", "autoscaler-hpa")
IMAGE = "gcr.io/knative-releases/knative.dev/operator/cmd/operator:v1.16.0"


def uids(cluster: Cluster, refs: Sequence[Ref]) -> dict[Ref, str]:
    found = {ref: cluster.get(ref) for ref in refs}
    return {ref: obj["metadata"]["uid"] for ref, obj in found.items() if obj is not None}


def keep(stack: Stack) -> None:
    """cert-manager is a Helm release, Knative an operator's; our ledger knows of nothing."""
    cluster = stack.cluster()
    of = {
        name: [
            Ref.from_dict(e["object"]) for e in stack.first.of("object") if e["component"] == name
        ]
        for name in ("cert-manager", "knative-serving", "net-istio")
    }
    for item in cluster.list("v1", "ConfigMap", ledgers.NAMESPACE).items:
        cluster.delete(Ref("v1", "ConfigMap", ledgers.NAMESPACE, ref_of(item).name))
    stray = {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.create({**stray, "metadata": {"name": STRAY.name, "namespace": STRAY.namespace}})
    helm_keeps(cluster, "cert-manager", "cert-manager", [*of["cert-manager"], STRAY])
    more = {"name": "cert-manager", "env": [{"name": "FROM_VALUES", "value": "1"}]}
    body = {"spec": {"template": {"spec": {"containers": [more]}}}}
    cluster.patch(CONTROLLER, body, type="strategic", manager="helm")
    crd = definition("knativeservings", "operator.knative.dev", "KnativeServing")
    crd["spec"]["versions"][0]["name"] = "v1beta1"
    cluster.create(crd)
    wait_ready(cluster, [ref_of(crd)], deadline=120, cancel=Cancel())
    cluster.refresh_discovery()
    operator_keeps(cluster, [*of["knative-serving"], *of["net-istio"]])
    config = {"data": {"models.example.com": ""}}
    cluster.patch(DOMAIN, config, manager="operator")
    hpa = {"name": HPA.name, "namespace": HPA.namespace}
    hpa["ownerReferences"] = dig(cluster.get(DOMAIN), "metadata", "ownerReferences")  # type: ignore[assignment]
    cluster.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": hpa, "spec": {"ports": [{"port": 80}]}}
    )
    cluster.create(namespace(OPERATOR.namespace))
    operator = deployment(OPERATOR.namespace, OPERATOR.name, IMAGE)
    operator["spec"]["replicas"] = 2
    cluster.create(operator)
    wait_ready(cluster, [OPERATOR, CONTROLLER], deadline=120, cancel=Cancel())


def test_what_helm_and_knatives_operator_keep_is_handed_over_whenever_a_run_is_killed(
    stack: Stack,
) -> None:
    cluster = stack.cluster()
    refs = applied_refs(stack.first)
    before, identities = state_of(cluster, refs), uids(cluster, refs)
    keep(stack)

    refused = stack.installer.run("install", RELEASE)
    assert refused.code == 3
    assert "Helm release cert-manager/cert-manager" in refused.finished["error"]["message"]
    assert "KnativeServing knative of Knative's operator" in refused.finished["error"]["message"]
    assert "adopt it with --adopt cert-manager" in refused.finished["error"]["remedy"]

    words = (
        "install",
        RELEASE,
        "--adopt",
        "istio,knative-serving,net-istio,cert-manager,kfserving",
    )
    mirror = str(stack.installer.mirror)
    process = stack.installer.start("plan", *words[1:], "--mirror", mirror)
    planned = json.loads(process.communicate(timeout=120)[0])
    assert process.returncode == 0
    assert planned["let_go"] == [
        "Helm release cert-manager/cert-manager",
        "KnativeServing knative-serving/knative",
    ]
    row = next(r for r in planned["objects"] if r["object"] == CONTROLLER.to_dict())
    assert "containers[name=cert-manager].env[name=FROM_VALUES] (written by helm)" in row["reason"]

    process = stack.installer.start(*words)
    told = follow(process, lambda event: event["event"] == "handed_over")[-1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (told["keeper"], told["components"]) == (
        "knative-operator",
        ["knative-serving", "net-istio"],
    )
    assert told["left"] == [str(HPA)]
    assert cluster.get(SERVING) is None
    assert [(h.keeper, h.name) for h in ledgers.read(cluster).handovers] == [
        ("helm", "cert-manager"),
        ("knative-operator", "knative"),
    ]

    process = stack.installer.start(*words)
    follow(process, lambda e: e["event"] == "component_finished" and e["component"] == "kfserving")
    process.send_signal(signal.SIGKILL)
    process.communicate()

    done = stack.installer.run(*words)
    assert done.code == 0, done.finished
    helm = next(e for e in done.of("handed_over") if e["keeper"] == "helm")
    assert helm["left"] == [str(STRAY)]
    assert cluster.list("v1", "Secret", "cert-manager", label_selector="owner=helm").items == []
    assert cluster.get(STRAY) is not None

    domain = cluster.get(DOMAIN)
    assert domain is not None
    assert domain["data"].pop("models.example.com") == "", "what a user has set stays"
    differing = differing_from(cluster, {k: v for k, v in before.items() if k != DOMAIN})
    assert not differing, differing
    assert domain["data"] == before[DOMAIN]["data"]
    assert uids(cluster, refs) == identities, "nothing was made anew"
    operator = cluster.get(OPERATOR)
    assert operator is not None
    assert operator["spec"]["replicas"] == 2
    assert "kserve-installer/replicas" not in operator["metadata"].get("annotations", {})
    ledger = ledgers.read(cluster)
    assert (ledger.state, ledger.release, ledger.handovers) == ("installed", RELEASE, ())
    again = stack.installer.run("install", RELEASE)
    assert (again.code, *counts(again)) == (0, 0, 0, len(refs))

    # Helm has its hands on one of them again, and nothing else differs
    mark = {"meta.helm.sh/release-name": "later", "meta.helm.sh/release-namespace": "cert-manager"}
    cluster.patch(CONTROLLER, {"metadata": {"annotations": mark}}, manager="helm")
    cluster.create(record("later", "cert-manager", [CONTROLLER]))
    for changed in (1, 0):
        once_more = stack.installer.run("install", RELEASE, "--adopt", "cert-manager")
        assert (once_more.code, *counts(once_more)) == (0, 0, changed, len(refs) - changed)
        assert len(once_more.of("handed_over")) == changed
    assert not mark.keys() & cluster.get(CONTROLLER)["metadata"]["annotations"].keys()
    assert cluster.list("v1", "Secret", "cert-manager", label_selector="owner=helm").items == []
