"""`upgrade` from KFServing 0.5.1 to 0.6.1 on a real API server, with InferenceServices on it."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import (
    RELEASE,
    EndState,
    MakePlace,
    Place,
    Result,
    applied_refs,
    assert_complete,
    at_stage,
    audited_writes,
    finish,
    follow,
    state_of,
)

from installer.catalog.load import load
from installer.catalog.manifests import load_objects
from installer.catalog.sources import SourceOptions
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.readiness import readiness
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import NotReady
from installer.core.events import silent
from installer.core.objects import Ref, canonical, dig, ref_of
from installer.operations.upgrade_serving import await_serving, look
from installer.plan.gateway_names import NEW_KEY, OLD_KEY
from installer.plan.settings import Settings
from installer.plan.wanted import wanted_of
from installer.plan.yaml_text import mapping_in
from installer.sandbox import lifecycle, script
from installer.sandbox.script import ImageRule, ModelRule, Script

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # a whole upgrade, on a busy machine

TARGET = "kfserving-0.6.1"
API = "serving.kubeflow.org/v1beta1"
KNATIVE = "serving.knative.dev/v1"
MODELS = [Ref(API, "InferenceService", place, "flowers") for place in ("one", "two", "three")]
CONFIG = Ref("v1", "ConfigMap", "kfserving-system", "inferenceservice-config")
DEPLOYMENT = Ref("v1", "ConfigMap", "knative-serving", "config-deployment")
AUTOSCALER = Ref("v1", "ConfigMap", "knative-serving", "config-autoscaler")
GATEWAYS = Ref("v1", "ConfigMap", "knative-serving", "config-istio")
MESH = Ref("v1", "ConfigMap", "istio-system", "istio")
EDITS = {
    "config-autoscaler": ("stable-window", "90s"),
    "config-defaults": ("revision-timeout-seconds", "301"),
    "config-deployment": ("registriesSkippingTagResolving", "registry.example.com"),
    "config-domain": ("own.example.com", "selector:\n  own: domain\n"),
    "config-features": ("kubernetes.podspec-tolerations", "enabled"),
    "config-gc": ("stale-revision-timeout", "16h"),
    "config-logging": ("loglevel.controller", "debug"),
    "config-network": ("autoTLS", "Disabled"),
    "config-observability": ("profiling.enable", "true"),
}
"""By ConfigMap of Knative: a key and what a user has made of it."""
LOCAL_GATEWAY = Ref("v1", "Service", "istio-system", "knative-local-gateway")


@dataclass(slots=True)
class Upgraded(Place):
    """A place where RELEASE was upgraded to TARGET by `upgrade`. objects: uids of what the models
    are made of, before; writes: of the upgrade, as the API server's audit log has them."""

    upgrade: Result
    objects: set[str]
    writes: list[str]


def with_models(place: MakePlace) -> Place:
    """RELEASE with an InferenceService, Ready and answering, in each of three namespaces."""
    made = place()
    first = made.installer.run("install", RELEASE)
    assert first.code == 0, first.stderr
    cluster = made.cluster()
    for ref in MODELS:
        cluster.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ref.namespace}}
        )
        cluster.create(
            {
                "apiVersion": API,
                "kind": "InferenceService",
                "metadata": {"name": ref.name, "namespace": ref.namespace},
                "spec": {"predictor": {"tensorflow": {"storageUri": "gs://models/flowers"}}},
            }
        )
    wait_ready(cluster, MODELS, deadline=120, cancel=Cancel())
    found = cluster.get(CONFIG)
    assert found is not None
    storage = json.loads(found["data"]["storageInitializer"])
    edited = {"storageInitializer": json.dumps({**storage, "memoryLimit": "2Gi", "own": "yes"})}
    cluster.patch(CONFIG, {"data": edited}, manager="kubectl-edit")
    for name, (key, value) in EDITS.items():
        knative = replace(AUTOSCALER, name=name)
        cluster.patch(knative, {"data": {key: value}}, manager="kubectl-edit")
    cluster.patch(GATEWAYS, {"data": {OLD_KEY: "own.two.svc"}}, manager="kubectl-edit")
    mesh = cluster.get(MESH)["data"]["mesh"]  # type: ignore[index]
    assert 'accessLogFile: ""' in mesh
    mesh = mesh.replace('accessLogFile: ""', "accessLogFile: /dev/stdout")
    cluster.patch(MESH, {"data": {"mesh": mesh}}, manager="kubectl-edit")
    return made


