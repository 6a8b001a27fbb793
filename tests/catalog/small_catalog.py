"""A catalog of two components and two releases, as data that a test changes before writing it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

_GATEWAY: dict[str, Any] = {
    "name": "gateway",
    "version": "1.2.0",
    "title": "Gateway",
    "namespace": "gateway-system",
    "kubernetes": {
        "min": {"version": "1.16", "reason": "refuses to start below 1.16"},
        "max": {"version": "1.21", "reason": "uses an API that is gone in 1.22"},
    },
    "sources": [
        {
            "name": "gateway",
            "url": "https://example.org/gateway/1.2.0.yaml",
            "sha256": "0" * 64,
            "size": 10,
        }
    ],
    "counts": {"objects": 1, "crds": 0, "webhooks": 0},
    "images": ["example.org/gateway:1.2.0"],
}

_SERVER: dict[str, Any] = {
    **_GATEWAY,
    "name": "server",
    "version": "2.0.0",
    "title": "Server",
    "needs": ["gateway"],
    "kubernetes": {"min": {"version": "1.18", "reason": "refuses to start below 1.18"}},
    "images": ["example.org/server:2.0.0"],
}

_RELEASE: dict[str, Any] = {
    "name": "stack-1",
    "title": "Stack 1",
    "date": "2021-01-31",
    "kubernetes": {
        "min": {"version": "1.18", "reason": "Server"},
        "max": {"version": "1.21", "reason": "Gateway"},
    },
    "components": [
        {"name": "gateway", "version": "1.2.0"},
        {"name": "server", "version": "2.0.0"},
    ],
    "serving": {"group": "serving.example.org", "versions": ["v1"]},
}

GATEWAY = "components/gateway/1.2.0.yaml"
SERVER = "components/server/2.0.0.yaml"
RELEASE = "releases/stack-1.yaml"


class SmallCatalog:
    """files: content by path, data to be written as YAML or text as it is."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.files: dict[str, Any] = {
            GATEWAY: copy.deepcopy(_GATEWAY),
            SERVER: copy.deepcopy(_SERVER),
            RELEASE: copy.deepcopy(_RELEASE),
        }

    def write(self) -> Path:
        """Write every file; returns the folder."""
        for name, content in self.files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else yaml.safe_dump(content)
            path.write_text(text, encoding="utf-8")
        return self.directory
