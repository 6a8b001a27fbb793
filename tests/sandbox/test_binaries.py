from __future__ import annotations

import hashlib
import io
import lzma
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, Interrupted, UsageError
from installer.core.events import Event
from installer.sandbox import go_build
from installer.sandbox.binaries import BinaryOptions, find
from installer.sandbox.download import ETCD_VERSION, Release, architecture
from installer.sandbox.state import COMPONENTS

KUBERNETES = "1.30.0"


def program(name: str, version: str) -> bytes:
    """A script that answers `--version` as that binary does."""
    text = f"etcd Version: {version}" if name == "etcd" else f"Kubernetes v{version}"
    return f"#!/bin/sh\necho '{text}'\n".encode()


def put(folder: Path, version: str = KUBERNETES, etcd: str = "3.5.9", pack: bool = False) -> Path:
    """Fill a folder with the three binaries."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COMPONENTS:
        content = program(name, etcd if name == "etcd" else version)
        if pack:
            (folder / f"{name}.xz").write_bytes(lzma.compress(content))
        else:
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o755)
    return folder


class Machine:
    """Places where binaries may be, and what the search tells."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = patch
        self.cache = folder / "cache"
        self.release = Release()
        self.download = False
        self.build = False
        self.events: list[Event] = []
        patch.delenv("KUBEBUILDER_ASSETS", raising=False)
        self.path(folder / "nothing-on-path")

    def path(self, folder: Path) -> None:
        self.patch.setenv("PATH", str(folder))

    def find(self, control_plane: Path | None = None) -> dict[str, Path]:
        options = BinaryOptions(
            control_plane, self.download, self.build, self.cache, release=self.release
        )
        return find(KUBERNETES, options, self.events.append, Cancel())

    def told(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_the_places_are_searched_in_order(machine: Machine) -> None:
    given, assets = put(machine.folder / "given"), put(machine.folder / "assets")
    path = put(machine.folder / "bin")
    put(machine.cache / "control-plane" / f"v{KUBERNETES}")
    put(machine.cache / "control-plane" / f"etcd-v{ETCD_VERSION}")
    machine.patch.setenv("KUBEBUILDER_ASSETS", str(assets))
    machine.path(path)

    def folders(control_plane: Path | None = None) -> set[Path]:
        return {found.parent for found in machine.find(control_plane).values()}

    assert folders(given) == {given}
    assert folders() == {assets}
    machine.patch.delenv("KUBEBUILDER_ASSETS")
    assert folders() == {path}
    machine.path(machine.folder / "nothing-on-path")
    assert {folder.parent for folder in folders()} == {machine.cache / "control-plane"}


def test_each_binary_is_searched_by_itself(machine: Machine) -> None:
    given = put(machine.folder / "given" / f"v{KUBERNETES}").parent
    (given / f"v{KUBERNETES}" / "etcd").unlink()
    machine.path(put(machine.folder / "bin", version="1.31.0"))
    found = machine.find(given)
    assert found["etcd"] == machine.folder / "bin" / "etcd"
    assert found["kube-apiserver"] == given / f"v{KUBERNETES}" / "kube-apiserver"


def test_assets_of_another_version_are_not_used_and_their_version_is_named(
    machine: Machine,
) -> None:
    assets = put(machine.folder / "assets", version="1.25.3")
    machine.patch.setenv("KUBEBUILDER_ASSETS", str(assets))
    with pytest.raises(InstallerError) as failed:
        machine.find()
    assert failed.value.kind == "no-binaries"
    reason = f"{assets / 'kube-apiserver'} is version 1.25.3, not 1.30.0 (KUBEBUILDER_ASSETS)"
    assert f"kube-apiserver: {reason}" in failed.value.message
    warnings = [event.fields["message"] for event in machine.told("warning")]
    assert f"not used for the sandbox: {reason}" in warnings


def test_every_place_that_was_looked_at_is_listed_with_its_reason(machine: Machine) -> None:
    path = machine.folder / "bin"
    path.mkdir()
    (path / "etcd").write_bytes(program("etcd", "3.3.27"))
    (path / "etcd").chmod(0o755)
    (path / "kube-apiserver").write_text("#!/bin/sh\necho unheard of >&2\nexit 1\n")
    (path / "kube-apiserver").chmod(0o755)
    machine.path(path)
    machine.build = True
    with pytest.raises(InstallerError) as failed:
        machine.find()
    message = failed.value.message
    for sentence in (
        "kube-apiserver: --control-plane is not given",
        "kube-apiserver: KUBEBUILDER_ASSETS is not set",
        f"kube-apiserver: {path / 'kube-apiserver'} --version says 'unheard of'",
        "kube-controller-manager: not on PATH",
        "kube-apiserver: not in the cache",
        "kube-apiserver: downloads are switched off",
        "kube-apiserver: build: the Go modules of 1.34.4 are pinned, not those of 1.30.0",
        f"etcd: {path / 'etcd'} is etcd 3.3.27; 3.4 or later is needed",
        "etcd: build: go is not on PATH",
    ):
        assert sentence in message


def remove(given: Path) -> Path:
    shutil.rmtree(given)
    return given


def empty(given: Path) -> Path:
    (given / "kube-apiserver").unlink()
    return given


def only_another_version(given: Path) -> Path:
    put(given.parent / "many" / "v1.20.2", version="1.20.2")
    return given.parent / "many"


def another_version(given: Path) -> Path:
    return put(given, version="1.20.2")


def not_executable(given: Path) -> Path:
    (given / "kube-apiserver").chmod(0o644)
    return given


def not_a_folder(given: Path) -> Path:
    return given / "etcd"


def not_a_program(given: Path) -> Path:
    (given / "kube-apiserver").write_text("neither ELF nor script")
    return given


def old_etcd(given: Path) -> Path:
    return put(given, etcd="3.3.27")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (remove, "it does not exist"),
        (not_a_folder, "it is not a folder"),
        (empty, "it has no kube-apiserver for Kubernetes 1.30.0"),
        (only_another_version, "no kube-apiserver for Kubernetes 1.30.0, only for v1.20.2"),
        (another_version, "kube-apiserver is version 1.20.2, not 1.30.0"),
        (not_executable, "kube-apiserver does not run: Permission denied"),
        (not_a_program, "kube-apiserver does not run: Exec format error"),
        (old_etcd, "etcd is etcd 3.3.27; 3.4 or later is needed"),
    ],
)
def test_a_folder_that_is_given_and_does_not_do_is_refused_at_once(
    machine: Machine, spoil: Callable[[Path], Path], reason: str
) -> None:
    machine.path(put(machine.folder / "bin"))  # what is elsewhere does not make up for it
    given = spoil(put(machine.folder / "given"))
    with pytest.raises(UsageError) as refused:
        machine.find(given)
    message = refused.value.message
    assert message.startswith(f"--control-plane {given} cannot be used: ")
    assert reason in message
    assert "\n" not in message
    assert refused.value.object == str(given)


