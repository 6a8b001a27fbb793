"""Measures `plan` of an installed stack against `kubectl diff --server-side` of the same objects.

Ends with 1 when the target is missed: `python benchmarks/plan.py --rounds 1`. Options are those of
`run.py`; `--keep` is not: README.md holds the figures of `run.py` only.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import kubectl
import ours
import places
import processes
import report
import run
import stack
from report import Figure, Target

TARGET = 10.0
"""kubectl's time : ours, of medians."""


class Contenders:
    """Both commands against one sandbox that has the stack."""

    def __init__(
        self, place: places.Place, program: Path, found: stack.Stack, folder: Path, mirror: object
    ) -> None:
        self._place = place
        self._folder = folder
        self._mirror = ["--mirror", str(mirror)] if mirror else []
        self._file = folder / "all.json"
        bodies = [body for group in found.groups for body in group.bodies]
        items = {"apiVersion": "v1", "kind": "List", "items": bodies}
        self._file.write_text(json.dumps(items))
        self._program = program

    def plan(self) -> float:
        """Seconds of `plan --diff --exit-code`, which must find nothing."""
        words = [ours.PROGRAM, "plan", stack.RELEASE, "--diff", "--exit-code", *self._mirror]
        return processes.run([*words, "--kubeconfig", self._place.kubeconfig]).seconds

    def diff(self) -> float:
        """Seconds of `kubectl diff --server-side` of the same bodies.

        Some kubectls find differences (exit code 1) where there are none but the time of the
        dry-run itself in managedFields.
        """
        words = [str(self._program), "--kubeconfig", self._place.kubeconfig]
        words += ["--cache-dir", str(self._folder / f"cache-{self._place.info.name}")]
        words += ["diff", "--server-side", "--force-conflicts", "--field-manager=kserve-installer"]
        words += ["-f", str(self._file)]
        return processes.run(words, {"HOME": str(self._folder)}, succeeded=(0, 1)).seconds


def measure(options: object, folder: Path, program: Path) -> tuple[list[float], list[float], int]:
    """(ours, kubectl's, objects) over every round."""
    rounds = getattr(options, "rounds", 3)
    mirror = getattr(options, "mirror", None)
    plans: list[float] = []
    diffs: list[float] = []
    with places.place(folder, getattr(options, "control_plane", None)) as place:
        found = stack.read(place, mirror)
        ours.Installer(mirror).run(place)
        place.settle()
        contenders = Contenders(place, program, found, folder, mirror)
        contenders.plan()
        contenders.diff()
        for number in range(rounds):
            place.settle()
            plans += [contenders.plan() for _ in range(3)]
            place.settle()
            diffs.append(contenders.diff())
            print(
                f"round {number + 1}: plan {plans[-1]:.2f} s, kubectl diff {diffs[-1]:.2f} s  "
                f"[{report.load()}]",
                flush=True,
            )
    return plans, diffs, found.objects


def main() -> int:
    """Measure, print, and say whether the target is met."""
    options = run.parse()
    with tempfile.TemporaryDirectory(prefix="kserve-installer-bench-") as name:
        os.environ["KSERVE_INSTALLER_STATE"] = str(Path(name, "state"))
        program = kubectl.find(options.kubectl)
        plans, diffs, objects = measure(options, Path(name), program)
        about = report.machine(places.KUBERNETES, kubectl.version(program), objects)
    figures = [
        Figure("plan --diff, nothing differs: whole process", plans, "s"),
        Figure("kubectl diff --server-side of the same objects", diffs, "s"),
    ]
    target = Target("kubectl diff : plan", figures[1].median / figures[0].median, TARGET, "×", True)
    print(f"\n{about}\n{report.tables([target], figures)}")
    return 0 if target.met else 1


if __name__ == "__main__":
    sys.exit(main())
