"""Runs checks in parallel; none can stop another, and none can hang the whole."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from installer.core.cancel import Cancel
from installer.core.checks import Detail, Finding, unknown
from installer.core.errors import InstallerError, Interrupted
from installer.preflight.check import Check
from installer.preflight.world import World

_PARALLEL = 8
_POLL = 0.1


def run_checks(
    world: World,
    checks: Sequence[Check],
    *,
    skip: Collection[str] = (),
    asked_by: str = "--skip",
    timeout: float = 30.0,
    cancel: Cancel,
) -> list[Finding]:
    """The findings of these checks, in their order.

    skip: ids that are not run; asked_by: who wants that, shown. timeout: seconds after which what
    has not ended counts as unknown. Raises what `cancel` was stopped with.
    """
    end = time.monotonic() + timeout
    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="check")
    futures: dict[str, Future[Finding]] = {
        check.id: pool.submit(_run, world, check) for check in checks if check.id not in skip
    }
    try:
        while not all(future.done() for future in futures.values()):
            cancel.check(f"waiting for {_first_of(futures)}")
            if time.monotonic() >= end:
                break
            wait(futures.values(), timeout=_POLL)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [_finding(check, futures.get(check.id), asked_by, timeout) for check in checks]


def _first_of(futures: Mapping[str, Future[Finding]]) -> str:
    running = [check for check, future in futures.items() if not future.done()]
    return f"the check {running[0]}" if running else "the checks to end"


def _finding(
    check: Check, future: Future[Finding] | None, asked_by: str, timeout: float
) -> Finding:
    blank = Finding(check.id, check.category, check.sentence)
    if future is None:
        return replace(blank, details=(Detail("skipped", f"skipped, asked by {asked_by}"),))
    if not future.done() or future.cancelled():
        said = unknown(f"could not look: no end after {timeout:.0f} s", "run it again")
        return replace(blank, details=(said,), seconds=timeout)
    return future.result()


def _run(world: World, check: Check) -> Finding:
    begun = time.monotonic()
    details: list[Detail] = []
    try:
        details.extend(check.look(world))
    except Interrupted:
        raise
    except InstallerError as error:
        where = f"{error.object}: " if error.object and error.object not in error.message else ""
        reason = f"could not look, because {where}{error.message}"
        details.append(unknown(reason, error.remedy, error.object))
    except Exception as error:  # a mistake of ours in one check takes no other with it
        mistake = f"internal error: {type(error).__name__}: {error}"
        details.append(
            unknown(f"could not look: {mistake}", "report this, and what is unusual here")
        )
    seconds = time.monotonic() - begun
    return Finding(check.id, check.category, check.sentence, tuple(details), seconds)
