"""Measured processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MEASURE = Path(__file__).with_name("measure.py")


@dataclass(frozen=True, slots=True)
class Run:
    """A command that succeeded. seconds: from its start to its end; peak_bytes: resident memory."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    out: str


def run(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    succeeded: Collection[int] = (0,),
) -> Run:
    """Run a command to its end. words: its program as an absolute path, and arguments.

    succeeded: the exit codes that are no failure. Raises SystemExit with what it printed when it
    fails: nothing can be compared then.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, out, err = (Path(folder, name) for name in ("result", "out", "err"))
        measured = [sys.executable, "-I", "-S", str(_MEASURE), str(result), str(out), str(err)]
        subprocess.run([*measured, *words], check=True, env=_environment(environment or {}))
        found = json.loads(result.read_text())
        printed, problems = out.read_text(), err.read_text()
    if found["code"] not in succeeded:
        raise SystemExit(
            f"{' '.join(words)} ended with {found['code']}:\n{printed[-2000:]}{problems}"
        )
    return Run(found["seconds"], found["cpu_seconds"], found["peak_bytes"], printed)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours with `more`; Python may keep its compiled modules, as on any user's machine."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, **more}
