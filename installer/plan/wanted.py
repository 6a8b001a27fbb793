"""What a component's manifests come to in this cluster: objects to send, by stage. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from installer.catalog.model import Component
from installer.core.objects import Object, ObjectId, Ref, dig, fingerprint, ref_of
from installer.plan.normalise import Scope, default_protocols, normalise
from installer.plan.ownership import without_controller_fields
from installer.plan.settings import Settings
from installer.plan.stages import STAGES, default_stage


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as it is to be sent. digest: fingerprint of body."""

    ref: Ref
    component: str
    stage: str
    body: Object
    digest: str
    create_only: bool = False


def wanted_of(
    component: Component,
    objects: Sequence[Object],
    scope: Scope,
    settings: Settings,
    matched: set[int],
) -> list[Wanted]:
    """Objects of a component in stage order, each once.

    Where a manifest names an object twice, the last wins, as with kubectl. matched collects
    the indexes of the settings' patches that met a target.
    """
    bodies: dict[ObjectId, Object] = {}
    for obj in _with_namespace(component, objects):
        if any(rule.matches(obj) for rule in component.drop):
            continue
        body = normalise(obj, scope, component.namespace)
        bodies[ref_of(body).identity] = body
    changed = settings.apply(component.name, list(bodies.values()), matched)
    for body in changed:
        default_protocols(body)  # of ports that the settings have added
    own_kinds = _own_kinds(changed)
    wanted = [_wanted(component, body, own_kinds) for body in changed]
    return sorted(wanted, key=lambda item: STAGES.index(item.stage))


def _wanted(component: Component, body: Object, own_kinds: set[tuple[str, str]]) -> Wanted:
    body = without_controller_fields(body, component.controller_owned)
    ref = ref_of(body)
    stage = default_stage(ref.group, ref.kind, own_kinds)
    for rule in component.stage_overrides:
        if rule.matches(body):
            stage = rule.stage
    once = any(rule.matches(body) for rule in component.create_only)
    return Wanted(ref, component.name, stage, body, fingerprint(body), once)


def _with_namespace(component: Component, objects: Sequence[Object]) -> list[Object]:
    """The objects, led by the component's Namespace where the manifest does not bring it.

    Istio's rendered manifests and KServe ≥ 0.17's have none.
    """
    names = {dig(o, "metadata", "name") for o in objects if o["kind"] == "Namespace"}
    if not component.namespace or component.namespace in names:
        return list(objects)
    metadata: dict[str, Any] = {"name": component.namespace}
    if component.namespace_labels:
        metadata["labels"] = dict(component.namespace_labels)
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, *objects]


def _own_kinds(objects: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"])
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition"
    }
