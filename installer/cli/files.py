"""Files that the user named on the command line."""

from __future__ import annotations

from pathlib import Path

from installer.core.errors import UsageError

_LIMIT = 16_000_000
"""Bytes of a request, or of an expected answer: what is sent is held in memory."""


def read_bytes(name: str) -> bytes:
    """A file that the user named. Raises UsageError where it cannot be read, or is too large."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"the file cannot be read: {error.strerror}", kind="input", object=name
        ) from error
    if len(data) > _LIMIT:
        raise UsageError(f"the file has more than {_LIMIT} bytes", kind="input", object=name)
    return data


def write_file(name: str, text: str) -> None:
    """Write a file that the user named. Raises UsageError where that cannot be done."""
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"the file cannot be written: {error.strerror}", kind="output", object=name
        ) from error
