"""Which gateways Knative uses, read from the ConfigMap of each version."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from installer.core.objects import Object
from installer.serving.gateways import gateways_of, service_of

_OPERATOR = "raw.githubusercontent.com/knative/operator"
_SHIPPED = {
    "0.18": f"{_OPERATOR}/v0.18.0/cmd/operator/kodata/knative-serving/0.18.0/4-net-istio.yaml",
    "0.22": f"{_OPERATOR}/v0.22.0/cmd/operator/kodata/ingress/0.22/net-istio.yaml",
    "1.10": f"{_OPERATOR}/knative-v1.10.0/cmd/operator/kodata/ingress/1.10/istio/net-istio.yaml",
    "1.18": f"{_OPERATOR}/knative-v1.18.2/cmd/operator/kodata/ingress/1.18/istio/net-istio.yaml",
}


def _shipped(shared: Path, version: str) -> Object:
    with (shared / "upstream" / _SHIPPED[version]).open() as file:
        for document in yaml.load_all(file, Loader=yaml.CSafeLoader):
            if document and document["metadata"]["name"] == "config-istio":
                found: Object = document
                return found
    raise AssertionError(f"no config-istio in net-istio {version}")


@pytest.mark.parametrize(
    ("version", "inside"),
    [
        ("0.18", "istio-system/cluster-local-gateway"),
        ("0.22", "istio-system/knative-local-gateway"),
        ("1.10", "istio-system/knative-local-gateway"),
        ("1.18", "istio-system/knative-local-gateway"),
    ],
)
def test_defaults_are_those_of_the_version_that_is_installed(
    shared: Path, version: str, inside: str
) -> None:
    found = gateways_of(_shipped(shared, version))
    (outside,) = found.outside
    assert outside.gateway == "knative-serving/knative-ingress-gateway"
    assert str(outside.service) == "Service istio-system/istio-ingressgateway"
    assert [str(use.service) for use in found.inside] == [f"Service {inside}"]
    assert "by default" in found.origin


def test_what_is_set_replaces_the_default() -> None:
    config = {
        "data": {
            "gateway.models.edge": "edge.edge-system.svc.cluster.local",
            "_example": "gateway.knative-serving.knative-ingress-gateway: a.b.svc.cluster.local",
        }
    }
    (outside,) = gateways_of(config).outside
    assert (outside.gateway, str(outside.service)) == ("models/edge", "Service edge-system/edge")


def test_the_list_form_wins_over_keys() -> None:
    rows = "- {name: edge, namespace: models, service: edge.edge-system.svc}"
    config = {"data": {"external-gateways": rows, "gateway.a.b": "c.d.svc.cluster.local"}}
    assert [use.gateway for use in gateways_of(config).outside] == ["models/edge"]


@pytest.mark.parametrize("broken", ["external-gateways", "_example"])
def test_text_that_is_no_yaml_names_no_gateway(broken: str) -> None:
    assert gateways_of({"data": {broken: "[: {"}}).outside == ()


def test_the_mesh_is_no_service() -> None:
    assert service_of("mesh") is None
