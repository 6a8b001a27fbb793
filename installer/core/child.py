"""Programs that we start: how they end with whatever they have started themselves."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill it and its whole process group when it has not ended by itself; wait for its end.

    It must have been started with `start_new_session=True`: its group is ours otherwise.
    """
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
