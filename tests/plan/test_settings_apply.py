"""Settings in objects: what changes, what stays, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.core.errors import InvalidInput
from installer.core.objects import Object
from installer.plan.settings import Settings
from installer.plan.settings_parse import parse

HEAD = "apiVersion: kserve-installer/v1\nkind: Settings\n"


def settings(body: str) -> Settings:
    return parse([("s.yaml", HEAD + body)])


def made(kind: str, namespace: str, name: str, **fields: Any) -> Object:
    metadata: dict[str, Any] = {"name": name, "labels": {"app": name}}
    if namespace:
        metadata["namespace"] = namespace
    versions = {"Deployment": "apps/v1", "StatefulSet": "apps/v1"}
    return {
        "apiVersion": versions.get(kind, "v1"),
        "kind": kind,
        "metadata": metadata,
        **copy.deepcopy(fields),
    }


def gateway(**spec: Any) -> Object:
    ports = [{"name": "http2", "port": 80, "nodePort": 31000}, {"name": "https", "port": 443}]
    spec = {"type": "LoadBalancer", "ports": ports, **spec}
    return made("Service", "istio-system", "istio-ingressgateway", spec=spec)


def workload(kind: str, namespace: str, name: str, *containers: str) -> Object:
    pod = {"containers": [{"name": c, "resources": {"limits": {"cpu": "1"}}} for c in containers]}
    return made(kind, namespace, name, spec={"replicas": 1, "template": {"spec": pod}})


def config(**data: str) -> Object:
    return made("ConfigMap", "kfserving-system", "inferenceservice-config", data=data)


def applied(body: str, *objects: Object) -> list[Object]:
    before = copy.deepcopy(objects)
    matched: set[int] = set()
    chosen = settings(body)
    result = chosen.apply("istio", objects, matched)
    assert list(objects) == list(before), "the objects given were changed"
    assert chosen.unmatched(matched) == []
    return result


def refused(body: str, *objects: Object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        settings(body).apply("istio", objects)
    return [str(problem) for problem in caught.value.problems]


def test_without_settings_the_very_objects_come_back() -> None:
    objects = [gateway(), config()]

    assert all(a is b for a, b in zip(Settings().apply("istio", objects), objects, strict=True))


def test_objects_that_no_setting_means_are_not_copied() -> None:
    objects = [gateway(), config()]

    assert settings("gateway: {type: NodePort}\n").apply("istio", objects)[1] is objects[1]


def test_the_gateway_gets_its_type_ports_policy_and_annotations() -> None:
    body = """
gateway:
  type: NodePort
  nodePorts: {https: 31390}
  externalTrafficPolicy: Local
  annotations: {a: b}
"""
    [service] = applied(body, gateway())

    assert service["spec"]["type"] == "NodePort"
    assert [port.get("nodePort") for port in service["spec"]["ports"]] == [31000, 31390]
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert service["metadata"]["annotations"] == {"a": "b"}


def test_a_gateway_without_outside_loses_what_only_the_outside_has() -> None:
    body = "gateway: {type: ClusterIP}\n"
    [service] = applied(body, gateway(externalTrafficPolicy="Local"))

    assert "externalTrafficPolicy" not in service["spec"]
    assert all("nodePort" not in port for port in service["spec"]["ports"])


def test_an_unknown_port_is_answered_with_the_near_one() -> None:
    found = refused("gateway: {nodePorts: {htps: 31390}}\n", gateway())

    assert found == [
        "s.yaml: gateway: Service istio-system/istio-ingressgateway has no port 'htps' in "
        "nodePorts; expected https? There are http2, https"
    ]


def test_the_domain_becomes_knatives_default() -> None:
    domain = made("ConfigMap", "knative-serving", "config-domain", data={"_example": "x"})
    [changed] = applied("domain: models.example.com\n", domain)

    assert changed["data"] == {"_example": "x", "models.example.com": ""}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_workload_gets_replicas_resources_and_where_it_runs(kind: str) -> None:
    body = """
deployments:
  a/b:
    replicas: 3
    resources: {requests: {cpu: 500m}, limits: {memory: 1Gi}}
    nodeSelector: {disk: ssd}
    tolerations: [{key: gpu, operator: Exists}]
