"""May the present user do what the release takes?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import yaml

from installer.core.checks import Detail, failed, note, unknown, warning
from installer.core.words import plural
from installer.preflight import rbac
from installer.preflight.check import Check
from installer.preflight.existing_handover import handover_rights
from installer.preflight.rights_held import Held, Lack, held, missing, not_held
from installer.preflight.rights_needed import Right, grants, needed, without_covered
from installer.preflight.world import Target, World

_SHOWN = 6
_SOMEONE = rbac.subject("User", "NAME-OF-THE-USER")


def _objects(world: World) -> Iterator[Detail]:
    yield from _lacking(world)
    yield from blind_to(world.blind)


def blind_to(blind: Mapping[str, str]) -> Iterator[Detail]:
    """One detail for all that could not be seen when the install was decided. Pure."""
    if blind:
        kinds = sorted({key.partition(" in ")[0] for key in blind})
        yield unknown(
            f"could not see which of the release's objects exist, because you may not list "
            f"{', '.join(kinds)} everywhere",
            kinds=kinds,
            reasons=dict(blind),
        )


def _lacking(world: World) -> Iterator[Detail]:
    have = _held(world)
    if have.everything:
        yield note("you may do everything in this cluster")
        return
    lacking = missing(world, have, _needed(world))
    yield from told(lacking.rights, world.target.rbac)
    yield from unsure(lacking)
    new = new_namespaces(world.target)
    every = [Right(name, "*", "*", "list") for name in new]
    unseen = [right.namespace for right in missing(world, have, every).rights]
    if unseen:
        yield warning(
            f"you may not list every kind in {', '.join(unseen)}: an uninstall that looks for what "
            f"others have there would stop",
            "let an administrator make these namespaces first: an uninstall leaves them alone",
            namespaces=unseen,
        )


def unsure(lacking: Lack) -> Iterator[Detail]:
    """What was not asked, because it would have been too many questions. Pure."""
    if lacking.unsure:
        yield unknown(
            f"could not look at {len(lacking.unsure)} rights: this API server does not list all "
            f"that you may do, and that is too much to ask one by one: {_listed(lacking.unsure)}",
            "ask for one with `kubectl auth can-i VERB RESOURCE/NAME -n NAMESPACE`",
            unsure=[str(right) for right in lacking.unsure],
        )


def new_namespaces(target: Target) -> list[str]:
    """Namespaces that the install would make, so that an uninstall would remove them."""
    return sorted(
        item.ref.name
        for part in target.parts
        for item in part.wanted
        if item.ref.kind == "Namespace" and part.decisions[item.ref.identity] == "create"
    )


def told(lacking: Sequence[Right], command: str) -> Iterator[Detail]:
    """A failure per namespace; the first holds all that is missing as RBAC. command: prints every
    right. Pure."""
    places: dict[str, list[Right]] = defaultdict(list)
    for right in lacking:
        places[right.namespace].append(right)
    remedy = (
        f"let an administrator grant them: `{command}` prints the roles "
        "and `-o json` of this report those that are missing"
    )
    for index, (namespace, rights) in enumerate(sorted(places.items())):
        data = {"missing": [str(right) for right in rights], "namespace": namespace}
        if index == 0:
            roles = rbac.documents(lacking, _SOMEONE)
            data["rbac"] = yaml.safe_dump_all(roles, sort_keys=False)
            data["rbac_namespaces"] = rbac.namespaces_for(roles)
        where = f"in namespace {namespace}" if namespace else "in the whole cluster"
        object = f"Namespace {namespace}" if namespace else ""
        count = plural(len(rights), "right")
        missed = "is missing" if len(rights) == 1 else "are missing"
        reason = f"{count} {missed} {where}: {_listed(rights)}"
        yield failed(reason, "" if index else remedy, object, **data)


def _escalation(world: World) -> Iterator[Detail]:
    have = _held(world)
    if have.everything:
        return
    given = grants(world.target.wanted)
    found = missing(world, have, [grant.right for grant in given])
    lacking = set(found.rights)
    yield from unsure(found)
    for grant in given:
        if grant.right not in lacking:
            continue
        over = not_held(have, grant)
        if not over:
            continue
        more = f" and {len(over) - _SHOWN} more" if len(over) > _SHOWN else ""
        yield failed(
            f"{grant.ref} gives rights that you do not hold: {', '.join(over[:_SHOWN])}{more}",
            f"get the right to `{grant.right}`, as in `{world.target.rbac}`",
            str(grant.ref),
            right=str(grant.right),
            rights=over,
        )


def _needed(world: World) -> list[Right]:
    ours = [part.component for part in world.target.parts]
    rights = needed(world.target.wanted, ours, world.target.external)
    return sorted(without_covered({*rights, *world.target.more, *handover_rights(world)}))


def _held(world: World) -> Held:
    def ask() -> Held:
        return held(world, {right.namespace for right in _needed(world)})

    found: Held = world.once("held", ask)
    return found


def _listed(rights: Sequence[Right]) -> str:
    """`create, patch configmaps; list pods; …`: verbs by resource, names counted."""
    resources: dict[tuple[str, str], dict[str, None]] = {}
    for right in rights:
        resources.setdefault((right.group, right.resource), {})[right.verb] = None
    said = [
        f"{', '.join(verbs)} {resource}.{group}" if group else f"{', '.join(verbs)} {resource}"
        for (group, resource), verbs in resources.items()
    ]
    more = f"; and {len(said) - _SHOWN} more resources" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more


CHECKS = (
    Check(
        "rights-objects",
        "rights",
        "you may do everything that installing, watching and removing the release takes",
        _objects,
    ),
    Check(
        "rights-escalation",
        "rights",
        "you may give the rights that the release's roles give",
        _escalation,
    ),
)
