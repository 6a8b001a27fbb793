"""Does this API server take what the release brings, and what its controllers make later?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from installer.catalog.resolve import nearest_fit, titled
from installer.cluster.errors import ApiError
from installer.core.checks import Detail, failed, note, unknown, warning
from installer.core.objects import Object, Ref, conditions, dig
from installer.core.words import plural
from installer.plan.handover import Handover, keeper_of
from installer.plan.wanted import Wanted
from installer.preflight.check import Check
from installer.preflight.dry_runs import Preview, conflicts_of, dry_runs, preview_detail
from installer.preflight.existing_external import who_serves
from installer.preflight.world import World

_SERVICES = "apiregistration.k8s.io/v1"


def _served(world: World) -> Iterator[Detail]:
    wanted = world.target.wanted
    brought = brought_by(wanted)
    kinds: dict[tuple[str, str], list[Wanted]] = defaultdict(list)
    for item in wanted:
        kinds[(item.ref.api_version, item.ref.kind)].append(item)
    other = nearest_fit(world.target.catalog, world.target.release, world.identity.version)
    for (api_version, kind), items in sorted(kinds.items()):
        if (api_version, kind) in brought:
            continue
        about = f"{kind} {api_version}"
        try:
            if world.cluster.discovery().find(api_version, kind) is not None:
                continue
            versions = world.cluster.discovery().versions(items[0].ref.group)
        except ApiError as error:
            yield unknown(f"could not look for {about}, because {error.message}", error.remedy)
            continue
        remedy = f"{other.name} is the nearest release that runs here" if other else ""
        if external := who_serves(world, items[0].ref.group):
            remedy = f"bring external {external} to a version that serves it"
        yield _not_served(items, versions, remedy)


def _not_served(items: Sequence[Wanted], versions: Sequence[str], remedy: str) -> Detail:
    ref = items[0].ref
    components = sorted({item.component for item in items})
    count = plural(len(items), "object")
    here = f"here its versions are {', '.join(versions)}" if versions else "its API group is absent"
    reason = (
        f"{ref.kind} {ref.api_version} is not served: {count} of {', '.join(components)} need it; "
        f"{here}"
    )
    return failed(
        reason,
        remedy,
        f"{ref.kind} {ref.api_version}",
        components=components,
        objects=[str(item.ref) for item in items],
        served=list(versions),
    )


def brought_by(wanted: Iterable[Wanted]) -> set[tuple[str, str]]:
    """(apiVersion, kind) that the CRDs among these objects serve once applied. Pure."""
    return {
        (f"{item.body['spec']['group']}/{version}", item.body["spec"]["names"]["kind"])
        for item in wanted
        if item.ref.kind == "CustomResourceDefinition"
        for version in served_versions(item.body)
    }


def served_versions(definition: Mapping[str, object]) -> list[str]:
    """The versions that a CRD of either API version serves. Pure."""
    spec = definition["spec"]
    assert isinstance(spec, Mapping)
    versions = spec.get("versions")
    if isinstance(versions, list) and versions:
        return [str(v["name"]) for v in versions if v.get("served")]
    return [str(spec["version"])]  # apiextensions.k8s.io/v1beta1 allows a single version


def _runtime(world: World) -> Iterator[Detail]:
    names = {component.name for component in world.target.external}
    for component in world.target.components:
        if component.name in names:
            continue
        for api in component.runtime_apis:
            about = f"{api.kind} {api.api_version}"
            try:
                found = world.cluster.discovery().find(api.api_version, api.kind)
            except ApiError as error:
                yield unknown(f"could not look for {about}, because {error.message}", error.remedy)
                continue
            if found is None:
                yield warning(
                    f"{about} is not served, and {titled(component)} uses it: {api.reason}",
                    "do without that feature, or take a release made for this Kubernetes",
                    about,
                    component=component.name,
                    origin=api.origin,
                )


def _aggregated(world: World) -> Iterator[Detail]:
    used = {item.ref.api_version for item in world.target.wanted}
    for service in world.listed(_SERVICES, "APIService"):
        fault = unavailable(service)
        if not fault:
            continue
        spec = service["spec"]
        api_version = f"{spec['group']}/{spec['version']}"
        name = str(dig(service, "metadata", "name"))
        backend = dig(spec, "service", default={})
        where = f"{backend.get('namespace')}/{backend.get('name')}"
        breaks = (
            "discovery by kubectl and Helm is incomplete, and no namespace can be deleted, "
            "so an uninstall would hang"
        )
        remedy = (
            f"repair Service {where}, or, when nothing needs this API any more: "
            f"kubectl delete apiservice {name}"
        )
        told = failed if api_version in used else warning
        if api_version in used:
            breaks = f"the release has objects of {api_version}; {breaks}"
        yield told(
            f"APIService {name} is not available ({fault}): {breaks}", remedy, f"APIService {name}"
        )


def unavailable(service: Object) -> str:
    """Why an aggregated API is not available; empty for one that is, and for built-in ones. Pure.

    Source: k8s.io/kube-aggregator, available_controller: condition Available.
    """
    if not dig(service, "spec", "service"):
        return ""
    found = conditions(service).get("Available")
    if found is None:
        return "its condition Available is not set yet"
    if found.get("status") == "True":
        return ""
    words = [str(found.get(key) or "").strip() for key in ("reason", "message")]
    return ": ".join(word for word in words if word) or f"Available is {found.get('status')}"


def _valid(world: World) -> Iterator[Detail]:
    if elsewhere := world.left_to_upgrade():
        yield from elsewhere
        return
    previews = dry_runs(world)
    for preview in previews:
        detail = preview_detail(preview)
        if detail is not None:
            yield detail
    yield from doubts(previews)
    later = [preview for preview in previews if preview.unseen and not preview.doubt]
    for why, refs in _by_reason(later):
        told = f"{plural(len(refs), 'object')} could not be previewed: {why}"
        yield note(told, objects=[str(ref) for ref in refs])


def doubts(previews: Sequence[Preview]) -> Iterator[Detail]:
    """One detail per reason for which dry runs that were due told nothing. Pure."""
    for why, refs in _by_reason([preview for preview in previews if preview.doubt]):
        reason = f"could not look at {plural(len(refs), 'object')}, because {why}"
        yield unknown(reason, objects=[str(ref) for ref in refs])


def _by_reason(previews: Sequence[Preview]) -> list[tuple[str, list[Ref]]]:
    found: dict[str, list[Ref]] = defaultdict(list)
    for preview in previews:
        found[preview.unseen].append(preview.ref)
    return list(found.items())


def _conflicts(world: World) -> Iterator[Detail]:
    if elsewhere := world.left_to_upgrade():
        yield from elsewhere
        return
    asked = {item.ref for item in world.target.wanted if world.target.asked(item)}
    ours = {item.ref for item in world.target.wanted if world.applied(item)}
    kept = {
        item.ref: (keeper, part.component.name)
        for part in world.target.parts
        for item in part.wanted
        if (keeper := keeper_of(part.live.get(item.ref.identity, {}))) is not None
    }
    for preview in dry_runs(world):
        ref = preview.ref
        yield from told_conflicts(preview, take=ref in asked, ours=ref in ours, kept=kept.get(ref))
    yield from doubts(dry_runs(world))


def told_conflicts(
    preview: Preview,
    *,
    take: bool,
    ours: bool = False,
    kept: tuple[Handover, str] | None = None,
) -> Iterator[Detail]:
    """One detail per field manager that owns fields which this object is to have. Pure.

    take: they are taken over because somebody asked for it; ours: because we have set them before.
    kept: who keeps the object, and of which component it is.
    """
    managers: dict[str, list[str]] = defaultdict(list)
    for conflict in conflicts_of(preview):
        managers[conflict.manager].append(conflict.field)
    for manager, fields in sorted(managers.items()):
        what = f"{preview.ref}: {manager} owns {', '.join(fields)}"
        about = str(preview.ref)
        if take:
            yield note(f"{what}; taken over, as asked by --take-ownership or --adopt", about)
            continue
        if ours:
            remedy = "to keep the change, say it in the settings"
            yield warning(f"{what}; it is ours, and taken back", remedy, about, manager=manager)
            continue
        remedy = f"find out who {manager} is and why; --take-ownership takes these fields over"
        if kept is not None and manager in kept[0].managers:
            remedy = f"--adopt {kept[1]} takes them over, and makes {kept[0]} let go"
        yield failed(what, remedy, about, manager=manager, fields=fields)


CHECKS = (
    Check(
        "apis-served",
        "apis",
        "every kind of the release is served, or brought by its own CRDs",
        _served,
    ),
    Check(
        "apis-runtime",
        "apis",
        "kinds that the controllers make while running are served",
        _runtime,
        objects=False,
    ),
    Check(
        "apis-aggregated",
        "apis",
        "every aggregated API is available",
        _aggregated,
        objects=False,
    ),
    Check(
        "apis-valid",
        "apis",
        "the API server accepts the objects in a dry run",
        _valid,
    ),
    Check(
        "apis-conflicts",
        "apis",
        "no field that is to be set belongs to somebody else",
        _conflicts,
    ),
)
