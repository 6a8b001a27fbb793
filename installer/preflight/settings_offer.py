"""Settings ready to be copied, as a remedy shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def offered(words: str, settings: Mapping[str, Any]) -> str:
    """`words (settings.yaml):` and the YAML beneath."""
    import yaml

    text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=100)
    return f"{words} (settings.yaml, given with -f):\n{text.rstrip()}"
