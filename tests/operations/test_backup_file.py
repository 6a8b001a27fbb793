"""Backups that are cut short, damaged, of another format, or do not fit on the disk."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from installer.core.errors import InstallerError, UsageError
from installer.operations.backup_file import Writer, records, scan, write
from installer.plan.backup_form import USER, Head, Record

HEAD = Head(
    "2024-01-01T00:00:00Z", "1", "uid", "https://x", "v1.20.2", "kfserving-0.5.1", "installed"
)


def fill(writer: Writer) -> None:
    for index in range(20):
        metadata = {"name": f"model-{index}", "namespace": "here"}
        obj = {"apiVersion": "g/v1", "kind": "InferenceService", "metadata": metadata}
        writer.add(Record(USER, obj))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    target = tmp_path / "a.backup.gz"
    write(target, HEAD, fill)
    return target


def test_what_was_written_is_read_and_nobody_else_may_read_it(file: Path) -> None:
    found = scan(str(file))
    assert (found.head, found.objects) == (HEAD, 20)
    assert found.kinds == {"InferenceService.g": 20}
    assert [r.ref.name for r in records(str(file))] == [f"model-{i}" for i in range(20)]
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def lines_of(file: Path) -> list[bytes]:
    return gzip.decompress(file.read_bytes()).splitlines(keepends=True)


def without_a_record(file: Path) -> bytes:
    lines = lines_of(file)
    return gzip.compress(b"".join([*lines[:3], *lines[4:]]))


def with_an_edit(file: Path) -> bytes:
    return gzip.compress(b"".join(lines_of(file)).replace(b"model-7", b"model-8"))


def of_the_future(file: Path) -> bytes:
    lines = lines_of(file)
    head = {**json.loads(lines[0]), "format": 2}
    return gzip.compress(json.dumps(head).encode() + b"\n" + b"".join(lines[1:]))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda file: file.read_bytes()[:-200], "cut short"),
        (lambda file: gzip.compress(b"".join(lines_of(file)[:-1])), "cut short"),
        (without_a_record, "checksum is not that of its content"),
        (with_an_edit, "line 9 is damaged"),
        (of_the_future, "its format is 2"),
        (lambda _: gzip.compress(b"{}\n"), "no backup"),
        (lambda _: b"apiVersion: v1\n", "damaged"),
        (lambda file: file.read_bytes() + gzip.compress(b"more"), "after its end"),
    ],
    ids=["bytes", "lines", "a record", "an edit", "the future", "json", "yaml", "more"],
)
def test_a_backup_that_is_not_whole_is_refused(
    file: Path, broken: Callable[[Path], bytes], said: str
) -> None:
    file.write_bytes(broken(file))
    with pytest.raises(UsageError, match=said) as caught:
        scan(str(file))
    assert caught.value.kind == "backup-file"


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def no_room(_: Writer) -> None:
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(InstallerError, match="No space left") as caught:
        write(tmp_path / "b.backup.gz", HEAD, no_room)
    assert (caught.value.kind, list(tmp_path.iterdir())) == ("backup-file", [])
