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

    It lies in `<cache>/<SHA-256 of the packed file>/<name>`; a note beside it with the packed
    file's path, size and time spares hashing it again, and with the unpacked size an incomplete
    file is noticed.
    """
    try:
        status = packed.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        notes = cache / f"{hashlib.sha256(os.fsencode(packed)).hexdigest()[:16]}.json"
        if known := _known(notes, stamp):
            return known, False
        digest = _digest(packed, cancel)
        target = cache / digest / packed.stem
        fresh = not target.is_file()
        if fresh:
            _unpack(packed, target, cancel)
        note = {"stamp": stamp, "target": str(target), "size": target.stat().st_size}
        _replace(notes, json.dumps(note).encode())
        return target, fresh
    except (lzma.LZMAError, EOFError) as error:
        raise Damaged(f"{packed} is damaged: {error}") from error
    except OSError as error:
        raise Damaged(f"{packed} cannot be unpacked: {error}") from error


def _known(notes: Path, stamp: list[int]) -> Path | None:
    try:
        note = json.loads(notes.read_bytes())
        target = Path(note["target"])
        if note["stamp"] == stamp and target.stat().st_size == note["size"]:
            return target
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _digest(path: Path, cancel: Cancel) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            cancel.check()
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(packed: Path, target: Path, cancel: Cancel) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".unpack-")
    try:
        with os.fdopen(handle, "wb") as stream, lzma.open(packed) as source:
            while chunk := source.read(_CHUNK):
                cancel.check()
                stream.write(chunk)
        Path(name).chmod(0o755)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)
