"""What a run did so far, counted from several threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """What a run did so far; stages: (component, stage, seconds applying, seconds waiting)."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    stages: list[tuple[str, str, float, float]] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, action: str) -> None:
        """Count one object: created, changed, unchanged or deleted."""
        with self._guard:
            setattr(self, action, getattr(self, action) + 1)

    def stage(self, component: str, stage: str, applying: float, waiting: float) -> None:
        """Note how long a stage took, in seconds."""
        with self._guard:
            self.stages.append((component, stage, applying, waiting))
