"""How InferenceServices fare while the stack under them is replaced.

Conditions are not enough: KFServing 0.6.1 over net-istio 0.18 leaves every InferenceService Ready
while every request answers 503 (recorded on a real cluster). So what answered through the gateway
before has to answer after.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.pending import Pending
from installer.cluster.readiness import readiness
from installer.cluster.unconverted import readable_pages
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, NotReady
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig
from installer.operations.asking import Asking, Door, door, entries
from installer.operations.gates import waiting
from installer.plan.api_group import is_moved
from installer.serving.inference_service import InferenceService, of_object, served_versions
from installer.serving.replies import Meaning, meaning

ASKED = 200
"""Most InferenceServices that are asked; the rest is judged by its conditions alone."""
_PAGE = 500
_PARALLEL = 8
_SECONDS = 10.0
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Serving:
    """InferenceServices as found. answers: what those that were asked said, by `NAMESPACE/NAME`."""

    services: Sequence[InferenceService]
    answers: dict[str, Meaning]

    @property
    def unwell(self) -> tuple[str, ...]:
        """Names of those that are not Ready."""
        return tuple(s.name for s in self.services if not readiness(s.obj).ready)

    @property
    def silent(self) -> tuple[str, ...]:
        """Names of those that were asked and whose model did not answer."""
        return tuple(name for name, said in self.answers.items() if said.origin != "model")

    def event(self) -> Event:
        """The event `serving`."""
        fields = {
            "total": len(self.services),
            "ready": len(self.services) - len(self.unwell),
            "asked": len(self.answers),
            "answering": len(self.answers) - len(self.silent),
        }
        return Event("serving", fields)


def inference_services(cluster: Cluster) -> list[InferenceService]:
    """Every one, of whichever group."""
    return [of_object(obj) for obj in _all(cluster)]


def look(cluster: Cluster, cancel: Cancel) -> Serving:
    """List every InferenceService and ask those that are Ready."""
    services = inference_services(cluster)
    ready = [s for s in services if s.host and readiness(s.obj).ready]
    return Serving(services, ask_all(cluster, ready[:ASKED], cancel))


def await_serving(
    cluster: Cluster,
    unwell: Collection[str],
    silent: Collection[str],
    since: str,
    seconds: float,
    emit: Emit,
    cancel: Cancel,
) -> None:
    """Return when every InferenceService is as well as it was.

    unwell, silent: those that need not be Ready, or need not answer. since: what was made after
    that (RFC 3339) is not judged. seconds: how long they may take. Raises NotReady.
    """
    services = inference_services(cluster)
    judged = [
        s for s in services if s.name not in unwell and (_made(s.obj) <= since or is_moved(s.obj))
    ]
    refs = [service.ref for service in judged]

    def progress(pending: Sequence[Pending], total: int) -> None:
        emit(waiting("inferenceservices", "health", pending, total))

    wait_ready(
        cluster, refs, deadline=min(seconds, cancel.left()), cancel=cancel, progress=progress
    )
    found = look(cluster, cancel)
    emit(found.event())
    known = {service.name for service in judged}
    lost = [name for name in found.silent if name in known and name not in silent]
    if lost:
        raise _silent(lost, found)


def ask_all(
    cluster: Cluster, services: Sequence[InferenceService], cancel: Cancel
) -> dict[str, Meaning]:
    """Ask each for its model's state; empty where there is no way in."""
    if not services:
        return {}
    answers: dict[str, Meaning] = {}
    try:
        ways = entries(cluster, services[0], Asking())
    except ApiError:
        raise
    except InstallerError as error:
        if error.kind not in ("no-ingress", "no-gateway"):
            raise
        return {}
    for entry in ways:
        asking = Asking(seconds=_SECONDS)
        with door(cluster, entry, asking, cancel) as way, ThreadPoolExecutor(_PARALLEL) as pool:
            said = list(pool.map(partial(_ask, way), services))
        answers = {service.name: answer for service, answer in zip(services, said, strict=True)}
        if any(answer.origin == "model" for answer in said):
            break  # else it may lead to another cluster's gateway
    return answers


def _ask(opened: Door, service: InferenceService) -> Meaning:
    return meaning(opened.send(service.host, service.state_path), service.host)


def _all(cluster: Cluster) -> list[Object]:
    found: dict[tuple[str, str], Object] = {}
    # newest first; one version of each group, since another would ask a conversion webhook that
    # may be stopped
    versions = {
        version.partition("/")[0]: version for version in reversed(served_versions(cluster))
    }
    for version in reversed(versions.values()):
        for page in readable_pages(cluster, version, "InferenceService", size=_PAGE):
            for obj in page.items:
                key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
                found.setdefault(key, obj)
    return list(found.values())


def _made(obj: Object) -> str:
    return str(dig(obj, "metadata", "creationTimestamp", default=""))


def _silent(lost: Sequence[str], found: Serving) -> NotReady:
    lines = [f"  {name}: {found.answers[name].says}" for name in lost[:_NAMED]]
    if len(lost) > _NAMED:
        lines.append(f"  and {len(lost) - _NAMED} more")
    count = "an InferenceService" if len(lost) == 1 else f"{len(lost)} InferenceServices"
    verb = "does" if len(lost) == 1 else "do"
    first = found.answers[lost[0]]
    return NotReady(
        f"{count} answered before and {verb} not now:\n" + "\n".join(lines),
        kind="not-serving",
        object=str(Ref("", "InferenceService", *lost[0].split("/"))),
        remedy=first.remedy or f"`kserve-installer trace {lost[0]}` shows where requests end",
    )
