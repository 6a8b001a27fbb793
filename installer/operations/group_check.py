"""What cannot be moved to another API group: listed before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.unconverted import is_conversion, unreadable
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.objects import Object, Ref, dig, ref_of
from installer.plan import api_group
from installer.plan.api_group import VERSIONS, counterpart, is_moved, moved, untouched
from installer.preflight.crd_schema import Judge, prunes, schema_of, unknown_fields

_PAGE = 200
_NAMED = 50


def check_movable(
    cluster: Cluster, source: str, group: str, definitions: Mapping[str, Object], cancel: Cancel
) -> int:
    """How many objects there are to move. definitions: the CRDs of the target group by kind.

    Raises ChecksFailed naming every object that the target could not take as it is.
    """
    total = 0
    problems: list[tuple[Ref, str]] = []
    for kind in VERSIONS:
        judge = _judge(definitions.get(kind), kind)
        for obj in sources(cluster, source, kind, problems):
            cancel.check("looking at what is to be moved")
            total += 1
            if untouched(obj) and _there(cluster, obj, group) is not None:
                continue  # on the way back: the one it was made from is there still
            said = [*_own(obj), *judge(moved(obj, group)), *_taken(cluster, obj, group)]
            problems += [(ref_of(obj), reason) for reason in said]
    if problems:
        raise _immovable(problems, group)
    return total


def sources(
    cluster: Cluster, group: str, kind: str, problems: list[tuple[Ref, str]] | None = None
) -> Iterator[Object]:
    """Objects of a kind in the group, none where it is not served.

    problems: where objects that cannot be read are told; else that is raised.
    """
    version = api_group.api_version(group, kind)
    if cluster.discovery().find(version, kind) is None:
        return
    try:
        seen: set[tuple[str, str]] = set()
        for page in cluster.pages(version, kind, size=_PAGE):
            for obj in page.items:
                key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
                if key not in seen:
                    seen.add(key)
                    yield obj
    except ApiError as error:
        if problems is None or not is_conversion(error):
            raise
        whole = [(Ref(version, kind, "", "*"), error.message)]
        problems += unreadable(cluster, version, kind) or whole


def _judge(definition: Object | None, kind: str) -> _Judge:
    return _Judge(definition, VERSIONS[kind])


class _Judge:
    """Whether the target's schema takes an object whole."""

    def __init__(self, definition: Object | None, version: str) -> None:
        schema = schema_of(definition, version) if definition else None
        self._schema = schema
        self._judge = Judge(schema) if schema else None
        self._prunes = definition is not None and prunes(definition)

    def __call__(self, obj: Object) -> Iterator[str]:
        if self._judge is None or self._schema is None:
            return
        yield from (f"would be refused: {fault}" for fault in self._judge.faults(obj))
        lost = unknown_fields(obj, self._schema) if self._prunes else []
        if lost:
            yield f"would lose {', '.join(lost)}, which the new kind does not know"


def _own(obj: Object) -> Iterator[str]:
    if dig(obj, "metadata", "deletionTimestamp"):
        yield "is being deleted: let that end first"


def _taken(cluster: Cluster, obj: Object, group: str) -> Iterator[str]:
    found = _there(cluster, obj, group)
    foreign = found is not None and not is_moved(found) and not is_moved(obj)
    if found is not None and foreign and found.get("spec") != obj.get("spec"):
        yield f"another {obj['kind']} of this name is in {group} already, and differs"


def _there(cluster: Cluster, obj: Object, group: str) -> Object | None:
    ref = counterpart(ref_of(obj), group)
    served = cluster.discovery().find(ref.api_version, ref.kind) is not None
    return cluster.get(ref) if served else None


def _immovable(problems: list[tuple[Ref, str]], group: str) -> ChecksFailed:
    lines = [f"  {ref}: {reason}" for ref, reason in problems[:_NAMED]]
    if len(problems) > _NAMED:
        lines.append(f"  and {len(problems) - _NAMED} more")
    return ChecksFailed(
        f"these cannot be moved to {group}; nothing was touched:\n" + "\n".join(lines),
        kind="not-movable",
        object=str(problems[0][0]),
        remedy="correct or delete them, then run the same command again",
    )
