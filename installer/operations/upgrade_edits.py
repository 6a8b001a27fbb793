"""Edits of ConfigMaps on the way from one stop of an upgrade to the next."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from installer.catalog.versions import version_of
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.prepare import wanted_maps
from installer.operations.telling import warning
from installer.operations.upgrade_hop import HopContext
from installer.plan.edited import edited_keys, forgotten_keys, owners_of_keys
from installer.plan.edits import (
    DOMAIN,
    DOMAIN_CHANGED,
    OLD_DOMAIN,
    Edit,
    Edits,
    default_domains,
    onto,
)
from installer.plan.gateway_names import (
    CONFIG_ISTIO,
    NET_ISTIO,
    OLD_KEY,
    is_gone,
    moved_entries,
    renamed,
)
from installer.plan.hop import Versions
from installer.plan.merging import ABSENT, Conflict, Resolutions, merge
from installer.plan.wanted import Wanted

_SHOWN = 200
_NAMED = 10


@dataclass(frozen=True, slots=True)
class _Map:
    """One ConfigMap on the way. component: whose it is. before, after: the releases' values; live:
    the object as it is, which is another than `ref` where the release has moved it."""

    ref: Ref
    component: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    live: Object


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one edited key. how: kept, merged, released, unknown, forgotten, pinned or
    renamed. component: whose ConfigMap it is. once: no later stop finds it again."""

    ref: Ref
    key: str
    how: str
    manager: str
    component: str
    once: bool = False

    def event(self) -> Event:
        """The event `edit`."""
        fields = {"object": self.ref.to_dict(), "key": self.key, "how": self.how}
        return Event("edit", {**fields, "manager": self.manager})


@dataclass(frozen=True, slots=True)
class Decided:
    """edits: what the ledger is to keep. outcomes: of each key. conflicts: undecided. contested:
    the paths of all conflicts, decided ones too; used: of the resolutions that decided something.
    """

    edits: Edits
    outcomes: Sequence[Outcome]
    conflicts: Sequence[tuple[Conflict, str]]
    contested: Collection[str] = ()
    used: Collection[str] = ()


def decide_edits(context: HopContext, now: Versions, then: Versions) -> Decided:
    """Merge what users have edited on the way from one set of versions to another."""
    kept: dict[str, dict[str, Edit]] = {}
    outcomes: list[Outcome] = []
    conflicts: list[tuple[Conflict, str]] = []
    contested: set[str] = set()
    used: set[str] = set()
    for item in _maps(context, now, then):
        known = context.ledger.edits.get(item.ref.name, {})
        moves = ref_of(item.live).namespace != item.ref.namespace
        for key, manager in edited_keys(item.live, item.before, item.after, known, moves=moves):
            if (item.ref.name, key) == (DOMAIN, OLD_DOMAIN) and key in known:
                continue  # ours, see below
            path = f"{item.ref.name}/{key}"
            before, after = item.before.get(key, ABSENT), item.after.get(key, ABSENT)
            here = dig(item.live, "data", key, default=ABSENT)
            if then == context.hop.stops[-1] and is_gone(then):  # until then the old one is there
                here = renamed(item.ref.name, here)
            found = merge(path, before, here, after, context.options.resolve)
            conflicts += [(conflict, manager) for conflict in found.conflicts]
            used |= found.used
            contested |= {c.path for c in merge(path, before, here, after, {}).conflicts}
            outcomes += [
                _outcome(item, inner.partition("/")[2], "unknown", manager, once=True)
                for inner in found.unknown
                if inner != path
            ]
            value = found.value if isinstance(found.value, str) else json.dumps(found.value)
            if found.value is ABSENT or value == after:
                outcomes.append(_outcome(item, key, "released", manager))
                continue
            default = None if after is ABSENT else str(after)
            kept.setdefault(item.ref.name, {})[key] = Edit(value, onto(default))
            how = "unknown" if default is None else ("kept" if value == here else "merged")
            outcomes.append(_outcome(item, key, how, manager))
        outcomes += list(_unknown(item, kept.get(item.ref.name, {})))
        pinned = item.ref.name == DOMAIN and OLD_DOMAIN in known
        if _must_pin(item, now, then) or (pinned and not _other_domains(item)):
            kept.setdefault(DOMAIN, {}).setdefault(OLD_DOMAIN, Edit("", onto(None)))
            if not pinned:
                outcomes.append(_outcome(item, OLD_DOMAIN, "pinned", "", once=True))
    return Decided(kept, outcomes, conflicts, contested, used)


