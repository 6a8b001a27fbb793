"""`--dry-run`: what a run would write, object by object."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from installer.cli.session import Session

if TYPE_CHECKING:
    from installer.core.objects import Ref


def show(session: Session, decided: Iterable[tuple[str, str, str, Ref]]) -> None:
    """Tell (action, component, stage, reference) each as an `object` event; as text a line on
    stdout."""
    from installer.operations.telling import object_event

    for action, component, stage, ref in decided:
        if session.args.output == "json":
            session.emit(object_event(component, stage, action, ref))
        else:
            place = [part for part in (action, component, stage) if part]
            sys.stdout.write(f"{' '.join(place)} {ref}\n")
    sys.stdout.flush()
