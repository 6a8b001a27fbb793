"""Measures the migration of a stored version against bare writes, and the memory of a backup.

`python benchmarks/migration.py [--objects 10000]`; ends with 1 when a target is missed.

- migration: every object of a CRD is rewritten from v1 to v2 by `stored_versions.migrate`, throttle
  off, in a process of its own.
- bare: as many writes of the same objects over as many kept-alive connections, and nothing else:
  the API server's own rate.
- backup: of as many InferenceServices; what counts is the peak of the process' memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ours
import places
import processes
import report
from report import Figure, Target

from installer.cluster.definitions import wait_established
from installer.core.cancel import Cancel
from installer.core.objects import Object, Ref
from installer.sandbox import script
from installer.sandbox.script import Script

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from notes import CRD, GROUP, await_served, definition, note

MODELS = "serving.kubeflow.org/v1beta1"
LEAST_RATE = 200.0
"""Objects per second, or else within `MOST_BEHIND` of the API server's own rate."""
MOST_BEHIND = 1.3
MOST_MEMORY = 200e6
PARALLEL = 8
TEXT = "x" * 1500
"""Makes an object of the size of an InferenceService."""
MIGRATE = """
import sys
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.operations.stored_versions import migrate
crd = {"metadata": {"name": "notes.notes.example.com"},
       "spec": {"versions": [{"name": "v2", "storage": True}]}}
migrate(Cluster.connect(kubeconfig=sys.argv[1]), [crd], silent, Cancel(), rate=1e6)
"""


def model(number: int) -> Object:
    """An InferenceService with what users write."""
    predictor = {"tensorflow": {"storageUri": f"gs://models/{number}"}, "minReplicas": 1}
    notes = {"example.com/about": "x" * 500}
    metadata = {"name": f"model-{number}", "namespace": "default", "annotations": notes}
    spec = {"predictor": predictor}
    return {"apiVersion": MODELS, "kind": "InferenceService", "metadata": metadata, "spec": spec}


def many(count: int, work: Callable[[int], Any]) -> float:
    """Seconds that so many pieces of work take, `PARALLEL` at a time."""
    begun = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as pool:
        for _ in pool.map(work, range(count)):
            pass
    return time.monotonic() - begun


def migration(folder: Path, control_plane: Path | None, count: int) -> tuple[float, float, int]:
    """Seconds of ours, seconds of bare writes, and the peak memory of ours."""
    with places.place(folder, control_plane) as place:
        cluster = place.cluster()
        cluster.apply(definition("v1", "v2", storage="v1"))
        wait_established(cluster, [CRD], deadline=60, cancel=Cancel())
        await_served(cluster, "v1")
        many(count, lambda number: cluster.create(note(number, spec={"text": TEXT})))
        cluster.apply(definition("v1", "v2", storage="v2"))
        place.settle()
        ran = processes.run([sys.executable, "-c", MIGRATE, place.kubeconfig])
        place.settle()
        listed = cluster.list(f"{GROUP}/v2", "Note").items

        def write(number: int) -> Object:
            listed[number]["spec"]["text"] = "y" * 1500
            return cluster.replace(listed[number])

        return ran.seconds, many(count, write), ran.peak_bytes


def backup(folder: Path, control_plane: Path | None, count: int) -> processes.Run:
    """The run of a backup of so many InferenceServices."""
    with places.place(folder, control_plane) as place:
        ours.Installer(places.beside("upstream")).run(place)
        cluster = place.cluster()
        # nobody is to make anything of them: only their number matters
        script.write(place.info.script, Script(paused=("kfserving-controller",)))
        kinds = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        for kind in kinds:
            name = "inferenceservice.serving.kubeflow.org"
            cluster.delete(Ref("admissionregistration.k8s.io/v1", kind, "", name))
        many(count, lambda number: cluster.create(model(number)))
        target = folder / "bench.backup.gz"
        words = [ours.PROGRAM, "backup", str(target), "-o", "json"]
        return processes.run([*words, "--kubeconfig", place.kubeconfig])


def main() -> int:
    """Measure, print, and say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--control-plane", type=Path, default=places.beside("control-plane"))
    options = parser.parse_args()
    count = options.objects
    with tempfile.TemporaryDirectory(prefix="kserve-installer-bench-") as name:
        os.environ["KSERVE_INSTALLER_STATE"] = str(Path(name, "state"))
        mine, bare, memory = migration(Path(name), options.control_plane, count)
        saved = backup(Path(name), options.control_plane, count)
    figures = [
        Figure(f"migration of {count} objects: whole process", [mine], "s"),
        Figure(f"{count} bare writes", [bare], "s"),
        Figure(f"backup of {count} InferenceServices: whole process", [saved.seconds], "s"),
    ]
    targets = [
        Target("peak memory of the migration", memory, MOST_MEMORY, "MB"),
        Target("peak memory of the backup", saved.peak_bytes, MOST_MEMORY, "MB"),
    ]
    if count / mine >= LEAST_RATE:
        targets.append(Target("objects migrated per second", count / mine, LEAST_RATE, "/s", True))
    else:
        targets.append(Target("migration : bare writes", mine / bare, MOST_BEHIND, "×"))
    print(f"\n{report.tables(targets, figures)}")
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
