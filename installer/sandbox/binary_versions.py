"""Which version a binary is, as it says itself; remembered, so that each is asked once."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REPORTED = re.compile(r"^(?:Kubernetes|etcd Version:) v?(\d+\.\d+\.\d+)", re.MULTILINE)


class Unfit(Exception):
    """A place does not have the binary, or not the right one; the text says which and why."""


class Versions:
    """What binaries answer to `--version`, remembered by path, size and time of change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saving = threading.Lock()
        self._known: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = json.loads(path.read_bytes())

    def of(self, path: Path) -> str:
        """The version, such as `1.20.2`; raises Unfit when the file cannot say it."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(str(path))
        if isinstance(known, Mapping) and known.get("stamp") == stamp:
            return str(known["version"])
        version = self._ask(path)
        with self._saving:
            self._known[str(path)] = {"stamp": stamp, "version": version}
            self._save()
        return version

    def _ask(self, path: Path) -> str:
        try:
            answer = _run(path)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Unfit(f"{path} does not run: {reason}") from error
        match = _REPORTED.search(answer.stdout)
        if match is None:
            said = (answer.stdout + answer.stderr).strip().splitlines()
            raise Unfit(f"{path} --version says {said[0][:120] if said else 'nothing'!r}")
        return match[1]

    def _save(self) -> None:
        # A memo only: when two processes write it, one of them asks again next time.
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known), encoding="utf-8")
            temporary.replace(self._path)


def _run(path: Path) -> subprocess.CompletedProcess[str]:
    for attempt in range(50):
        try:
            return subprocess.run(
                [str(path), "--version"],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            # A file just written is busy while a process that another thread is starting has not
            # yet closed its copy of the handle.
            if error.errno != errno.ETXTBSY or attempt == 49:
                raise
            time.sleep(0.02)
    raise AssertionError("unreachable")
