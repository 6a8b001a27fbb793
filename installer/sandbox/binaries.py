"""Finds etcd, kube-apiserver and kube-controller-manager of the Kubernetes version asked for.

In this order, for each binary by itself:
1. the folder given with `--control-plane`: flat, or with a folder per version (`v1.20.2/` or
   `1.20.2/`); a binary may be packed as `<name>.xz`, then it is unpacked into the cache once;
2. `KUBEBUILDER_ASSETS`, flat;
3. PATH;
4. the cache, filled by 5 and 6;
5. a download from Kubernetes' and etcd's own release addresses, with their checksums;
6. a build with `go` from Kubernetes' own modules (see `installer.sandbox.go_build`).
A binary that does not report the version asked for is not used; the error names every place that
was looked at and why it did not do. A folder given with `--control-plane` is meant: when it lacks
one of Kubernetes' two servers, or what it has cannot be used, that is an error at once.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, UsageError
from installer.core.events import Emit, Event
from installer.core.kubernetes_version import KubernetesVersion
from installer.sandbox import go_build, unpack
from installer.sandbox.binary_versions import Unfit, Versions
from installer.sandbox.download import ETCD_VERSION, DownloadFailed, Release
from installer.sandbox.download import binary as download_binary
from installer.sandbox.state import COMPONENTS, cache_root

OLDEST_ETCD = KubernetesVersion(3, 4)

_VERSION = re.compile(r"v?\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class BinaryOptions:
    """Where to look.

    control_plane: the folder of `--control-plane`. download, build: whether these are allowed.
    cache: kserve-installer's cache directory. release: where downloads come from.
    """

    control_plane: Path | None = None
    download: bool = True
    build: bool = True
    cache: Path = field(default_factory=cache_root)
    release: Release = field(default_factory=Release)


def find(kubernetes: str, options: BinaryOptions, emit: Emit, cancel: Cancel) -> dict[str, Path]:
    """Paths of the three binaries, by name.

    Raises UsageError of kind `control-plane` for a folder given that does not do, InstallerError
    of kind `no-binaries` when they are nowhere.
    """
    search = _Search(kubernetes, options, emit, cancel)
    search.check_given()
    # Unpacking is the slow part, and outside the interpreter's lock.
    with ThreadPoolExecutor(len(COMPONENTS)) as pool:
        found = dict(zip(COMPONENTS, pool.map(search.at_hand, COMPONENTS), strict=True))
    for name in COMPONENTS:
        found[name] = found[name] or search.obtain(name)
    missing = [name for name in COMPONENTS if found[name] is None]
    if missing:
        raise search.failure(missing)
    return {name: path for name, path in found.items() if path is not None}


class _Search:
    def __init__(self, kubernetes: str, options: BinaryOptions, emit: Emit, cancel: Cancel) -> None:
        self.kubernetes = kubernetes
        self.options = options
        self.emit = emit
        self.cancel = cancel
        self.reasons: dict[str, list[str]] = {name: [] for name in COMPONENTS}
        self.cache = options.cache / "control-plane"
        self.versions = Versions(self.cache / "versions.json")

    def check_given(self) -> None:
        """Raise UsageError unless a folder that is given has the servers; etcd may be elsewhere."""
        folder = self.options.control_plane
        if folder is None:
            return
        if not folder.is_dir():
            raise self._refusal("it is not a folder" if folder.exists() else "it does not exist")
        try:
            versions = sorted(p.name for p in folder.iterdir() if _VERSION.fullmatch(p.name))
        except OSError as error:
            raise self._refusal(f"it cannot be read: {error.strerror}") from error
        others = f", only for {', '.join(versions)}" if versions else ""
        for name in COMPONENTS:
            if name != "etcd" and not self._given(folder, name):
                raise self._refusal(f"it has no {name} for Kubernetes {self.kubernetes}{others}")

    def at_hand(self, name: str) -> Path | None:
        """Look where nothing has to be fetched."""
        return self._first(
            name, (self._control_plane, self._kubebuilder_assets, self._path, self._cached)
        )

    def obtain(self, name: str) -> Path | None:
        """Download or build."""
        return self._first(name, (self._download, self._build))

    def failure(self, missing: list[str]) -> InstallerError:
        """The error that lists every place and reason."""
        lines = [f"  {name}: {reason}" for name in missing for reason in self.reasons[name]]
        return InstallerError(
            f"the sandbox finds no {' and no '.join(missing)} for Kubernetes {self.kubernetes}:\n"
            + "\n".join(lines),
            kind="no-binaries",
            object=", ".join(missing),
            remedy="give a folder that has them with --control-plane, or allow the download",
        )

    def _first(self, name: str, places: tuple[Callable[[str], Path], ...]) -> Path | None:
        for place in places:
            self.cancel.check(f"looking for {name}")
            try:
                return place(name)
            except Unfit as reason:
                self.reasons[name].append(str(reason))
        return None

    # Places

    def _control_plane(self, name: str) -> Path:
        folder = self.options.control_plane
        if folder is None:
            raise Unfit("--control-plane is not given")
        reasons = []
        for path in self._given(folder, name):
            try:
                return self._fit(self._unpacked(path, name), name)
            except Unfit as reason:
                reasons.append(str(reason))
        if reasons:
            raise self._refusal("; ".join(reasons))
        raise Unfit(f"{folder} (--control-plane) has no {name}")

    def _given(self, folder: Path, name: str) -> list[Path]:
        """Files of `--control-plane` that may be the binary, the best first."""
        places = (folder / f"v{self.kubernetes}", folder / self.kubernetes, folder)
        files = (path for place in places for path in (place / name, place / f"{name}.xz"))
        return [path for path in files if path.is_file()]

    def _kubebuilder_assets(self, name: str) -> Path:
        folder = os.environ.get("KUBEBUILDER_ASSETS")
        if not folder:
            raise Unfit("KUBEBUILDER_ASSETS is not set")
        path = Path(folder, name)
        if not path.is_file():
            raise Unfit(f"{folder} (KUBEBUILDER_ASSETS) has no {name}")
        try:
            return self._fit(path.absolute(), name)
        except Unfit as reason:
            raise self._warn(name, f"{reason} (KUBEBUILDER_ASSETS)") from reason

    def _path(self, name: str) -> Path:
        found = shutil.which(name)
        if found is None:
            raise Unfit("not on PATH")
        return self._fit(Path(found).absolute(), name)

    def _cached(self, name: str) -> Path:
        path = self._cache_path(name)
        if not path.is_file():
            raise Unfit(f"not in the cache {self.cache}")
        return self._fit(path, name)

    def _download(self, name: str) -> Path:
        if not self.options.download:
            raise Unfit("downloads are switched off")
        path = self._cache_path(name)
        begun = time.monotonic()

        def progress(there: int, total: int) -> None:
            of = f" of {total / 1e6:.0f}" if total else ""
            self._tell(name, "downloading", f"{there / 1e6:.0f}{of} MB")

        try:
            address = download_binary(
                name,
                self.kubernetes,
                path,
                release=self.options.release,
                progress=progress,
                cancel=self.cancel,
            )
        except DownloadFailed as error:
            raise Unfit(f"download: {error}") from error
        self._obtained(name, address, "network", path, begun)
        return self._fit(path, name)

    def _build(self, name: str) -> Path:
        if not self.options.build:
            raise Unfit("building is switched off")
        path = self._cache_path(name)
        begun = time.monotonic()
        try:
            go_build.build(
                name,
                self.kubernetes,
                path,
                lambda reason: self._tell(name, "building", reason),
                self.cancel,
            )
        except go_build.BuildFailed as error:
            raise Unfit(f"build: {error}") from error
        self._obtained(name, go_build.MODULES[name], "network", path, begun)
        return self._fit(path, name)

    # Parts

    def _refusal(self, reason: str) -> UsageError:
        folder = self.options.control_plane
        return UsageError(
            f"--control-plane {folder} cannot be used: {reason}",
            kind="control-plane",
            object=str(folder),
            remedy="give a folder with kube-apiserver and kube-controller-manager of Kubernetes "
            f"{self.kubernetes}, or leave the flag out",
        )

    def _cache_path(self, name: str) -> Path:
        if name == "etcd":
            return self.cache / f"etcd-v{ETCD_VERSION}" / name
        return self.cache / f"v{self.kubernetes}" / name

    def _unpacked(self, path: Path, name: str) -> Path:
        if path.suffix != ".xz":
            return path.absolute()
        begun = time.monotonic()
        try:
            unpacked, fresh = unpack.xz(path.absolute(), self.cache / "unpacked", self.cancel)
        except unpack.Damaged as error:
            raise Unfit(str(error)) from error
        if fresh:
            self._obtained(name, str(path), "mirror", unpacked, begun)
        return unpacked

    def _fit(self, path: Path, name: str) -> Path:
        found = self.versions.of(path)
        if name == "etcd":
            if KubernetesVersion.parse(found) < OLDEST_ETCD:
                raise Unfit(f"{path} is etcd {found}; 3.4 or later is needed")
        elif KubernetesVersion.parse(found) != KubernetesVersion.parse(self.kubernetes):
            raise Unfit(f"{path} is version {found}, not {self.kubernetes}")
        return path

    def _warn(self, name: str, reason: str) -> Unfit:
        """Say that something which the user pointed at is passed over."""
        fields = {"message": f"not used for the sandbox: {reason}", "object": name, "remedy": ""}
        self.emit(Event("warning", fields))
        return Unfit(reason)

    def _tell(self, name: str, state: str, reason: str) -> None:
        version = ETCD_VERSION if name == "etcd" else self.kubernetes
        pending = [{"object": f"{name} {version}", "state": state, "reason": reason}]
        fields = {"component": "sandbox", "stage": "binaries", "for": pending}
        self.emit(Event("waiting", {**fields, "pending": 1, "total": len(COMPONENTS)}))

    def _obtained(self, name: str, url: str, origin: str, path: Path, begun: float) -> None:
        seconds = round(time.monotonic() - begun, 3)
        size = path.stat().st_size
        fields = {"component": name, "url": url, "origin": origin, "bytes": size}
        self.emit(Event("source", {**fields, "seconds": seconds}))
