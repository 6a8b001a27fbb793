"""Measures the load generator: against hey, against arithmetic, and its memory. See README.md.

Ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import report
from report import Figure, Target

from installer.load.generator import Result, run
from installer.load.recorder import Recorder, Sample
from installer.load.request import Target as Request
from installer.load.shape import Load, Stage

_SERVER = Path(__file__).with_name("loopback.py")
_STALL, _PERIOD, _RATE = 1.0, 10.0, 200.0
_PERCENTS = (92.0, 95.0, 99.0, 99.5)


@dataclass(frozen=True, slots=True)
class Speed:
    """Requests a second, and seconds of processor time for each request."""

    rate: float
    cpu: float


@contextlib.contextmanager
def _server(core: int, *words: float) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, str(_SERVER), str(port), *map(str, words)]
    process = subprocess.Popen(_pinned(core, command), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _pinned(core: int, words: list[str]) -> list[str]:
    """A command on one core, where there is more than one."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return words
    return ["taskset", "-c", str(core), *words]


def _hey(port: int, workers: int, seconds: float) -> Speed:
    words = ["hey", "-z", f"{seconds:g}s", "-c", str(workers), f"http://127.0.0.1:{port}/"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(
        _pinned(1, words),
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GOMAXPROCS": "1"},
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    answered = re.search(r"\[200\]\s+(\d+) responses", out)
    if found is None or answered is None:
        raise SystemExit(f"hey said:\n{out}")
    return Speed(float(found[1]), spent / int(answered[1]))


def _ours(port: int, workers: int, seconds: float) -> Speed:
    began = time.process_time()
    totals = run(Request("127.0.0.1", port, "x"), Load((Stage(seconds, workers),))).totals
    if totals.errors:
        raise SystemExit(f"the load generator met {dict(totals.errors)}")
    return Speed(totals.rate, (time.process_time() - began) / totals.answered)


def _against_hey(rounds: int, workers: int, seconds: float) -> tuple[list[Speed], list[Speed]]:
    ours, theirs = [], []
    with _server(0) as port:
        for number in range(rounds):
            theirs.append(_hey(port, workers, seconds))
            ours.append(_ours(port, workers, seconds))
            print(
                f"round {number + 1}: hey {theirs[-1].rate:.0f}/s, ours {ours[-1].rate:.0f}/s"
                f"  [{report.load()}]",
                flush=True,
            )
    return ours, theirs


def _stalled(load: Load) -> Result:
    """A whole number of periods, from the beginning of one."""
    with _server(0, _STALL, _PERIOD) as port:
        return run(Request("127.0.0.1", port, "x"), load)


def expected(percent: float) -> float:
    """Seconds that so many percent of requests do not exceed, sent on schedule.

    Of each period's requests the part STALL / PERIOD meets the stall, evenly spread over it, and
    waits for its end: the part that waits for longer than x is (STALL − x) / PERIOD.
    """
    return max(0.0, _STALL - _PERIOD * (100 - percent) / 100)


def _memory(requests_a_second: int, seconds: int) -> tuple[float, float]:
    """Peak memory in bytes after a tenth of the time, and how much it grew until the end.

    What is measured is the recording of so many requests, on a clock that is wound by hand.
    """
    recorder = Recorder(0.0, 0.0, open_loop=True)
    sample = Sample(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 200, 0.0)
    first = 0
    for second in range(seconds):
        for number in range(requests_a_second):
            now = second + number / requests_a_second
            took = 0.001 * (1 + math.sin(number) ** 2 * 50)
            recorder.sending(now)
            recorder.landed(now)
            recorder.answered(sample._replace(seconds=took, offset=now), 100, now, took)
        recorder.row(float(second + 1))
        if second == max(1, seconds // 10):
            first = _peak()
    return float(first), float(_peak() - first)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run against hey")
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--periods", type=int, default=3, help="of 10 s against the stall")
    parser.add_argument("--memory-seconds", type=int, default=200, help="simulated, at 10,000/s")
    options = parser.parse_args()
    if shutil.which("hey") is None:
        raise SystemExit("no hey: apt-get install hey")
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})

    first, grown = _memory(10_000, options.memory_seconds)
    ours, theirs = _against_hey(options.rounds, options.workers, options.seconds)
    seconds = options.periods * _PERIOD
    opened = _stalled(Load((Stage(seconds, rate=_RATE),))).totals
    closed = _stalled(Load((Stage(seconds, 4),))).totals
    schedule = opened.latencies.percentiles(_PERCENTS)
    worst = max(abs(schedule[p] / expected(p) - 1) for p in _PERCENTS)
    hidden = closed.latencies.percentiles((99.0,))[99.0]

    ratio = median(s.rate for s in ours) / median(s.rate for s in theirs)
    cpu = median(s.cpu for s in theirs) / median(s.cpu for s in ours)
    targets = [
        Target("requests a second against hey's, one core", ratio, 0.5, "×", at_least=True),
        Target("open loop, stall: worst percentile off by", worst * 100, 5, "%"),
        Target("memory grown over the last nine tenths", grown, 5e6, "MB"),
    ]
    figures = [
        Figure("hey, requests a second", [s.rate for s in theirs], ""),
        Figure("ours, requests a second", [s.rate for s in ours], ""),
        Figure("hey, processor time of a request", [s.cpu * 1e6 for s in theirs], "µs"),
        Figure("ours, processor time of a request", [s.cpu * 1e6 for s in ours], "µs"),
        Figure("processor time of hey's request against ours", [cpu], "×"),
        *[Figure(f"stall, open loop: p{p:g}", [schedule[p]], "s") for p in _PERCENTS],
        *[Figure(f"stall, arithmetic: p{p:g}", [expected(p)], "s") for p in _PERCENTS],
        Figure("stall, closed loop: p99", [hidden], "s"),
        Figure("memory after a tenth", [first], "MB"),
    ]
    print(report.tables(targets, figures))
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
