"""The objects of a component: its sources fetched, rendered and parsed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from installer.catalog.cache import open_cache
from installer.catalog.integrity import redacted
from installer.catalog.missing import all_found
from installer.catalog.model import Component
from installer.catalog.parsed import objects_of
from installer.catalog.render import rendered_objects
from installer.catalog.sources import SourceOptions, fetch, named
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit
from installer.core.objects import Object

__all__ = ["load_each", "load_objects", "objects_of"]


def load_each(
    components: Sequence[Component], options: SourceOptions, emit: Emit, cancel: Cancel
) -> list[list[Object]]:
    """`load_objects` of each component, a few at a time.

    Raises as that does: the first failure ends the others too, except that files which are nowhere
    are told of all components at once.
    """
    return all_found([partial(load_objects, part, options, emit) for part in components], cancel)


def load_objects(
    component: Component, options: SourceOptions, emit: Emit, cancel: Cancel
) -> list[Object]:
    """Every object of the sources an install applies, in the order of sources and files.

    Raises what `fetch`, `rendered_objects` and `objects_of` raise; ChecksFailed too for a catalog
    whose component has no object at all.
    """
    applied = component.applied
    plain = [(component.name, source) for source in applied if source.kind == "manifest"]
    paths = fetch(plain, options, emit, cancel, component.version)
    cache = open_cache(options.cache_dir, emit)
    objects: list[Object] = []
    for source in applied:
        cancel.check(f"reading the manifests of {component.name} {component.version}")
        if source.kind == "istioctl":
            with named(f"{component.name} {component.version}, {source.name}"):
                objects += rendered_objects(component, source, options, emit, cancel)
        else:
            path = paths[source.sha256]
            objects += objects_of(path, source.sha256, cache, redacted(source.url))
    if applied and not objects:
        raise ChecksFailed(
            f"the sources of {component.name} {component.version} hold no object",
            kind="source-empty",
            object=component.name,
        )
    return objects
