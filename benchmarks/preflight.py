"""Measures `kserve-installer preflight` beside the installed stack, then in a crowded cluster.

Ends with 1 when a target is missed. See README.md beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ours
import places
import processes
import report
from report import Figure, Target
from stack import RELEASE

from installer.cluster.client import Cluster
from installer.core.objects import Object, Ref
from installer.sandbox import script
from installer.sandbox.lifecycle import SandboxOptions, down, up
from installer.sandbox.script import Script

NODES = 50
_THREADS = 16
_KINDS_PER_GROUP = 5
_CROWD = "crowd"


def definition(number: int) -> Object:
    """A small CRD; five share a group."""
    group = f"group-{number // _KINDS_PER_GROUP}.example.com"
    plural = f"things{number}"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": f"Thing{number}", "plural": plural},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def pod(number: int, node: str) -> Object:
    """A pod that is on a node already, so that nothing has to schedule it."""
    requests = {"cpu": "10m", "memory": "16Mi"}
    container = {"name": "a", "image": "example.com/a:1", "resources": {"requests": requests}}
    metadata = {"name": f"pod-{number}", "namespace": _CROWD, "labels": {"app": "crowd"}}
    spec = {"nodeName": node, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def crowd(place: places.Place, pods: int, kinds: int) -> None:
    """Fill the cluster. The simulated kubelets stand still from here on: pods only lie there."""
    script.write(place.info.script, Script(delays="none", paused=("kubelet",)))
    cluster = place.cluster()
    nodes = [node["metadata"]["name"] for node in cluster.list("v1", "Node").items]
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _CROWD}})
    account = Ref("v1", "ServiceAccount", _CROWD, "default")
    while cluster.get(account) is None:
        time.sleep(0.1)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(cluster.create, (definition(number) for number in range(kinds))))
        bodies = (pod(number, nodes[number % len(nodes)]) for number in range(pods))
        list(pool.map(cluster.create, bodies))
    _wait_served(cluster, kinds)
    cluster.close()


def _wait_served(cluster: Cluster, kinds: int) -> None:
    last = definition(kinds - 1)["spec"]
    until = time.monotonic() + 300
    while time.monotonic() < until:
        found = cluster.refresh_discovery().find(f"{last['group']}/v1", last["names"]["kind"])
        if found is not None:
            return
        time.sleep(0.5)
    raise SystemExit("the CRDs are not served")


def measure(place: places.Place, mirror: Path | str | None, rounds: int) -> list[processes.Run]:
    """Whole processes; every check must have looked."""
    flags = ["--kubeconfig", place.kubeconfig, "-o", "json"]
    flags += ["--mirror", str(mirror)] if mirror else []
    words = [ours.PROGRAM, "preflight", RELEASE, *flags]
    processes.run(words, succeeded=(0, 3))
    found = [processes.run(words, succeeded=(0, 3)) for _ in range(rounds)]
    checks = [c for part in json.loads(found[-1].out)["categories"] for c in part["checks"]]
    verdicts = Counter(str(check["verdict"]) for check in checks)
    print(f"{len(checks)} checks: {dict(verdicts)}")
    slowest = sorted(checks, key=lambda check: -float(check["seconds"]))[:5]
    print("slowest:", ", ".join(f"{c['check']} {c['seconds']:.2f} s" for c in slowest))
    if verdicts["unknown"]:
        raise SystemExit("a check could not look; the time means nothing")
    return found


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/preflight.py", description=__doc__)
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--pods", metavar="N", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--crds", metavar="N", type=int, default=300, help="default: %(default)s")
    text = "folder with control planes (default: the one beside the checkout, if there)"
    beside = places.beside("control-plane")
    parser.add_argument("--control-plane", metavar="DIR", type=Path, default=beside, help=text)
    text = "folder or address of manifests (default: the one beside the checkout, if there)"
    parser.add_argument("--mirror", metavar="DIR", default=places.beside("upstream"), help=text)
    return parser.parse_args()


def main() -> int:
    """Measure, print, and say whether both targets are met."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="kserve-installer-bench-") as name:
        os.environ["KSERVE_INSTALLER_STATE"] = str(Path(name, "state"))
        wanted = SandboxOptions(
            name=f"bench-{os.getpid()}",
            kubernetes=places.KUBERNETES,
            nodes=NODES,
            control_plane=options.control_plane,
            instant=True,
            tied=True,
        )
        try:
            place = places.Place(up(wanted), Path(name, "audit"))
            installed = ours.Installer(options.mirror).run(place)
            place.settle()
            print(f"installed in {installed.seconds:.1f} s  [{report.load()}]", flush=True)
            plain = measure(place, options.mirror, options.rounds)
            print(f"beside the stack: {plain[-1].seconds:.2f} s  [{report.load()}]", flush=True)
            begun = time.monotonic()
            crowd(place, options.pods, options.crds)
            place.settle()
            print(f"crowded in {time.monotonic() - begun:.0f} s  [{report.load()}]", flush=True)
            crowded = measure(place, options.mirror, options.rounds)
            print(f"crowded: {crowded[-1].seconds:.2f} s  [{report.load()}]", flush=True)
        finally:
            down(wanted.name)
    what = f"{options.pods} pods, {options.crds} CRDs"
    figures = [
        Figure("preflight beside the stack", [run.seconds for run in plain], "s"),
        Figure("its processor time", [run.cpu_seconds for run in plain], "s"),
        Figure(f"preflight with {what}", [run.seconds for run in crowded], "s"),
        Figure("its processor time, crowded", [run.cpu_seconds for run in crowded], "s"),
        Figure("its peak memory, crowded", [run.peak_bytes for run in crowded], "MB"),
    ]
    targets = [
        Target("preflight beside the stack", figures[0].median, 3, "s"),
        Target(f"preflight with {what}", figures[2].median, 10, "s"),
    ]
    print(f"\n{report.tables(targets, figures)}")
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
