"""A component of made-up sources."""

from __future__ import annotations

from typing import Any

from installer.catalog.model import Component, Counts, Range, Source


def component(*sources: Source, **other: Any) -> Component:
    """A component that consists of these sources; other: fields with other values."""
    fields: dict[str, Any] = {
        "name": "part",
        "version": "1",
        "title": "Part",
        "namespace": "made-up",
        "kubernetes": Range(),
        "counts": Counts(objects=0, crds=0, webhooks=0),
        "images": (),
    }
    return Component(sources=sources, **{**fields, **other})
