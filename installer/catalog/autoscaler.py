"""Defaults of Knative's autoscaler, by version: versions/autoscaler.yaml as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from semver import Version

from installer.catalog.load import AUTOSCALER, packaged_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """From version `since` on, `key` of config-autoscaler is `value` unless it is set."""

    key: str
    since: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """All rows, a key's in the order of versions."""

    defaults: tuple[Default, ...]

    def of(self, version: str) -> Mapping[str, str]:
        """The defaults of a version of Knative Serving, e.g. `0.18.0`."""
        wanted = Version.parse(version)
        return {row.key: row.value for row in self.defaults if Version.parse(row.since) <= wanted}


@cache
def load_defaults() -> Defaults:
    """Read the packaged file. Raises InvalidInput with every problem."""
    return packaged_facts(Defaults, AUTOSCALER, "the catalog's defaults of the autoscaler")
