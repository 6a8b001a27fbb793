"""Half-installed and half-deleted: CRDs without controllers, controllers without CRDs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from installer.catalog.foreign import Foreign, Project
from installer.core.checks import Detail, failed, note, warning
from installer.preflight.existing_inventory import Definition, Inventory


def halves(
    inventory: Inventory,
    foreign: Foreign,
    *,
    recorded: Collection[str],
    wanted: Collection[str],
    external: Collection[str],
    adopt: Collection[str],
) -> Iterator[Detail]:
    """recorded: components in our ledger; wanted, external: of the release; adopt: as asked for."""
    for project in foreign.projects:
        if not project.images or not project.groups:
            continue  # nothing of it can be half
        installations = inventory.of(project)
        definitions = inventory.definitions_of(project)
        # what is external and missing is told by the check of external components
        told = project.component in recorded or project.component in external
        if definitions and not installations and not told:
            yield _without_controllers(project, definitions, wanted, adopt)
        if installations and not any(d.name == project.essential for d in definitions):
            yield _without_definitions(project, inventory, external)
    served = {"knative-serving", "net-istio"} & set(wanted) - set(adopt)
    if inventory.operators and not inventory.of(foreign.project("knative-operator")):
        place = inventory.operators[0]
        detail = failed if served else warning
        yield detail(
            f"namespace {place} has a KnativeServing, and Knative's operator does not run",
            "bring the operator back, or take the finalizers from the KnativeServing and delete it",
            f"Namespace {place}",
        )


def _without_controllers(
    project: Project,
    definitions: Sequence[Definition],
    wanted: Collection[str],
    adopt: Collection[str],
) -> Detail:
    first = f"CustomResourceDefinition {definitions[0].name}"
    stands = next((d.owner for d in definitions if d.owner.comes_back), definitions[0].owner)
    count = len(definitions)
    what = f"{count} CRDs of {project.title} are" if count > 1 else f"a CRD of {project.title} is"
    reason = f"{what} here without its controllers, from {stands.title}"
    data = {"project": project.name, "definitions": [d.name for d in definitions]}
    if project.component not in wanted:
        remedy = "nothing has to be done; to delete them deletes their custom resources too"
        return warning(reason, remedy, first, **data)
    if not stands.comes_back or stands.kind == "ours":
        remedy = "the install takes them over; custom resources that are left become active again"
        return warning(reason, remedy, first, **data)
    if project.component in adopt:
        return note(f"{reason}, and are to be adopted", first, **data)
    remedy = (
        f"take them over with --adopt {project.component}; or remove what is left: {stands.remove}"
    )
    return failed(reason, remedy, first, **data)


def _without_definitions(
    project: Project, inventory: Inventory, external: Collection[str]
) -> Detail:
    found = inventory.of(project)[0]
    reason = (
        f"{found} runs in namespace {found.namespace} without "
        f"CustomResourceDefinition {project.essential}"
    )
    where = str(found.workloads[0].ref)
    if found.ours:
        return warning(reason, "the install brings it back; its custom resources are lost", where)
    remedy = f"install its CRDs again, or remove it: {found.owner.remove}"
    detail = failed if project.component in external else warning
    return detail(reason, remedy, where, project=project.name)
