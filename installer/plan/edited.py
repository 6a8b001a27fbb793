"""Keys of ConfigMaps that users have edited in place. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from installer.core.objects import dig
from installer.plan.drift import MANAGER
from installer.plan.yaml_text import mapping_in

EXAMPLE = "_example"
"""A key that is documentation; Knative's webhook refuses changes of it."""


def edited_keys(
    live: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
    known: Collection[str] = (),
    *,
    moves: bool = False,
) -> Iterator[tuple[str, str]]:
    """Keys with the field manager that set them last, empty where that is ourselves.

    live: the ConfigMap; before, after: data of the release before and of the next. Edited is what
    somebody else has set to a value that neither brings, and what is known to have been edited.
    Keys that only users have are not among them, since an apply leaves these alone; but where the
    ConfigMap moves, to another namespace, nothing of it comes along by itself.
    """
    owners = owners_of_keys(live)
    for key, value in dig(live, "data", default={}).items():
        theirs = key in owners and (moves or key in before or key in after)
        changed = value not in (before.get(key), after.get(key))
        if key != EXAMPLE and ((theirs and changed) or key in known):
            yield key, owners.get(key, "")


def forgotten_keys(
    live: Mapping[str, Any], before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Keys of users that the release before explained in `_example`, and the next does not, with
    their field managers.

    Knative's ConfigMaps say there, in YAML, which keys are read (knative/serving,
    config/core/configmaps). One that is explained no more may still be read under its old name, as
    `ingress.class` is (knative/networking, pkg/config/config.go); nothing says for how long.
    """
    explained, earlier = (mapping_in(data.get(EXAMPLE, "")) for data in (after, before))
    if explained is None or earlier is None:
        return  # where nothing is explained nothing is said about any key
    gone = earlier.keys() - explained.keys() - after.keys()
    for key, manager in owners_of_keys(live).items():
        if key in gone and key not in before:
            yield key, manager


def same_image(one: str, other: str) -> bool:
    """Whether two values name one image, at whatever version."""
    here, there = _IMAGE.match(one), _IMAGE.match(other)
    return bool(here and there and here["name"] == there["name"])


_IMAGE = re.compile(
    r"(?P<name>[a-z0-9.-]+(:\d+)?(/[a-zA-Z0-9._-]+)+)(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$"
)


def owners_of_keys(obj: Mapping[str, Any]) -> dict[str, str]:
    """Field managers other than ours by the key of `data` that they own."""
    return {
        step.removeprefix("f:"): str(entry.get("manager", ""))
        for entry in dig(obj, "metadata", "managedFields", default=[])
        if entry.get("manager") != MANAGER
        for step in dig(entry, "fieldsV1", "f:data", default={})
        if step.startswith("f:")
    }
