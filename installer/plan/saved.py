"""A plan as a file: what was decided, on which state of which cluster. Pure.

The file is JSON with a checksum over everything else in it, so that an edit by hand is seen. It
holds no object's content and no setting, only fingerprints and names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from installer.core.errors import ChecksFailed, UsageError
from installer.core.objects import Ref, canonical

KIND = "kserve-installer-plan"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class SavedObject:
    """One object as it was decided on.

    digest: of the body wanted, empty for what is to be deleted. decision: of `plan.drift`, or
    `delete`. version: the live object's resourceVersion, empty when there was none. content:
    fingerprint of the live object without its status, where the decision is to write it.
    """

    ref: Ref
    digest: str
    decision: str
    version: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """Everything in the file.

    cluster: uid of namespace kube-system. kubernetes: the server's version. settings: files as
    absolute paths; settings_digest: of what they came to. ledger: its fingerprint; run: the newest
    run in it. catalog: path of a catalog other than ours, or empty.
    """

    installer: str
    cluster: str
    kubernetes: str
    release: str
    settings: tuple[str, ...]
    settings_digest: str
    take_ownership: bool
    adopt: tuple[str, ...]
    catalog: str
    ledger: str
    run: str
    objects: tuple[SavedObject, ...]

    def text(self) -> str:
        """The file's content."""
        data: dict[str, Any] = {
            "kind": KIND,
            "format": FORMAT,
            "installer": self.installer,
            "cluster": self.cluster,
            "kubernetes": self.kubernetes,
            "release": self.release,
            "settings": {"files": list(self.settings), "digest": self.settings_digest},
            "take_ownership": self.take_ownership,
            "adopt": list(self.adopt),
            "catalog": self.catalog,
            "ledger": {"fingerprint": self.ledger, "run": self.run},
            "objects": [
                {
                    **item.ref.to_dict(),
                    "digest": item.digest,
                    "decision": item.decision,
                    "resourceVersion": item.version,
                    "content": item.content,
                }
                for item in self.objects
            ],
        }
        return json.dumps({**data, "checksum": checksum(data)}, indent=1) + "\n"


def checksum(data: Mapping[str, Any]) -> str:
    """SHA-256 of everything in the file but the checksum itself."""
    rest = {key: value for key, value in data.items() if key != "checksum"}
    return f"sha256:{hashlib.sha256(canonical(rest)).hexdigest()}"


def parse(text: str, name: str, installer: str) -> SavedPlan:
    """A file's content.

    Raises UsageError for what is no plan; ChecksFailed for one that was edited (`plan-edited`) or
    made by another version than `installer` (`plan-version`).
    """
    data = _document(text, name)
    if data.get("checksum") != checksum(data):
        raise ChecksFailed(
            "this plan was changed after it was saved: its checksum does not fit its content",
            kind="plan-edited",
            object=name,
            remedy="make a new one with `kserve-installer plan RELEASE --save FILE`",
        )
    if data.get("installer") != installer:
        raise ChecksFailed(
            f"this plan was made by kserve-installer {data.get('installer')}, and this is "
            f"{installer}",
            kind="plan-version",
            object=name,
            remedy="make a new one with this version",
        )
    try:
        return _plan(data)
    except (KeyError, TypeError) as problem:
        raise UsageError(
            f"this plan is not complete: {problem} is missing or of another form",
            kind="plan-file",
            object=name,
            remedy="make a new one with `kserve-installer plan RELEASE --save FILE`",
        ) from problem


def _plan(data: Mapping[str, Any]) -> SavedPlan:
    return SavedPlan(
        data["installer"],
        data["cluster"],
        data["kubernetes"],
        data["release"],
        tuple(data["settings"]["files"]),
        data["settings"]["digest"],
        data["take_ownership"],
        tuple(data["adopt"]),
        data["catalog"],
        data["ledger"]["fingerprint"],
        data["ledger"]["run"],
        tuple(_object(item) for item in data["objects"]),
    )


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise UsageError(
            "this file is not a plan",
            kind="plan-file",
            object=name,
            remedy="`kserve-installer plan RELEASE --save FILE` makes one",
        )
    if data.get("format") != FORMAT:
        raise ChecksFailed(
            f"this plan has format {data.get('format')!r}, and this kserve-installer reads "
            f"format {FORMAT}",
            kind="plan-version",
            object=name,
            remedy="make a new one with this version",
        )
    return data


def _object(data: Mapping[str, str]) -> SavedObject:
    return SavedObject(
        Ref.from_dict(data),
        data["digest"],
        data["decision"],
        data["resourceVersion"],
        data["content"],
    )


def moved(then: SavedPlan, now: SavedPlan) -> list[tuple[SavedObject | None, SavedObject | None]]:
    """Objects whose decision or ground is another now: (as saved, as decided now).

    None where the object is not part of one of the two.
    """
    before = {item.ref.identity: item for item in then.objects}
    after = {item.ref.identity: item for item in now.objects}
    pairs = [(before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])]
    return [(old, new) for old, new in pairs if not _holds(old, new)]


def _holds(old: SavedObject | None, new: SavedObject | None) -> bool:
    if old is None or new is None:
        return False
    if (old.digest, old.decision) != (new.digest, new.decision):
        return False
    if bool(old.version) != bool(new.version):
        return False
    # a status that moved on is no reason: then the content is still the same
    return old.version == new.version or old.content == new.content
