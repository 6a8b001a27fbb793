"""The part of `verify` that looks at what is installed: objects, versions that run, webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from installer.catalog.load import load
from installer.catalog.model import Catalog
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.cluster.webhooks import wait_answering
from installer.core.cancel import Cancel
from installer.core.checks import Detail, Finding, failed, note, unknown, warning
from installer.core.errors import NotReady
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig
from installer.operations.live import read_live
from installer.operations.status import report
from installer.serving import running_versions
from installer.serving.running_versions import Running

PAGE = "docs/serving.md"
INSTALLED = "what is installed"
WEBHOOK_SECONDS = 60.0
"""How long the webhooks may take to answer."""
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_REGISTRATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_SHOWN = 5


def timed(check: str, category: str, sentence: str, look: Callable[[], list[Detail]]) -> Finding:
    """A finding; what may not be read is `unknown`."""
    began = time.monotonic()
    try:
        details = look()
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        details = [unknown(error.message, error.remedy, error.object)]
    return Finding(check, category, sentence, details, time.monotonic() - began, PAGE)


def check_installed(cluster: Cluster, emit: Emit, cancel: Cancel) -> Iterator[Finding]:
    """Findings on what is installed, as they are made. Writes nothing but webhooks' dry runs."""
    ledger = ledgers.read(cluster)
    catalog = load(None)
    yield timed(
        "installed-ready",
        INSTALLED,
        "everything that was installed is ready",
        lambda: _ready(cluster, ledger),
    )
    yield timed(
        "versions",
        INSTALLED,
        "the images that run are those of the release",
        lambda: _versions(cluster, ledger, catalog),
    )
    yield timed(
        "webhooks-answer",
        INSTALLED,
        "each webhook answers",
        lambda: _webhooks(cluster, ledger, catalog, emit, cancel),
    )


def _ready(cluster: Cluster, ledger: Ledger) -> list[Detail]:
    if not ledger.release:
        return [note("nothing here was installed by kserve-installer: there is no ledger")]
    live = read_live(cluster, [entry.ref for entry in ledger.owners().values()])
    found = report(cluster.identity(), ledger, live)
    problems = [problem for part in found.components for problem in part.problems]
    details = [
        failed(
            problem.message or problem.reason,
            "`kserve-installer status` shows all; the same install again repairs it",
            problem.object,
        )
        for problem in problems[:_SHOWN]
    ]
    if len(problems) > _SHOWN:
        details.append(failed(f"and {len(problems) - _SHOWN} more objects are not ready"))
    return details or [note(f"{ledger.release}, by the ledger")]


def _versions(cluster: Cluster, ledger: Ledger, catalog: Catalog) -> list[Detail]:
    index = running_versions.index_of(catalog)
    if not ledger.components:
        places = sorted({component.namespace for component in catalog.components.values()})
        pods = _pods(cluster, places)
        found = running_versions.running(pods, index)
        return [_without_ledger(item) for item in found] or [_nothing_runs(places)]
    details: list[Detail] = []
    for name, record in ledger.components.items():
        refs = [entry.ref for entry in record.entries.values() if entry.ref.kind in _WORKLOADS]
        workloads = read_live(cluster, refs)
        pods = _pods(cluster, sorted({ref.namespace for ref in refs}))
        mine = [
            pod
            for workload in workloads.values()
            for pod in running_versions.of_workload(pods, workload)
        ]
        found = running_versions.running(mine, index)
        details += _component_versions(name, record.version, found, has_workloads=bool(refs))
    return details


def _pods(cluster: Cluster, namespaces: Sequence[str]) -> list[Object]:
    return [pod for place in namespaces for pod in cluster.list("v1", "Pod", place).items]


def _without_ledger(item: Running) -> Detail:
    known = ", ".join(f"{name} {version}" for name, version in sorted(item.known))
    return note(f"{item.image} runs: {known or 'in no component of the catalog'}")


def _nothing_runs(places: Sequence[str]) -> Detail:
    return failed(f"no pod runs in {', '.join(places)}", "install a release first")


def _component_versions(
    name: str, version: str, found: Sequence[Running], *, has_workloads: bool
) -> list[Detail]:
    wrong = running_versions.disagreements(name, version, found)
    remedy = "someone changed the image: `kserve-installer status --drift` says who"
    details = [failed(said, remedy, f"component {name}") for said in wrong]
    strange = [item.image for item in found if not item.known]
    details += [
        warning(f"image {image} is in no version of the catalog", object=f"component {name}")
        for image in strange
    ]
    if has_workloads and not found:
        details.append(failed("none of its pods runs", object=f"component {name}"))
    if not details:
        details.append(note(f"{name} {version}: {len(found)} images run"))
    return details


def _webhooks(
    cluster: Cluster, ledger: Ledger, catalog: Catalog, emit: Emit, cancel: Cancel
) -> list[Detail]:
    refs = [entry.ref for entry in ledger.owners().values()]
    webhooks = [ref for ref in refs if ref.kind in _REGISTRATIONS]
    definitions = [ref for ref in refs if ref.kind == "CustomResourceDefinition"]
    if not refs:
        webhooks, definitions = _stack_webhooks(cluster, catalog), []
    probes = [
        probe
        for name, record in ledger.components.items()
        if (component := catalog.components.get((name, record.version))) is not None
        for probe in component.webhook_probes
    ]
    unproven: list[Detail] = []

    def hear(event: Event) -> None:
        if event.name == "warning":
            said = event.fields
            unproven.append(note(str(said["message"]), str(said["object"])))
        else:
            emit(event)

    try:
        wait_answering(
            cluster,
            webhooks,
            definitions,
            probes=probes,
            deadline=min(WEBHOOK_SECONDS, cancel.left()),
            cancel=cancel,
            emit=hear,
        )
    except NotReady as error:
        return [failed(error.message, error.remedy, error.object)]
    return [note(f"{len(webhooks)} webhook configurations answer"), *unproven]


def _stack_webhooks(cluster: Cluster, catalog: Catalog) -> list[Ref]:
    """Webhook configurations that lead to a namespace of the catalog's components."""
    places = {component.namespace for component in catalog.components.values()}
    found = []
    for kind in _REGISTRATIONS:
        for obj in cluster.list("admissionregistration.k8s.io/v1", kind).items:
            hooks = dig(obj, "webhooks", default=[])
            if any(dig(h, "clientConfig", "service", "namespace") in places for h in hooks):
                found.append(Ref(obj["apiVersion"], kind, "", obj["metadata"]["name"]))
    return found
