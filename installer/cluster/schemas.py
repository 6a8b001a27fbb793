"""A smallest object that a CRD's schema accepts: what `required` asks for, and no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, dig

Schema = Mapping[str, Any]
_DEPTH = 20
_FORMATS = {
    "date-time": "2020-01-01T00:00:00Z",
    "date": "2020-01-01",
    "byte": "",
    "uri": "https://example.com",
    "ipv4": "192.0.2.1",
    "duration": "1s",
    "hostname": "probe.example.com",
    "email": "probe@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def schema_of(definition: Object, version: str) -> Schema:
    """The schema of one version of a CRD (apiextensions.k8s.io/v1), empty when it has none."""
    for entry in dig(definition, "spec", "versions", default=[]):
        if entry.get("name") == version:
            found = dig(entry, "schema", "openAPIV3Schema", default={})
            return found if isinstance(found, Mapping) else {}
    return {}


def smallest(schema: Schema, depth: int = 0) -> Any:
    """A smallest value that a structural schema accepts; patterns and CEL rules are not read."""
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("nullable") and depth > 0:
        return None
    if schema.get("x-kubernetes-int-or-string"):
        return 1
    kind = schema.get("type", "object")
    if kind == "object":
        return _object(schema, depth)
    if kind == "array":
        count = int(schema.get("minItems") or 0)
        return [smallest(schema.get("items") or {}, depth + 1) for _ in range(count)]
    if kind in ("integer", "number"):
        least = schema.get("minimum", 1)
        return least + 1 if schema.get("exclusiveMinimum") else least
    if kind == "boolean":
        return False
    text = _FORMATS.get(str(schema.get("format", "")), "probe")
    return text.ljust(int(schema.get("minLength") or 0), "x")[: schema.get("maxLength") or None]


def _object(schema: Schema, depth: int) -> Object:
    if depth > _DEPTH:
        return {}
    properties = schema.get("properties") or {}
    required = list(schema.get("required") or [])
    for alternatives in ("oneOf", "anyOf"):
        options = schema.get(alternatives) or []
        required += options[0].get("required") or [] if options else []
    made = {name: smallest(properties.get(name) or {}, depth + 1) for name in required}
    missing = int(schema.get("minProperties") or 0) - len(made)
    for name in [name for name in properties if name not in made][: max(0, missing)]:
        made[name] = smallest(properties[name], depth + 1)
    return made


def smallest_object(definition: Object, version: str, spec: Object | None) -> Object:
    """The body, without metadata, of a smallest custom resource; `spec` replaces the generated
    one. Everything that has a spec gets one: controllers' webhooks rarely expect none."""
    schema = schema_of(definition, version)
    generated = _object(schema, 0)
    for field in ("apiVersion", "kind", "metadata", "status"):
        generated.pop(field, None)
    if spec is not None:
        generated["spec"] = spec
    elif "spec" in (schema.get("properties") or {}) or not schema:
        described = dig(schema, "properties", "spec", default={})
        generated.setdefault("spec", _object(described, 1))
    return {
        "apiVersion": f"{dig(definition, 'spec', 'group')}/{version}",
        "kind": dig(definition, "spec", "names", "kind"),
        **generated,
    }
