"""Measures the installer against kubectl and against bare requests; see README.md beside it.

Ends with 1 when a target is missed. `make bench ARGS="--rounds 1"` passes options on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import bare
import kubectl
import ours
import places
import processes
import reaction
import report
import stack
from report import Figure, Target

LAST = "kserve-0.20.0"
"""The release at the end of the longest way there is from the one that is installed."""


@dataclass(slots=True)
class Measured:
    """Every series, in seconds, bytes, or a count."""

    kubectl_first: list[stack.Applied] = field(default_factory=list)
    kubectl_again: list[float] = field(default_factory=list)
    kubectl_again_staged: list[float] = field(default_factory=list)
    bare_first: list[stack.Applied] = field(default_factory=list)
    ours_first: list[ours.Install] = field(default_factory=list)
    ours_again: list[processes.Run] = field(default_factory=list)
    writes_again: list[float] = field(default_factory=list)
    reaction: list[float] = field(default_factory=list)
    help: list[float] = field(default_factory=list)
    releases: list[float] = field(default_factory=list)
    way: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share."""

    options: argparse.Namespace
    folder: Path
    kubectl: Path
    installer: ours.Installer
    measured: Measured

    def place(self) -> contextlib.AbstractContextManager[places.Place]:
        """A fresh sandbox."""
        return places.place(self.folder, self.options.control_plane)

    def say(self, text: str) -> None:
        """A line of progress, with how busy the machine is."""
        print(f"{text}  [{report.load()}]", flush=True)

    def prepare(self) -> stack.Stack:
        """The objects; afterwards manifests and compiled modules are in their caches."""
        with self.place() as place:
            found = stack.read(place, self.options.mirror)
            self.installer.run(place, "--dry-run")
        return found

    def first_and_again(self, found: stack.Stack) -> None:
        """One round: each contender with a sandbox of its own."""
        measured = self.measured
        with self.place() as place:
            measured.bare_first.append(bare.first(place, found))
        self.say(f"bare PATCHes: {measured.bare_first[-1]}")
        with self.place() as place:
            first = self.installer.first(place)
            measured.ours_first.append(first)
            if first.created != found.objects:
                raise SystemExit(f"{first.created} of {found.objects} objects were created")
            self.say(
                f"ours, first: sending {first.applying:.2f} s, with gates {first.span:.2f} s, "
                f"all {first.seconds:.2f} s"
            )
            place.settle()
            for _ in range(self.options.again):
                again, writes = self.installer.again(place)
                measured.ours_again.append(again)
                measured.writes_again.append(writes)
            self.say(f"ours, again: {again.seconds:.3f} s, {writes} writes")
            words = [ours.PROGRAM, "upgrade", "plan", LAST, "--kubeconfig", place.kubeconfig]
            measured.way.append(processes.run(words).seconds)
            self.say(f"upgrade plan {LAST}: {measured.way[-1]:.2f} s")
        with self.place() as place:
            contender = kubectl.Kubectl(self.kubectl, found, self.folder)
            measured.kubectl_first.append(contender.first(place))
            self.say(f"kubectl, first: {measured.kubectl_first[-1]}")
            place.settle()
            one, staged = contender.again(place)
            measured.kubectl_again.append(one)
            measured.kubectl_again_staged.append(staged)
            self.say(f"kubectl, again: {one:.2f} s, as four commands {staged:.2f} s")

    def small_things(self) -> None:
        """Reaction to an event, and commands that need no cluster."""
        with self.place() as place:
            self.measured.reaction += reaction.measure(place, 20)
        self.say("reaction")
        for words, series in (
            (["--help"], self.measured.help),
            (["releases"], self.measured.releases),
        ):
            processes.run([ours.PROGRAM, *words])
            series += [processes.run([ours.PROGRAM, *words]).seconds for _ in range(10)]
        self.say("commands")


