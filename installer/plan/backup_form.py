"""What a backup holds and what a restore makes of it. Pure.

A backup is a gzip stream of JSON lines: a head, one record per object in the order in which they
can be restored, a foot with counts and the SHA-256 of every line before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Object, Ref, dig, fingerprint, ref_of
from installer.plan.edited import owners_of_keys
from installer.plan.replica import replica
from installer.plan.serving_kinds import MODELS

FORMAT = 1
USER, MADE, OURS, LEDGER = "user", "made", "installed", "ledger"
"""Roles: of users; made by a controller for its owner; brought by the release; the ledger. Only
what is of users is restored, and the ledger where it was lost."""
ROLES = (USER, MADE, OURS, LEDGER)
_FIRST = ("Namespace", "Secret", "ServiceAccount", "ConfigMap")
_LATER = ("ServingRuntime", "ClusterServingRuntime", "Service", *MODELS)


@dataclass(frozen=True, slots=True)
class Head:
    """What the backup is of. created: RFC 3339. cluster: uid of the namespace kube-system, by which
    a cluster is known again. release, state: as the ledger had them."""

    created: str
    by: str
    cluster: str
    server: str
    kubernetes: str
    release: str
    state: str

    def to_dict(self) -> dict[str, Any]:
        """The first line."""
        return {"kserve-installer": "backup", "format": FORMAT} | {
            slot: getattr(self, slot) for slot in self.__slots__
        }


@dataclass(frozen=True, slots=True)
class Record:
    """One object with its role."""

    role: str
    obj: Object

    @property
    def ref(self) -> Ref:
        """Its reference, at the version it was read at."""
        return ref_of(self.obj)

    def to_dict(self) -> dict[str, Any]:
        """A line; sum: by which a damaged object is found."""
        return {"role": self.role, "sum": fingerprint(self.obj), "object": self.obj}


def rank(kind: str) -> int:
    """Where a kind stands in a backup: after what its objects may name."""
    if kind in _FIRST:
        return _FIRST.index(kind)
    if kind in _LATER:
        return len(_FIRST) + 1 + _LATER.index(kind)
    return len(_FIRST)


def role_of(obj: Mapping[str, Any], installed: bool) -> str:
    """The role of a custom resource. installed: the ledger has it.

    What is being deleted is nobody's any more: as if a controller had made it. A TrainedModel is
    its user's though its controller makes the InferenceService its owner.
    """
    if installed:
        return OURS
    if dig(obj, "metadata", "deletionTimestamp"):
        return MADE
    owners = dig(obj, "metadata", "ownerReferences", default=[])
    owned = any(owner.get("controller") for owner in owners) and obj["kind"] not in MODELS
    return MADE if owned else USER


def account_to_keep(account: Object, tokens: frozenset[str]) -> Object | None:
    """A ServiceAccount without the tokens that a server makes; None for one that says nothing
    then and is in every namespace. tokens: names of the namespace's token Secrets."""
    kept = [s for s in account.get("secrets") or [] if s.get("name") not in tokens]
    account = {**account, "secrets": kept}
    if not kept:
        del account["secrets"]
    told = kept or account.get("imagePullSecrets") or dig(account, "metadata", "annotations")
    return account if told or dig(account, "metadata", "name") != "default" else None


def restored(record: Record) -> Object | None:
    """The object as a restore sends it; None when there is nothing of users in it.

    Of a ConfigMap that the release brings that is only what users have edited: the rest is for
    the release that is there.
    """
    obj = replica(record.obj)
    if record.obj["kind"] == "ConfigMap" and record.role == OURS:
        edited = owners_of_keys(record.obj)
        data = {k: v for k, v in (obj.get("data") or {}).items() if k in edited}
        return {**obj, "data": data} if data else None
    return obj if record.role == USER else None


def differs(wanted: Object, live: Mapping[str, Any], role: str = USER) -> list[str]:
    """Fields of the restored object that the live one has otherwise, as paths.

    Of a ConfigMap that the release brings only the keys that are restored count.
    """
    if wanted["kind"] == "Namespace":
        return []  # labels that its owner has changed since are not ours to change back
    if wanted["kind"] == "ServiceAccount":  # the server adds a token to those of every namespace
        live = {**live, **{key: _common(wanted, live, key) for key in NAMED_LISTS}}
    more = [
        key
        for key in live
        if key not in (*wanted, "status", "metadata") and wanted["kind"] != "ServiceAccount"
    ]
    whole = role != OURS
    return [*_differing(wanted, live, "", whole), *(key for key in more if whole and live[key])]


NAMED_LISTS = ("secrets", "imagePullSecrets")
"""Lists of a ServiceAccount that a strategic merge adds to."""


def only_adds(wanted: Object, fields: list[str]) -> bool:
    """Whether making the object as wanted takes nothing away: a ServiceAccount that is in every
    namespace gets the Secrets it had."""
    return wanted["kind"] == "ServiceAccount" and set(fields) <= set(NAMED_LISTS)


def _common(wanted: Object, live: Mapping[str, Any], key: str) -> list[Any]:
    """The items that are wanted and there."""
    return [item for item in wanted.get(key) or [] if item in (live.get(key) or [])]


def _differing(wanted: Any, live: Any, path: str, whole: bool) -> Iterator[str]:
    """whole: what only the live one has is a difference too, but in its metadata."""
    if isinstance(wanted, Mapping):
        there = live if isinstance(live, Mapping) else {}
        for key, value in wanted.items():
            if not path and key in ("apiVersion", "kind"):
                continue
            here = f"{path}.{key}" if path else str(key)
            yield from _differing(value, there.get(key), here, whole)
        if whole and path and not path.startswith("metadata"):
            yield from (f"{path}.{key}" for key in there if key not in wanted)
    elif wanted != live and not (wanted in _NOTHING and live in _NOTHING):
        yield path


_NOTHING: tuple[Any, ...] = ([], {}, "", None)
