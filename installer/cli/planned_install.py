"""`install --plan FILE`: the flags that the plan stands for, and holding the run to it."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from installer.core.errors import UsageError

if TYPE_CHECKING:
    from installer.cluster.client import Cluster
    from installer.operations.choice import Choice
    from installer.operations.prepare import Prepared
    from installer.plan.saved import SavedPlan


@dataclass(frozen=True, slots=True)
class Promise:
    """What `install` was allowed to do: everything where no plan was given."""

    file: str = ""
    saved: SavedPlan | None = None

    def check_choice(self, choice: Choice) -> None:
        """Raise ChecksFailed when the settings files say something else by now."""
        if self.saved is not None:
            from installer.operations.saved_plan import check_settings

            check_settings(self.saved, choice.options.settings.digest(), self.file)

    def check_cluster(self, cluster: Cluster) -> None:
        """Raise ChecksFailed when the plan was made for another cluster."""
        if self.saved is not None:
            from installer.operations.saved_plan import check_cluster

            check_cluster(cluster, self.saved, self.file)

    def check(self, cluster: Cluster, prepared: Prepared) -> Prepared:
        """The decided install; ChecksFailed, with what changed, when it is not that of the plan."""
        if self.saved is not None:
            from installer.operations.saved_plan import check_current

            check_current(cluster, self.saved, prepared, self.file)
        return prepared


def promise(args: Namespace) -> Promise:
    """The plan given with --plan; release, settings and catalog in `args` become those in it.

    Raises UsageError where the words say otherwise than the plan, and what loading it raises.
    """
    if not args.plan:
        return Promise()
    from installer.operations.saved_plan import load

    saved = load(args.plan)
    if args.release and args.release != saved.release:
        raise UsageError(
            f"this plan is one of {saved.release}, not of {args.release}",
            kind="plan-release",
            object=args.plan,
            remedy="leave the release out, or plan the other one",
        )
    for flag, given, planned in (
        ("-f", bool(args.settings), False),
        ("--take-ownership", args.take_ownership, saved.take_ownership),
        ("--adopt", bool(args.adopt), False),
    ):
        if given and not planned:
            raise UsageError(
                f"{flag} cannot be given with --plan: it belongs to what was planned",
                kind="plan-flags",
                object=args.plan,
                remedy=f"leave it out, or make a plan with {flag}",
            )
    args.release, args.settings = saved.release, list(saved.settings)
    args.take_ownership, args.adopt = saved.take_ownership, list(saved.adopt)
    args.catalog = args.catalog or saved.catalog or None
    return Promise(args.plan, saved)
