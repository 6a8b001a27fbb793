"""Builds the control plane from Kubernetes' own Go modules, where nothing else is to be had.

`gobuild/` holds a go.mod with every staging module replaced by its published version, the go.sum
that pins all bytes, and one main.go of a few lines per binary. About 8 minutes for the two of
Kubernetes on 2 cores; the module proxy is the one that `go env GOPROXY` names.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

from installer.core.cancel import Cancel
from installer.core.child import end_group
from installer.sandbox.download import ETCD_VERSION

PINNED = "1.34.4"
MODULES = {
    "etcd": f"go.etcd.io/etcd/server/v3@v{ETCD_VERSION}",
    "kube-apiserver": f"k8s.io/kubernetes@v{PINNED}",
    "kube-controller-manager": f"k8s.io/kubernetes@v{PINNED}",
}
OLDEST_GO = (1, 24)
_ASKING = 30.0
"""Seconds in which `go` must tell its version."""
_LOOK = 0.2
"""Seconds between two looks at whether the run is to end."""

_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


class BuildFailed(Exception):
    """It could not be built; the text says why."""


def build(
    name: str,
    kubernetes: str,
    destination: Path,
    progress: Callable[[str], None],
    cancel: Cancel,
) -> None:
    """Build a binary to `destination`; raises BuildFailed. `progress` gets a few words at times."""
    if name != "etcd" and kubernetes != PINNED:
        raise BuildFailed(f"the Go modules of {PINNED} are pinned, not those of {kubernetes}")
    go = _go()
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".build-") as folder:
        with resources.as_file(resources.files("installer.sandbox") / "gobuild") as source:
            shutil.copytree(source, folder, dirs_exist_ok=True)
        workplace = Path(folder)
        environment = _environment()
        progress("downloading modules")
        packages = _count(go, name, workplace, environment, cancel)
        output = workplace / "out"
        command = [go, "build", "-v", "-trimpath", "-o", str(output), f"-ldflags={_flags()}"]
        _run([*command, f"./{name}"], workplace, environment, _counted(progress, packages), cancel)
        output.replace(destination)


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise BuildFailed("go is not on PATH")
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            timeout=_ASKING,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{go} does not tell its version within {_ASKING:g} s") from error
    match = re.match(r"go(\d+)\.(\d+)", answer.stdout.strip())
    if match is None:
        raise BuildFailed(f"{go} does not tell its version")
    if (int(match[1]), int(match[2])) < OLDEST_GO:
        needed = ".".join(map(str, OLDEST_GO))
        raise BuildFailed(f"{go} is Go {match[1]}.{match[2]}; {needed} or later is needed")
    return go


def _environment() -> dict[str, str]:
    """The user's own settings (proxy, caches), but nothing that would change what is built."""
    # CGO off: nothing needs it, and it would ask for a C compiler.
    fixed = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    flags = [flag for flag in os.environ.get("GOFLAGS", "").split() if flag.startswith("-p=")]
    return {
        **os.environ,
        **fixed,
        "GOFLAGS": " ".join([*flags, "-mod=readonly", "-buildvcs=false"]),
    }


def _flags() -> str:
    """Linker flags: stripped, and the version that `--version` and /version report."""
    major, minor, _ = PINNED.split(".")
    values = {
        "gitVersion": f"v{PINNED}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    settings = [
        f"-X {package}.{key}={value}"
        for package in _VERSION_PACKAGES
        for key, value in values.items()
    ]
    settings.append(f"-X go.etcd.io/etcd/api/v3/version.GitSHA=v{ETCD_VERSION}")
    return " ".join(["-s", "-w", *settings])


def _count(go: str, name: str, folder: Path, environment: dict[str, str], cancel: Cancel) -> int:
    """Download the modules and count the packages to compile."""
    packages: list[str] = []
    _run([go, "list", "-deps", f"./{name}"], folder, environment, packages.append, cancel)
    return len(packages)


def _counted(progress: Callable[[str], None], total: int) -> Callable[[str], None]:
    done, told = 0, 0.0

    def line(text: str) -> None:
        nonlocal done, told
        # Packages are printed by their path, which has no spaces; compiler messages have some.
        done += " " not in text.strip()
        if time.monotonic() - told > 2:
            progress(f"at most {total - done} of {total} packages left")
            told = time.monotonic()

    return line


def _run(
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    each_line: Callable[[str], None],
    cancel: Cancel,
) -> None:
    """Run `go`, give each line of its output away; its last words go into the error."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last: list[str] = []
    try:
        for line in _lines(process, cancel):
            last = [*last[-7:], line.rstrip()]
            each_line(line)
        code = process.wait()
    finally:
        end_group(process)  # with the compilers that it has started
    if code:
        raise BuildFailed(f"`{' '.join(command[1:3])}` failed: " + " | ".join(last))


def _lines(process: subprocess.Popen[str], cancel: Cancel) -> Iterator[str]:
    """What it prints, as it comes; it may say nothing for minutes while it downloads."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        with process.stdout or io.StringIO() as printed:
            for line in printed:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, name="go", daemon=True).start()
    while True:
        cancel.check("building the control plane")
        with contextlib.suppress(queue.Empty):
            line = lines.get(timeout=_LOOK)
            if line is None:
                return
            yield line