"""
    [changed] = applied(body, workload(kind, "a", "b", "main"))
    pod = changed["spec"]["template"]["spec"]

    assert changed["spec"]["replicas"] == 3
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "500m"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]


def test_under_an_autoscaler_replicas_are_its_minimum() -> None:
    scaler = made(
        "HorizontalPodAutoscaler",
        "a",
        "b",
        spec={
            "minReplicas": 1,
            "maxReplicas": 5,
            "scaleTargetRef": {"kind": "Deployment", "name": "b"},
        },
    )
    workloads, changed = applied(
        "deployments: {a/b: {replicas: 7}}\n", workload("Deployment", "a", "b", "main"), scaler
    )

    assert (changed["spec"]["minReplicas"], changed["spec"]["maxReplicas"]) == (7, 7)
    assert workloads["spec"]["replicas"] == 1


def test_with_several_containers_the_container_must_be_named() -> None:
    pair = workload("StatefulSet", "a", "b", "manager", "proxy")
    body = "deployments: {a/b: {resources: {limits: {cpu: 2}}}}\n"
    named = "deployments: {a/b: {containers: {manager: {limits: {cpu: 2}}}}}\n"

    assert "one of manager, proxy, instead of `resources`" in refused(body, pair)[0]
    [changed] = applied(named, pair)
    limits = [c["resources"]["limits"] for c in changed["spec"]["template"]["spec"]["containers"]]
    assert limits == [{"cpu": "2"}, {"cpu": "1"}]


def test_an_unknown_container_is_answered_with_the_near_one() -> None:
    body = "deployments: {a/b: {containers: {mangr: {limits: {cpu: 2}}}}}\n"

    assert (
        "expected manager? There are manager"
        in refused(body, workload("Deployment", "a", "b", "manager"))[0]
    )


def test_configuration_is_merged_into_the_json_of_its_key() -> None:
    ingress = json.dumps({"ingressGateway": "a/b", "old": 1, "deep": {"x": 1, "y": 2}})
    body = "inferenceservice: {ingress: {deep: {x: 3}, old: null, new: z}}\n"
    [changed] = applied(body, config(ingress=ingress, logger="{}"))

    assert json.loads(changed["data"]["ingress"]) == {
        "ingressGateway": "a/b",
        "deep": {"x": 3, "y": 2},
        "new": "z",
    }
    assert changed["data"]["logger"] == "{}"


def test_configuration_that_is_so_already_keeps_its_bytes() -> None:
    text = '{ "a" :  1 }'
    [changed] = applied("inferenceservice: {logger: {a: 1}}\n", config(logger=text))

    assert changed["data"]["logger"] == text


def test_text_replaces_the_whole_value() -> None:
    [changed] = applied("inferenceservice: {logger: '{}'}\n", config(logger='{"a": 1}'))

    assert changed["data"]["logger"] == "{}"


def test_an_unknown_configuration_key_is_answered_with_the_near_one() -> None:
    found = refused("inferenceservice: {ingres: {}}\n", config(ingress="{}", _example="x"))

    assert found[0].endswith("has no key 'ingres'; expected ingress? There are ingress")
    assert "s.yaml: inferenceservice.ingres: " in found[0]


def test_labels_go_on_every_object_but_on_no_selector_or_pod() -> None:
    one, other = applied("labels: {team: ml}\n", workload("Deployment", "a", "b", "c"), gateway())

    assert one["metadata"]["labels"] == {"app": "b", "team": "ml"}
    assert other["metadata"]["labels"]["team"] == "ml"
    assert "metadata" not in one["spec"]["template"]


def test_a_label_that_upstream_uses_with_another_value_is_refused() -> None:
    found = refused("labels: {app: mine}\n", gateway())

    assert "label app has another value on Service istio-system/istio-ingressgateway" in found[0]


def test_patches_come_last_and_may_undo_other_settings() -> None:
    body = """
gateway: {type: NodePort}
patches:
- target: {kind: Service, name: istio-ingressgateway, namespace: istio-system}
  patch:
  - {op: replace, path: /spec/type, value: ClusterIP}
  - {op: add, path: /spec/ports/-, value: {name: grpc, port: 50051}}
