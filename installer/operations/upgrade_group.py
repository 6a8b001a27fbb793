"""The steps of a hop whose releases have their InferenceServices in different API groups.

move        forward: the new controller is there and has nothing to do; the old one is stopped, then
            each object is moved. Back: the controller that moved objects belong to is stopped
            before the other one starts again. The two never work at the same time on the same
            objects: each would put the pods' template back to its own form, for ever.
retire      the old objects go, when everything is well
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from installer.cluster.deletion import wait_gone
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.group_check import check_movable
from installer.operations.group_move import Expectations, Move
from installer.operations.group_retire import retire
from installer.operations.prepare import PlannedComponent
from installer.operations.stored_versions import migrate
from installer.operations.telling import object_event, warning
from installer.operations.upgrade_hop import HopContext, Paused
from installer.plan import api_group
from installer.plan.api_group import PLURALS

_CRD = "CustomResourceDefinition"
_CRD_VERSION = "apiextensions.k8s.io/v1"
_WORKLOADS = ("StatefulSet", "Deployment")
_REPLICAS = "kserve-installer/replicas"
"""Annotation of a controller that is stopped: how many replicas it had."""
_STOPPED_SECONDS = 120.0
_CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def check(context: HopContext, planned: list[PlannedComponent]) -> None:
    """Raise ChecksFailed naming everything that cannot be moved. Reads only."""
    source, target = context.hop.groups
    wanted = {i.ref.name: i.body for part in planned for i in part.wanted if i.ref.kind == _CRD}
    definitions = {
        kind: wanted[f"{plural}.{target}"]
        for kind, plural in PLURALS.items()
        if f"{plural}.{target}" in wanted
    }
    check_movable(context.cluster, source, target, definitions, context.cancel)


def quiet(context: HopContext) -> None:
    """Stop the controller of the group that objects are moved from, with the webhooks that would
    then refuse every change of them. Those for pods stay; see `api_group.without_pods`."""
    source, _ = context.hop.groups
    cluster = context.cluster
    _store_at_one_version(context, source)
    entries = [
        entry
        for record in context.ledger.components.values()
        for entry in record.entries.values()
        if entry.ref.kind in _CONFIGURATIONS
    ]
    servers: set[tuple[str, str]] = set()
    for entry in entries:
        found = cluster.get(entry.ref)
        hooks = list(dig(found, "webhooks", default=[])) if found is not None else []
        if not any(_is_of(hook, source) for hook in hooks):
            continue
        for hook in hooks:
            service = dig(hook, "clientConfig", "service", default={})
            servers.add((str(service.get("namespace")), str(service.get("name"))))
    controllers = [ref for place in sorted(servers) for ref in _behind(context, *place)]
    for ref in controllers:
        found = cluster.get(ref)
        replicas = dig(found, "spec", "replicas", default=1)
        if replicas:
            notes = {_REPLICAS: str(replicas)}
            body = {"metadata": {"annotations": notes}, "spec": {"replicas": 0}}
            cluster.patch(ref, body)
            context.emit(object_event("", "quiet", "changed", ref))
    for entry in entries:
        _disarm(context, entry.ref, source)
    pods = [pod for ref in controllers for pod in _pods(context, ref)]
    wait_gone(
        cluster,
        pods,
        deadline=min(_STOPPED_SECONDS, context.cancel.left()),
        cancel=context.cancel,
    )


def wake(context: HopContext, planned: Sequence[PlannedComponent]) -> None:
    """Start what an earlier hop has stopped: manifests do not say how many there are to be, so an
    apply does not bring them back."""
    for part in planned:
        for item in part.wanted:
            if item.ref.kind not in _WORKLOADS:
                continue
            notes = dig(part.live.get(item.ref.identity), "metadata", "annotations", default={})
            if _REPLICAS in notes and str(notes[_REPLICAS]).isdecimal():
                body = {
                    "metadata": {"annotations": {_REPLICAS: None}},
                    "spec": {"replicas": int(notes[_REPLICAS])},
                }
                context.cluster.patch(item.ref, body)
                context.emit(object_event("", "wake", "changed", item.ref))


def move(context: HopContext) -> None:
    """Move everything, or what --only names and then pause."""
    source, target = context.hop.groups
    work = Move(context.cluster, source, target, _expected(context), context.emit, context.cancel)
    left = work.run(context.options.only)
    if left:
        plural = "InferenceService is" if left == 1 else "InferenceServices are"
        context.emit(
            warning(
                f"{left} more {plural} in {source}",
                remedy="run the same command without --only to move them; `kserve-installer "
                "rollback` moves back what was moved",
            )
        )
        raise Paused


def retired(context: HopContext) -> None:
    """Delete what was moved."""
    source, target = context.hop.groups
    retire(context.cluster, source, target, _expected(context), context.emit, context.cancel)


def _expected(context: HopContext) -> Expectations:
    upgrade = context.upgrade
    return Expectations(upgrade.unwell, upgrade.silent, context.options.serving_seconds)


def _store_at_one_version(context: HopContext, group: str) -> None:
    """While the conversion webhook is there: afterwards nothing must need it."""
    for plural in PLURALS.values():
        crd = context.cluster.get(Ref(_CRD_VERSION, _CRD, "", f"{plural}.{group}"))
        if crd is None:
            continue
        storage = next(v["name"] for v in crd["spec"]["versions"] if v.get("storage"))
        only: Object = {
            "metadata": {"name": crd["metadata"]["name"]},
            "spec": {"versions": [{"name": storage, "storage": True}]},
        }
        migrate(context.cluster, [only], context.emit, context.cancel, context)


def _is_of(webhook: Mapping[str, Any], group: str) -> bool:
    rules = webhook.get("rules") or []
    return any(group in (rule.get("apiGroups") or []) for rule in rules)


def _behind(context: HopContext, namespace: str, name: str) -> list[Ref]:
    """Workloads whose pods are behind a Service."""
    service = context.cluster.get(Ref("v1", "Service", namespace, name))
    selector = dig(service, "spec", "selector", default={}) if service is not None else {}
    if not selector:
        return []
    return [
        ref_of(workload)
        for kind in _WORKLOADS
        for workload in context.cluster.list("apps/v1", kind, namespace).items
        if selector.items() <= dig(workload, "spec", "template", "metadata", "labels").items()
    ]


def _pods(context: HopContext, workload: Ref) -> list[Ref]:
    found = context.cluster.get(workload)
    labels = dig(found, "spec", "selector", "matchLabels", default={}) if found else {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    if not selector:
        return []
    pods = context.cluster.list(
        "v1", "Pod", workload.namespace, label_selector=selector, metadata_only=True
    ).items
    return [ref_of(pod) for pod in pods]


def _disarm(context: HopContext, ref: Ref, group: str) -> None:
    """Take the webhooks for a group's own kinds out of a configuration, or delete it."""
    found = context.cluster.get(ref)
    hooks = list(dig(found, "webhooks", default=[])) if found is not None else []
    if found is None or not any(_is_of(hook, group) for hook in hooks):
        return
    pods, _ = api_group.without_pods(hooks)
    if pods:
        context.cluster.replace({**found, "webhooks": pods})
        context.emit(object_event("", "quiet", "changed", ref))
    elif context.cluster.delete(ref):
        context.emit(object_event("", "quiet", "deleted", ref))
