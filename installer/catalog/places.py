"""Bundles and mirrors on disk: where a source's file is in them.

A file is looked up as `sha256/<hash>` and as `<host>/<path>` of its URL, so a bundle may be
content-addressed and a mirror may be what `wget --mirror` makes. What stands there with other
bytes is an error, never skipped: a broken mirror must be seen.
"""

from __future__ import annotations

import contextlib
import lzma
import tarfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from stat import S_ISDIR
from typing import IO, Protocol
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from installer.catalog.integrity import redacted
from installer.catalog.model import Source
from installer.core.errors import UsageError

_archives: dict[tuple[str, int, int], ArchivePlace] = {}
_opening = threading.Lock()


def mirror_path(url: str) -> str:
    """`<host>/<path>` of a URL, unquoted: where its file is in a mirror or bundle.

    Raises UsageError for a URL whose path would lead out of the mirror.
    """
    parts = urlsplit(url)
    path = f"{parts.netloc.rpartition('@')[2]}/{unquote(parts.path).lstrip('/')}"
    if any(step in ("", ".", "..") for step in path.split("/")):
        raise UsageError(
            f"{redacted(url)} has no place in a mirror", kind="invalid-input", object=redacted(url)
        )
    return path


def mirror_url(base: str, path: str) -> str:
    """The address of a mirror's file; path is unquoted. A query of the base (a token) stays."""
    parts = urlsplit(base)
    joined = parts.path.rstrip("/") + "/" + quote(path, safe="/:@!$&'()*+,;=~")
    return urlunsplit((parts.scheme, parts.netloc, joined, parts.query, ""))


def candidates(source: Source) -> tuple[str, ...]:
    """Paths under which a bundle or mirror may hold the source's bytes."""
    return (f"sha256/{source.sha256}", mirror_path(source.url))


class Place(Protocol):
    """A bundle or a mirror on this machine. origin: `bundle` or `mirror`."""

    @property
    def origin(self) -> str: ...

    @property
    def label(self) -> str: ...

    def read(self, path: str, limit: int, /) -> bytes | None:
        """At most limit + 1 bytes of the file at path, or None when there is none."""

    def locate(self, _path: str, /) -> Path | None:
        """The file at path when it lies on disk as itself; None in an archive."""


class FolderPlace:
    """A directory."""

    def __init__(self, folder: Path, origin: str):
        self.folder = folder
        self.origin = origin
        self.label = f"{origin} {folder}"

    def locate(self, path: str) -> Path | None:
        found = self.folder / path
        with _explained(self.label):
            return found if found.is_file() else None

    def read(self, path: str, limit: int) -> bytes | None:
        found = self.locate(path)
        if found is None:
            return None
        with found.open("rb") as file:
            return file.read(limit + 1)


class ArchivePlace:
    """A .tar or a compressed one. Members that are not plain files count as absent."""

    def __init__(self, file: Path, origin: str):
        self.file = file
        self.origin = origin
        self.label = f"{origin} {file}"
        self._lock = threading.Lock()
        with _explained(self.label), tarfile.open(file) as archive:
            self._members: Mapping[str, tarfile.TarInfo] = {
                member.name.removeprefix("./"): member for member in archive if member.isreg()
            }

    def locate(self, _path: str) -> Path | None:
        return None

    def read(self, path: str, limit: int) -> bytes | None:
        member = self._members.get(path)
        if member is None:
            return None
        with self._lock, _explained(self.label), tarfile.open(self.file) as archive:
            content: IO[bytes] | None = archive.extractfile(member)
            return content.read(limit + 1) if content else None


@contextlib.contextmanager
def _explained(label: str) -> Iterator[None]:
    """Turn what tarfile and its decompressors raise into one sentence."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        foreign = isinstance(error, tarfile.ReadError) and "could not be opened" in str(error)
        # tarfile lists why each compression does not fit, a line for each.
        reason = "it is no tar archive" if foreign else " ".join(str(error).split())
        raise UsageError(
            f"{label} cannot be read: {reason}",
            kind="invalid-input",
            object=label,
            remedy="a bundle is a directory or a .tar, .tar.gz or .tar.xz file, "
            "a mirror a directory or an http(s) URL",
        ) from error


def open_place(text: str, origin: str) -> Place:
    """The bundle or mirror at a path. Raises UsageError when it is not there or unusable."""
    path = Path(text).expanduser()
    with _explained(f"--{origin} {path}"):
        stat = path.stat() if path.exists() else None
    if stat is not None and S_ISDIR(stat.st_mode):
        return FolderPlace(path, origin)
    if origin == "bundle" and stat is not None:
        key = (str(path), stat.st_mtime_ns, stat.st_size)
        with _opening:
            if key not in _archives:
                _archives[key] = ArchivePlace(path, origin)
            return _archives[key]
    wanted = "a directory or a .tar file" if origin == "bundle" else "a directory or an http(s) URL"
    found = "is a file" if stat else "does not exist"
    raise UsageError(
        f"--{origin} {path} {found}; expected {wanted}",
        kind="invalid-input",
        object=str(path),
        remedy=f"correct --{origin}; without it sources are downloaded from upstream",
    )


def places(bundle: Path | None, mirror: str | None) -> Iterator[Place]:
    """What the user gave and is on this machine, in the order in which it is asked."""
    if bundle is not None:
        yield open_place(str(bundle), "bundle")
    if mirror is not None and not is_web(mirror):
        local = urlsplit(mirror)
        yield open_place(unquote(local.path) if local.scheme == "file" else mirror, "mirror")


def is_web(mirror: str) -> bool:
    """True for a mirror reached by URL. Raises UsageError for a scheme that nobody serves."""
    try:
        scheme = urlsplit(mirror).scheme.lower()
    except ValueError as error:
        raise UsageError(
            f"--mirror is no address: {error}", kind="invalid-input", object=redacted(mirror)
        ) from error
    if scheme in ("http", "https"):
        return True
    if "://" in mirror and scheme != "file":
        raise UsageError(
            f"--mirror {redacted(mirror)} is neither a directory nor an http(s) URL",
            kind="invalid-input",
            object=redacted(mirror),
        )
    return False
