"""Versions of components, and which is the later."""

from __future__ import annotations

import re

from semver import Version

_FORM = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")


def order(version: str) -> tuple[bool, Version | None, str]:
    """A sort key for component versions; what is not semver sorts last, by its text."""
    try:
        return (False, Version.parse(version), "")
    except ValueError:
        return (True, None, version)


def version_of(text: str) -> tuple[int, int, int]:
    """(major, minor, patch) of a component's version; zeros where it is not of that form."""
    match = _FORM.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)
