"""The tree of everything that one InferenceService made. Pure.

By owner references where there are any; Endpoints have none, and are found by their Service's
name; InferenceGraphs point at the InferenceService and are shown beside what it made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from installer.cluster.readiness import readiness
from installer.core.objects import Object, ObjectId, Ref, conditions, dig, ref_of
from installer.plan.serving_kinds import LABELS
from installer.serving.inference_service import KIND
from installer.serving.scene import Scene, age, ready_addresses, uids_of_owners

Relation = Literal["", "owner", "name", "label", "refers"]
"""How a node was found to belong below its parent."""

_ORDER = (
    "InferenceGraph",
    "Service",
    "Configuration",
    "Revision",
    "Deployment",
    "ReplicaSet",
    "Pod",
    "Image",
    "PodAutoscaler",
    "Metric",
    "HorizontalPodAutoscaler",
    "ServerlessService",
    "Endpoints",
    "Route",
    "Ingress",
    "HTTPRoute",
    "VirtualService",
)
_KNATIVE_FIRST = ("serving.knative.dev", "networking.internal.knative.dev")


@dataclass(frozen=True, slots=True)
class Node:
    """One object in the tree.

    state, reason, message: of its readiness. note: what is telling of its kind, a clause or
    empty. seconds: its age, None when not known. relation: to its parent.
    """

    ref: Ref
    state: str
    reason: str
    message: str
    note: str
    seconds: float | None
    relation: Relation
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in the order of the tree."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form."""
        return {
            "object": self.ref.to_dict(),
            "state": self.state,
            "reason": self.reason,
            "message": self.message,
            "note": self.note,
            "age_seconds": self.seconds,
            "relation": self.relation,
            "children": [child.to_dict() for child in self.children],
        }


_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def age_text(seconds: float | None) -> str:
    """`3d`, `12m`: the largest unit, as kubectl shows ages; empty where it is not known."""
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "0s"


def tree_of(scene: Scene) -> Node:
    """The tree below the scene's InferenceService."""
    return _Builder(scene).root()


class _Builder:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._taken: set[ObjectId] = set()

    def root(self) -> Node:
        obj = self._scene.service.obj
        self._taken.add(ref_of(obj).identity)
        below = self._below(obj)
        below += [self._node(other, "label") for other in self._labelled()]
        below += [self._node(graph, "refers") for graph in self._graphs()]
        return _node(self._scene, obj, "", below)

    def _node(self, obj: Object, relation: Relation) -> Node:
        return _node(self._scene, obj, relation, self._below(obj))

    def _below(self, obj: Object) -> list[Node]:
        found: list[tuple[Object, Relation]] = []
        if obj["kind"] == "Service" and ref_of(obj).group == "":
            ref = ref_of(obj)
            endpoints = self._scene.core("Endpoints", ref.namespace, ref.name)
            if endpoints is not None and self._take(endpoints):
                found.append((endpoints, "name"))
        owned = [other for other in self._scene.owned_by(obj) if not self._goes_with_service(other)]
        found += [(other, "owner") for other in sorted(owned, key=_order) if self._take(other)]
        return [self._node(other, relation) for other, relation in found]

    def _goes_with_service(self, obj: Object) -> bool:
        """Endpoints that Knative writes are owned by the ServerlessService: shown by name."""
        ref = ref_of(obj)
        here = ref.kind == "Endpoints"
        return here and self._scene.core("Service", ref.namespace, ref.name) is not None

    def _take(self, obj: Object) -> bool:
        identity = ref_of(obj).identity
        if identity in self._taken:
            return False
        self._taken.add(identity)
        return True

    def _labelled(self) -> list[Object]:
        """What carries the InferenceService's label, and has no owner that would place it."""
        ref = self._scene.service.ref
        known = {dig(obj, "metadata", "uid") for obj in self._scene.objects.values()}
        return [
            obj
            for _, obj in sorted(self._scene.objects.items())
            if ref_of(obj).namespace == ref.namespace
            and any(dig(obj, "metadata", "labels", label) == ref.name for label in LABELS)
            and not any(uid in known for uid in uids_of_owners(obj))
            and self._take(obj)
        ]

    def _graphs(self) -> list[Object]:
        name = self._scene.service.ref.name
        return [
            graph
            for graph in self._scene.of_kind("InferenceGraph")
            if name in _steps(graph) and self._take(graph)
        ]