def model_objects(cluster: Cluster) -> set[str]:
    """InferenceServices, Revisions and their Deployments, by uid: nothing of it is made anew."""
    kinds = ((API, "InferenceService"), (KNATIVE, "Revision"), ("apps/v1", "Deployment"))
    return {
        item["metadata"]["uid"]
        for ref in MODELS
        for api_version, kind in kinds
        for item in cluster.list(api_version, kind, ref.namespace).items
    }


def queue_images(cluster: Cluster) -> set[str]:
    """Of the queue-proxy in the models' pods that are not about to end."""
    return {
        container["image"]
        for ref in MODELS
        for pod in cluster.list("v1", "Pod", ref.namespace).items
        if "deletionTimestamp" not in pod["metadata"]
        for container in pod["spec"]["containers"]
        if container["name"] == "queue-proxy"
    }


def unordered(value: Any) -> Any:
    """With keyed lists in one order: an apply puts what is new at their end."""
    if isinstance(value, dict):
        return {key: unordered(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((unordered(item) for item in value), key=canonical)
    return value


@pytest.fixture(scope="module")
def upgraded(place: MakePlace) -> Upgraded:
    """One upgrade that nothing disturbs."""
    there = with_models(place)
    objects = model_objects(there.cluster())
    before = len(audited_writes(there.audit_log))
    done = there.installer.run("upgrade", TARGET, timeout=600)
    assert done.code == 0, done.finished
    writes = audited_writes(there.audit_log)[before:]
    return Upgraded(there.sandbox, there.installer, done, objects, writes)


@pytest.fixture(scope="module")
def end(upgraded: Upgraded) -> EndState:
    """What the ledger owns after that upgrade, as it is on the server."""
    cluster = upgraded.cluster()
    return state_of(cluster, [e.ref for e in ledgers.read(cluster).owners().values()])


def test_an_upgrade_ends_at_the_release_and_the_ledger_says_where_it_came_from(
    upgraded: Upgraded,
) -> None:
    ledger = ledgers.read(upgraded.cluster())
    assert (ledger.release, ledger.state, ledger.before) == (TARGET, "installed", RELEASE)
    assert ledger.upgrade is None
    assert {r.name: r.version for r in ledger.components.values()}["knative-serving"] == "0.22.0"
    assert upgraded.installer.status("--exit-code")[0] == 0


def test_knative_goes_one_minor_version_at_a_time(upgraded: Upgraded) -> None:
    versions = [
        event["version"]
        for event in upgraded.upgrade.of("component_finished")
        if event["component"] == "knative-serving"
    ]
    assert versions == ["0.19.0", "0.20.2", "0.21.1", "0.22.0"]


def test_the_gateway_that_the_new_controller_points_to_is_there_before_the_controller(
    upgraded: Upgraded,
) -> None:
    events = upgraded.upgrade.events
    made = next(
        index
        for index, event in enumerate(events)
        if event["event"] == "object"
        and event["action"] == "created"
        and Ref.from_dict(event["object"]) == LOCAL_GATEWAY
    )
    replaced = next(
        index
        for index, event in enumerate(events)
        if event["event"] == "object"
        and event["component"] == "kfserving"
        and event["stage"] == "workloads"
        and event["action"] != "unchanged"
    )
    assert made < replaced


def test_nothing_is_written_but_what_differs_and_the_ledger(
    upgraded: Upgraded, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [e for e in upgraded.upgrade.of("object") if e["action"] != "unchanged"]
    different = {event["object"]["name"] for event in told}
    rewritten = {"services", "routes", "configurations", "revisions", "domainmappings"}
    others = []
    for write in upgraded.writes:
        path = urlsplit(write.split()[1]).path.split("/")
        if ledgers.NAMESPACE in path or different & set(path):
            continue
        if "serving.knative.dev" in path and rewritten & set(path):
            continue  # stored anew before Knative 0.19 takes the version away that they were at
        others.append(write)
    assert others == []
    last = upgraded.upgrade.finished
    with capsys.disabled():
        counts = {key: last[key] for key in ("created", "changed", "unchanged", "deleted")}
        print(f"\n{RELEASE} to {TARGET}: {len(upgraded.writes)} writes, {counts}")
    assert last["writes"] == len(upgraded.writes)
    assert last["unchanged"] > last["changed"]


def test_models_stay_ready_and_go_on_answering_while_knative_replaces_their_pods(
    upgraded: Upgraded,
) -> None:
    cluster = upgraded.cluster()
    seen = upgraded.upgrade.of("serving")
    assert {(e["total"], e["ready"], e["asked"], e["answering"]) for e in seen} == {(3, 3, 3, 3)}
    assert [str(ref) for ref in MODELS if not readiness(cluster.get(ref)).ready] == []
    assert model_objects(cluster) == upgraded.objects
    wanted = cluster.get(DEPLOYMENT)["data"]["queueSidecarImage"]  # type: ignore[index]
    cancel = Cancel(60)
    while queue_images(cluster) != {wanted}:
        cancel.sleep(0.2, "for the models' pods to have the queue-proxy of Knative 0.22")


def test_what_the_release_no_longer_has_is_gone_but_for_namespaces_and_kinds(
    upgraded: Upgraded,
) -> None:
    cluster = upgraded.cluster()
    objects = upgraded.upgrade.of("object")
    deleted = [Ref.from_dict(e["object"]) for e in objects if e["action"] == "deleted"]
    assert Ref("v1", "Service", "knative-serving", "knative-local-gateway") in deleted
    assert not {ref.kind for ref in deleted} & {"Namespace", "CustomResourceDefinition"}
    assert [str(ref) for ref in deleted if cluster.get(ref) is not None] == []
    old = Ref("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "rules.config.istio.io")
    assert cluster.get(old) is not None


def test_every_object_is_as_a_fresh_install_of_the_release_has_it(
    end: EndState, place: MakePlace
) -> None:
    fresh = place()
    first = fresh.installer.run("install", TARGET)
    assert first.code == 0, first.stderr
    expected = state_of(fresh.cluster(), applied_refs(first))
    lifecycle.down(fresh.sandbox.name)
    differing = [
        str(ref) for ref in expected if unordered(end.get(ref)) != unordered(expected[ref])
    ]
    # applied at apiextensions v1beta1 before and at v1 now: one property of the old schema, that
    # nothing of the new one uses, has no path in v1 and stays
    expected_to = {"CustomResourceDefinition sidecars.networking.istio.io", str(CONFIG)}
    expected_to |= {str(replace(AUTOSCALER, name=name)) for name in EDITS}
    assert set(differing) == {*expected_to, str(MESH), str(GATEWAYS)}
    left = {ref.kind for ref in end if ref not in expected}
    assert left == {"CustomResourceDefinition"}


def test_what_users_have_edited_is_kept_beside_what_the_release_has_changed(
    upgraded: Upgraded,
) -> None:
    cluster = upgraded.cluster()
    config = cluster.get(CONFIG)
    assert config is not None
    storage = json.loads(config["data"]["storageInitializer"])
    assert (storage["memoryLimit"], storage["own"]) == ("2Gi", "yes")
    assert storage["image"].endswith(":v0.6.1")
    knative = {name: cluster.get(replace(AUTOSCALER, name=name)) for name in EDITS}
    kept = {name: (k, dig(knative[name], "data", k)) for name, (k, _) in EDITS.items()}
    assert kept == EDITS
    mesh = mapping_in(cluster.get(MESH)["data"]["mesh"])  # type: ignore[index]
    assert mesh is not None
    assert mesh["accessLogFile"] == "/dev/stdout"
    assert mesh["enablePrometheusMerge"] is True, "as 1.9 has it"
    assert "disablePolicyChecks" not in mesh, "1.9 has it no more"
    said = {(e["object"]["name"], e["key"], e["how"]) for e in upgraded.upgrade.of("edit")}
    assert said == {
        ("inferenceservice-config", "storageInitializer", "merged"),
        ("istio", "mesh", "merged"),
        ("istio", "mesh/accessLogFile", "unknown"),  # 1.9 does not bring it
        ("config-istio", OLD_KEY, "renamed"),
        ("config-gc", EDITS["config-gc"][0], "forgotten"),  # explained up to Knative 0.19
    }
    gateways = cluster.get(GATEWAYS)["data"]  # type: ignore[index]
    assert (OLD_KEY in gateways, gateways[NEW_KEY]) == (False, "own.two.svc")
    again = upgraded.installer.run("install", TARGET)
    assert (again.finished["outcome"], again.finished["writes"]) == ("unchanged", 0)


def test_a_second_upgrade_sends_no_write_request(upgraded: Upgraded) -> None:
    before = len(audited_writes(upgraded.audit_log))
    again = upgraded.installer.run("upgrade", TARGET)
    assert (again.code, again.finished["outcome"]) == (0, "unchanged")
    assert audited_writes(upgraded.audit_log)[before:] == []


def test_a_downgrade_is_refused_with_the_way_back(upgraded: Upgraded) -> None:
    refused = upgraded.installer.run("upgrade", RELEASE)
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "downgrade")
    assert "rollback" in refused.finished["error"]["remedy"]


def test_install_of_another_release_points_to_upgrade(upgraded: Upgraded) -> None:
    refused = upgraded.installer.run("install", RELEASE)
    assert refused.code == 3
    assert "upgrade" in refused.finished["error"]["remedy"]


def test_a_local_gateway_that_is_missing_is_noticed_by_a_request_while_everything_says_ready(
    upgraded: Upgraded,
) -> None:
    """The recorded trap: what KFServing 0.6.1 points to is not where Knative has it."""
    cluster = upgraded.cluster()
    cluster.delete(LOCAL_GATEWAY)
    cancel = Cancel(60)
    while len(look(cluster, cancel).silent) < len(MODELS):
        cancel.sleep(0.2, "for requests to be refused")
    assert [str(ref) for ref in MODELS if not readiness(cluster.get(ref)).ready] == []
    with pytest.raises(NotReady) as caught:
        await_serving(cluster, (), (), "9999", 5, silent, cancel)
    assert caught.value.kind == "not-serving"
    assert all(f"{ref.namespace}/flowers" in caught.value.message for ref in MODELS)
    assert upgraded.installer.run("install", TARGET).code == 0
    while look(cluster, cancel).silent:
        cancel.sleep(0.2, "for requests to be answered")


def test_models_that_are_no_longer_ready_are_named(upgraded: Upgraded) -> None:
    cluster, cancel = upgraded.cluster(), Cancel(120)
    broken = ImageRule("tensorflow/serving", fail="crash")
    script.write(upgraded.sandbox.script, Script(images=(broken,)))
    while any(readiness(cluster.get(ref)).ready for ref in MODELS):
        cancel.sleep(0.2, "for the models to be no longer Ready")
    with pytest.raises(NotReady) as caught:
        await_serving(cluster, (), (), "9999", 5, silent, cancel)
    assert all(
        f"InferenceService {ref.namespace}/flowers" in caught.value.message for ref in MODELS
    )
    names = tuple(f"{ref.namespace}/flowers" for ref in MODELS)
    await_serving(cluster, names, names, "9999", 5, silent, cancel)  # as they were before
    script.write(upgraded.sandbox.script, Script())
    for ref in MODELS:  # so that nobody waits for the back-off of what has crashed
        for pod in cluster.list("v1", "Pod", ref.namespace).items:
            cluster.delete(ref_of(pod))
    wait_ready(cluster, MODELS, deadline=120, cancel=cancel)


@pytest.fixture(scope="module")
def troubled(place: MakePlace) -> Place:
    """A place with models, for an upgrade that is hindered in every way in turn."""
    return with_models(place)


def killed_after(there: Place, wanted: Any) -> None:
    """Kill an upgrade right after the first event that is wanted."""
    process = there.installer.start("upgrade", TARGET)
    follow(process, wanted)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)


def test_an_upgrade_that_is_hindered_all_the_way_ends_as_one_that_is_not(
    troubled: Place, end: EndState
) -> None:
    own = troubled.cluster().get(CONFIG)["data"]["ingress"]  # type: ignore[index]
    troubled.cluster().patch(CONFIG, {"data": {"ingress": "{}"}}, manager="kubectl-edit")
    refused = troubled.installer.run("upgrade", TARGET)
    assert (refused.code, refused.finished["error"]["kind"]) == (3, "edit-conflict")
    said = refused.finished["error"]["message"]
    assert "inferenceservice-config/ingress/localGateway, by kubectl-edit" in said
    assert '"knative-serving/knative-local-gateway"' in said
    troubled.cluster().patch(CONFIG, {"data": {"ingress": own}}, manager="kubectl-edit")

    killed_after(troubled, lambda event: event["event"] == "step_started")
    for stage in (("istio", "setup"), ("knative-serving", "workloads"), ("net-istio", "webhooks")):
        killed_after(troubled, at_stage(*stage))

    # a model that answers no more, while every condition stays True, stops the upgrade
    script.write(troubled.sandbox.script, Script(models=(ModelRule("two/flowers", status=503),)))
    stopped = troubled.installer.run("upgrade", TARGET)
    assert (stopped.code, stopped.finished["error"]["kind"]) == (4, "not-serving")
    assert "two/flowers" in stopped.finished["error"]["message"]
    done = ledgers.read(troubled.cluster()).upgrade
    assert done is not None
    script.write(troubled.sandbox.script, Script())

    killed_after(troubled, lambda event: event["event"] == "step_finished")
    killed_after(troubled, at_stage("kfserving", "workloads"))

    process = troubled.installer.start("upgrade", TARGET)
    seen = follow(process, lambda event: event["event"] == "recorded")
    second = troubled.installer.run("upgrade", TARGET)
    assert (second.code, second.finished["error"]["kind"]) == (3, "locked")
    lifecycle.restart(troubled.sandbox.name, "kube-apiserver")
    last = finish(process)
    assert last.code == 0, last.finished
    begun = [event for event in (*seen, *last.events) if event["event"] == "hop_started"]
    assert "stop-1" in begun[0]["done"]
    assert_complete(troubled, end, TARGET)
    found = look(troubled.cluster(), Cancel())
    assert (found.unwell, found.silent) == ((), ())


def test_a_rollback_goes_back_through_the_same_versions_while_models_go_on_answering(
    upgraded: Upgraded, end: EndState
) -> None:
    assert end, "read before the release is another"
    back = upgraded.installer.run("rollback", timeout=600)
    assert back.code == 0, back.finished
    said = [event["message"] for event in back.of("warning")]
    assert any("services.serving.knative.dev is stored" in message for message in said)
    finished = back.of("component_finished")
    knative = [e["version"] for e in finished if e["component"] == "knative-serving"]
    assert knative == ["0.21.1", "0.20.2", "0.19.0", "0.18.0"]
    seen = back.of("serving")
    assert {(e["total"], e["ready"], e["asked"], e["answering"]) for e in seen} == {(3, 3, 3, 3)}
    cluster = upgraded.cluster()
    ledger = ledgers.read(cluster)
    assert (ledger.release, ledger.state, ledger.before) == (RELEASE, "installed", "")
    assert model_objects(cluster) == upgraded.objects
    assert upgraded.installer.status("--exit-code")[0] == 0
    again = upgraded.installer.run("install", RELEASE)
    assert (again.finished["outcome"], again.finished["writes"]) == ("unchanged", 0)
    nowhere = upgraded.installer.run("rollback", timeout=600)
    assert (nowhere.code, nowhere.finished["error"]["kind"]) == (3, "no-way-back")


def test_the_new_controller_alone_over_the_old_gateways_is_noticed_by_a_request_only(
    upgraded: Upgraded, shared: Path
) -> None:
    """As recorded: KFServing 0.6.1 applied over 0.5.1, with Knative and net-istio as they are."""
    cluster, cancel = upgraded.cluster(), Cancel(120)
    assert ledgers.read(cluster).release == RELEASE, "which a rollback has come back to"
    controller = load().components[("kfserving", "0.6.1")]
    sources = SourceOptions(mirror=str(shared / "upstream"))
    objects = load_objects(controller, sources, silent, cancel)
    for item in wanted_of(controller, objects, lambda *_: None, Settings(), set()):
        cluster.apply(item.body, manager="kubectl", force=True)
    while len(look(cluster, cancel).silent) < len(MODELS):
        cancel.sleep(0.2, "for requests to be refused")
    assert [str(ref) for ref in MODELS if not readiness(cluster.get(ref)).ready] == []
    with pytest.raises(NotReady) as caught:
        await_serving(cluster, (), (), "9999", 5, silent, cancel)
    assert caught.value.kind == "not-serving"
