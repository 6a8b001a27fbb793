"""Manifests parsed once: the objects are kept as JSON under the SHA-256 of the bytes, which loads
several times faster than YAML parses."""

from __future__ import annotations

from pathlib import Path

from installer.catalog.cache import Cache
from installer.catalog.integrity import bytes_fault, unreadable
from installer.catalog.model import Source
from installer.catalog.parse import FORMAT, parse
from installer.core.objects import Object


def objects_of(
    path_or_bytes: Path | bytes, sha256: str, cache: Cache | None, name: str = ""
) -> list[Object]:
    """The objects of a manifest with this SHA-256, from the cache of parsed manifests if it can.

    cache: None to parse in any case. name: how the file is called in messages.
    Raises ChecksFailed when the bytes are not those of the hash (nothing of them is parsed) or
    cannot be read, InvalidInput with every document that is no Kubernetes object.
    """
    key = f"{FORMAT}/{sha256}"
    kept = cache.read_objects(key) if cache else None
    if kept is not None:
        return kept
    shown = name or (str(path_or_bytes) if isinstance(path_or_bytes, Path) else sha256[:12])
    data = path_or_bytes
    if isinstance(data, Path):
        try:
            data = data.read_bytes()
        except OSError as error:
            raise unreadable(shown, error) from error
    source = Source(name=shown, url="", sha256=sha256)
    wrong = bytes_fault(source, shown, data)
    if wrong is not None:
        raise wrong
    objects = parse(data, shown)
    if cache:
        cache.keep_objects(key, objects)
    return objects
