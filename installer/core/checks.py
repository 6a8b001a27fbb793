"""What a check finds: values shared by those who check, those who stop, and those who show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "note", "warning", "unknown", "failed", "skipped"]
"""ok: it holds. note: it holds, and there is something to know. warning: works, but look at it.
unknown: could not look. failed: what was asked for would not work. skipped: not asked."""

WORST_FIRST: tuple[Verdict, ...] = ("failed", "unknown", "warning", "skipped", "note", "ok")


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing a check has to say.

    reason: what is the case, a clause without a full stop. remedy: what to do about it.
    object: what it concerns, as `Kind namespace/name`. data: the same for machines.
    """

    verdict: Verdict
    reason: str
    remedy: str = ""
    object: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """{verdict, reason, remedy, object}, and data where there is any."""
        shown = {slot: getattr(self, slot) for slot in ("verdict", "reason", "remedy", "object")}
        return {**shown, "data": dict(self.data)} if self.data else shown


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one check. seconds: how long it took. page: where docs explain it."""

    check: str
    category: str
    sentence: str
    details: Sequence[Detail] = ()
    seconds: float = 0.0
    page: str = "docs/checks.md"

    @property
    def verdict(self) -> Verdict:
        """The worst of its details; ok without any."""
        said = {detail.verdict for detail in self.details}
        return next((verdict for verdict in WORST_FIRST if verdict in said), "ok")

    @property
    def hint(self) -> str:
        """Where docs explain the check."""
        return f"{self.page}#{self.check}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "check": self.check,
            "category": self.category,
            "sentence": self.sentence,
            "verdict": self.verdict,
            "hint": self.hint,
            "seconds": round(self.seconds, 3),
            "details": [detail.to_dict() for detail in self.details],
        }


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings are ok, warning, unknown, failed, skipped; a note is ok too."""
    found = dict.fromkeys(("ok", "warning", "unknown", "failed", "skipped"), 0)
    for finding in findings:
        found["ok" if finding.verdict == "note" else finding.verdict] += 1
    return found


def failed(reason: str, remedy: str = "", object: str = "", **data: Any) -> Detail:
    """A detail that stops an install."""
    return Detail("failed", reason, remedy, object, data)


def warning(reason: str, remedy: str = "", object: str = "", **data: Any) -> Detail:
    """A detail to look at; the install goes on."""
    return Detail("warning", reason, remedy, object, data)


def unknown(reason: str, remedy: str = "", object: str = "", **data: Any) -> Detail:
    """Could not look; never shown as fine."""
    return Detail("unknown", reason, remedy, object, data)


def note(reason: str, object: str = "", **data: Any) -> Detail:
    """Worth knowing; the check holds."""
    return Detail("note", reason, "", object, data)
