"""No check is believed that was never seen to hold and to fail on a real API server.

What the tests of preflight have seen comes with their reports, also from pytest-xdist's workers; it
is judged at the end of a session in which all of their files were run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from installer.preflight.registry import CHECKS

PROPERTY = "findings"
"""Property of a report: `ID VERDICT` of every check that ran meanwhile."""
HOLDS = frozenset({"ok", "note"})
FAILS = frozenset({"warning", "failed"})
"""Not `unknown`: that a check could not look proves nothing."""
_FOLDER = Path(__file__).parent / "preflight"


def unproven(seen: Mapping[str, Collection[str]], checks: Collection[str]) -> Iterator[str]:
    """What was not seen, as sentences."""
    for check in checks:
        verdicts = set(seen.get(check, ()))
        if not verdicts & HOLDS:
            yield f"{check} was never seen to hold"
        if not verdicts & FAILS:
            yield f"{check} was never seen to fail"


class EveryCheck:
    """A plugin of pytest, for the process that sees all reports."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._files: set[str] = set()
        self._missing: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test has seen."""
        path = Path(report.fspath)
        if path.parent.name != _FOLDER.name or report.when != "teardown":
            return
        self._files.add(path.name)
        for name, value in report.user_properties:
            if name == PROPERTY:
                check, verdict = str(value).split()
                self._seen[check].add(verdict)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session when a check was not proven in it."""
        every = {path.name for path in _FOLDER.glob("test_*.py")}
        chosen = session.config.option.keyword or any("::" in a for a in session.config.args)
        if chosen or self._files != every:
            return
        self._missing = list(unproven(self._seen, [check.id for check in CHECKS]))
        if self._missing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why."""
        for sentence in self._missing:
            terminalreporter.line(f"FAILED {sentence} on a real API server", red=True)
