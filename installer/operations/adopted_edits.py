"""What users have made of ConfigMaps that an upgrade takes over from whoever installed them.

Of such a cluster only the release is known and not who has set which value, so whatever is other
than the release has it is an edit.
"""

from __future__ import annotations

from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.objects import dig
from installer.operations.choice import Choice
from installer.operations.prepare import wanted_maps
from installer.operations.upgrade_edits import Outcome
from installer.plan.edited import EXAMPLE, owners_of_keys, same_image
from installer.plan.edits import Edit, Edits, onto
from installer.plan.merging import merge


def adopted_edits(cluster: Cluster, choice: Choice, cancel: Cancel) -> tuple[Edits, list[Outcome]]:
    """The edits in ConfigMaps of the components that are adopted, and what to tell of each.

    Keys that the release does not have need no keeping: an apply leaves them alone. An image at
    another version is that of the patch release that runs, and moves with it.
    """
    kept: dict[str, dict[str, Edit]] = {}
    outcomes: list[Outcome] = []
    for item in wanted_maps(cluster, choice, cancel):
        live = cluster.get(item.ref) if item.component in choice.options.adopt else None
        owners = owners_of_keys(live) if live is not None else {}
        for key, default in dig(item.body, "data", default={}).items():
            here = dig(live, "data", key)
            if here is None or key == EXAMPLE:
                continue
            # the same value in another form is none
            value = merge(f"{item.ref.name}/{key}", default, here, default, {}).value
            if value != default and not same_image(str(value), default):
                kept.setdefault(item.ref.name, {})[key] = Edit(str(value), onto(default))
                manager = owners.get(key, "")
                outcomes.append(Outcome(item.ref, key, "kept", manager, item.component))
    return kept, outcomes
