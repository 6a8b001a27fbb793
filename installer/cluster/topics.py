"""What of the cluster is followed, and which objects that covers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from installer.core.objects import Ref

_FEW_DEFINITIONS = 4
_BY_NAME = "metadata.name="


@dataclass(frozen=True, slots=True)
class Topic:
    """What to follow: a kind, in one namespace or all (empty), narrowed by a field selector."""

    api_version: str
    kind: str
    namespace: str = ""
    fields: str = ""


def topics_of(refs: Iterable[Ref]) -> list[Topic]:
    """One topic per kind, narrowed to a namespace where possible; one per object where they are
    few, which matters where others of the kind are many or large."""
    kinds: dict[tuple[str, str], list[Ref]] = defaultdict(list)
    for ref in refs:
        kinds[_kind_of(ref)].append(ref)
    topics = []
    for (api_version, kind), several in kinds.items():
        if len(several) <= (_FEW_DEFINITIONS if kind == "CustomResourceDefinition" else 1):
            topics += [_of_object(ref) for ref in several]
            continue
        namespaces = {ref.namespace for ref in several}
        namespace = namespaces.pop() if len(namespaces) == 1 else ""
        topics.append(Topic(api_version, kind, namespace))
    return topics


def _of_object(ref: Ref) -> Topic:
    return Topic(ref.api_version, ref.kind, ref.namespace, f"{_BY_NAME}{ref.name}")


def belongs(ref: Ref, topic: Topic) -> bool:
    """Whether a topic covers an object."""
    same_kind = _kind_of(ref) == (topic.api_version, topic.kind)
    named = not topic.fields.startswith(_BY_NAME) or topic.fields == _BY_NAME + ref.name
    return same_kind and named and topic.namespace in ("", ref.namespace)


def pods_in(namespace: str) -> Topic:
    """The pods of a namespace."""
    return Topic("v1", "Pod", namespace)


def warnings_in(namespace: str) -> Topic:
    """The Warning events of a namespace."""
    return Topic("v1", "Event", namespace, "type=Warning")


def _kind_of(ref: Ref) -> tuple[str, str]:
    return (ref.api_version, ref.kind)
