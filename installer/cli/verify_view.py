"""The checks of `verify` as lines, as they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.cli.terminal import Terminal, duration

_LOOKS = {
    "ok": ("ok", "green"),
    "note": ("ok", "green"),
    "warning": ("warn", "yellow"),
    "unknown": ("warn", "yellow"),
    "failed": ("failed", "red"),
    "skipped": ("idle", "dim"),
}


def check_lines(fields: Mapping[str, Any], terminal: Terminal) -> list[str]:
    """A line for the check, then one for each thing it has to say."""
    icon, colour = _LOOKS[fields["verdict"]]
    sign = terminal.paint(terminal.icon(icon), colour)
    took = terminal.paint(f"({duration(float(fields['seconds']))})", "dim")
    lines = [f"{sign} {fields['sentence']} {took}"]
    for detail in fields["details"]:
        shown = detail["object"] and detail["verdict"] not in ("note", "ok")
        about = (
            f"{detail['object']}: " if shown and detail["object"] not in detail["reason"] else ""
        )
        lines.append(f"    {about}{detail['reason']}")
        if detail["remedy"] and detail["verdict"] != "failed":
            lines.append(f"      {detail['remedy']}")
    return lines
