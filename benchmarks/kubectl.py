"""`kubectl apply --server-side`, and where to find the kubectl of Debian's kubernetes-client."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import processes
from places import Place
from stack import Applied, Stack

from installer.sandbox.state import cache_root

_PACKAGE = "kubernetes-client"


def find(given: Path | None) -> Path:
    """The one given, else Debian's, unpacked into the cache, else the one on PATH.

    Raises SystemExit when there is none.
    """
    if given is not None:
        return given.absolute()
    kept = cache_root() / "benchmarks" / _PACKAGE
    program = kept / "usr" / "bin" / "kubectl"
    if program.exists() or _unpacked(kept):
        return program
    on_path = shutil.which("kubectl")
    if on_path is None:
        raise SystemExit("no kubectl: give one with --kubectl, or run this on Debian")
    return Path(on_path)


def _unpacked(folder: Path) -> bool:
    """Fetch Debian's package without installing it; False where that is not possible."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(
        ["apt-get", "download", "-q", _PACKAGE], cwd=folder, capture_output=True, check=False
    )
    packages = sorted(folder.glob(f"{_PACKAGE}_*.deb"))
    if fetched.returncode != 0 or not packages:
        return False
    subprocess.run(["dpkg", "-x", str(packages[-1]), str(folder)], check=True)
    packages[-1].unlink()
    return True


def version(program: Path) -> str:
    """Such as v1.20.2."""
    found = subprocess.run(
        [str(program), "version", "--client", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(found.stdout)["clientVersion"]["gitVersion"])


class Kubectl:
    """Applies a stack with one `kubectl apply` per group."""

    def __init__(self, program: Path, stack: Stack, folder: Path) -> None:
        self._program = program
        self._stack = stack
        self._folder = folder
        self._files = [folder / f"group-{number}.json" for number in range(len(stack.groups))]
        for file, group in zip(self._files, stack.groups, strict=True):
            items = {"apiVersion": "v1", "kind": "List", "items": group.bodies}
            file.write_text(json.dumps(items))

    def first(self, place: Place) -> Applied:
        """Apply to an empty cluster."""
        groups, span, begun = [], 0.0, time.monotonic()
        for file, group in zip(self._files, self._stack.groups, strict=True):
            groups.append(self._apply(place, [file]))
            span = time.monotonic() - begun
            self._stack.await_gates(place, group)
        return Applied(groups, span, time.monotonic() - begun)

    def again(self, place: Place) -> tuple[float, float]:
        """Apply what is there already: seconds of one command for all, and of the same commands
        as the first time."""
        one = self._apply(place, self._files)
        return one, sum(self._apply(place, [file]) for file in self._files)

    def _apply(self, place: Place, files: Sequence[Path]) -> float:
        words = [str(self._program), "--kubeconfig", place.kubeconfig]
        words += ["--cache-dir", str(self._folder / f"cache-{place.info.name}")]
        words += ["apply", "--server-side"]
        for file in files:
            words += ["-f", str(file)]
        return processes.run(words, {"HOME": str(self._folder)}).seconds
