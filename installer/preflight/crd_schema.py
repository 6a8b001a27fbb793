"""Would an object still be valid under a CRD's schema? Judged here: no dry run of a CRD says it.

A structural schema is JSON schema (draft 4, as OpenAPI 3.0 is built on it) but for a few words,
which are translated. What only the API server judges (CEL rules, formats) is not. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from installer.core.objects import Object, dig

Schema = Mapping[str, Any]

_SHOWN = 3
_ROOT = frozenset({"apiVersion", "kind", "metadata"})
_KEPT = frozenset(
    {
        "type", "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "multipleOf",
        "minProperties", "maxProperties", "pattern", "enum",
    }
)  # fmt: skip


def schema_of(definition: Object, version: str) -> Schema | None:
    """The schema of a version in a CRD of either API version; None where it has none."""
    spec = definition["spec"]
    for entry in spec.get("versions") or []:
        if entry["name"] == version:
            own = dig(entry, "schema", "openAPIV3Schema")
            if own:
                return dict(own)
    shared = dig(spec, "validation", "openAPIV3Schema")
    return dict(shared) if shared else None


def prunes(definition: Object) -> bool:
    """Whether the API server drops fields that the schema does not know.

    Source: k8s.io/apiextensions-apiserver: `preserveUnknownFields` is false in v1, where it cannot
    be otherwise for new CRDs, and true by default in v1beta1.
    """
    default = str(definition.get("apiVersion")).endswith("/v1beta1")
    return not definition["spec"].get("preserveUnknownFields", default)


def judges_in_cel(schema: Any) -> bool:
    """Whether a schema has rules in CEL, which are not judged here."""
    if isinstance(schema, Mapping):
        return "x-kubernetes-validations" in schema or any(map(judges_in_cel, schema.values()))
    return isinstance(schema, list) and any(map(judges_in_cel, schema))


class Judge:
    """One schema, translated once for many objects."""

    def __init__(self, schema: Schema) -> None:
        from jsonschema import Draft4Validator  # imported when the first object is judged

        self._validator = Draft4Validator(translated(schema))

    def faults(self, obj: Object) -> list[str]:
        """What the schema refuses, as `spec.replicas: 'x' is not of type 'integer'`; few."""
        said = []
        for error in self._validator.iter_errors(obj):
            path = ".".join(str(step) for step in error.absolute_path)
            said.append(f"{path or 'the object'}: {error.message[:120]}")
            if len(said) == _SHOWN:
                break
        return said


def translated(schema: Any) -> dict[str, Any]:
    """A structural schema in the words of JSON schema."""
    found: dict[str, Any] = {key: schema[key] for key in _KEPT & set(schema)}
    if "pattern" in found and not _compiles(found["pattern"]):
        del found["pattern"]  # Go's syntax differs in rare cases
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
    if schema.get("nullable") and "type" in found:
        kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
        found["type"] = [*kinds, "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    if "properties" in schema:
        found["properties"] = {k: translated(v) for k, v in schema["properties"].items()}
    if isinstance(schema.get("items"), Mapping):
        found["items"] = translated(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        found["additionalProperties"] = translated(schema["additionalProperties"])
    if isinstance(schema.get("not"), Mapping):
        found["not"] = translated(schema["not"])
    for word in ("allOf", "anyOf", "oneOf"):
        if schema.get(word):
            found[word] = [translated(part) for part in schema[word]]
    return found


def unknown_fields(obj: Object, schema: Schema) -> list[str]:
    """Paths of fields that pruning would drop, in order."""
    return list(dict.fromkeys(_unknown(obj, schema, (), root=True)))


def _unknown(
    value: Any, schema: Schema, path: tuple[str, ...], *, root: bool = False
) -> Iterator[str]:
    if isinstance(value, list):
        items = schema.get("items")
        for item in value if isinstance(items, Mapping) else ():
            yield from _unknown(item, items or {}, (*path[:-1], f"{path[-1]}[*]"))
        return
    if not isinstance(value, Mapping):
        return
    known: Mapping[str, Any] = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    keeps = bool(schema.get("x-kubernetes-preserve-unknown-fields")) or others is True
    given = _ROOT if root or schema.get("x-kubernetes-embedded-resource") else frozenset()
    for key, below in value.items():
        if key in given:
            continue
        if key in known:
            yield from _unknown(below, known[key], (*path, key))
        elif isinstance(others, Mapping):
            yield from _unknown(below, others, (*path, key))
        elif not keeps:
            yield ".".join((*path, key))


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def versions_of(definition: Object) -> Sequence[str]:
    """Every version that a CRD of either API version has, the stored one first."""
    spec = definition["spec"]
    entries = spec.get("versions") or []
    if not entries:
        return (str(spec["version"]),)
    return [e["name"] for e in sorted(entries, key=lambda entry: not entry.get("storage"))]