"""
    [changed] = applied(body, gateway())

    assert changed["spec"]["type"] == "ClusterIP"
    assert changed["spec"]["ports"][-1] == {"name": "grpc", "port": 50051}


def test_the_group_of_a_target_is_compared_only_when_given() -> None:
    patch = "patch: [{op: add, path: /spec/paused, value: true}]"
    target = "patches: [{target: {kind: Deployment, name: b%s}, " + patch + "}]\n"
    deployment = workload("Deployment", "a", "b", "c")

    assert applied(target % "", deployment)[0]["spec"]["paused"] is True
    assert applied(target % ", group: apps", deployment)[0]["spec"]["paused"] is True
    assert settings(target % ", group: ''").apply("istio", [deployment]) == [deployment]


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ("{op: remove, path: /spec/nope}", "operation 0 (remove /spec/nope) does not fit"),
        ("{op: test, path: /spec/type, value: x}", "operation 0 (test /spec/type) does not fit"),
        ("{op: add, path: /spec/ports/9, value: x}", "operation 0 (add /spec/ports/9) does not"),
        ("{op: add, path: /spec/type/x, value: x}", "operation 0 (add /spec/type/x) does not"),
        ("{op: replace, path: /metadata/name, value: x}", "the patch makes another object"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_without_quoting_the_object(
    operation: str, problem: str
) -> None:
    target = "{kind: Service, name: istio-ingressgateway}"
    body = f"patches: [{{target: {target}, patch: [{operation}]}}]\n"
    found = refused(body, gateway())

    assert len(found) == 1
    assert f"s.yaml: patches[0]: {problem}" in found[0]
    assert "LoadBalancer" not in found[0]


def test_a_patch_does_not_share_its_values_with_the_object() -> None:
    body = (
        "patches: [{target: {kind: Service, name: istio-ingressgateway}, "
        "patch: [{op: add, path: /spec/selector, value: {a: b}}]}]\n"
    )
    chosen = settings(body)
    first = chosen.apply("istio", [gateway()])[0]
    first["spec"]["selector"]["a"] = "changed"

    assert chosen.apply("istio", [gateway()])[0]["spec"]["selector"] == {"a": "b"}


def test_a_target_that_no_component_has_is_told_with_its_place() -> None:
    chosen = settings(
        "gateway: {type: NodePort}\ndomain: a.b\ndeployments: {a/b: {replicas: 2}}\n"
        "inferenceservice: {logger: {}}\n"
        "patches: [{target: {kind: Secret, name: s, namespace: n}, "
        "patch: [{op: remove, path: /data}]}]\n"
    )
    matched: set[int] = set()
    chosen.apply("istio", [gateway()], matched)

    assert [str(problem) for problem in chosen.unmatched(matched)] == [
        "s.yaml: domain: no component has ConfigMap knative-serving/config-domain; "
        "expected an object of the release",
        "s.yaml: deployments.a/b: no component has Deployment or StatefulSet a/b; "
        "expected an object of the release",
        "s.yaml: inferenceservice.logger: no component has ConfigMap inferenceservice-config; "
        "expected an object of the release",
        "s.yaml: patches[0]: no component has Secret n/s; expected an object of the release",
    ]


def test_all_misfits_of_a_component_are_told_at_once() -> None:
    body = "gateway: {nodePorts: {x: 1}}\nlabels: {app: mine}\n"

    assert len(refused(body, gateway())) == 2


def test_the_documented_example_fits_the_real_manifests(shared: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text("utf-8")
    chosen = parse([("settings.md", page.split("```yaml\n")[1].split("```")[0])])
    raw = "raw.githubusercontent.com"
    serving = "knative/operator/v0.18.0/cmd/operator/kodata/knative-serving/0.18.0"
    files = {
        "istio": "rendered/istio/1.6.2/kfserving-quick-install.yaml",
        "knative-serving": f"{raw}/{serving}/2-serving-core.yaml",
        "kfserving": f"{raw}/kserve/kserve/v0.5.1/install/v0.5.1/kfserving.yaml",
    }
    matched: set[int] = set()

    for component, file in files.items():
        text = (shared / "upstream" / file).read_bytes()
        chosen.apply(component, [o for o in yaml.load_all(text, yaml.CSafeLoader) if o], matched)

    assert chosen.unmatched(matched) == []
