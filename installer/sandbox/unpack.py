"""Unpacks .xz binaries into the cache, once per content."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import tempfile
from pathlib import Path

from installer.core.cancel import Cancel

_CHUNK = 1 << 20


class Damaged(Exception):
    """The packed file cannot be unpacked; the text names it and says why."""


def xz(packed: Path, cache: Path, cancel: Cancel) -> tuple[Path, bool]:
    """The unpacked, executable file, and whether it was unpacked just now.

    It lies in `<cache>/<SHA-256 of the packed file>/<name>`, its size beside it in `<name>.size`,
    so that a file cut off later is noticed. A note with the packed file's size and time spares
    hashing that one again.
    """
    try:
        status = packed.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        notes = cache / f"{hashlib.sha256(os.fsencode(packed)).hexdigest()[:16]}.json"
        digest = _known(notes, stamp) or _digest(packed, cancel)
        target = cache / digest / packed.stem
        fresh = not _whole(target)
        if fresh:
            _unpack(packed, target, cancel)
        _replace(notes, json.dumps({"stamp": stamp, "digest": digest}).encode())
        return target, fresh
    except (lzma.LZMAError, EOFError) as error:
        raise Damaged(f"{packed} is damaged: {error}") from error
    except OSError as error:
        raise Damaged(f"{packed} cannot be unpacked: {error}") from error


def _known(notes: Path, stamp: list[int]) -> str:
    """The digest of a packed file that has not changed since it was noted; empty otherwise."""
    try:
        note = json.loads(notes.read_bytes())
        return str(note["digest"]) if note["stamp"] == stamp else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _whole(target: Path) -> bool:
    try:
        return str(target.stat().st_size) == _size_of(target).read_text(encoding="ascii")
    except OSError:
        return False


def _size_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.size")


def _digest(path: Path, cancel: Cancel) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            cancel.check(f"reading {path}")
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(packed: Path, target: Path, cancel: Cancel) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".unpack-")
    try:
        with os.fdopen(handle, "wb") as stream, lzma.open(packed) as source:
            while chunk := source.read(_CHUNK):
                cancel.check(f"unpacking {packed}")
                stream.write(chunk)
        Path(name).chmod(0o755)
        _replace(_size_of(target), str(Path(name).stat().st_size).encode())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)
