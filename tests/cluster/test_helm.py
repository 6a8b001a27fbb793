"""Records that Helm keeps, and what somebody may have made of one."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from keepers import record

from installer.cluster.helm import Revision, Unreadable, applied, manifest_of
from installer.core.objects import Object, Ref, ref_of

REFS = [Ref("v1", "ConfigMap", "there", "one"), Ref("apps/v1", "Deployment", "", "two")]


def packed(value: Any, *, zip: bool = True) -> str:
    data = json.dumps(value).encode()
    return base64.b64encode(gzip.compress(data) if zip else data).decode()


def kept(text: str, kind: str = "Secret") -> Object:
    if kind == "Secret":
        text = base64.b64encode(text.encode()).decode()
    return {"apiVersion": "v1", "kind": kind, "data": {"release": text}}


def test_a_record_tells_what_was_applied_wherever_helm_keeps_it() -> None:
    assert [ref_of(obj) for obj in manifest_of(record("cm", "there", REFS))] == REFS
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: there}\n"
    for text in (packed({"manifest": manifest}), packed({"manifest": manifest}, zip=False)):
        for kind in ("Secret", "ConfigMap"):
            assert [ref_of(obj) for obj in manifest_of(kept(text, kind))] == REFS[:1]


def test_what_helm_itself_wrote_is_read_with_and_without_its_hooks() -> None:
    found = yaml.safe_load((Path(__file__).parent / "helm_release.yaml").read_text())
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in manifest_of(found)] == [
        ("ConfigMap", "one"),
        ("ClusterRole", "two"),
    ]
    assert [ref_of(obj).name for obj in manifest_of(found, hooks=True)] == ["one", "two", "hooked"]


def test_an_object_that_the_server_gave_its_name_is_not_among_those_that_are_known() -> None:
    nameless = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: check-}\n"
    found = kept(packed({"manifest": nameless, "hooks": [{"manifest": nameless}]}))
    assert manifest_of(found, hooks=True) == []


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"kind": "Secret"}, "it holds no release of Helm 3"),
        ({"kind": "Secret", "data": {"release": "%%%"}}, "it is not base64 of gzip"),
        (kept("%%%"), "it is not base64 of gzip"),
        (kept(base64.b64encode(b"\x1f\x8b\x08 cut").decode()), "it is not base64 of gzip"),
        (kept(packed([1])), "it holds no release of Helm 3"),
        (kept(packed({"manifest": 3})), "it holds no release of Helm 3"),
        (kept(packed({"manifest": "", "hooks": [3]})), "it holds no release of Helm 3"),
        (kept(packed({"manifest": "a: [b"})), "its manifest is no Kubernetes objects"),
        (kept(packed("x" * (64 * 1024 * 1024))), "it unpacks to more than 67108864 bytes"),
    ],
    ids=[
        "nothing",
        "no base64",
        "no text",
        "cut off",
        "a list",
        "a number",
        "hooks",
        "no YAML",
        "a bomb",
    ],
)
def test_a_record_that_helm_did_not_write_so_is_told(found: Object, why: str) -> None:
    with pytest.raises(Unreadable, match=why.replace("(", r"\(")):
        manifest_of(found, hooks=True)


def test_what_is_in_the_cluster_is_the_newest_deployed_revision() -> None:
    def revision(number: int, status: str) -> Revision:
        return Revision(number, status, Ref("v1", "Secret", "there", f"v{number}"))

    old, failed = revision(1, "deployed"), revision(2, "failed")
    assert applied([]) is None
    assert applied([old, failed]) == old
    assert applied([revision(1, "superseded"), failed]) == failed
    assert [revision(1, word).pending for word in ("deployed", "pending-upgrade")] == [False, True]
