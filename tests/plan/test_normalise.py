"""Manifests made fit for server-side apply."""

from __future__ import annotations

import copy

from installer.catalog.load import load_release
from installer.core.objects import Object
from installer.plan.normalise import normalise
from installer.plan.settings_parse import parse
from installer.plan.wanted import wanted_of


def scope(_api_version: str, kind: str) -> bool | None:
    return {"Namespace": False, "ClusterThing": False, "Unknown": None}.get(kind, True)


def test_status_and_what_the_server_sets_are_never_sent() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "creationTimestamp": None, "uid": "1", "annotations": {}},
        "status": {"loadBalancer": {}},
    }
    body = normalise(obj, scope, "home")
    assert body == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "home"},
    }


def test_the_input_is_left_as_it_was() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}]},
        "status": {},
    }
    before = copy.deepcopy(obj)
    normalise(obj, scope, "home")
    assert obj == before


def test_ports_without_a_protocol_get_tcp_in_services_and_in_every_pod_template() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]},
    }
    assert [p["protocol"] for p in normalise(service, scope, "n")["spec"]["ports"]] == [
        "TCP",
        "UDP",
    ]
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        workload = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": "web"},
            "spec": {
                "template": {
                    "metadata": {"creationTimestamp": None},
                    "spec": {
                        "initContainers": [{"name": "i", "ports": [{"containerPort": 1}]}],
                        "containers": [{"name": "c", "ports": [{"containerPort": 2}]}],
                    },
                }
            },
        }
        template = normalise(workload, scope, "n")["spec"]["template"]
        assert template["spec"]["initContainers"][0]["ports"][0]["protocol"] == "TCP"
        assert template["spec"]["containers"][0]["ports"][0]["protocol"] == "TCP"
        assert template["metadata"] == {}


def test_ports_that_a_setting_adds_get_tcp_too() -> None:
    component = load_release("kfserving-0.5.1").components[("cert-manager", "0.15.1")]
    meta = {"name": "web", "namespace": "n"}
    objects: list[Object] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": []}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {"template": {"spec": {"containers": [{"name": "c"}]}}},
        },
    ]
    settings = parse(
        [
            (
                "s.yaml",
                "apiVersion: kserve-installer/v1\nkind: Settings\npatches:\n"
                "- target: {kind: Service, namespace: n, name: web}\n"
                "  patch: [{op: add, path: /spec/ports/-, value: {port: 80}}]\n"
                "- target: {kind: Deployment, namespace: n, name: web}\n"
                "  patch: [{op: add, path: /spec/template/spec/containers/0/ports,\n"
                "           value: [{containerPort: 2}]}]\n",
            )
        ]
    )
    found = {w.ref.kind: w.body for w in wanted_of(component, objects, scope, settings, set())}
    assert found["Service"]["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}]
    container = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"containerPort": 2, "protocol": "TCP"}]


def test_ca_bundles_are_left_to_whoever_fills_them() -> None:
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "w"},
        "webhooks": [{"name": "a", "clientConfig": {"caBundle": "Cg==", "service": {"name": "s"}}}],
    }
    assert normalise(webhook, lambda *_: False, "n")["webhooks"][0]["clientConfig"] == {
        "service": {"name": "s"}
    }
    for conversion, holder in (
        ({"webhookClientConfig": {"caBundle": "Cg=="}}, ("webhookClientConfig",)),
        ({"webhook": {"clientConfig": {"caBundle": "Cg=="}}}, ("webhook", "clientConfig")),
    ):
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "c"},
            "spec": {"conversion": conversion},
        }
        found = normalise(definition, lambda *_: False, "n")["spec"]["conversion"]
        for key in holder:
            found = found[key]
        assert found == {}


def test_the_rules_of_an_aggregated_cluster_role_are_the_controllers() -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "r"},
        "aggregationRule": {"clusterRoleSelectors": []},
        "rules": [],
    }
    assert "rules" not in normalise(role, lambda *_: False, "n")
    plain = {**role, "aggregationRule": None, "rules": [{"verbs": ["get"]}]}
    assert normalise(plain, lambda *_: False, "n")["rules"] == [{"verbs": ["get"]}]


def test_a_namespace_follows_the_scope_of_the_kind() -> None:
    thing = {"apiVersion": "x/v1", "kind": "ClusterThing", "metadata": {"name": "t"}}
    misplaced = {**thing, "metadata": {"name": "t", "namespace": "kserve"}}
    assert "namespace" not in normalise(misplaced, scope, "n")["metadata"]
    assert "namespace" not in normalise(thing, scope, "n")["metadata"]
    unknown = {"apiVersion": "x/v1", "kind": "Unknown", "metadata": {"name": "u"}}
    assert "namespace" not in normalise(unknown, scope, "n")["metadata"]
    named = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "own"}}
    assert normalise(named, scope, "n")["metadata"]["namespace"] == "own"
