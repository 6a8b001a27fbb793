"""A plan as text: components, objects as kapp lists them, totals, footprint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.cli.terminal import Terminal, table
from installer.core.words import plural
from installer.operations.planning import ACTIONS, QUIET, ObjectRow, Plan
from installer.plan.footprint import Footprint

_COLOURS = {
    "create": "green",
    "change": "yellow",
    "adopt": "yellow",
    "recreate": "red",
    "delete": "red",
    "unchanged": "dim",
    "external": "dim",
}


def lines(plan: Plan, terminal: Terminal, *, verbose: bool) -> Iterator[str]:
    """The plan without its diffs; verbose: with what is unchanged or external."""
    identity = plan.prepared.identity
    version = identity.git_version.removeprefix("v")
    where = f"{identity.context} ({identity.server}, Kubernetes {version})"
    head = [["release", plan.prepared.release.name], ["cluster", where]]
    head += [["to let go", str(handover)] for handover in plan.prepared.handovers]
    yield from table(head, indent=0)
    yield ""
    yield from _components(plan, terminal)
    rows = [row for row in plan.objects if verbose or row.action not in QUIET or _is_telling(row)]
    if rows:
        yield ""
        yield from _objects(rows, terminal)
    yield ""
    yield from _totals(plan)
    yield ""
    yield from footprint_lines(plan.footprint, named=verbose or plan.differs)


def verdict(plan: Plan, terminal: Terminal, program: str) -> Iterator[str]:
    """What to make of it, and the next command."""
    release = plan.prepared.release.name
    if plan.unfinished:
        yield f"An install of {release} began here and did not end; install finishes it."
    if not plan.differs:
        yield terminal.paint(f"Nothing differs: {release} is installed as it is wanted.", "green")
        return
    stopped = [row for row in plan.objects if row.stops]
    if stopped:
        count = plural(len(stopped), "object")
        yield terminal.paint(f"Fields of {count} belong to other managers (see above).", "red")
    again = [row for row in plan.objects if row.action == "recreate"]
    if again:
        count = plural(len(again), "object")
        yield terminal.paint(f"{count} must be deleted and created again by you.", "red")
    yield (
        f"Nothing was written. `{program} preflight {release}` checks whether it can be installed "
        "here."
    )


def _is_telling(row: ObjectRow) -> bool:
    return row.action == "unchanged" and bool(row.reason)


def _components(plan: Plan, terminal: Terminal) -> Iterator[str]:
    none = terminal.icon("dash")
    heading = ["COMPONENT", "INSTALLED", "OWNER", "TARGET", "WHY"]
    rows = [
        [row.name, row.installed or none, row.owner, row.target or none, row.why]
        for row in plan.components
    ]
    first, *rest = table([heading, *rows], indent=0)
    yield terminal.paint(first, "bold")
    yield from rest


def _objects(rows: Sequence[ObjectRow], terminal: Terminal) -> Iterator[str]:
    cells = [["NAMESPACE", "NAME", "KIND", "ACTION", "WAITS FOR", "REASON"]]
    cells += [
        [
            row.ref.namespace or "(cluster)",
            row.ref.name,
            row.ref.kind,
            row.action,
            row.waits_for,
            row.reason,
        ]
        for row in rows
    ]
    first, *rest = table(cells, indent=0)
    yield terminal.paint(first, "bold")
    for row, line in zip(rows, rest, strict=True):
        yield terminal.paint(line, _COLOURS[row.action])


def _totals(plan: Plan) -> Iterator[str]:
    totals = plan.totals
    always = ("create", "change", "delete", "unchanged")
    said = [
        f"{count} {name}"
        for name in ACTIONS
        if (count := totals["actions"][name]) or name in always
    ]
    yield f"Op:      {', '.join(said)}"
    waits = [f"{count} {word}" for word, count in totals["waits"].items() if count]
    yield f"Wait to: {', '.join(waits) or 'nothing'}"


def footprint_lines(found: Footprint, *, named: bool) -> Iterator[str]:
    """CPU, memory, pods and images; named: with the images that nodes lack one by one."""
    cpu = f"{found.cpu / 1000:g}" if found.cpu >= 1000 else f"{found.cpu}m"
    rest = ""
    if found.without_requests:
        rest = f" ({plural(found.without_requests, 'pod')} with containers that ask for nothing)"
    memory = f"{found.memory / 2**20:.0f} MiB"
    pods = plural(found.pods, "pod")
    yield f"Footprint: {pods} requesting {cpu} CPU and {memory} memory{rest}"
    if found.images and all(image.on_nodes is None for image in found.images):
        yield f"Images: {len(found.images)}; the nodes' images could not be read"
        return
    have = len(found.images) - len(found.to_pull)
    yield f"Images: {len(found.to_pull)} to pull, {have} known to be on a node"
    if named:
        yield from (f"  {name}" for name in found.to_pull)