def _steps(graph: Object) -> list[str]:
    nodes: dict[str, Any] = dig(graph, "spec", "nodes", default={})
    return [
        str(step.get("serviceName")) for node in nodes.values() for step in node.get("steps") or []
    ]


def _order(obj: Object) -> tuple[int, int, str]:
    ref = ref_of(obj)
    place = _ORDER.index(ref.kind) if ref.kind in _ORDER else len(_ORDER)
    return (place, 0 if ref.group in _KNATIVE_FIRST else 1, ref.name)


def _node(scene: Scene, obj: Object, relation: Relation, children: Sequence[Node]) -> Node:
    verdict = readiness(obj)
    note = _NOTES.get(obj["kind"], _nothing)(obj)
    seconds = age(obj, scene.now)
    return Node(
        ref_of(obj),
        verdict.state,
        verdict.reason,
        verdict.message,
        note,
        seconds,
        relation,
        tuple(children),
    )


def _nothing(_obj: Object) -> str:
    return ""


def _url(obj: Object) -> str:
    return str(dig(obj, "status", "url", default=""))


def _service(obj: Object) -> str:
    if ref_of(obj).group:
        return _url(obj)
    kind = dig(obj, "metadata", "labels", "networking.internal.knative.dev/serviceType", default="")
    target = dig(obj, "spec", "externalName", default="")
    return f"to {target}" if target else str(kind).lower()


def _endpoints(obj: Object) -> str:
    names = [str(dig(a, "targetRef", "name", default=a.get("ip"))) for a in ready_addresses(obj)]
    if not names:
        return "no ready address"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def _pod(obj: Object) -> str:
    statuses = dig(obj, "status", "containerStatuses", default=[])
    ready = sum(1 for status in statuses if status.get("ready"))
    total = len(dig(obj, "spec", "containers", default=[]))
    return f"{ready}/{total} containers ready"


def _replicas(obj: Object) -> str:
    ready = dig(obj, "status", "readyReplicas", default=0)
    return f"{ready}/{dig(obj, 'spec', 'replicas', default=1)} pods ready"


def _autoscaler(obj: Object) -> str:
    wanted = dig(obj, "status", "desiredScale", default=-1)
    actual = dig(obj, "status", "actualScale", default=0)
    return f"has {actual}" if wanted < 0 else f"wants {wanted}, has {actual}"


def _mode(obj: Object) -> str:
    mode = dig(obj, "spec", "mode", default="")
    return f"{mode} mode: the activator is in the path" if mode == "Proxy" else f"{mode} mode"


def _hosts(obj: Object) -> str:
    hosts = dig(obj, "spec", "hosts", default=[])
    return ", ".join(map(str, hosts[:2])) + (f" and {len(hosts) - 2} more" if hosts[2:] else "")


def _traffic(obj: Object) -> str:
    shares = [
        f"{target.get('percent', 0)} % to {target.get('revisionName') or 'the latest'}"
        for target in dig(obj, "status", "traffic", default=[])
        if target.get("percent")
    ]
    return ", ".join(shares)


def _inactive(obj: Object) -> str:
    active = conditions(obj).get("Active", {})
    return "at zero, no traffic" if active.get("reason") == "NoTraffic" else ""


_NOTES = {
    KIND: _url,
    "Service": _service,
    "Endpoints": _endpoints,
    "Pod": _pod,
    "Deployment": _replicas,
    "ReplicaSet": _replicas,
    "PodAutoscaler": _autoscaler,
    "ServerlessService": _mode,
    "VirtualService": _hosts,
    "Route": _traffic,
    "Revision": _inactive,
}
