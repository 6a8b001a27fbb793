"""Probes of webhooks: which requests are made, and what answers prove. Values only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.catalog.load import load
from installer.catalog.model import WebhookProbe
from installer.cluster.errors import classify
from installer.cluster.no_answer import classify_exception
from installer.cluster.probes import Answer, Phase, Specs, create, judge, read_one, touch
from installer.cluster.registrations import (
    Backend,
    backend_of,
    conversion_client,
    has_ca,
    labels_matching,
    matches,
    served_versions,
    unfilled,
)
from installer.cluster.schemas import smallest, smallest_object
from installer.core.objects import Object

PATH = "/apis/example.com/v1/namespaces/n/things"
BODY: Object = {"apiVersion": "example.com/v1", "kind": "Thing", "spec": {}}


def answered(code: int, message: str = "", body: Any = None) -> Answer:
    if code < 300:
        return Answer(body or {}, None)
    return Answer(None, classify(code, {"kind": "Status", "message": message, "code": code}))


CALL_FAILED = (
    'Internal error occurred: failed calling webhook "{}": Post "https://s.n.svc:443/x": '
    "dial tcp 10.0.0.1:9443: connect: connection refused"
)
DENIED = 'admission webhook "{}" denied the request: no'
DRY_RUN = 'admission webhook "w.example.com" does not support dry run'
STORAGE = "resourceVersion should not be set on objects to be created"
CONVERSION = (
    "conversion webhook for example.com/v1, Kind=Thing failed: "
    'Post "https://s.n.svc:443/convert": x509: certificate signed by unknown authority'
)
CASES: list[tuple[Phase, str, Answer, str]] = [
    ("validating", "w.example.com", answered(201), "weak"),
    ("validating", "w.example.com", answered(403, DENIED.format("w.example.com")), "strong"),
    ("validating", "w.example.com", answered(403, DENIED.format("other")), "unproven"),
    ("mutating", "w.example.com", answered(403, DENIED.format("other")), "weak"),
    ("validating", "w.example.com", answered(500, CALL_FAILED.format("w.example.com")), "failing"),
    ("validating", "w.example.com", answered(500, CALL_FAILED.format("other")), "blocked"),
    ("mutating", "w.example.com", answered(422, "Thing is invalid: spec.a: Required"), "weak"),
    ("validating", "w.example.com", answered(422, "Thing is invalid: spec.a"), "unproven"),
    ("validating", "w.example.com", answered(500, STORAGE), "weak"),
    ("mutating", "w.example.com", answered(400, DRY_RUN), "unproven"),
    ("mutating", "w.example.com", answered(403, "forbidden: exceeded quota: q"), "weak"),
    ("mutating", "w.example.com", answered(403, "error looking up service account"), "blocked"),
    ("mutating", "w.example.com", answered(503, "apiserver not ready"), "silent"),
    ("validating", "w.example.com", answered(429, "too many requests"), "silent"),
    (
        "validating",
        "w.example.com",
        Answer(None, classify_exception(ConnectionResetError())),
        "silent",
    ),
    ("validating", "w.example.com", answered(401, "Unauthorized"), "blocked"),
    ("conversion", "conversion of Thing.example.com", answered(504, "gone away"), "silent"),
    ("mutating", "w.example.com", answered(400, "cannot be handled as a Thing"), "unproven"),
    ("conversion", "conversion of Thing.example.com", answered(500, CONVERSION), "failing"),
    ("conversion", "conversion of Thing.example.com", answered(201), "strong"),
    (
        "conversion",
        "conversion of Thing.example.com",
        answered(200, body={"kind": "ThingList", "items": []}),
        "unproven",
    ),
    (
        "conversion",
        "conversion of Thing.example.com",
        answered(200, body={"kind": "ThingList", "items": [{}]}),
        "strong",
    ),
    ("conversion", "conversion of Thing.example.com", answered(400, DRY_RUN), "unproven"),
]


@pytest.mark.parametrize(("phase", "webhook", "answer", "proof"), CASES)
def test_an_answer_proves_what_the_order_of_admission_says(
    phase: Phase, webhook: str, answer: Answer, proof: str
) -> None:
    assert judge(phase, webhook, answer) == proof


def test_a_probe_is_a_dry_run_or_is_refused_by_the_storage() -> None:
    dry = create(PATH, BODY, dry_run=True)
    assert ("dryRun", "All") in dry.query
    real = create(PATH, BODY, dry_run=False)
    assert real.body is not None
    assert (real.must_fail, real.body["metadata"]["resourceVersion"]) == (True, "1")
    assert ("dryRun", "All") in touch(PATH).query
    assert read_one(PATH).method == "GET"


def test_equal_probes_are_shared() -> None:
    assert create(PATH, BODY, dry_run=True).key == create(PATH, dict(BODY), dry_run=True).key
    assert create(PATH, BODY, dry_run=True).key != create(PATH, BODY, dry_run=False).key


def recorded_answers(shared: Path) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    path = shared / "facts/recordings/kfserving-0.5.1/inferenceservice/webhook-answers.yaml"
    for case in yaml.safe_load(path.read_text()):
        yield case["request"]["apiVersion"], case["code"], case["request"].get("spec", {})


@pytest.mark.parametrize("version", ["v1alpha2", "v1beta1"])
def test_the_inference_services_we_try_are_recorded_as_denied(shared: Path, version: str) -> None:
    group = "serving.kubeflow.org"
    known = Specs(load().components[("kfserving", "0.5.1")].webhook_probes)
    spec = known.of(group, "InferenceService", version, denied=True)
    assert spec is not None
    codes = [c for v, c, s in recorded_answers(shared) if (v, s) == (f"{group}/{version}", spec)]
    assert codes == [403]


PASSING, DENIED = {"size": 1}, {"size": -1}
KNOWN = Specs(
    (
        WebhookProbe(group="g.example.com", kind="Thing", versions=("v1",), denied=DENIED),
        WebhookProbe(group="g.example.com", kind="Thing", versions=("v2",), passing=PASSING),
        WebhookProbe(group="g.example.com", kind="Other", denied={}, passing=PASSING),
    )
)


@pytest.mark.parametrize(
    ("kind", "version", "denied", "spec"),
    [
        ("Thing", "v1", True, DENIED),
        ("Thing", "v1", False, None),
        ("Thing", "v2", True, PASSING),
        ("Thing", "v3", True, None),
        ("Other", "v7", True, {}),
        ("Other", "v7", False, PASSING),
        ("Unknown", "v1", True, None),
    ],
)
def test_a_spec_is_that_of_the_kind_and_version_in_the_catalog(
    kind: str, version: str, denied: bool, spec: Object | None
) -> None:
    assert KNOWN.of("g.example.com", kind, version, denied=denied) == spec
    assert Specs().of("g.example.com", kind, version, denied=denied) is None


def test_kinds_of_the_catalog_are_known_beside_those_that_every_cluster_has() -> None:
    asked = [("g.example.com", "Thing"), ("", "Pod"), ("", "ConfigMap"), ("", "Secret")]
    assert [KNOWN.knows(*kind) for kind in asked] == [True, True, True, False]
    versions = ("v1", "v2")
    assert [KNOWN.denies("g.example.com", "Thing", v) for v in versions] == [True, False]


@pytest.mark.parametrize("stage", ["istio", "knative", "cert-manager", "kfserving"])
def test_recorded_answers_turn_from_failing_to_proven(shared: Path, stage: str) -> None:
    """Once a webhook has answered, no later answer of the recording says that it cannot."""
    path = shared / f"facts/recordings/kfserving-0.5.1/install/probes-{stage}.jsonl"
    last: dict[str, str] = {}
    for line in path.read_text().splitlines():
        seen = json.loads(line)
        body = seen.get("body")
        answer = (
            Answer({}, None) if seen["code"] < 300 else Answer(None, classify(seen["code"], body))
        )
        name = answer.failure.webhook if answer.failure else ""
        phase: Phase = "conversion" if name.startswith("conversion") else "validating"
        last[seen["probe"]] = judge(phase, name, answer)
    assert last
    assert "failing" not in last.values()


CA = "LS0tLS1CRUdJTg=="


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        ({"service": {}, "caBundle": CA}, True),
        ({"service": {}, "caBundle": "Cg=="}, False),
        ({"service": {}, "caBundle": ""}, False),
        ({"service": {}}, False),
        ({"url": "https://example.com"}, True),
    ],
)
def test_a_service_needs_a_ca_bundle(client: Object, trusted: bool) -> None:
    assert has_ca(client) is trusted


def test_what_a_configuration_lacks_is_named() -> None:
    entry = {"name": "w.example.com", "clientConfig": {"service": {}}}
    assert unfilled({"webhooks": [entry]}) == "w.example.com has no CA bundle and no rules yet"


@pytest.mark.parametrize(
    "conversion",
    [
        {"strategy": "Webhook", "webhookClientConfig": {"caBundle": CA}},
        {"strategy": "Webhook", "webhook": {"clientConfig": {"caBundle": CA}}},
    ],
)
def test_conversion_is_read_at_either_version_of_definitions(conversion: Object) -> None:
    assert conversion_client({"spec": {"conversion": conversion}}) == {"caBundle": CA}


def test_a_definition_without_conversion_webhook_has_none() -> None:
    assert conversion_client({"spec": {"conversion": {"strategy": "None"}}}) is None


def test_the_stored_version_comes_first() -> None:
    versions = [
        {"name": "v1alpha2", "served": True, "storage": False},
        {"name": "v1", "served": True, "storage": True},
        {"name": "v1alpha1", "served": False, "storage": False},
    ]
    assert served_versions({"spec": {"versions": versions}}) == ["v1", "v1alpha2"]


def test_a_backend_has_the_port_that_the_api_server_defaults() -> None:
    client = {"service": {"name": "s", "namespace": "n"}, "caBundle": CA}
    assert backend_of(client) == Backend("n", "s", 443, CA)


SELECTORS: list[tuple[Object | None, dict[str, str] | None]] = [
    (None, {}),
    ({"matchLabels": {"a": "b"}}, {"a": "b"}),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}, {"a": "x"}),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": "probe"}),
    ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}),
    ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}]}, {}),
    (
        {
            "matchLabels": {"a": "b"},
            "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
        },
        None,
    ),
]


@pytest.mark.parametrize(("selector", "labels"), SELECTORS)
def test_labels_are_chosen_so_that_the_selector_matches(
    selector: Object | None, labels: dict[str, str] | None
) -> None:
    assert labels_matching(selector) == labels
    assert labels is None or matches(selector, labels)


SCHEMA: Object = {
    "type": "object",
    "required": ["count", "kind", "items", "when", "nested"],
    "properties": {
        "count": {"type": "integer", "minimum": 3},
        "kind": {"type": "string", "enum": ["A", "B"]},
        "items": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 8}},
        "when": {"type": "string", "format": "date-time"},
        "nested": {
            "type": "object",
            "required": ["port"],
            "properties": {"port": {"x-kubernetes-int-or-string": True}},
        },
        "optional": {"type": "boolean"},
    },
}


def test_the_smallest_value_has_what_is_required_and_no_more() -> None:
    assert smallest(SCHEMA) == {
        "count": 3,
        "kind": "A",
        "items": ["probexxx"],
        "when": "2020-01-01T00:00:00Z",
        "nested": {"port": 1},
    }


def test_the_smallest_object_gets_a_spec_even_where_none_is_required() -> None:
    schema = {"type": "object", "properties": {"spec": SCHEMA, "status": {"type": "object"}}}
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]
    spec = {"group": "example.com", "names": {"kind": "Thing"}, "versions": versions}
    made = smallest_object({"spec": spec}, "v1", None)
    assert (made["apiVersion"], made["kind"]) == ("example.com/v1", "Thing")
    assert made["spec"] == smallest(SCHEMA)
    assert "status" not in made
