"""A sandbox with KFServing 0.5.1, the real command on it, and faults to switch on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from installer.cluster.client import Cluster
from installer.cluster.readiness import readiness
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref
from installer.operations.asking import Asking
from installer.operations.trace import TraceReport, trace
from installer.sandbox import script
from installer.sandbox.options import SandboxInfo
from installer.sandbox.script import Script
from installer.serving.inference_service import KIND

API_VERSION = "serving.kubeflow.org/v1beta1"
_DEADLINE = 60.0
T = TypeVar("T")


def eventually(look: Callable[[], T], what: str) -> T:
    """The first true value; what: named when there is none in time."""
    end = time.monotonic() + _DEADLINE
    while not (found := look()):
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.05)
    return found


@dataclass
class Place:
    """The sandbox and a connection to it."""

    info: SandboxInfo
    cluster: Cluster
    mirror: Path

    def start(self, *words: str, kubeconfig: Path | None = None) -> subprocess.Popen[str]:
        """Start the command."""
        flags = ["--kubeconfig", str(kubeconfig or self.info.kubeconfig)]
        return subprocess.Popen(
            [sys.executable, "-m", "installer.cli.main", *words, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )

    def run(self, *words: str, kubeconfig: Path | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of the command."""
        process = self.start(*words, kubeconfig=kubeconfig)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def install(self, release: str = "kfserving-0.5.1") -> None:
        """A release with everything below it."""
        words = ("install", release, "--yes", "--mirror", str(self.mirror))
        code, _, err = self.run(*words)
        assert code == 0, err

    def behave(self, wanted: Script) -> None:
        """Put a script in force."""
        script.write(self.info.script, wanted)

    def create(self, name: str, namespace: str = "default", **predictor: Any) -> Ref:
        """An InferenceService with upstream's flowers model."""
        model = {"storageUri": "gs://kfserving-samples/models/tensorflow/flowers"}
        obj = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"predictor": {"tensorflow": model | predictor.pop("tensorflow", {})}},
        }
        obj["spec"]["predictor"].update(predictor)
        self.cluster.create(obj)
        return Ref(API_VERSION, KIND, namespace, name)

    def ready(self, ref: Ref) -> Object:
        """Wait until it is ready."""
        return eventually(
            lambda: (found := self.cluster.get(ref)) and readiness(found).ready and found,
            f"{ref} is ready",
        )

    def remove(self, ref: Ref) -> None:
        """Delete, and wait until it is gone."""
        self.cluster.delete(ref)
        eventually(lambda: self.cluster.get(ref) is None, f"{ref} is gone")

    def trace(self, name: str, **more: Any) -> TraceReport:
        """A trace, in this process."""
        return trace(self.cluster, name, Asking(seconds=5), Cancel(60), **more)

    def blamed(self, name: str, kind: str, *reasons: str) -> TraceReport:
        """The trace that blames such a link, once it does; others are named when none does."""
        seen: set[tuple[str, str, str]] = set()

        def look() -> TraceReport | None:
            try:
                report = self.trace(name, send=False)
            except InstallerError as error:
                seen.add((error.kind, error.message, ""))
                return None
            broken = report.outside.first_unwell
            if broken is None:
                return None
            seen.add((broken.kind, broken.reason, broken.object))
            return report if broken.kind == kind and broken.reason in reasons else None

        try:
            return eventually(look, f"{kind} {' or '.join(reasons)}")
        except AssertionError as error:
            raise AssertionError(f"{error}; blamed were {sorted(seen)}") from None

    def impersonating(self, user: str, folder: Path) -> Path:
        """A kubeconfig with which the administrator acts as somebody else."""
        config = yaml.safe_load(self.info.kubeconfig.read_text())
        config["users"][0]["user"]["as"] = user
        file = folder / f"{user}.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file


def events(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
