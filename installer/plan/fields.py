"""Which part of a live object a field manager owns, read from its managedFields. Pure.

Source: sigs.k8s.io/structured-merge-diff v4, `fieldpath/serialize.go` and `pathelement.go`:
`f:NAME` is a member, `k:{…}` the list element with these keys, `v:VALUE` the element of a set,
`i:N` the Nth element, `.` the item itself; `{}` under a name is a leaf, owned whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from installer.core.objects import Object, dig

Fields = Mapping[str, Any]
"""A decoded fieldsV1."""


def owned(obj: Mapping[str, Any], manager: str) -> Fields | None:
    """fieldsV1 of a manager's server-side apply, None when it never applied this object.

    An entry for a subresource (status) is another one. There is one entry per API version only
    while versions are being changed; then they are laid over each other.
    """
    found: list[Fields] = [
        entry.get("fieldsV1") or {}
        for entry in dig(obj, "metadata", "managedFields", default=[])
        if entry.get("manager") == manager
        and entry.get("operation") == "Apply"
        and not entry.get("subresource")
    ]
    if not found:
        return None
    fields = found[0]
    for other in found[1:]:
        fields = laid_over(fields, other)
    return fields


def laid_over(one: Fields, other: Fields) -> Fields:
    """What either covers."""
    both = dict(one)
    for key, value in other.items():
        both[key] = laid_over(both[key], value) if both.get(key) else value
    return both


def project(obj: Mapping[str, Any], fields: Fields | None) -> Object:
    """The part of an object that these fields cover, with apiVersion, kind and name.

    Without fields that is all: an object applied with nothing but its name (a Namespace, an empty
    Secret) gets no entry in managedFields. What is owned but no longer there is left out. Elements
    of keyed lists and of sets come in the order of the live list, so that the result tells a
    changed order.
    """
    shown: Object = _project(obj, fields) if fields else {}
    shown["apiVersion"], shown["kind"] = obj.get("apiVersion"), obj.get("kind")
    metadata = shown.setdefault("metadata", {})
    for key in ("name", "namespace"):
        if dig(obj, "metadata", key):
            metadata[key] = obj["metadata"][key]
    return shown


def _project(value: Any, fields: Fields) -> Any:
    if not fields:
        return value
    if isinstance(value, Mapping):
        return {
            key[2:]: _project(value[key[2:]], below)
            for key, below in fields.items()
            if key.startswith("f:") and key[2:] in value
        }
    if isinstance(value, list):
        return _project_list(value, fields)
    return value


def _project_list(items: list[Any], fields: Fields) -> list[Any]:
    keyed = [(element_keys(path), below) for path, below in fields.items() if path.startswith("k:")]
    members = {path[2:] for path in fields if path.startswith("v:")}
    indexed = {int(path[2:]): below for path, below in fields.items() if path.startswith("i:")}
    shown = []
    for index, item in enumerate(items):
        below = _of_element(item, index, keyed, indexed)
        if below is not None:
            shown.append(_with_keys(item, below[0], _project(item, below[1])))
        elif members and json.dumps(item, separators=(",", ":"), ensure_ascii=False) in members:
            shown.append(item)
    return shown


def _of_element(
    item: Any,
    index: int,
    keyed: list[tuple[tuple[tuple[str, Any], ...], Fields]],
    indexed: Mapping[int, Fields],
) -> tuple[tuple[tuple[str, Any], ...], Fields] | None:
    if isinstance(item, Mapping):
        for keys, below in keyed:
            if all(item.get(name) == value for name, value in keys):
                return keys, below
    return ((), indexed[index]) if index in indexed else None


def _with_keys(item: Any, keys: tuple[tuple[str, Any], ...], part: Any) -> Any:
    """An element shows its keys even where only something else in it is owned."""
    if isinstance(part, dict) and part is not item:
        for name, value in keys:
            part.setdefault(name, value)
    return part


@lru_cache(maxsize=4096)
def element_keys(path: str) -> tuple[tuple[str, Any], ...]:
    """`k:{"port":80,"protocol":"TCP"}` as sorted pairs."""
    return tuple(sorted(json.loads(path[2:]).items()))


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's copy of the whole object as it was last applied."""


_VALUES = ("f:data", "f:binaryData")
"""Where a ConfigMap holds what somebody has set."""


