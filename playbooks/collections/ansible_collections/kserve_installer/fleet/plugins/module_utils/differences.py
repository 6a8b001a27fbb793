"""Differences as Ansible's `--diff` shows them: a list of {before, after} with headers."""

from __future__ import annotations

import json


def differences(rows):
    """Of the `objects` of a plan: fields of what differs, names of what comes or goes.

    Bodies of new objects are left out: those of one release fill several megabytes.
    """
    found = []
    for row in rows:
        name = reference(row["object"])
        if row["action"] == "create":
            found.append(_pair(name, "", f"{name}\n"))
        elif row["action"] == "delete":
            found.append(_pair(name, f"{name}\n", ""))
        elif row["changes"]:
            old = "".join(_line(change, "old") for change in row["changes"])
            new = "".join(_line(change, "new") for change in row["changes"])
            found.append(_pair(name, old, new))
    return found


def deletions(references):
    """Of objects that are removed: their names."""
    return [_pair(reference(ref), f"{reference(ref)}\n", "") for ref in references]


def reference(ref):
    """`Kind namespace/name`, or `Kind name`."""
    place = f"{ref['namespace']}/" if ref.get("namespace") else ""
    return f"{ref['kind']} {place}{ref['name']}"


def _pair(name, before, after):
    return {
        "before_header": f"live: {name}",
        "after_header": f"wanted: {name}",
        "before": before,
        "after": after,
    }


def _line(change, side):
    if side not in change:
        return ""
    return f"{change['path']}: {json.dumps(change[side], sort_keys=True)}\n"
