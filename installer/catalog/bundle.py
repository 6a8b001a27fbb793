"""Bundles: the sources of releases in one archive, for machines without a network.

A bundle is laid out as a mirror is (`places`): `<host>/<path>` of each address, and what an
istioctl would print at its `rendered` path, so that none has to run where the bundle is used.
Equal contents give equal bytes: members are sorted and carry no times.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, cast

from installer.catalog.digest import objects_sha256
from installer.catalog.integrity import bytes_fault
from installer.catalog.missing import WantedSource, all_found
from installer.catalog.model import Component, Source
from installer.catalog.parse import parse
from installer.catalog.places import Place, candidates, mirror_path, open_place
from installer.catalog.render import RENDERED_LIMIT, rendered_objects
from installer.catalog.sources import SourceOptions, fetch, named
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InvalidInput, UsageError
from installer.core.events import Emit
from installer.core.objects import Object

_COMPRESSED = (".gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A written bundle. files: size in bytes by path in it; size, sha256: of the archive."""

    file: Path
    files: Mapping[str, int]
    size: int
    sha256: str


def create(
    target: Path,
    components: Sequence[Component],
    options: SourceOptions,
    emit: Emit,
    cancel: Cancel,
) -> Bundle:
    """Fetch the sources of the components and write them as one archive, compressed where its name
    ends with .gz or .tgz. It is there when it is whole, and never replaces a file.

    Raises as `fetch` and `rendered_objects` do; UsageError for a file that is there or cannot be
    written.
    """
    if target.exists():
        raise _unwritable(target, "it is there already", "name another file, or remove it")
    if not target.parent.is_dir():
        raise _unwritable(target, "its folder is not there", "make the folder first")

    def fetched(component: Component, stop: Cancel) -> list[tuple[str, bytes]]:
        return list(_members(component, options, emit, stop))

    found = all_found([partial(fetched, component) for component in components], cancel)
    members = dict(sorted(chain.from_iterable(found)))
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with part.open("xb") as file:
            _write(file, members, compressed=target.name.endswith(_COMPRESSED))
        digest = _sha256(part)
        part.replace(target)
    except OSError as error:
        raise _unwritable(target, error.strerror or str(error), "choose another place") from error
    finally:
        part.unlink(missing_ok=True)
    sizes = {name: len(data) for name, data in members.items()}
    return Bundle(target, sizes, target.stat().st_size, digest)


def _members(
    component: Component, options: SourceOptions, emit: Emit, cancel: Cancel
) -> Iterator[tuple[str, bytes]]:
    plain = [source for source in component.applied if not source.rendered]
    wanted = [(component.name, source) for source in plain]
    paths = fetch(wanted, options, emit, cancel, component.version)
    for source in plain:
        yield mirror_path(source.url), _verified(component, source, paths[source.sha256])
    for source in component.applied:
        if source.rendered:
            with named(str(WantedSource(component.name, component.version, source))):
                objects = rendered_objects(component, source, options, emit, cancel)
            yield source.rendered, _documents(objects)


def _documents(objects: Sequence[Object]) -> bytes:
    """JSON, which is YAML too, and in which no text can be taken for a number."""
    return "".join(f"---\n{json.dumps(obj, ensure_ascii=False)}\n" for obj in objects).encode()


def _verified(component: Component, source: Source, path: Path) -> bytes:
    data = path.read_bytes()
    where = str(WantedSource(component.name, component.version, source))
    wrong = bytes_fault(source, where, data)
    if wrong is not None:
        raise wrong
    return data


def _write(file: IO[bytes], members: Mapping[str, bytes], *, compressed: bool) -> None:
    stream = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if compressed else file
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="w", format=tarfile.PAX_FORMAT) as out:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    if compressed:
        stream.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwritable(target: Path, why: str, remedy: str) -> UsageError:
    return UsageError(
        f"the bundle {target} cannot be written: {why}",
        kind="bundle-file",
        object=str(target),
        remedy=remedy,
    )


class Contents:
    """What a bundle, or a mirror in a folder, holds of components; each file is read once."""

    def __init__(self, file: str) -> None:
        self._place: Place = open_place(file, "bundle")
        self._known: dict[str, ChecksFailed | bool] = {}
        self.damaged: list[ChecksFailed] = []

    def lacks(self, component: Component) -> list[WantedSource]:
        """The sources of the component that an install would not find, or not take, there."""
        return [
            WantedSource(component.name, component.version, source)
            for source in component.applied
            if not self._holds(source)
        ]

    def _holds(self, source: Source) -> bool:
        found = self._known.get(source.sha256)
        if found is None:
            found = self._known[source.sha256] = self._looked(source)
            if isinstance(found, ChecksFailed):
                self.damaged.append(found)
        return found is True

    def _looked(self, source: Source) -> ChecksFailed | bool:
        for path in candidates(source):
            data = self._place.read(path, source.size_limit)
            if data is not None:
                return bytes_fault(source, path, data) or True
        return self._rendered(source) if source.rendered else False

    def _rendered(self, source: Source) -> ChecksFailed | bool:
        path = source.rendered or ""
        data = self._place.read(path, RENDERED_LIMIT)
        if data is None:
            return False
        try:
            right = objects_sha256(parse(data, path)) == source.rendered_objects_sha256
        except InvalidInput as error:
            return ChecksFailed(error.message, kind="source-tampered", object=path)
        if right or source.rendered_objects_sha256 is None:
            return True
        said = f"{path} holds other objects than the catalog's"
        return ChecksFailed(said, kind="source-tampered", object=path)
