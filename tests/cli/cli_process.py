"""How tests start the command as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "installer.cli.main"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user without a cluster."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return {**kept, "KUBECONFIG": "/nonexistent/kubeconfig", "TERM": "xterm", **(extra or {})}
