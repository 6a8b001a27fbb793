"""The file of a backup: written whole or not at all, and not believed before it is checked."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from installer.core.errors import InstallerError, UsageError
from installer.core.objects import dig, fingerprint
from installer.plan.backup_form import FORMAT, ROLES, Head, Record

_LEVEL = 3
_LONGEST_LINE = 32 * 1024 * 1024
"""Bytes; etcd takes objects of 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole backup. kinds: how many objects by `Kind.group`; sha256: of its lines; size: of the
    file, bytes."""

    file: str
    head: Head
    objects: int
    kinds: dict[str, int]
    sha256: str
    size: int


class Writer:
    """Writes lines into a stream and counts and hashes them."""

    def __init__(self, stream: IO[bytes], head: Head) -> None:
        self._out = gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=_LEVEL, mtime=0)
        self._hash = hashlib.sha256()
        self.head = head
        self.kinds: dict[str, int] = {}
        self._line(head.to_dict())

    def add(self, record: Record) -> None:
        """Write one object. Raises OSError."""
        ref = record.ref
        name = f"{ref.kind}.{ref.group}".rstrip(".")
        self.kinds[name] = self.kinds.get(name, 0) + 1
        self._line(record.to_dict())

    def close(self) -> str:
        """Write the foot; returns the SHA-256 of what is before it."""
        digest = self._hash.hexdigest()
        foot = {"end": True, "objects": sum(self.kinds.values()), "kinds": self.kinds}
        self._line({**foot, "sha256": digest})
        self._out.close()
        return digest

    def _line(self, data: Any) -> None:
        line = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        self._hash.update(line)
        self._out.write(line)


def write(target: Path, head: Head, fill: Callable[[Writer], None]) -> Summary:
    """Write a backup, readable by its owner only. It is there when it is whole, and safely on the
    disk. Raises InstallerError, kind `backup-file`, where the disk does not take it.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            writer = Writer(stream, head)
            fill(writer)
            digest = writer.close()
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
        size = target.stat().st_size
    except OSError as problem:
        part.unlink(missing_ok=True)
        raise InstallerError(
            f"cannot write the backup: {problem.strerror or problem}",
            kind="backup-file",
            object=str(target),
            remedy="make room there, or name another folder with --backup-dir",
        ) from problem
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    total = sum(writer.kinds.values())
    return Summary(str(target), head, total, writer.kinds, digest, size)


def scan(file: str) -> Summary:
    """Read a backup to its end and check every line. Raises UsageError, kind `backup-file`."""
    reader = _Reader(file)
    for _ in reader.records():
        pass
    size = Path(file).stat().st_size
    return Summary(file, reader.head, reader.count, reader.kinds, reader.digest, size)


def records(file: str) -> Iterator[Record]:
    """The objects of a backup that `scan` found whole, in the order to restore them."""
    yield from _Reader(file).records()


class _Reader:
    """Reads lines one by one; holds no more than one."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.head = Head("", "", "", "", "", "", "")
        self.count = 0
        self.kinds: dict[str, int] = {}
        self.digest = ""
        self._hash = hashlib.sha256()

    def records(self) -> Iterator[Record]:
        try:
            with gzip.open(self.file, "rb") as stream:
                yield from self._records(stream)
        except FileNotFoundError as problem:
            raise self._bad("there is no such file") from problem
        except EOFError as problem:
            raise self._bad("it is cut short") from problem
        except (gzip.BadGzipFile, zlib.error) as problem:
            raise self._bad(f"it is damaged ({problem})") from problem
        except OSError as problem:
            raise self._bad(problem.strerror or str(problem)) from problem

    def _records(self, stream: Any) -> Iterator[Record]:
        self.head = self._head(self._line(stream, 1))
        number = 1
        while True:
            number += 1
            data = self._line(stream, number)
            if data.get("end") is True:
                break
            record = self._record(data, number)
            name = f"{record.ref.kind}.{record.ref.group}".rstrip(".")
            self.kinds[name] = self.kinds.get(name, 0) + 1
            self.count += 1
            yield record
        if stream.read(1):
            raise self._bad("there is something after its end")
        if (data.get("sha256"), data.get("objects")) != (self.digest, self.count):
            raise self._bad("its checksum is not that of its content")

    def _line(self, stream: Any, number: int) -> dict[str, Any]:
        line = stream.readline(_LONGEST_LINE)
        if not line:
            raise self._bad("it is cut short")
        self.digest = self._hash.hexdigest()  # of what is before this line
        self._hash.update(line)
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as problem:
            where = "it is no backup" if number == 1 else f"line {number} is damaged"
            raise self._bad(where) from problem
        if not isinstance(data, dict):
            raise self._bad(f"line {number} is no object")
        return data

    def _head(self, data: dict[str, Any]) -> Head:
        if data.get("kserve-installer") != "backup":
            raise self._bad("it is no backup")
        form = data.get("format")
        if not isinstance(form, int) or form < 1:
            raise self._bad(f"its format is {form!r}, which is none")
        if form > FORMAT:
            raise self._bad(f"its format is {form}; this kserve-installer knows {FORMAT}")
        values = {slot: data.get(slot) for slot in Head.__slots__}
        wrong = [slot for slot, value in values.items() if not isinstance(value, str)]
        if wrong:
            raise self._bad(f"its head has no {', '.join(wrong)}")
        return Head(**{slot: str(value) for slot, value in values.items()})

    def _record(self, data: dict[str, Any], number: int) -> Record:
        obj, role = data.get("object"), data.get("role")
        named = all(
            isinstance(dig(obj, *path), str)
            for path in (("apiVersion",), ("kind",), ("metadata", "name"))
        )
        if not isinstance(obj, dict) or not named or role not in ROLES:
            raise self._bad(f"line {number} names no object")
        if data.get("sum") != fingerprint(obj):
            raise self._bad(f"line {number} is damaged: the checksum of its object differs")
        return Record(str(role), obj)

    def _bad(self, why: str) -> UsageError:
        return UsageError(
            f"cannot use this backup: {why}",
            kind="backup-file",
            object=self.file,
            remedy="take another copy of it; nothing was written",
        )
