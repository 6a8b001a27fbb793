"""Webhook configurations whose Service is gone or has no pod, and which of them may be removed.

One that fails closed refuses every request that it matches, long after whoever made it has gone.
`stale_entries` and what builds on it is pure; reading is in `existing_read`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from installer.catalog.foreign import Foreign, Project
from installer.cluster.registrations import backend_of, entries
from installer.core.checks import Detail, failed, warning
from installer.core.objects import Object, Ref, ref_of
from installer.plan.stages import INDEPENDENT
from installer.preflight.existing_matching import Request, fails_closed, sees

"""Stages that wait for no other component."""
_LATE = ("webhooks", "resources", "jobs")
"""Stages that begin when the component's own pods are ready."""

Reachable = Callable[[str, str], str]
"""(namespace, Service) → `gone`, `no-endpoints`, or empty."""


def why_unserved(namespace: str, service: str, *, gone: bool) -> str:
    """A clause that names a Service which does not exist, or has no pod."""
    place = f"Service {namespace}/{service}"
    return f"{place} does not exist" if gone else f"{place} has no ready pod"


@dataclass(frozen=True, slots=True)
class StaleEntry:
    """One webhook that nothing serves. gone: its Service does not exist; else it has no pod."""

    name: str
    namespace: str
    service: str
    gone: bool
    entry: Any

    @property
    def why(self) -> str:
        """A clause that names the Service."""
        return why_unserved(self.namespace, self.service, gone=self.gone)


@dataclass(frozen=True, slots=True)
class Stale:
    """A configuration with webhooks that nothing serves.

    project: whose it is, None for one of others. uid: of the object that was read.
    """

    ref: Ref
    uid: str
    entries: tuple[StaleEntry, ...]
    project: Project | None
    whole: bool
    """True when every webhook of the configuration is stale."""

    @property
    def fails_closed(self) -> bool:
        """Whether any of its stale webhooks refuses what it matches."""
        return any(fails_closed(stale.entry) for stale in self.entries)


def stale_entries(
    configurations: Iterable[Object], reachable: Reachable, foreign: Foreign
) -> list[Stale]:
    """The configurations with stale webhooks, those that fail closed first."""
    found = []
    for configuration in configurations:
        every = list(entries(configuration))
        stale = tuple(entry for item in every if (entry := _stale(item, reachable)))
        if stale:
            ref = ref_of(configuration)
            uid = str(configuration["metadata"].get("uid") or "")
            project = project_of([str(item.get("name")) for item in every], foreign)
            found.append(Stale(ref, uid, stale, project, len(stale) == len(every)))
    return sorted(found, key=lambda item: (not item.fails_closed, item.ref))


def _stale(entry: Any, reachable: Reachable) -> StaleEntry | None:
    backend = backend_of(entry.get("clientConfig") or {})
    if backend is None:
        return None  # by URL: nobody but the API server can tell
    state = reachable(backend.namespace, backend.name)
    if not state:
        return None
    gone = state == "gone"
    return StaleEntry(str(entry.get("name")), backend.namespace, backend.name, gone, entry)


def project_of(names: Sequence[str], foreign: Foreign) -> Project | None:
    """The project whose webhooks these are: every one of them must be."""
    for project in foreign.projects:
        if names and all(any(fnmatchcase(n, p) for p in project.webhooks) for n in names):
            return project
    return None


def removable(stale: Stale, running: Sequence[str]) -> bool:
    """Whether it may be offered for removal: of the stack, and nobody is left to serve it.

    running: names of projects whose controllers are here; theirs may only be restarting.
    """
    if stale.project is None or not stale.whole:
        return False
    return all(entry.gone for entry in stale.entries) or stale.project.name not in running


def verdicts(
    found: Sequence[Stale],
    requests: Sequence[Request],
    *,
    running: Sequence[str],
    brought: Mapping[tuple[str, str], str],
    needs: Mapping[str, frozenset[str]],
) -> Iterator[Detail]:
    """What stale configurations mean for these requests.

    running: names of projects whose controllers are here. brought: by (namespace, name) of a
    Service that the install creates, its component. needs: what each component waits for.
    """
    for stale in found:
        hit = _blocked(stale, requests, brought, needs)
        remedy = _remedy(stale, running)
        first = stale.entries[0]
        data = {
            "service": f"{first.namespace}/{first.service}",
            "project": stale.project.name if stale.project else "",
            "fails_closed": stale.fails_closed,
        }
        if hit is not None:
            entry, request = hit
            yield failed(
                f"{stale.ref} would refuse {request.about}: {entry.why} and webhook {entry.name} "
                "fails closed",
                remedy,
                str(stale.ref),
                **data,
            )
        else:
            closed = "; what it matches is refused" if stale.fails_closed else ""
            reason = f"{stale.ref} is left over: {first.why}{closed}"
            yield warning(reason, remedy, str(stale.ref), **data)


def own_verdicts(
    found: Sequence[Stale], brought: Mapping[tuple[str, str], str]
) -> Iterator[Detail]:
    """What stale configurations mean that are ours: never that they are to be removed."""
    for stale in found:
        first = stale.entries[0]
        closed = "; what it matches is refused until then" if stale.fails_closed else ""
        component = brought.get((first.namespace, first.service))
        remedy = "`kserve-installer plan` shows what an install makes of it"
        if component:
            after = "brings it back" if first.gone else f"waits until {component} is ready"
            remedy = f"an install {after}"
        data = {"service": f"{first.namespace}/{first.service}", "ours": True}
        yield warning(
            f"{stale.ref} is ours, and {first.why}{closed}", remedy, str(stale.ref), **data
        )


def _blocked(
    stale: Stale,
    requests: Sequence[Request],
    brought: Mapping[tuple[str, str], str],
    needs: Mapping[str, frozenset[str]],
) -> tuple[StaleEntry, Request] | None:
    for entry in stale.entries:
        if not fails_closed(entry.entry):
            continue
        server = brought.get((entry.namespace, entry.service), "")
        for request in requests:
            if not _served_again(request, server, needs) and sees(entry.entry, request):
                return entry, request
    return None


def _served_again(request: Request, server: str, needs: Mapping[str, frozenset[str]]) -> bool:
    """Whether a webhook that component `server` brings back answers before the request is sent."""
    if not server:
        return False
    if request.component == server:
        return request.stage in _LATE
    return request.stage not in INDEPENDENT and server in needs.get(request.component, frozenset())


def _remedy(stale: Stale, running: Sequence[str]) -> str:
    command = f"kubectl delete {stale.ref.kind.lower()} {stale.ref.name}"
    if removable(stale, running):
        return f"remove it: install with --remove-stale-webhooks, or {command}"
    if stale.project is not None:
        return f"repair {stale.project.title}, or if nobody wants it any more: {command}"
    return f"it is not of this stack: ask who made it; if nobody needs it: {command}"
