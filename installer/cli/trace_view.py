"""A trace as text: the tree with lines, then each path hop by hop, then what is to blame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.cli.terminal import Terminal
from installer.core.objects import dig
from installer.operations.trace import TraceReport
from installer.serving.hops import Hop, Path
from installer.serving.tree import Node, age_text

_STATES = {
    "ready": ("ok", "green"),
    "failed": ("failed", "red"),
    "progressing": ("warn", "yellow"),
    "terminating": ("warn", "yellow"),
}
HOP_LOOKS = {
    "ok": ("ok", "green"),
    "note": ("ok", "green"),
    "warning": ("warn", "yellow"),
    "unknown": ("warn", "yellow"),
    "starting": ("warn", "yellow"),
    "follows": ("idle", "dim"),
    "broken": ("failed", "red"),
}


def lines(report: TraceReport, terminal: Terminal) -> Iterator[str]:
    """The whole report."""
    url = dig(report.service.obj, "status", "url", default="no address yet")
    yield f"{report.service.ref} ({report.service.ref.api_version}), {url}"
    yield ""
    yield from _tree(report.tree, terminal, "", "")
    yield ""
    yield from path_lines(report.outside, terminal)
    yield ""
    yield from path_lines(report.inside, terminal, known=report.outside.hops)
    if report.unseen:
        yield ""
        yield "could not look at:"
        yield from (f"  {line}" for line in report.unseen)
    if report.curl:
        yield ""
        yield "to ask for a prediction:"
        yield from (f"  {line}" for line in report.curl)
    yield ""
    yield from verdict(report, terminal)


def _tree(node: Node, terminal: Terminal, lead: str, below: str) -> Iterator[str]:
    icon, colour = _STATES.get(node.state, ("warn", "yellow"))
    sign = terminal.paint(terminal.icon(icon), colour)
    group = f".{node.ref.group}" if node.ref.group else ""
    said = [part for part in (node.note, node.reason, node.message) if part]
    more = f": {'; '.join(' '.join(part.split()) for part in said)}" if said else ""
    seconds = age_text(node.seconds)
    shown = f"{node.ref.kind}{terminal.paint(group, 'dim')} {node.ref.name}"
    yield f"{lead}{sign} {shown} {terminal.paint(seconds, 'dim')}".rstrip() + more
    branch, last, through = ("├─ ", "└─ ", "│  ") if terminal.unicode else ("|- ", "`- ", "|  ")
    for child in node.children:
        end = child is node.children[-1]
        yield from _tree(
            child, terminal, below + (last if end else branch), below + ("   " if end else through)
        )


def path_lines(found: Path, terminal: Terminal, known: Sequence[Hop] = ()) -> Iterator[str]:
    """A path, a line for each hop; where it goes on as one that is `known` already, that is said
    instead."""
    to = f" to {found.host}" if found.host else ""
    yield f"a request from {found.start}{to}"
    shared = _shared_end(found.hops, known)
    for hop in found.hops[: len(found.hops) - shared]:
        yield f"  {_hop(hop, terminal)}"
    if shared:
        first = found.hops[len(found.hops) - shared]
        said = f"{first.object} and on from there: as above"
        yield f"  {terminal.paint(terminal.icon('idle'), 'dim')} {said}"


def _shared_end(hops: Sequence[Hop], known: Sequence[Hop]) -> int:
    """How many hops at the end are also the end of another path, but for its request."""
    others = [hop for hop in known if hop.kind != "request"]
    count = 0
    while count < min(len(hops), len(others)) and hops[-1 - count] == others[-1 - count]:
        count += 1
    return count if count > 2 else 0


def _hop(hop: Hop, terminal: Terminal) -> str:
    icon, colour = HOP_LOOKS[hop.verdict]
    return f"{terminal.paint(terminal.icon(icon), colour)} {hop.object}: {hop.says}"


def verdict(report: TraceReport, terminal: Terminal) -> Iterator[str]:
    """What is to blame, and what to do; or that nothing is."""
    for found in (report.outside, report.inside):
        broken = found.first_broken
        if broken is None:
            continue
        sign = terminal.paint(terminal.icon("failed"), "red")
        yield f"{sign} a request from {found.start} ends at {broken.object}: {broken.says}"
        if broken.remedy:
            yield f"  {broken.remedy}"
        return
    unwell = report.outside.first_unwell or report.inside.first_unwell
    if unwell is not None:
        sign = terminal.paint(terminal.icon("warn"), "yellow")
        yield f"{sign} nothing is broken; not known to work: {unwell.object}: {unwell.says}"
        return
    yield f"{terminal.paint(terminal.icon('ok'), 'green')} every link holds"
