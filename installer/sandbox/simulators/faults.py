"""Which fault of the script hits a connection or request now."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from installer.sandbox.script import CONNECTION_FAULTS, WebhookRule
from installer.sandbox.simulators.world import World


@dataclass(slots=True)
class _Tally:
    """What a rule has seen since it came into force."""

    rule: WebhookRule
    since: float
    served: int = 0
    hits: int = 0


class Faults:
    """The script's webhook rules, with their counts. Counts start anew when a rule changes."""

    def __init__(self, world: World):
        self._world = world
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}

    def of_connection(self, namespace: str, service: str) -> WebhookRule | None:
        """The fault that hits a new connection; counts it."""
        return self._hit(namespace, service, "", connection=True)

    def of_request(self, namespace: str, service: str, kind: str) -> WebhookRule | None:
        """The fault that hits a request of `kind` (`admission` or `conversion`); counts it."""
        return self._hit(namespace, service, kind, connection=False)

    def served(self, namespace: str, service: str) -> None:
        """Count one proper answer."""
        with self._lock:
            tally = self._tallies.get(f"{namespace}/{service}")
            if tally:
                tally.served += 1

    def _hit(
        self, namespace: str, service: str, kind: str, *, connection: bool
    ) -> WebhookRule | None:
        rule = self._world.script.current().webhook_rule(namespace, service)
        with self._lock:
            key = f"{namespace}/{service}"
            if rule is None:
                self._tallies.pop(key, None)
                return None
            tally = self._tallies.get(key)
            if tally is None or tally.rule != rule:
                tally = self._tallies[key] = _Tally(rule, time.monotonic())
            if (rule.fault in CONNECTION_FAULTS) != connection:
                return None
            if not connection and rule.on not in ("both", kind):
                return None
            if tally.served < rule.after or _healed(tally) or _up(tally):
                return None
            tally.hits += 1
            return rule


def _healed(tally: _Tally) -> bool:
    return tally.rule.count is not None and tally.hits >= tally.rule.count


def _up(tally: _Tally) -> bool:
    if tally.rule.fault != "flapping":
        return False
    period = tally.rule.seconds or 1.0
    return int((time.monotonic() - tally.since) / period) % 2 == 1
