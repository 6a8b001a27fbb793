"""What identifies a set of objects, whatever bytes they were written in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from installer.core.objects import canonical


def objects_sha256(objects: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256, 64 hex digits, of the objects' canonical JSON, one a line, lines sorted.

    Neither the order of the documents nor their formatting matters, so what a self-built
    istioctl prints compares with what upstream's prints.
    """
    lines = sorted(canonical(dict(obj)) for obj in objects)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
