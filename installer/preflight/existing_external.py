"""Components that somebody else manages: there, healthy, at a fitting version, and answering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from installer.catalog.foreign import Project, load_foreign
from installer.catalog.model import Component
from installer.cluster.candidates import Bodies, Candidates, Target
from installer.cluster.errors import ApiError
from installer.cluster.probes import Answer, Specs, judge
from installer.cluster.registrations import backend_of, entries
from installer.core.checks import Detail, failed, unknown
from installer.core.objects import Object, ref_of
from installer.preflight.check import Check
from installer.preflight.existing_read import configurations, reachable, what_runs
from installer.preflight.existing_verdicts import external
from installer.preflight.stale_webhooks import project_of
from installer.preflight.world import World

_PATIENCE = 5.0
"""Seconds that one webhook is given to answer."""


def components(world: World) -> Iterator[Detail]:
    """External components: there, healthy, which version."""
    if not world.target.external:
        return
    stock, lacking = what_runs(world)
    for component, project in _external(world):
        found = [item for item in stock.of(project) if not item.ours]
        yield from external(component, project.title, found, world.target.catalog)
    yield from lacking


def webhooks(world: World) -> Iterator[Detail]:
    """Webhooks of external components: without an answer, what they match is refused."""
    projects = {project.name for _, project in _external(world)}
    if not projects:
        return
    for configuration in configurations(world):
        every = list(entries(configuration))
        project = project_of([str(entry.get("name")) for entry in every], load_foreign())
        if project is None or project.name not in projects:
            continue
        for entry in every:
            detail = _answers(world, project, configuration, entry)
            if detail is not None:
                yield detail
                break  # one Service serves them all


def who_serves(world: World, group: str) -> str:
    """The external component whose API group this is; empty when it is none's."""
    names = (c.name for c, project in _external(world) if group in project.groups)
    return next(names, "")


def _external(world: World) -> Iterator[tuple[Component, Project]]:
    for component in world.target.external:
        project = load_foreign().of_component(component.name)
        if project is not None:
            yield component, project


def _answers(world: World, project: Project, configuration: Object, entry: Any) -> Detail | None:
    """What is wrong with one webhook; None when it answers or no dry run can tell."""
    ref, name = ref_of(configuration), str(entry.get("name"))
    backend = backend_of(entry.get("clientConfig") or {})
    if backend is not None:
        state = reachable(world, backend.namespace, backend.name)
        if state:
            what = "does not exist" if state == "gone" else "has no ready pod"
            return failed(
                f"webhook {name} of external {project.component} cannot answer: Service "
                f"{backend.namespace}/{backend.name} {what}",
                f"repair {project.title}, then run again",
                str(ref),
            )
    phase: Literal["mutating", "validating"] = (
        "mutating" if ref.kind.startswith("Mutating") else "validating"
    )
    target = Target(ref, name, phase, entry, backend)
    try:
        answer = _ping(world, target)
    except ApiError as error:
        return unknown(f"could not try webhook {name}, because {error.message}", object=str(ref))
    if answer is None or judge(phase, name, answer) != "failing" or answer.failure is None:
        return None
    return failed(
        f"webhook {name} of external {project.component} does not answer: {answer.failure.cause}",
        answer.failure.remedy or f"repair {project.title}, then run again",
        str(ref),
    )


def _ping(world: World, target: Target) -> Answer | None:
    """The answer to one dry run; None where there is none that the webhook allows."""
    specs = Specs(tuple(p for c in world.target.external for p in c.webhook_probes))
    candidates = Candidates(world.cluster, Bodies(world.cluster, specs), target, lambda: False)
    probe = next((probe for probe in candidates.probes() if not _writes(probe)), None)
    if probe is None:
        return None
    try:
        body = world.cluster.request(
            probe.method,
            probe.path,
            query=dict(probe.query),
            body=probe.body,
            content_type=probe.content_type,
            deadline=_PATIENCE,
            retry=False,
            about=f"webhook {target.name}",
        )
    except ApiError as error:
        return Answer(None, error.failure)
    return Answer(body, None)


def _writes(probe: Any) -> bool:
    return probe.method != "GET" and ("dryRun", "All") not in probe.query


EXTERNAL_CHECKS = (
    Check(
        "external-components",
        "existing",
        "components declared external are there, healthy and of a known version",
        components,
        objects=False,
    ),
    Check("external-webhooks", "existing", "the webhooks of external components answer", webhooks),
)
