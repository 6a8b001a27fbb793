"""Run folders: one for each run, with the log of every cluster; the oldest are removed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from installer.core.errors import UsageError
from installer.core.state_folder import ENVIRONMENT, state_folder
from installer.fleet.model import ClusterRun, FleetOptions

KEPT = 20
"""Runs whose folders stay."""
_RECORD = "run.json"


def home() -> Path:
    """Where run folders are."""
    return state_folder() / "fleet"


class RunFolder:
    """The folder of one run: `run.json`, `clusters/NAME.jsonl`, and Ansible's own artifacts."""

    def __init__(self, path: Path):
        self.path = path
        self.name = path.name
        self.logs = path / "clusters"
        self.stop_file = path / "stop"

    @classmethod
    def make(cls, command: str) -> RunFolder:
        """A new one, for its owner only; removes the oldest beyond `KEPT`."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        path = home() / f"{stamp}-{command}-{os.getpid()}"
        try:
            home().mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
            (path / "clusters").mkdir(mode=0o700)
        except OSError as problem:
            raise UsageError(
                f"no folder for this run can be made: {problem.strerror}",
                kind="run-folder",
                object=str(path),
                remedy=f"make room or give rights there, or name another place in {ENVIRONMENT}",
            ) from problem
        for old in _folders()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        return cls(path)

    def log(self, cluster: str) -> Path:
        """Where the lines of the command on a cluster go."""
        return self.logs / f"{cluster}.jsonl"

    def stop(self) -> None:
        """Ask the commands at work to end, and keep others from beginning."""
        self.stop_file.touch()

    def write(self, record: Mapping[str, Any]) -> None:
        """Keep the record; whoever reads it sees the old or the new, whole."""
        part = self.path / f".{_RECORD}"
        part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        part.replace(self.path / _RECORD)


def record(
    folder: RunFolder,
    options: FleetOptions,
    clusters: Sequence[ClusterRun],
    began: float,
    code: int | None,
) -> dict[str, Any]:
    """The JSON form of a run; code: its exit code, None while it is at work."""
    return {
        "run": folder.name,
        "command": options.command,
        "check": options.check,
        "inventory": [str(path.resolve()) for path in options.inventory],
        "folder": str(folder.path),
        "seconds": round(time.time() - began, 1),
        "exit_code": code,
        "clusters": [cluster.to_dict() for cluster in clusters],
    }


def newest(options: FleetOptions) -> tuple[str, list[ClusterRun]] | None:
    """Name and clusters of the newest run of the same command on the same inventory."""
    same = [str(path.resolve()) for path in options.inventory]
    for path in _folders():
        try:
            data = json.loads((path / _RECORD).read_text(encoding="utf-8"))
            if data["command"] != options.command or data["check"] != options.check:
                continue
            if data["inventory"] == same:
                return path.name, [ClusterRun.from_dict(entry) for entry in data["clusters"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of a run that ended before it wrote one, or written by somebody else
    return None


def _folders() -> list[Path]:
    """Newest first; their names begin with the time."""
    try:
        return sorted((path for path in home().iterdir() if path.is_dir()), reverse=True)
    except OSError:
        return []
