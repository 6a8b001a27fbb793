"""Runs a command and writes what it took: `measure.py RESULT OUT ERR COMMAND…`.

A process of its own with nothing imported, because what a program's peak memory is counted from
is the memory of the process that started it. RESULT gets JSON: {code, seconds, cpu_seconds,
peak_bytes}; OUT and ERR what the command printed.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Measure the command in sys.argv."""
    result, out, err, *words = sys.argv[1:]
    written = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, out, written, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, err, written, 0o600),
    ]
    begun = time.monotonic()
    process = os.posix_spawn(words[0], words, os.environ, file_actions=files)
    _, status, usage = os.wait4(process, 0)
    seconds = time.monotonic() - begun
    with open(result, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs memory
        json.dump(
            {
                "code": os.waitstatus_to_exitcode(status),
                "seconds": seconds,
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_bytes": usage.ru_maxrss * 1024,
            },
            file,
        )


main()
