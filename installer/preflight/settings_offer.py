"""Settings ready to be copied, as a remedy shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def offered(words: str, settings: Mapping[str, Any]) -> str:
    """`words (settings.yaml):` and the YAML beneath."""
    import yaml

    nested = any(isinstance(value, Mapping | list) for value in settings.values())
    style = None if nested else False  # only what is inside stands on one line
    text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=style, width=100)
    return f"{words} (settings.yaml, given with -f):\n{text.rstrip()}"
