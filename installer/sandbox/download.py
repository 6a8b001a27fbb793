"""Downloads of control-plane binaries from their makers' own release addresses.

Kubernetes: https://dl.k8s.io/v<version>/bin/linux/<arch>/<binary>, checksum beside it as .sha256.
etcd: the release's archive on GitHub, checksums beside it in SHA256SUMS.
Bytes count only after their checksum matched; a file appears under its name complete or not at all.
"""

from __future__ import annotations

import hashlib
import platform
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from installer.core.cancel import Cancel

# The version that Kubernetes 1.34 requires in its go.mod; the go build uses the same.
ETCD_VERSION = "3.6.4"

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
}
_CHUNK = 1 << 20
_LARGEST = 400 * _CHUNK
# Seconds to connect, and between two chunks.
_TIMEOUT = (10.0, 30.0)

Progress = Callable[[int, int], None]
"""Called with the bytes there and the bytes expected (0 when not told)."""


class DownloadFailed(Exception):
    """A download did not give the file; the text says why, with the address."""


@dataclass(frozen=True, slots=True)
class Release:
    """Where the releases are; tests put a server of their own here."""

    kubernetes: str = "https://dl.k8s.io"
    etcd: str = "https://github.com/etcd-io/etcd/releases/download"

    def address(self, name: str, kubernetes: str) -> str:
        """Address of a binary, or of etcd's archive. Raises DownloadFailed on other machines."""
        arch = architecture()
        if name != "etcd":
            return f"{self.kubernetes}/v{kubernetes}/bin/linux/{arch}/{name}"
        return f"{self.etcd}/v{ETCD_VERSION}/etcd-v{ETCD_VERSION}-linux-{arch}.tar.gz"


def architecture() -> str:
    """This machine's architecture as release addresses name it; raises DownloadFailed."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in _ARCHITECTURES:
        raise DownloadFailed(f"no releases for {platform.system()} on {machine}")
    return _ARCHITECTURES[machine]


def binary(
    name: str,
    kubernetes: str,
    destination: Path,
    *,
    release: Release,
    progress: Progress,
    cancel: Cancel,
) -> str:
    """Download a binary to `destination` (mode 0755); returns the address it came from."""
    address = release.address(name, kubernetes)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".download-") as folder:
        fetched = Path(folder, address.rpartition("/")[2])
        with requests.Session() as session:
            expected = _checksum(session, address, archive=name == "etcd")
            _fetch(session, address, fetched, expected, progress, cancel)
        if name == "etcd":
            fetched = _member(fetched, "etcd")
        fetched.chmod(0o755)
        fetched.replace(destination)
    return address


def _checksum(session: requests.Session, address: str, *, archive: bool) -> str:
    folder, _, file = address.rpartition("/")
    source = f"{folder}/SHA256SUMS" if archive else f"{address}.sha256"
    try:
        answer = session.get(source, timeout=_TIMEOUT)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise DownloadFailed(f"{source}: {_reason(error)}") from error
    for line in answer.text.splitlines():
        words = line.split()
        if archive and words[1:] not in ([file], [f"*{file}"]):
            continue
        if words and len(words[0]) == 64 and set(words[0].lower()) <= set("0123456789abcdef"):
            return words[0].lower()
    raise DownloadFailed(f"{source} has no SHA-256 of {file}")


def _fetch(
    session: requests.Session,
    address: str,
    destination: Path,
    expected: str,
    progress: Progress,
    cancel: Cancel,
) -> None:
    digest = hashlib.sha256()
    size, told = 0, 0.0
    try:
        with (
            session.get(address, timeout=_TIMEOUT, stream=True) as answer,
            destination.open("wb") as stream,
        ):
            answer.raise_for_status()
            total = int(answer.headers.get("Content-Length") or 0)
            for chunk in answer.iter_content(_CHUNK):
                cancel.check(f"downloading {address}")
                size += len(chunk)
                if size > _LARGEST:
                    raise DownloadFailed(f"{address} is larger than {_LARGEST >> 20} MiB")
                digest.update(chunk)
                stream.write(chunk)
                if time.monotonic() - told > 0.5:
                    progress(size, total)
                    told = time.monotonic()
    except requests.RequestException as error:
        raise DownloadFailed(f"{address}: {_reason(error)}") from error
    except OSError as error:
        raise DownloadFailed(f"{address} cannot be stored: {error.strerror}") from error
    if digest.hexdigest() != expected:
        raise DownloadFailed(
            f"{address} is not what its maker published: SHA-256 {digest.hexdigest()} instead of "
            f"{expected}"
        )


def _member(archive: Path, name: str) -> Path:
    """Take one executable out of a .tar.gz whose bytes were verified."""
    target = archive.with_name(name)
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile() and Path(member.name).name == name:
                content = opened.extractfile(member)
                assert content is not None, "a regular file has content"
                with content, target.open("wb") as stream:
                    while chunk := content.read(_CHUNK):
                        stream.write(chunk)
                return target
    raise DownloadFailed(f"{archive.name} holds no {name}")


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return f"{type(error).__name__}: {cause}"
