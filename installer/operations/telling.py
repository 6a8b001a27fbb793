"""The events that several engines send alike."""

from __future__ import annotations

from installer.core.events import Event
from installer.core.objects import Ref


def object_event(component: str, stage: str, action: str, ref: Ref) -> Event:
    """One object was decided on or written."""
    fields = {"component": component, "stage": stage, "action": action, "object": ref.to_dict()}
    return Event("object", fields)


def stage_started(component: str, stage: str, objects: int) -> Event:
    """A stage begins with so many objects."""
    return Event("stage_started", {"component": component, "stage": stage, "objects": objects})


def stage_finished(component: str, stage: str, applying: float, waiting: float) -> Event:
    """A stage is done; applying, waiting: seconds."""
    return Event(
        "stage_finished",
        {
            "component": component,
            "stage": stage,
            "seconds": round(applying + waiting, 3),
            "apply_seconds": round(applying, 3),
            "wait_seconds": round(waiting, 3),
        },
    )


def warning(message: str, object: str = "", remedy: str = "") -> Event:
    """Something the user should know; the work goes on."""
    return Event("warning", {"message": message, "object": object, "remedy": remedy})