def check_conflicts(decided: Decided, target: str, given: Resolutions) -> None:
    """Raise ChecksFailed when somebody has to decide. given: what was decided, rightly or not."""
    if not decided.conflicts:
        return
    lines: list[str] = []
    for conflict, manager in decided.conflicts:
        by = f", by {manager}" if manager else ""
        lines += [
            f"  {conflict.path}{by}",
            f"    before: {_shown(conflict.before)}",
            f"    ours:   {_shown(conflict.here)}",
            f"    theirs: {_shown(conflict.after)}",
        ]
    idle = sorted(given.keys() - decided.used)
    if idle:
        lines.append(f"  what is resolved for {', '.join(idle)} decides nothing here")
    count = "a value" if len(decided.conflicts) == 1 else f"{len(decided.conflicts)} values"
    path = decided.conflicts[0][0].path
    raise ChecksFailed(
        f"users and {target} have both changed {count} of ConfigMaps:\n" + "\n".join(lines),
        kind="edit-conflict",
        object=path,
        remedy=f"--resolve {path}=ours keeps what is here, =theirs takes the release's, =VALUE "
        "sets another; --resolve-file takes a file of these, --discard-edits the release's for all",
    )


def tell_conflicts(decided: Decided, target: str, emit: Emit) -> None:
    """Say where the users' values stay though the release has others: on the way back, which is not
    to be stopped by what was edited for the later release."""
    for conflict, _ in decided.conflicts:
        said = f"{conflict.path} stays {_shown(conflict.here)}; {target} has "
        emit(
            warning(
                said + _shown(conflict.after),
                conflict.path,
                remedy=f"--resolve {conflict.path}=theirs takes the release's",
            )
        )


def idle_resolutions(
    given: Resolutions, used: Collection[str], contested: Collection[str], target: str
) -> Iterator[Event]:
    """A warning for each path given that has decided nothing on the way to the target."""
    among = sorted(contested)
    more = f" and {len(among) - _NAMED} more" if len(among) > _NAMED else ""
    why = (
        f"users and the release have both changed only {', '.join(among[:_NAMED])}{more}"
        if among
        else "no value was changed by both users and the release"
    )
    for path in sorted(given.keys() - set(used)):
        said = f"what is resolved for {path} decides nothing on the way to {target}: {why}"
        yield warning(said, path, "see whether the path is right, or leave it out")


def keep_edits(context: HopContext, decided: Decided) -> None:
    """Write what is kept into the ledger."""
    if decided.edits != context.ledger.edits:
        context.write(replace(context.ledger, edits=decided.edits))


def rename_gateway(context: HopContext, now: Versions, then: Versions) -> list[Outcome]:
    """Have config-istio name the local gateway that is there at the next stop, and here already."""
    if not is_gone(then) or NET_ISTIO not in now:
        return []
    renamed_here = []
    for item in _maps(context, now, then):
        if item.ref.name == CONFIG_ISTIO:
            changes = moved_entries(dig(item.live, "data", default={}))
            if changes:
                manager = owners_of_keys(item.live).get(OLD_KEY, "")
                context.held.confirm()
                context.cluster.patch(ref_of(item.live), {"data": changes})
                renamed_here.append(_outcome(item, OLD_KEY, "renamed", manager, once=True))
    return renamed_here


def _maps(context: HopContext, now: Versions, then: Versions) -> Iterator[_Map]:
    """ConfigMaps that users edit, of both; a release may have moved one to another namespace."""
    before = {item.ref.name: item for item in _wanted(context, now)}
    for item in _wanted(context, then):
        old = before.get(item.ref.name)
        live = context.cluster.get(item.ref)
        if live is None and old is not None:
            live = context.cluster.get(old.ref)
        if live is not None:
            had = dig(old.body, "data", default={}) if old is not None else {}
            yield _Map(item.ref, item.component, had, dig(item.body, "data", default={}), live)


def _wanted(context: HopContext, versions: Versions) -> list[Wanted]:
    return wanted_maps(context.cluster, context.choice(versions), context.cancel)


def _unknown(item: _Map, kept: Mapping[str, Edit]) -> Iterator[Outcome]:
    """Keys of users that the release before had or explained, and that the next does not."""
    for key, manager in owners_of_keys(item.live).items():
        if key in item.before and key not in item.after and key not in kept:
            yield _outcome(item, key, "unknown", manager, once=True)
    for key, manager in forgotten_keys(item.live, item.before, item.after):
        if (item.ref.name, key) == (CONFIG_ISTIO, OLD_KEY):
            continue  # `rename_gateway` gives it the name that is explained
        yield _outcome(item, key, "forgotten", manager, once=True)


def _outcome(item: _Map, key: str, how: str, manager: str, *, once: bool = False) -> Outcome:
    return Outcome(item.ref, key, how, manager, item.component, once)


def _must_pin(item: _Map, now: Versions, then: Versions) -> bool:
    """Whether Knative's default domain would change under URLs that rest on it."""
    if item.ref.name != DOMAIN or not {"knative-serving"} <= now.keys() & then.keys():
        return False
    old, new = version_of(now["knative-serving"]), version_of(then["knative-serving"])
    there = OLD_DOMAIN in dig(item.live, "data", default={})
    return old < DOMAIN_CHANGED <= new and not there and not _other_domains(item)


def _other_domains(item: _Map) -> list[str]:
    """Domains for every Route that users or settings have named."""
    return [key for key in default_domains(dig(item.live, "data", default={})) if key != OLD_DOMAIN]


def _shown(value: Any) -> str:
    text = repr(value) if value is ABSENT else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
