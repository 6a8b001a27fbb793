"""What an API server's audit log says of the requests that came from our command."""

from __future__ import annotations

import json
from pathlib import Path

_WRITES = ("create", "update", "patch", "delete", "deletecollection")


def audited_writes(audit_log: Path, agent: str = "kserve-installer/") -> list[str]:
    """Write requests in an API server's audit log that came from our command.

    Dry runs store nothing, nor do reviews of the caller's own rights.
    """
    writes = []
    for line in audit_log.read_text().splitlines():
        entry = json.loads(line)
        if not str(entry.get("userAgent", "")).startswith(agent):
            continue
        uri = entry["requestURI"]
        harmless = "dryRun=All" in uri or "/selfsubject" in uri
        if entry["verb"] in _WRITES and not harmless:
            writes.append(f"{entry['verb']} {entry['requestURI']}")
    return writes
