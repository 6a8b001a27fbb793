"""Users' edits in the course of a hop: judged before it begins, merged at each stop."""

from __future__ import annotations

from installer.operations.upgrade_edits import (
    Decided,
    check_conflicts,
    decide_edits,
    idle_resolutions,
    keep_edits,
    rename_gateway,
    tell_conflicts,
)
from installer.operations.upgrade_hop import HopContext
from installer.plan.hop import Hop, Versions


def check_edits(context: HopContext) -> None:
    """Raise ChecksFailed when somebody has to decide; on the way back only say so. What is decided
    and was not to be is told at the last hop: one before may have needed it."""
    if context.options.discard_edits:
        return
    hop = context.hop
    decided = decide_edits(context, hop.before, hop.stops[-1])
    if hop.back:
        tell_conflicts(decided, hop.target, context.emit)
    else:
        check_conflicts(decided, hop.target, context.options.resolve)
    context.used |= set(decided.used)
    context.contested |= set(decided.contested)
    if context.last:
        given = context.options.resolve
        for told in idle_resolutions(given, context.used, context.contested, hop.target):
            context.emit(told)


def merge_edits(context: HopContext, versions: Versions) -> None:
    """Keep users' edits on the way to these versions; a run that goes on does that once."""
    hop = context.hop
    index = next(i for i, stop in enumerate(hop.stops) if stop is versions)
    now = hop.stops[index - 1] if index else hop.before
    if context.options.discard_edits:
        decided = Decided({}, (), ())
    else:
        decided = decide_edits(context, now, versions)
        if versions is hop.stops[-1] and not hop.back:
            check_conflicts(decided, hop.target, context.options.resolve)
    keep_edits(context, decided)
    told = _settled(hop, now, versions)
    for outcome in (*decided.outcomes, *rename_gateway(context, now, versions)):
        if outcome.component in told or outcome.once:
            context.emit(outcome.event())


def _settled(hop: Hop, now: Versions, then: Versions) -> set[str]:
    """Components that come to their last version of the hop with this stop: what becomes of edits
    of their ConfigMaps is known then. Those that do not change are told at the last stop."""
    final, origin = hop.stops[-1], hop.before
    return {
        name
        for name, version in final.items()
        if then.get(name) == version
        and (now.get(name) != version or (then is final and origin.get(name) == version))
    }
