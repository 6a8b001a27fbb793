"""What else an object cannot do without: Secrets and ConfigMaps that it names. Pure.

By the forms in which Kubernetes' own types name them, wherever a spec has these: pod specs stand in
custom resources at many places, and schemas differ from release to release.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.core.objects import dig

SECRET, CONFIG_MAP = "Secret", "ConfigMap"
Named = tuple[str, str]
"""Kind and name; the namespace is that of whatever names it."""
CONFIG = "inferenceservice-config"
"""The ConfigMap of KFServing and KServe that says where credentials are."""
_SECRET_NAMES = ("secretName", "credentialName")
_CA_ANNOTATION = "serving.kserve.io/s3-cabundle-configmap"
_CA_FIELD = "cabundle_configmap"
"""On a Secret with credentials, and inside of one (kserve/kserve: docs/samples/cabundle)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where models' credentials are looked for beside ServiceAccounts: in a Secret of that name in
    each namespace, or in the one that an annotation names."""

    secret: str = "storage-config"
    annotation: str = "serving.kserve.io/storageSecretName"


def credentials_of(config: Mapping[str, Any] | None) -> Credentials:
    """As `inferenceservice-config` has it (kserve/kserve: config/configmap/inferenceservice.yaml);
    the defaults where it says nothing."""
    said = _json(dig(config, "data", "credentials", default="")) if config else {}
    names = (("secret", "storageSpecSecretName"), ("annotation", "storageSecretNameAnnotation"))
    found = {slot: said[key] for slot, key in names if _is_name(said.get(key))}
    return Credentials(**found)


def shared_bundle(config: Mapping[str, Any] | None) -> str:
    """The ConfigMap with certificates for every model, in the controller's namespace; mostly
    empty."""
    said = _json(dig(config, "data", "storageInitializer", default="")) if config else {}
    name = said.get("caBundleConfigMapName")
    return str(name) if _is_name(name) else ""


def named_by(obj: Mapping[str, Any], credentials: Credentials) -> Iterator[Named]:
    """What an object of a user names."""
    yield from _in_spec(obj.get("spec"))
    name = dig(obj, "metadata", "annotations", credentials.annotation)
    if _is_name(name):
        yield SECRET, name


def named_by_secret(secret: Mapping[str, Any]) -> Iterator[Named]:
    """ConfigMaps with the certificates that belong to a Secret's credentials."""
    said = [dig(secret, "metadata", "annotations", _CA_ANNOTATION)]
    for value in dig(secret, "data", default={}).values():
        said.append(_json(_decoded(value)).get(_CA_FIELD))
    yield from ((CONFIG_MAP, name) for name in said if _is_name(name))


def _in_spec(value: Any) -> Iterator[Named]:
    if isinstance(value, list):
        for item in value:
            yield from _in_spec(item)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _of_field(str(key), inner)
            yield from _in_spec(inner)


def _of_field(key: str, value: Any) -> Iterator[Named]:
    if key in _SECRET_NAMES and _is_name(value):
        yield SECRET, value
    elif key == "imagePullSecrets" and isinstance(value, list):
        yield from ((SECRET, item["name"]) for item in value if _has_name(item))
    elif _has_name(value):
        if key == "secret" or key.lower().endswith(("secretref", "secretkeyref")):
            yield SECRET, value["name"]
        elif key in ("configMap", "configMapRef", "configMapKeyRef"):
            yield CONFIG_MAP, value["name"]


def _has_name(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_name(value.get("name"))


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _decoded(value: Any) -> str:
    try:
        return b64decode(value, validate=True).decode()
    except (TypeError, ValueError):
        return ""


def _json(text: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