def figures(m: Measured) -> dict[str, Figure]:
    """The series as they are told, by a short name."""
    kubectl_first, bare_first, first, again = (
        m.kubectl_first,
        m.bare_first,
        m.ours_first,
        m.ours_again,
    )
    return {
        "kubectl": Figure("kubectl, first: sending", [a.sending for a in kubectl_first], "s"),
        "kubectl-span": Figure(
            "kubectl, first: first to last", [a.span for a in kubectl_first], "s"
        ),
        "kubectl-whole": Figure(
            "kubectl, first: until ready", [a.whole for a in kubectl_first], "s"
        ),
        "bare": Figure("bare, first: sending", [a.sending for a in bare_first], "s"),
        "bare-span": Figure("bare, first: first to last", [a.span for a in bare_first], "s"),
        "bare-whole": Figure("bare, first: until ready", [a.whole for a in bare_first], "s"),
        "ours": Figure("ours, first: sending", [f.applying for f in first], "s"),
        "ours-span": Figure("ours, first: first to last", [f.span for f in first], "s"),
        "ours-whole": Figure(
            "ours, first: until ready, whole process", [f.seconds for f in first], "s"
        ),
        "memory": Figure("ours, first: peak memory", [f.peak_bytes for f in first], "MB"),
        "kubectl-again": Figure("kubectl, second: one command", m.kubectl_again, "s"),
        "kubectl-staged": Figure("kubectl, second: four commands", m.kubectl_again_staged, "s"),
        "again": Figure("ours, second: whole process", [r.seconds for r in again], "ms"),
        "cpu": Figure("ours, second: processor time", [r.cpu_seconds for r in again], "ms"),
        "writes": Figure("ours, second: write requests", m.writes_again, ""),
        "reaction": Figure("status sent to end of wait", m.reaction, "ms"),
        "help": Figure("`kserve-installer --help`", m.help, "ms"),
        "releases": Figure("`kserve-installer releases`", m.releases, "ms"),
        "way": Figure(f"`upgrade plan {LAST}`", m.way, "s"),
    }


def targets(found: dict[str, Figure]) -> list[Target]:
    """What must hold, of medians unless it says most."""

    def ratio(one: str, other: str) -> float:
        return found[one].median / found[other].median

    def most(name: str) -> float:
        return max(found[name].values)

    return [
        Target("first, sending: kubectl : ours", ratio("kubectl", "ours"), 4, "×", True),
        Target("first, sending: ours : bare", ratio("ours", "bare"), 1.3, "×"),
        Target("first, first to last: ours : bare", ratio("ours-span", "bare-span"), 1.3, "×"),
        Target("first, until ready: ours : bare", ratio("ours-whole", "bare-whole"), 1.3, "×"),
        Target("second: write requests, most", most("writes"), 0, ""),
        Target("second: kubectl : ours", ratio("kubectl-again", "again"), 20, "×", True),
        Target("status sent to end of wait, most", most("reaction"), 0.1, "ms"),
        Target("`--help`", found["help"].median, 0.15, "ms"),
        Target("`releases`", found["releases"].median, 0.25, "ms"),
        Target(f"`upgrade plan {LAST}`, most", most("way"), 3, "s"),
        Target("peak memory of an install, most", most("memory"), 150e6, "MB"),
    ]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    text = "kubectl to compare with (default: the one of Debian's kubernetes-client)"
    parser.add_argument("--kubectl", metavar="FILE", type=Path, help=text)
    text = "sandboxes per contender (default: %(default)s)"
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help=text)
    text = "second installs per round (default: %(default)s)"
    parser.add_argument("--again", metavar="N", type=int, default=5, help=text)
    text = "folder with control planes (default: the one beside the checkout, if there)"
    beside = places.beside("control-plane")
    parser.add_argument("--control-plane", metavar="DIR", type=Path, default=beside, help=text)
    text = "folder or address of manifests (default: the one beside the checkout, if there)"
    parser.add_argument("--mirror", metavar="DIR", default=places.beside("upstream"), help=text)
    parser.add_argument("--keep", action="store_true", help="put the figures into README.md")
    return parser.parse_args()


def main() -> int:
    """Measure, print, and say whether every target is met."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="kserve-installer-bench-") as name:
        os.environ["KSERVE_INSTALLER_STATE"] = str(Path(name, "state"))
        program, installer = kubectl.find(options.kubectl), ours.Installer(options.mirror)
        bench = Bench(options, Path(name), program, installer, Measured())
        found = bench.prepare()
        about = report.machine(places.KUBERNETES, kubectl.version(program), found.objects)
        bench.say(about.strip())
        before = report.load()
        for number in range(options.rounds):
            bench.say(f"round {number + 1} of {options.rounds}")
            bench.first_and_again(found)
        bench.small_things()
    series = figures(bench.measured)
    reached = targets(series)
    about += f"Before: {before}; after: {report.load()}.\n"
    text = f"{about}\n{report.tables(reached, list(series.values()))}"
    print(f"\n{text}")
    if options.keep:
        report.keep(text)
    return 0 if all(target.met for target in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
