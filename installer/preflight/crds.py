"""CRDs that exist already: can the release's take their place without losing objects?"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from installer.catalog.foreign import load_foreign
from installer.cluster.errors import ApiError
from installer.core.checks import Detail, failed, note, unknown, warning
from installer.core.objects import Object, Ref, conditions, dig, ref_of
from installer.plan.wanted import Wanted
from installer.preflight.apis import served_versions
from installer.preflight.check import Check
from installer.preflight.crd_schema import (
    Judge,
    judges_in_cel,
    prunes,
    schema_of,
    unknown_fields,
    versions_of,
)
from installer.preflight.existing_owner import Owner, owner_of
from installer.preflight.world import LEDGER, World

_CRD = "CustomResourceDefinition"
_SHOWN = 5
_PARALLEL = 4


def _stored(world: World) -> Iterator[Detail]:
    yield from world.unseen(_CRD)
    if elsewhere := world.left_to_upgrade():
        yield from elsewhere
        return
    for wanted, live in _changing(world):
        yield from stored_versions(wanted, live)


def stored_versions(wanted: Object, live: Object) -> Iterator[Detail]:
    """Versions in which objects may be stored and that the wanted CRD no longer has. Pure.

    Source: k8s.io/apiextensions-apiserver, ValidateUpdateCustomResourceDefinition: every
    status.storedVersions must appear in spec.versions.
    """
    name = str(dig(live, "metadata", "name"))
    stored = [str(v) for v in dig(live, "status", "storedVersions", default=[])]
    gone = [version for version in stored if version not in versions_of(wanted)]
    if gone:
        newest = versions_of(wanted)[0]
        left = [version for version in stored if version not in gone] or [newest]
        patch = json.dumps({"status": {"storedVersions": left}}, separators=(",", ":"))
        remedy = (
            f"rewrite every object while {', '.join(gone)} is still served: kubectl get {name} -A "
            f"-o json | kubectl replace -f - ; then take it out of the record: kubectl patch crd "
            f"{name} --subresource=status --type=merge -p '{patch}'"
        )
        yield failed(
            f"{_CRD} {name} may have objects stored as {', '.join(gone)}, which the release's CRD "
            "does not have: the API server would refuse it",
            remedy,
            f"{_CRD} {name}",
            stored=stored,
            wanted=list(versions_of(wanted)),
        )
    unserved = [v for v in stored if v not in gone and v not in served_versions(wanted)]
    if unserved:
        yield note(f"{name}: {', '.join(unserved)} is stored and will not be served any more", name)


def _foreign(world: World) -> Iterator[Detail]:
    yield from world.unseen(_CRD, LEDGER)
    mine = world.ledger.owners()
    marks = load_foreign().owners
    for item in _definitions(world):
        live = _live(world, item)
        if live is None:
            yield from names_taken(world, item.body)
        elif item.ref.identity not in mine and LEDGER not in world.blind:
            yield from owned_by(owner_of(live, marks), item.ref.name, world.forced(item))
    for wanted, found in _changing(world):
        yield from shape_conflicts(wanted, found)


def owned_by(owner: Owner, name: str, take: bool) -> Iterator[Detail]:
    """What it means that somebody else put a CRD there. Pure."""
    about = f"{_CRD} {name}"
    if not owner.comes_back or owner.kind == "unknown":
        yield note(f"{name} was put there by {owner.title}; it becomes ours", about)
        return
    reason = f"{name} belongs to {owner.title}: {owner.why}"
    if take:
        yield note(f"{reason}; taken over, as asked by --take-ownership", about)
        return
    remedy = "leave its component to them (`external` in the settings), or remove theirs: "
    yield warning(reason, remedy + owner.remove, about, owner=owner.kind)


def shape_conflicts(wanted: Object, live: Object) -> Iterator[Detail]:
    """Fields of a CRD that cannot be changed, and names that it never got. Pure."""
    name = str(dig(live, "metadata", "name"))
    for path in (("scope",), ("names", "kind"), ("names", "plural"), ("group",)):
        want, have = dig(wanted, "spec", *path), dig(live, "spec", *path)
        if want and want != have:
            yield failed(
                f"{name} exists with {'.'.join(path)} {have}, and the release wants {want}, which "
                f"cannot be changed",
                f"when nothing needs its objects any more: kubectl delete crd {name}",
                f"{_CRD} {name}",
            )
    accepted = conditions(live).get("NamesAccepted", {})
    if accepted.get("status") == "False":
        yield failed(
            f"{name} is not served, because its names are taken: {accepted.get('message')}",
            "remove the CRD of the same group that has these names",
            f"{_CRD} {name}",
        )


def names_taken(world: World, wanted: Object) -> Iterator[Detail]:
    """A kind of the same group under another plural: the new CRD would not get its names."""
    spec = wanted["spec"]
    group, kind, plural = spec["group"], spec["names"]["kind"], spec["names"]["plural"]
    for version in versions_of(wanted):
        found = world.cluster.discovery().find(f"{group}/{version}", kind)
        if found is not None and found.plural != plural:
            name = f"{found.plural}.{group}"
            yield failed(
                f"kind {kind} of group {group} is taken by {name}, so {plural}.{group} would "
                f"never be served",
                f"when nothing needs its objects any more: kubectl delete crd {name}",
                f"{_CRD} {name}",
            )
            return


def _objects(world: World) -> Iterator[Detail]:
    yield from world.unseen(_CRD)
    for wanted, live in _changing(world):
        name = str(dig(live, "metadata", "name"))
        try:
            yield from _judged(world, wanted, live)
        except ApiError as error:
            reason = f"could not look at the objects of {name}, because {error.message}"
            yield unknown(reason, error.remedy, f"{_CRD} {name}")


def _judged(world: World, wanted: Object, live: Object) -> Iterator[Detail]:
    spec = live["spec"]
    kind, group = spec["names"]["kind"], spec["group"]
    served = served_versions(live)
    version = next((v for v in versions_of(wanted) if v in served), None)
    if version is None:
        return
    ours = {item.ref.identity for item in world.target.wanted}  # written anew by the run itself
    listed = world.listed(f"{group}/{version}", kind)
    objects = [obj for obj in listed if ref_of(obj).identity not in ours]
    new, old = schema_of(wanted, version), schema_of(live, version)
    if objects and new is not None:
        drops = prunes(wanted)
        groups = frozenset(item.body["spec"]["group"] for item in _definitions(world))
        yield from judge_objects(
            objects, new, old, prune=drops, kept_all=not prunes(live), groups=groups
        )
        if judges_in_cel(new):
            yield note(f"rules of {kind} in CEL are not judged here", f"{_CRD} {group}")


def judge_objects(
    objects: Sequence[Object],
    new: dict[str, object] | object,
    old: dict[str, object] | object,
    *,
    prune: bool,
    kept_all: bool,
    groups: Collection[str] = (),
) -> Iterator[Detail]:
    """Objects that the new schema refuses, or of which it would drop fields. Pure.

    kept_all: the present CRD keeps fields that it does not know, so some may be there. groups: of
    the release's own kinds, whose controllers bring what they have made in order themselves.
    """
    assert isinstance(new, dict)
    judge, before = Judge(new), Judge(old) if isinstance(old, dict) else None
    for obj in objects:
        ref = Ref(obj["apiVersion"], obj["kind"], dig(obj, "metadata", "namespace", default=""),
                  obj["metadata"]["name"])  # fmt: skip
        faults = judge.faults(obj)
        if faults and before is not None and before.faults(obj):
            said = f"{ref} is refused by the schema that it has now already: {faults[0]}"
            yield warning(said, object=str(ref))
        elif faults and (maker := _maker(obj, groups)):
            yield note(
                f"{ref} does not fit the new schema ({faults[0]}): made for {maker}, its new "
                f"controller writes it anew",
                str(ref),
            )
        elif faults:
            yield failed(
                f"{ref} would be refused by the new schema: {'; '.join(faults)}",
                "correct the object first; it could not be changed any more",
                str(ref),
                faults=faults,
            )
        dropped = unknown_fields(obj, new) if prune else []
        if not kept_all and isinstance(old, dict):
            known = set(unknown_fields(obj, old))
            dropped = [path for path in dropped if path not in known]
        if dropped:
            more = f" and {len(dropped) - _SHOWN} more" if len(dropped) > _SHOWN else ""
            yield warning(
                f"{ref} would lose {', '.join(dropped[:_SHOWN])}{more}: the new schema does not "
                f"know these fields",
                "keep a copy of the object if they matter",
                str(ref),
                fields=dropped,
            )


def _maker(obj: Object, groups: Collection[str]) -> str:
    """`Kind name` of the object of one of these groups that a controller made this one for; empty
    where a person made it, or a controller of something else."""
    for owner in dig(obj, "metadata", "ownerReferences", default=()):
        if owner.get("controller") and owner["apiVersion"].rpartition("/")[0] in groups:
            return f"{owner['kind']} {owner['name']}"
    return ""


def _definitions(world: World) -> list[Wanted]:
    return [item for item in world.target.wanted if item.ref.kind == _CRD]


def _live(world: World, item: Wanted) -> Object | None:
    """Metadata of an existing CRD."""
    return next(
        (
            part.live[item.ref.identity]
            for part in world.target.parts
            if item.ref.identity in part.live
        ),
        None,
    )


def _changing(world: World) -> list[tuple[Object, Object]]:
    """(wanted, as it is) of CRDs that exist and are to be changed; each read whole, by name."""

    def read() -> list[tuple[Object, Object]]:
        items = [i for i in _definitions(world) if world.target.decision(i) == "apply"]

        def get(item: Wanted) -> Object | None:
            return world.get(Ref("apiextensions.k8s.io/v1", _CRD, "", item.ref.name))

        with ThreadPoolExecutor(_PARALLEL) as pool:
            found = list(pool.map(get, items))
        return [(i.body, live) for i, live in zip(items, found, strict=True) if live is not None]

    pairs: list[tuple[Object, Object]] = world.once("changing-definitions", read)
    return pairs


CHECKS = (
    Check(
        "crds-stored-versions",
        "crds",
        "every version in which objects are stored is in the release's CRDs",
        _stored,
    ),
    Check(
        "crds-foreign",
        "crds",
        "the release's CRDs are nobody else's, and get their names",
        _foreign,
    ),
    Check(
        "crds-objects",
        "crds",
        "existing custom resources fit the release's schemas",
        _objects,
    ),
)