def takeover(
    obj: Mapping[str, Any],
    leftovers: Collection[str],
    manager: str,
    former: Collection[str] = (),
) -> list[dict[str, Any]] | None:
    """A JSON patch that gives `manager` the fields of leftover client-side appliers.

    Their `Update` entries are laid over our `Apply` entry and removed, and kubectl's annotation
    with them. It fails unless the object is still at the version it was read at. None when there
    is nothing to take over: without that annotation kubectl's client-side apply was not here.
    former: managers whose fields become ours as well, however they have written them, but for what
    they have put into a ConfigMap: users have told them to, and an apply of ours may not remove it.
    """
    taken, staying = parted(obj, leftovers, former)
    if not taken:
        return None
    entries: list[dict[str, Any]] = dig(obj, "metadata", "managedFields", default=[])
    ours = [e for e in entries if e.get("manager") == manager and e.get("operation") == "Apply"]
    fields: Fields = {}
    for entry in [*ours, *taken]:
        fields = laid_over(fields, entry.get("fieldsV1") or {})
    applied = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": taken[-1]["apiVersion"],
        "time": taken[-1].get("time"),
        "fieldsType": "FieldsV1",
        "fieldsV1": _without_last_applied(fields),
    }
    kept = [entry for entry in staying if entry not in ours]
    patch: list[dict[str, Any]] = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, applied]},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": dig(obj, "metadata", "resourceVersion"),
        },
    ]
    if LAST_APPLIED not in dig(obj, "metadata", "annotations", default={}):
        return patch
    path = "/metadata/annotations/" + LAST_APPLIED.replace("/", "~1")
    return [*patch, {"op": "remove", "path": path}]


def parted(
    obj: Mapping[str, Any], leftovers: Collection[str], former: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The entries of managedFields that `takeover` gives to us, and those that stay."""
    entries: list[dict[str, Any]] = dig(obj, "metadata", "managedFields", default=[])
    applied = LAST_APPLIED in dig(obj, "metadata", "annotations", default={})
    taken: list[dict[str, Any]] = []
    staying: list[dict[str, Any]] = []
    for entry in entries:
        theirs = _is_of(entry, former)
        if not theirs and not (applied and _is_leftover(entry, leftovers)):
            staying.append(entry)
            continue
        fields = entry.get("fieldsV1") or {}
        values = _VALUES if theirs and obj.get("kind") == "ConfigMap" else ()
        left = {key: below for key, below in fields.items() if key in values}
        ours = {key: below for key, below in fields.items() if key not in values}
        if left:
            staying.append({**entry, "fieldsV1": left})
        if ours:
            taken.append({**entry, "fieldsV1": ours})
    return taken, staying


def _is_leftover(entry: Mapping[str, Any], leftovers: Collection[str]) -> bool:
    """Whether an entry of managedFields is of a leftover client-side applier."""
    return entry.get("operation") == "Update" and _is_of(entry, leftovers)


def _is_of(entry: Mapping[str, Any], managers: Collection[str]) -> bool:
    return (
        entry.get("manager") in managers
        and not entry.get("subresource")
        # before Kubernetes 1.22 entries of a subresource were not marked
        and "f:status" not in (entry.get("fieldsV1") or {})
    )


def _without_last_applied(fields: Fields) -> Fields:
    annotations = dig(fields, "f:metadata", "f:annotations", default={})
    if f"f:{LAST_APPLIED}" not in annotations:
        return fields
    rest = {key: below for key, below in annotations.items() if key != f"f:{LAST_APPLIED}"}
    return {**fields, "f:metadata": {**fields["f:metadata"], "f:annotations": rest}}


def vanished(live: Mapping[str, Any], body: Mapping[str, Any], manager: str) -> Object:
    """A merge patch that removes the maps which the manager has applied and `body` does not have.

    Empty where there are none. Where an apply takes the last field of a map away, API servers
    leave null for it (1.20), or what others have put into it, such as the caBundle of a CRD whose
    new version has no conversion webhook: both are refused as invalid.
    """
    patch: Object = {}
    for entry in dig(live, "metadata", "managedFields", default=[]):
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            _merge(patch, _vanished(entry.get("fieldsV1") or {}, body))
    return patch


def _vanished(fields: Mapping[str, Any], body: Mapping[str, Any]) -> Object:
    found: Object = {}
    for step, inner in fields.items():
        key = step.removeprefix("f:")
        if key == step or not any(name.startswith("f:") for name in inner):
            continue  # an item of a list, or a field that is no map
        if key not in body:
            found[key] = None
        elif isinstance(body[key], Mapping):
            below = _vanished(inner, body[key])
            if below:
                found[key] = below
    return found


def _merge(into: Object, other: Object) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into.setdefault(key, value)
