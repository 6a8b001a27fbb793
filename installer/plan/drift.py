"""Does an object have to be written? Decided from a LIST and the ledger, without a request each.

After each apply the ledger keeps two fingerprints: of the body sent, and of what the server notes
of our field manager's last apply (`metadata.managedFields`). The server takes a field out of that
note as soon as anybody else changes or removes it, and our own applies change its time. So while
both fingerprints hold, neither our wish nor any field that we own has moved, whatever the server
defaulted or normalised, and the object's body need not even be read. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from installer.core.objects import Ref, dig, fingerprint

MANAGER = "kserve-installer"
"""Field manager of everything we apply."""

RAN_ONCE = "once"
"""Stands for `Entry.seen` of what is created and never applied again."""

Decision = Literal["create", "apply", "unchanged"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger knows of one object.

    sent, seen: fingerprints as above, empty until the apply was answered.
    created: the object did not exist before us, so uninstall may delete it even when it is a
    Namespace.
    """

    ref: Ref
    sent: str = ""
    seen: str = ""
    created: bool = False

    @property
    def applied(self) -> bool:
        """Whether we have applied it: then its fields are ours, whoever has changed them since."""
        return bool(self.sent)


def seen_fingerprint(live: Mapping[str, Any]) -> str:
    """Fingerprint of the server's note of our last apply, never empty.

    Owning nothing is a state like any other: a Namespace that is only a name has no field of ours
    and no note.
    """
    entries = dig(live, "metadata", "managedFields", default=[])
    return fingerprint(
        [
            [entry.get("apiVersion"), entry.get("time"), entry.get("fieldsV1")]
            for entry in entries
            if entry.get("manager") == MANAGER
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ]
    )


def decide(sent: str, live: Mapping[str, Any] | None, entry: Entry | None, once: bool) -> Decision:
    """What to do about one object.

    sent: fingerprint of the body we would send now.
    once: created and never applied again (a Job); that it exists is enough.
    """
    if live is None:
        if once and entry is not None and entry.seen:
            return "unchanged"  # it ran; that it was cleaned up since is not drift
        return "create"
    if once:
        return "unchanged"
    if entry is None or entry.sent != sent or not entry.seen:
        return "apply"
    return "unchanged" if entry.seen == seen_fingerprint(live) else "apply"
