"""The local gateway under its old name and its new one."""

from __future__ import annotations

import json

import pytest

from installer.catalog.load import load
from installer.plan.gateway_names import NEW_KEY, OLD_KEY, is_gone, moved_entries, renamed

SERVICE = "knative-local-gateway.istio-system.svc.cluster.local"


@pytest.mark.parametrize(
    ("version", "gone"), [("0.18.0", False), ("0.19.0", False), ("0.20.0", True), ("1.10.0", True)]
)
def test_the_old_gateway_is_gone_from_net_istio_0_20_on(version: str, gone: bool) -> None:
    assert is_gone({"net-istio": version}) is gone
    assert not is_gone({"istio": version})


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ({}, {}),
        ({"gateway.knative-serving.own": "own.one.svc"}, {}),
        (
            {OLD_KEY: "cluster-local-gateway.istio-system.svc.cluster.local"},
            {OLD_KEY: None, NEW_KEY: SERVICE},
        ),
        ({OLD_KEY: "own.one.svc"}, {OLD_KEY: None, NEW_KEY: "own.one.svc"}),
        ({OLD_KEY: "x", NEW_KEY: "own.one.svc"}, {OLD_KEY: None, NEW_KEY: "own.one.svc"}),
    ],
)
def test_an_entry_of_the_old_gateway_becomes_one_of_the_new(
    data: dict[str, str], changes: dict[str, str | None]
) -> None:
    assert moved_entries(data) == changes


def test_no_release_renames_or_removes_a_serving_runtime() -> None:
    gone = [
        f"{component.name} {component.version}: {match.kind} {match.name}"
        for component in load().components.values()
        for change in component.changes
        for match in change.removed
        if match.kind in ("ServingRuntime", "ClusterServingRuntime")
    ]
    assert gone == []


def test_fields_that_name_the_old_gateway_name_the_new_one_and_others_stay() -> None:
    text = json.dumps(
        {
            "ingressGateway": "one/own",
            "localGateway": "cluster-local-gateway.knative-serving",
            "localGatewayService": "cluster-local-gateway.istio-system.svc.cluster.local",
            "note": "was cluster-local-gateway",
            "number": 1,
        }
    )
    assert json.loads(renamed("inferenceservice-config", text)) == {
        "ingressGateway": "one/own",
        "localGateway": "knative-serving/knative-local-gateway",
        "localGatewayService": SERVICE,
        "note": "was cluster-local-gateway",
        "number": 1,
    }


@pytest.mark.parametrize("text", ["{broken cluster-local-gateway", '["cluster-local-gateway"]', 7])
def test_what_is_no_json_object_stays(text: object) -> None:
    assert renamed("inferenceservice-config", text) == text
    assert renamed("config-network", '{"a": "knative-serving/cluster-local-gateway"}') == (
        '{"a": "knative-serving/cluster-local-gateway"}'
    )
