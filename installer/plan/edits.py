"""What users have edited in the release's ConfigMaps and an upgrade has kept. Pure.

The ledger holds it, since an install would take an edit of its objects back. Each value is kept for
one default of the release: where the default is another (other settings, another release), what is
kept no longer says what the user wanted, and the default is applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from installer.core.objects import dig, fingerprint
from installer.plan.edited import EXAMPLE
from installer.plan.yaml_text import mapping_in

if TYPE_CHECKING:
    from installer.plan.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Edit:
    """value: what the key is to be. onto: fingerprint of the release's value, empty where the
    release has no such key."""

    value: str
    onto: str


Edits = Mapping[str, Mapping[str, Edit]]
"""By the ConfigMap's name, which says the same thing in every namespace, and key."""


DOMAIN, OLD_DOMAIN = "config-domain", "example.com"
"""Where Knative looks for its domain, and its default before 1.8, by the `_example` there in its
manifests up to 0.25; since `DOMAIN_CHANGED` the cluster's own (knative/serving;
kserve/kserve#2596)."""
DOMAIN_CHANGED = (1, 8, 0)


def default_domains(data: Mapping[str, str]) -> list[str]:
    """The domains in config-domain that count for every Route, the one that does first: those
    without a selector (knative/serving, pkg/reconciler/route/config/domain.go)."""
    return sorted(
        key
        for key, value in data.items()
        if key != EXAMPLE and not (value.strip() and (mapping_in(value) or {}).get("selector"))
    )


def onto(default: str | None) -> str:
    """What `Edit.onto` is for a default."""
    return "" if default is None else fingerprint(default)


def with_edits(item: Wanted, edits: Edits, names: tuple[str, ...]) -> Wanted:
    """The ConfigMap with what is kept for it. names: ConfigMaps that users edit."""
    kept = edits.get(item.ref.name, {})
    if item.ref.kind != "ConfigMap" or not kept or item.ref.name not in names:
        return item
    data = dict(dig(item.body, "data", default={}))
    changed = {key: e.value for key, e in kept.items() if onto(data.get(key)) == e.onto}
    if item.ref.name == DOMAIN and any(key != EXAMPLE for key in data):
        changed.pop(OLD_DOMAIN, None)  # pinned while nobody named a domain, as the settings now do
    if not changed:
        return item
    body = {**item.body, "data": {**data, **changed}}
    return replace(item, body=body, digest=fingerprint(body))
