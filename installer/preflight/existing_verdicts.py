"""What existing installations mean for an install: use as external, adopt, or refuse. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.catalog.model import Catalog, Component
from installer.core.checks import Detail, failed, note, warning
from installer.core.kubernetes_version import KubernetesVersion
from installer.plan.skip_rules import taken_over_in_a_step
from installer.preflight.existing_inventory import Installation, Inventory
from installer.preflight.existing_owner import ends_with

_SHOWN = 3


def settings_lines(component: str) -> str:
    """A settings file that declares a component external."""
    return f"apiVersion: kserve-installer/v1\nkind: Settings\nexternal: [{component}]\n"


def foreign(component: Component, found: Installation, adopt: Sequence[str]) -> Detail:
    """The verdict on an installation by others of a component that we are to install."""
    owner = found.owner
    data = {
        "component": component.name,
        "namespace": found.namespace,
        "versions": list(found.versions),
        "owner": owner.kind,
        "healthy": not _unready(found),
    }
    where = str(found.workloads[0].ref)
    refusal = adoption_refused(component, found)
    if component.name in adopt:
        if refusal:
            reason = f"{found} in namespace {found.namespace} cannot be adopted: {refusal}"
            reason += f"; it is from {owner.title}, {_health(found)}"
            return failed(reason, _ways_out(component, found), where, **data)
        reason = f"{found} in namespace {found.namespace}, from {owner.title}, is to be adopted"
        return note(reason, where, **data)
    reason = f"{found} is in namespace {found.namespace} already, from {owner.title}"
    reason += f", {_health(found)}"
    adoption = f"adopt it with --adopt {component.name}"
    if refusal:
        adoption = f"not --adopt, because {refusal}"
    if not _unready(found):
        data["settings"] = settings_lines(component.name)
    data["adopt_refused"] = refusal
    return failed(reason, _ways_out(component, found, adoption), where, **data)


def _ways_out(component: Component, found: Installation, adoption: str = "") -> str:
    use = f"use it as it is: `external: [{component.name}]` in the settings (-f)"
    keep = [] if _unready(found) else [use]  # preflight refuses what is external and not ready
    remove = f"remove it first: {found.owner.remove}"
    if adoption.startswith("not "):
        return f"{'; or '.join([*keep, remove])}; {adoption}"
    return "; or ".join([*keep, *([adoption] if adoption else []), remove])


def _unready(found: Installation) -> list[str]:
    return [f"{each.ref} is {each.unready}" for each in found.workloads if each.unready]


def _health(found: Installation) -> str:
    """`healthy`, or which workloads are not; a clause."""
    unready = _unready(found)
    if not unready:
        return "healthy"
    more = f" and {len(unready) - _SHOWN} more" if len(unready) > _SHOWN else ""
    return f"not healthy: {', '.join(unready[:_SHOWN])}{more}"


def adoption_refused(component: Component, found: Installation) -> str:
    """Why an installation must not be taken over, a clause; empty when it may be."""
    if not found.owner.adopt:
        return f"it belongs to {found.owner.title}, and {found.owner.why}"
    if component.namespace and found.namespace != component.namespace:
        return f"the release installs into namespace {component.namespace}"
    return version_refused(component, found.versions)


def version_refused(component: Component, versions: Sequence[str]) -> str:
    """Why what runs at these versions cannot become the component by an install, a clause; empty
    when it is the component, or an earlier release that it may follow at once."""
    if len(versions) != 1:
        return "its version is unknown" if not versions else "it has more than one version"
    have, want = _parsed(versions[0]), _parsed(component.version)
    if have is None or want is None:
        return f"its version {versions[0]} cannot be compared"
    if have > want:
        return f"{have} is newer than {want}"
    if not taken_over_in_a_step(component.name, str(have), str(want)):
        return f"{have} to {want} is more than an adoption may bring in one step"
    return ""


def external(
    component: Component, title: str, found: Sequence[Installation], catalog: Catalog
) -> Iterator[Detail]:
    """The verdict on a component that is declared external: there, healthy, and which version.

    found: its installations by others.
    """
    if not found:
        yield failed(
            f"{component.name} is declared external, but no {title} runs here: namespace "
            f"{component.namespace} has no Deployment of it, and no other namespace has one",
            f"install {title} {component.version}, or take it out of `external` in the settings",
            f"Namespace {component.namespace}",
            component=component.name,
        )
    for installation in found:
        for workload in installation.workloads:
            if workload.unready:
                yield failed(
                    f"{component.name} is declared external and not healthy: {workload.ref} is "
                    f"{workload.unready}",
                    "repair it, then run again",
                    str(workload.ref),
                    component=component.name,
                )
        yield from _parts(component, installation)
        yield from _version(component, installation, catalog)


def _parts(component: Component, found: Installation) -> Iterator[Detail]:
    """Controllers that this version has and that do not run; not where images were renamed."""
    running = {end for workload in found.workloads for end in workload.images}
    for end in found.project.images if running else ():
        if end not in running and any(ends_with(image, end) for image in component.images):
            detail = failed if component.version in found.versions else warning
            yield detail(
                f"{component.name} is declared external, and nothing in namespace "
                f"{found.namespace} runs its {end}",
                "repair it, then run again",
                f"Namespace {found.namespace}",
                component=component.name,
            )


def _version(component: Component, found: Installation, catalog: Catalog) -> Iterator[Detail]:
    place = f"Namespace {found.namespace}"
    if component.version in found.versions:
        yield note(f"{found} from {found.owner.title} is used as it is", place)
        return
    runs = " and ".join(found.versions) or "an unknown version"
    tested = sorted({version for name, version in catalog.components if name == component.name})
    known = [p for version in tested if (p := _parsed(version))]
    have = [_parsed(version) for version in found.versions]
    outside = known and any(v and not min(known) <= v <= max(known) for v in have)
    reason = (
        f"external {component.name} runs {runs}; the release was tested with {component.version}"
    )
    if outside:
        reason += f", and no release of this catalog with anything outside {_span(known)}"
    yield warning(
        reason,
        f"bring it to {component.version}, or try the release on a copy of this cluster first",
        place,
        component=component.name,
        versions=list(found.versions),
    )


def _span(known: Sequence[KubernetesVersion]) -> str:
    return f"{min(known)} to {max(known)}"


def _parsed(version: str) -> KubernetesVersion | None:
    """major.minor.patch of any version text; what follows is left aside."""
    try:
        return KubernetesVersion.parse(version)
    except ValueError:
        return None


EXCLUSIVE = {
    "cert-manager": "both would issue every Certificate",
    "knative-serving": "both would reconcile every Knative Service",
    "kfserving": "both would reconcile every InferenceService",
    "kserve": "both would reconcile every InferenceService",
    "net-istio": "both would program every Knative ingress",
}
"""Projects of which a cluster takes one, and why."""


def duplicates(inventory: Inventory) -> Iterator[Detail]:
    """Two of one kind."""
    by_project: dict[str, list[Installation]] = {}
    for found in inventory.installations:
        by_project.setdefault(found.project.name, []).append(found)
    for name, installations in by_project.items():
        if len(installations) < 2:
            continue
        places = [f"{i.namespace} ({_from(i)})" for i in installations]
        title, where = installations[0].project.title, str(installations[1].workloads[0].ref)
        reason = f"{title} runs more than once: in {' and in '.join(places)}"
        removal = [f"{i.owner.remove}" for i in installations if not i.ours]
        remedy = f"keep one; to remove the other: {' or '.join(dict.fromkeys(removal))}"
        revisions = {i.revision for i in installations}
        if name in EXCLUSIVE:
            yield failed(f"{reason}; {EXCLUSIVE[name]}", remedy, where, project=name)
        elif len(revisions) == len(installations):
            shown = " and ".join(sorted(revisions))
            yield warning(f"{reason}, with revisions {shown}", object=where, project=name)
        else:
            yield failed(
                f"{reason}, with the same revision; both would inject and validate",
                remedy,
                where,
                project=name,
            )


def _from(found: Installation) -> str:
    return "ours" if found.ours else f"from {found.owner.title}"


def side_by_side(inventory: Inventory, release: Sequence[str]) -> Iterator[Detail]:
    """KFServing and KServe in one cluster. release: component names of what is installed."""
    here = {i.project.name: i for i in inventory.installations}
    both = {"kfserving", "kserve"}
    other = next((here[name] for name in sorted(both & set(here)) if name not in release), None)
    wanted = sorted(both & set(release))
    if other is None or not wanted:
        return
    if other.ours:
        yield note(
            f"{other} is in namespace {other.namespace}, and ours: an upgrade moves its "
            "InferenceServices and removes it",
            str(other.workloads[0].ref),
        )
        return
    ours = "kserve" if wanted[0] == "kserve" else "kfserving"
    yield warning(
        f"{other} is in namespace {other.namespace}, and the release brings {ours}: each serves "
        "the InferenceServices of its own API group, and both mutate pods of models",
        f"move the InferenceServices, then remove the other: {other.owner.remove}",
        str(other.workloads[0].ref),
        other=other.project.name,
    )


def torn_definitions(inventory: Inventory) -> Iterator[Detail]:
    """CRDs that belong to somebody else than the controllers that use them."""
    for found in inventory.installations:
        for definition in inventory.definitions_of(found.project):
            owner = definition.owner
            if not owner.comes_back or owner.kind in ("ours", found.owner.kind):
                continue
            yield warning(
                f"CustomResourceDefinition {definition.name} belongs to {owner.title}, the "
                f"controllers that use it do not ({_from(found)})",
                f"remove it there without deleting it, or: {owner.remove}",
                f"CustomResourceDefinition {definition.name}",
                project=found.project.name,
            )
            break  # one names them all