def test_an_old_go_is_not_used(machine: Machine) -> None:
    go = put(machine.folder / "bin") / "go"
    (go.parent / "etcd").unlink()
    go.write_text("#!/bin/sh\necho go1.20.5\n")
    go.chmod(0o755)
    machine.path(go.parent)
    machine.build = True
    with pytest.raises(InstallerError, match=r"is Go 1\.20; 1\.24 or later is needed"):
        machine.find()


def test_a_build_that_says_nothing_ends_with_the_run(machine: Machine) -> None:
    started = machine.folder / "started"
    go = machine.folder / "bin" / "go"
    go.parent.mkdir()
    silent = f"echo $$ >{started}.new; /bin/mv {started}.new {started}; exec /bin/sleep 600"
    go.write_text(f'#!/bin/sh\nif [ "$1" = env ]; then echo go1.26.0; else {silent}; fi\n')
    go.chmod(0o755)
    machine.path(go.parent)
    cancel = Cancel()

    def stop_once_it_runs() -> None:
        while not started.exists():
            time.sleep(0.02)
        cancel.stop()

    threading.Thread(target=stop_once_it_runs, daemon=True).start()
    with pytest.raises(Interrupted):
        go_build.build(
            "etcd", go_build.PINNED, machine.folder / "out" / "etcd", lambda _: None, cancel
        )
    assert list((machine.folder / "out").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_packed_binaries_are_unpacked_once_and_again_when_they_change(machine: Machine) -> None:
    given = put(machine.folder / "given" / f"v{KUBERNETES}", pack=True).parent
    first = machine.find(given)
    assert all(path.is_relative_to(machine.cache) for path in first.values())
    assert len(machine.told("source")) == len(COMPONENTS)

    machine.events.clear()
    assert machine.find(given) == first
    assert machine.told("source") == []

    packed = given / f"v{KUBERNETES}" / "etcd.xz"
    packed.write_bytes(lzma.compress(program("etcd", "3.6.0")))
    second = machine.find(given)
    assert second["etcd"] != first["etcd"]
    assert [event.fields["component"] for event in machine.told("source")] == ["etcd"]


def test_a_truncated_unpacked_binary_is_unpacked_again(machine: Machine) -> None:
    given = put(machine.folder / "given" / f"v{KUBERNETES}", pack=True).parent
    found = machine.find(given)["etcd"]
    whole = found.read_bytes()
    found.write_bytes(whole[:5])
    assert machine.find(given)["etcd"].read_bytes() == whole


def test_a_damaged_packed_binary_is_named(machine: Machine) -> None:
    given = put(machine.folder / "given" / f"v{KUBERNETES}", pack=True).parent
    packed = given / f"v{KUBERNETES}" / "kube-apiserver.xz"
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(InstallerError, match=r"kube-apiserver\.xz is damaged"):
        machine.find(given)
    assert not list(machine.cache.rglob(".unpack-*"))


@pytest.fixture
def releases(machine: Machine) -> Iterator[Path]:
    """A folder served as both release sites, filled as they are."""
    root = machine.folder / "releases"
    arch = architecture()
    kubernetes = put(root / f"v{KUBERNETES}" / "bin" / "linux" / arch)
    for name in ("kube-apiserver", "kube-controller-manager"):
        digest = hashlib.sha256((kubernetes / name).read_bytes()).hexdigest()
        (kubernetes / f"{name}.sha256").write_text(digest)
    archive = root / f"v{ETCD_VERSION}" / f"etcd-v{ETCD_VERSION}-linux-{arch}.tar.gz"
    archive.parent.mkdir()
    content = program("etcd", ETCD_VERSION)
    member = tarfile.TarInfo(f"etcd-v{ETCD_VERSION}-linux-{arch}/etcd")
    member.size = len(content)
    with tarfile.open(archive, "w:gz") as writing:
        writing.addfile(member, io.BytesIO(content))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (archive.parent / "SHA256SUMS").write_text(f"{'0' * 64}  other\n{digest}  {archive.name}\n")

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(root))
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    machine.release = Release(address, address)
    machine.download = True
    machine.patch.setenv("NO_PROXY", "127.0.0.1")
    yield root
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("releases")
def test_what_is_nowhere_is_downloaded_into_the_cache_once(machine: Machine) -> None:
    found = machine.find()
    assert all(path.is_relative_to(machine.cache) for path in found.values())
    assert {event.fields["origin"] for event in machine.told("source")} == {"network"}
    machine.download = False
    assert machine.find() == found


def test_a_download_that_is_not_what_was_published_is_not_kept(
    machine: Machine, releases: Path
) -> None:
    for checksum in releases.rglob("kube-apiserver.sha256"):
        checksum.write_text("0" * 64)
    with pytest.raises(InstallerError, match="is not what its maker published"):
        machine.find()
    assert not list(machine.cache.rglob("kube-apiserver"))
    assert not list(machine.cache.rglob(".download-*"))


def test_a_release_that_does_not_exist_is_named_with_its_address(
    machine: Machine, releases: Path
) -> None:
    for checksum in releases.rglob("SHA256SUMS"):
        checksum.unlink()
    with pytest.raises(InstallerError, match=r"/SHA256SUMS: HTTP 404"):
        machine.find()
