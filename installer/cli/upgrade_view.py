"""The way of an upgrade as text: what is installed, a table of hops, and what each is about."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from installer.cli.session import again, without_looks
from installer.cli.terminal import Terminal
from installer.cli.upgrade_flags import PLAN
from installer.core.words import plural
from installer.operations.hop_objects import HopObjects, Uncounted

if TYPE_CHECKING:
    from installer.operations.upgrade_plan import HopRow, UpgradePlan
    from installer.plan.hop import Hop

_MOST = 12


def lines(plan: UpgradePlan, args: Namespace) -> Iterator[str]:
    """Every line of the plan."""
    terminal = Terminal.of(sys.stdout, no_colour=args.no_color)
    by = ", by others," if plan.adopted else ""
    yield f"installed: {plan.ledger.release}{by} on Kubernetes {plan.identity.git_version}"
    for reason in plan.adopted.refused.values() if plan.adopted else ():
        yield f"  cannot be taken over: {reason}"
    for keeper in plan.adopted.keepers if plan.adopted else ():
        yield f"  lets go when it is taken over: {keeper}"
    if plan.ledger.upgrade is not None:
        done = ", ".join(plan.ledger.upgrade.done) or "nothing"
        yield f"under way: upgrade to {plan.ledger.upgrade.target}; of this hop are done: {done}"
    if plan.path is None:
        yield from _reachable(plan.reachable)
        return
    if not plan.hops:
        yield f"{plan.path.target} is what is installed: there is nothing to do"
        return
    yield f"{plan.path.target} is {plural(len(plan.hops), 'hop')} away"
    yield ""
    yield from _table(plan)
    for number, row in enumerate(plan.hops, 1):
        yield ""
        head = f"hop {number}: {row.hop.origin} → {row.hop.target}"
        yield terminal.paint(head, "bold")
        yield from _hop(row)
    yield ""
    if any(isinstance(row.objects, Uncounted) and row.objects.fetchable for row in plan.hops):
        yield "--objects fetches the manifests that are not at hand, and counts all objects"
        yield ""
    yield from _serving(plan)
    yield from _next(plan, args)


def _reachable(names: Sequence[str]) -> Iterator[str]:
    if not names:
        yield "no upgrade leads further from here"
        return
    yield "upgrades lead to:"
    yield from (f"  {name}" for name in names)


def _table(plan: UpgradePlan) -> Iterator[str]:
    """A row per hop, a column per component: current → target where it changes by our doing."""
    names = list(dict.fromkeys(c.name for row in plan.hops for c in row.hop.changes))
    head = ["hop", "to", *names, "kubernetes"]
    rows = []
    for number, row in enumerate(plan.hops, 1):
        found = {change.name: change for change in row.hop.changes}
        cells = []
        for name in names:
            change = found.get(name)
            if change is None or not (change.current or change.target):
                cells.append("")
            elif name in row.hop.external:
                cells.append("external")
            elif change.changes:
                cells.append(f"{change.current or 'none'} → {change.target or 'none'}")
            else:
                cells.append(change.target)
        rows.append([str(number), row.hop.target, *cells, str(row.hop.window)])
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    for line in (head, *rows):
        cells = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _hop(row: HopRow) -> Iterator[str]:
    hop, notes = row.hop, row.notes
    for item in hop.blocked:
        yield f"  cannot be run: the catalog has no {item}, and {item.origin} allows no skipping"
    yield from _block("left alone", _external(hop))
    yield from _block("by hand", notes.manual)
    yield from _block("for models", notes.models)
    yield from _block("supported", _supported(hop))
    if len(hop.stops) > 1:
        yield from _block("stops", [about for name, about in row.steps if name.startswith("stop-")])
    yield from _block("objects", [_counted(row.objects)])
    yield from _block("restarts", [", ".join(notes.restarts)] if notes.restarts else [])
    yield from _block("removed", notes.removed)
    yield from _block("made anew", notes.recreated)
    yield from _block("cannot be undone", notes.final)


def _external(hop: Hop) -> list[str]:
    """What somebody else manages, with the version that it should have."""
    tested = {change.name: change.target for change in hop.changes}
    return [
        f"{name} is external; {hop.target} was tested with {tested[name]}"
        if tested[name]
        else f"{name} is external; {hop.target} does not use it any more"
        for name in hop.external
    ]


def _counted(objects: HopObjects | Uncounted) -> str:
    if isinstance(objects, Uncounted):
        return f"not counted: {objects.why}"
    anew = f" ({objects.recreated} of them made anew)" if objects.recreated else ""
    said = f"{objects.created} created, {objects.changed} changed{anew}"
    return f"{said}, {objects.removed} removed, {objects.unchanged} alike"


def _supported(hop: Hop) -> list[str]:
    """Where not every Kubernetes that runs the hop is one that all projects support."""
    if hop.supported.empty:
        return ["on no Kubernetes by all the projects of its components"]
    if hop.supported == hop.window:
        return []
    return [f"on Kubernetes {hop.supported} by the projects of its components"]


def _block(title: str, items: Sequence[str]) -> Iterator[str]:
    for index, item in enumerate(items[:_MOST]):
        yield f"  {title if not index else '':<17}{item}"
    if len(items) > _MOST:
        yield f"  {'':<17}and {len(items) - _MOST} more; -o json lists all"


def _serving(plan: UpgradePlan) -> Iterator[str]:
    if not plan.serving:
        yield "no InferenceServices are here"
    else:
        yield f"{plural(len(plan.serving), 'InferenceService')}, and the downtime expected:"
        alike: dict[tuple[str, int, tuple[str, ...]], list[str]] = {}
        for item in plan.serving:
            alike.setdefault((item.downtime, item.rollouts, item.why), []).append(item.name)
        for (downtime, rollouts, why), names in alike.items():
            replaced = f", pods replaced {plural(rollouts, 'time')}" if rollouts else ""
            more = f" and {len(names) - _MOST} more; -o json lists all" if names[_MOST:] else ""
            yield f"  {downtime}{replaced}: {', '.join(names[:_MOST])}{more}"
            yield from (f"    {reason}" for reason in why)


def _next(plan: UpgradePlan, args: Namespace) -> Iterator[str]:
    assert plan.path is not None, "only a way has a next step"
    first = plan.hops[0].hop
    yield ""
    yield "next:"
    if plan.adopted is not None and plan.adopted.refused:
        yield "  nothing can be run: see above what cannot be taken over"
        return
    if first.blocked:
        yield f"  nothing can be run: the hop to {first.target} is blocked, see above"
        return
    if first.kubernetes is not None:
        yield f"  {first.kubernetes}, then"
    yield f"  {_upgrade(args)}"


def _upgrade(args: Namespace) -> str:
    """The command line without what only shows: whatever else was given holds for the upgrade
    too."""
    words = list(args.words)
    if PLAN in args.what:
        words.remove(PLAN)
    kept = [w for w in without_looks(words) if w not in ("--objects", "--dry-run")]
    return again(args.program, kept)
