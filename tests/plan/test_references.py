"""What objects of users name."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from installer.plan.references import (
    CONFIG_MAP,
    SECRET,
    Credentials,
    credentials_of,
    named_by,
    named_by_secret,
    shared_bundle,
)

SPEC = {
    "predictor": {
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [
            {
                "name": "not-this",
                "envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "all"}}],
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}},
                ],
            }
        ],
        "volumes": [
            {"secret": {"secretName": "volume"}},
            {"configMap": {"name": "mounted"}},
            {"projected": {"sources": [{"secret": {"name": "p"}}, {"configMap": {"name": "q"}}]}},
            {"csi": {"nodePublishSecretRef": {"name": "csi"}}},
            {"persistentVolumeClaim": {"claimName": "disk"}},
        ],
    },
    "servers": [{"tls": {"credentialName": "tls"}}],
    "acme": {"privateKeySecretRef": {"name": "account"}},
}


def test_secrets_and_config_maps_are_found_wherever_a_spec_names_them() -> None:
    found = set(named_by({"spec": SPEC}, Credentials()))
    secrets = {name for kind, name in found if kind == SECRET}
    assert secrets == {"pull", "whole", "key", "volume", "p", "csi", "tls", "account"}
    assert {name for kind, name in found if kind == CONFIG_MAP} == {"all", "one", "mounted", "q"}


@pytest.mark.parametrize("spec", [None, "text", {"secretName": 7}, {"configMap": {"name": ""}}, []])
def test_what_has_another_form_names_nothing(spec: Any) -> None:
    assert list(named_by({"spec": spec}, Credentials())) == []


def test_the_release_says_which_secret_and_which_annotation_hold_credentials() -> None:
    said = {"storageSpecSecretName": "ours", "storageSecretNameAnnotation": "example.com/secret"}
    config = {"data": {"credentials": json.dumps(said)}}
    assert credentials_of(config) == Credentials("ours", "example.com/secret")
    for text in ("{}", "no json", "[]", '{"storageSpecSecretName": ""}'):
        assert credentials_of({"data": {"credentials": text}}) == Credentials()
    assert credentials_of(None) == Credentials()
    model = {"metadata": {"annotations": {"example.com/secret": "bucket"}}}
    assert list(named_by(model, credentials_of(config))) == [(SECRET, "bucket")]


def test_certificates_that_belong_to_credentials_are_named_by_the_secret_or_the_release() -> None:
    inside = b64encode(json.dumps({"type": "s3", "cabundle_configmap": "inside"}).encode())
    secret = {
        "metadata": {"annotations": {"serving.kserve.io/s3-cabundle-configmap": "outside"}},
        "data": {"local": inside.decode(), "key": b64encode(b"\xff\x00").decode(), "odd": 7},
    }
    assert list(named_by_secret(secret)) == [(CONFIG_MAP, "outside"), (CONFIG_MAP, "inside")]
    config = {"data": {"storageInitializer": '{"caBundleConfigMapName": "everybody"}'}}
    assert (shared_bundle(config), shared_bundle(None)) == ("everybody", "")
