"""What the serving plane makes of a Revision, against the CRDs of several versions of Knative."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from installer.core.objects import Object
from installer.sandbox.simulators.serving import revision_forms as forms

KODATA = (
    "upstream/raw.githubusercontent.com/knative/operator/{}/cmd/operator/kodata/knative-serving"
)
AUTOSCALER: Object = {
    "apiVersion": "autoscaling.internal.knative.dev/v1alpha1",
    "kind": "PodAutoscaler",
    "metadata": {"name": "model-abcde", "namespace": "default", "uid": "0"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model"}},
}


@pytest.mark.parametrize(
    ("operator", "serving", "knative"),
    [
        ("knative-v1.8.2", "1.6.3", (1, 6)),
        ("knative-v1.10.1", "1.10.1", (1, 10)),
        ("knative-v1.21.1", "1.21.1", (1, 21)),
    ],
)
def test_a_serverless_service_has_what_its_crd_requires_and_nothing_that_it_drops(
    shared: Path, operator: str, serving: str, knative: tuple[int, int]
) -> None:
    file = shared / KODATA.format(operator) / serving / "1-serving-crds.yaml"
    crds = yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader)
    name = "serverlessservices.networking.internal.knative.dev"
    crd = next(crd for crd in crds if crd and crd["metadata"]["name"] == name)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec = forms.serverless_service(AUTOSCALER, knative)["spec"]
    assert set(schema["required"]) <= set(spec) <= set(schema["properties"])


def test_before_its_crd_had_a_schema_the_protocol_is_spelled_as_recorded() -> None:
    assert "ProtocolType" in forms.serverless_service(AUTOSCALER, (0, 18))["spec"]
