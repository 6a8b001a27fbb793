"""What `-o json` and `-o yaml` print where a command does not print event lines."""

from __future__ import annotations

import json
from typing import Any


def document(data: Any, form: str) -> str:
    """Data as one indented JSON document, or as YAML."""
    if form == "json":
        return json.dumps(data, indent=2, default=str) + "\n"
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
