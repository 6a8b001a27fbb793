"""Measures what Ansible costs: one cluster by `fleet` against the plain command, and many at once.

Ends with 1 when a target is missed. `make bench-fleet ARGS="--clusters 4"` needs less memory: each
sandbox that has served a stack keeps a gigabyte.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median

import places
import processes
import report
import yaml
from report import Figure, Target

_BIN = Path(sys.executable).parent
_COMMAND = str(_BIN / "kserve-installer")
_RELEASE = "kfserving-0.5.1"
_SHARE, _SECONDS = 1.25, 3.0
_TIMES = 4.0


def main() -> int:
    """Measure, print the tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        plain, first = _first(folder, options)
        made = []
        for number in range(options.clusters):
            made.append(stack.enter_context(places.place(folder, options.control_plane)))
            _plain(made[-1], options)
            print(f"cluster {number + 1} of {options.clusters} has the release  [{report.load()}]")
        one = [_fleet(folder, made[:1], options) for _ in range(options.again)]
        alone = [_plain(made[0], options) for _ in range(options.again)]
        many = [_fleet(folder, made, options) for _ in range(options.again)]
    middle = {"one": median(r.seconds for r in one), "many": median(r.seconds for r in many)}
    again = median(run.seconds for run in alone)
    targets = [
        Target("first install by fleet", first.seconds, plain.seconds * _SHARE + _SECONDS, "s"),
        Target("second install by fleet", middle["one"], again * _SHARE + _SECONDS, "s"),
        Target(
            f"second install of {options.clusters} clusters against one",
            middle["many"] / middle["one"],
            _TIMES,
            "×",
        ),
    ]
    figures = [
        Figure("plain command, second install", [run.seconds for run in alone], "s"),
        Figure("fleet of one, second install", [run.seconds for run in one], "s"),
        Figure(f"fleet of {options.clusters}, second install", [r.seconds for r in many], "s"),
        Figure("largest process of the fleet", [run.peak_bytes for run in many], "MB"),
        Figure("processor time of the fleet", [run.cpu_seconds for run in many], "s"),
    ]
    print(report.tables(targets, figures))
    return 0 if all(target.met for target in targets) else 1


def _first(folder: Path, options: argparse.Namespace) -> tuple[processes.Run, processes.Run]:
    """The first install by the command and by fleet, each on a fresh cluster."""
    with places.place(folder, options.control_plane) as place:
        _plain(place, options)  # manifests and compiled modules are in their caches afterwards
    with places.place(folder, options.control_plane) as place:
        plain = _plain(place, options)
    with places.place(folder, options.control_plane) as place:
        return plain, _fleet(folder, [place], options)


def _plain(place: places.Place, options: argparse.Namespace) -> processes.Run:
    words = [_COMMAND, "install", _RELEASE, "--kubeconfig", place.kubeconfig, "--yes"]
    return processes.run([*words, *(["--mirror", str(options.mirror)] if options.mirror else [])])


def _fleet(
    folder: Path, clusters: list[places.Place], options: argparse.Namespace
) -> processes.Run:
    hosts = {
        f"cluster-{number}": {"kserve_kubeconfig": place.kubeconfig}
        for number, place in enumerate(clusters)
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "kserve_release": _RELEASE,
        **({"kserve_mirror": str(options.mirror)} if options.mirror else {}),
    }
    inventory = folder / "inventory"
    inventory.write_text(yaml.safe_dump({"clusters": {"vars": variables, "hosts": hosts}}))
    serial = str(len(clusters))
    return processes.run(
        [_COMMAND, "fleet", "install", "-i", str(inventory), "--serial", serial, "--yes"]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    text = "clusters of the large fleet (default: 10)"
    parser.add_argument("--clusters", metavar="N", type=int, default=10, help=text)
    text = "second installs of each kind (default: 3)"
    parser.add_argument("--again", metavar="N", type=int, default=3, help=text)
    beside = places.beside("control-plane")
    text = "folder with the control plane (default: the one beside the checkout)"
    parser.add_argument("--control-plane", metavar="DIR", type=Path, default=beside, help=text)
    text = "folder of manifests (default: the one beside the checkout)"
    parser.add_argument("--mirror", metavar="DIR", default=places.beside("upstream"), help=text)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
