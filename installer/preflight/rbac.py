"""Rights as the roles that give them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from installer.core.objects import Object
from installer.preflight.rights_needed import ROLES, Right

NAME = "kserve-installer"
LABELS = {"app.kubernetes.io/part-of": "kserve-installer-rbac"}
"""On every document, to find them again; nothing else that this installer makes carries it."""
_VERBS = (
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "escalate",
    "bind",
)
_GIVEN = ("default", "kube-system", "kube-public")


def rules_of(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """PolicyRules for rights of one scope: few, each with exactly what is listed."""
    verbs: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for right in rights:
        verbs[(right.group, right.resource, right.name)].add(right.verb)
    named: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, resource, name), several in verbs.items():
        named[(group, resource, _ordered(several))].add(name)
    merged: dict[tuple[str, tuple[str, ...], tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, resource, ordered), names in named.items():
        # "" stands for any name and is a rule of its own
        for several in ({""} & names, names - {""}):
            if several:
                merged[(group, ordered, tuple(sorted(several)))].add(resource)
    return [
        _rule(group, resources, ordered, names)
        for (group, ordered, names), resources in sorted(merged.items())
    ]


def roles_of(rights: Iterable[Right]) -> list[Object]:
    """One ClusterRole for what is asked in all namespaces, one Role per namespace."""
    places: dict[str, list[Right]] = defaultdict(list)
    for right in rights:
        places[right.namespace].append(right)
    return [_role(namespace, rules_of(several)) for namespace, several in sorted(places.items())]


def documents(rights: Sequence[Right], subject: Mapping[str, str]) -> list[Object]:
    """Roles, and the bindings of a subject, in the order to apply them.

    A Role needs its namespace: see `namespaces_for`. Namespaces are no part of the documents, so
    that deleting what was applied takes the rights away and leaves the stack.
    """
    roles = roles_of(rights)
    return [*roles, *(_binding(role, subject) for role in roles)]


def namespaces_for(documents: Iterable[Object]) -> list[str]:
    """Namespaces that must be there before the documents, but for those of every cluster."""
    places = {str(each["metadata"].get("namespace") or "") for each in documents}
    return sorted(places - {"", *_GIVEN})


def revocation() -> str:
    """The command that takes all the rights away again."""
    label = ",".join(f"{key}={value}" for key, value in LABELS.items())
    return f"kubectl delete clusterrole,clusterrolebinding,role,rolebinding -A -l {label}"


def _ordered(verbs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(verbs, key=lambda v: (_VERBS.index(v) if v in _VERBS else 99, v)))


def _rule(
    group: str, resources: Iterable[str], verbs: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    rule: dict[str, Any] = {"apiGroups": [group], "resources": sorted(resources)}
    if names != ("",):
        rule["resourceNames"] = list(names)
    return {**rule, "verbs": list(verbs)}


def _role(namespace: str, rules: list[dict[str, Any]]) -> Object:
    metadata: dict[str, Any] = {"name": NAME, **({"namespace": namespace} if namespace else {})}
    metadata["labels"] = dict(LABELS)
    return {
        "apiVersion": f"{ROLES}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": metadata,
        "rules": rules,
    }


def _binding(role: Object, subject: Mapping[str, str]) -> Object:
    return {
        "apiVersion": f"{ROLES}/v1",
        "kind": f"{role['kind']}Binding",
        "metadata": deepcopy(role["metadata"]),
        "roleRef": {"apiGroup": ROLES, "kind": role["kind"], "name": NAME},
        "subjects": [dict(subject)],
    }


def subject(kind: str, name: str) -> dict[str, str]:
    """A subject of kind User, Group or ServiceAccount (`NAMESPACE/NAME`)."""
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return {"kind": kind, "namespace": namespace, "name": account}
    return {"apiGroup": ROLES, "kind": kind, "name": name}
