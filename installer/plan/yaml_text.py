"""Texts that hold a YAML mapping, such as Istio's `mesh`: read and written. Pure.

Read by the rules of whoever reads such a text in the cluster, which is Go's YAML and not PyYAML:
see `catalog.parse`.
"""

from __future__ import annotations

from typing import Any

from installer.catalog.parse import value_of

Mapping = dict[str, Any]


def mapping_in(text: str) -> Mapping | None:
    """The mapping that a text is, None when it is something else or cannot be read."""
    found = value_of(text)
    return found if isinstance(found, dict) else None


def text_of(mapping: Mapping) -> str:
    """The text of a mapping, in its order; `mapping_in` gives the same mapping for it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what Go would not read as text, such as `y` and `1e3`."""

    def text(dumper: Any, value: str) -> Any:
        plain = value_of(value) == value
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')

    Dumper.add_representer(str, text)
    return str(
        yaml.dump(mapping, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    )
