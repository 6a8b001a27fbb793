"""Downloads and parsed manifests kept on disk, shared by any number of processes.

Layout under the cache directory:
    sha256/<hash>                     bytes of a source
    partial/<hash>.<random>           a download under way, or one that a later run continues
    parsed/<format>/<key>.json        parsed objects behind a line with the SHA-256 of the rest

Nothing here is trusted: bytes are hashed whenever they are read, so no fsync is needed (what a
power cut tore is found and fetched again). Files appear by an atomic rename. A partial file
belongs to whoever holds its flock; the kernel frees that when the owner dies, so nothing that
could be left behind locks anything.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object

try:
    import fcntl

    _LOCKS = True
except ImportError:  # Windows: nothing is resumed across runs there
    _LOCKS = False

ENVIRONMENT = "KSERVE_INSTALLER_CACHE"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_open_caches: dict[str, Cache] = {}
_opening = threading.Lock()


def open_cache(directory: Path | None, emit: Emit) -> Cache:
    """The cache at `directory` (default: KSERVE_INSTALLER_CACHE, else the user's cache folder).

    Where that cannot be written, what it holds is still read, and new files go to a temporary
    folder that ends with this process; one `warning` event per process says so.
    """
    chosen = directory or default_directory()
    with _opening:
        known = _open_caches.get(str(chosen))
        if known is None:
            known = _open_caches[str(chosen)] = _opened(chosen, emit)
        return known


def default_directory() -> Path | None:
    """Where downloads are kept; None when this user has no home."""
    if chosen := os.environ.get(ENVIRONMENT):
        return Path(chosen).absolute()
    from platformdirs import user_cache_path

    try:
        path = user_cache_path("kserve-installer", appauthor=False)
    except RuntimeError:
        return None
    # Without HOME and a passwd entry older platformdirs answer "~/.cache/…", unexpanded.
    return path if path.is_absolute() else None


def _opened(directory: Path | None, emit: Emit) -> Cache:
    why = "no home directory"
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                return Cache(directory)
        except OSError as error:
            why = f"{directory}: {error.strerror}"
    emit(
        Event(
            "warning",
            {
                "message": f"the download cache cannot be written ({why}); "
                "this run keeps nothing for later ones",
                "object": str(directory or ""),
                "remedy": f"set {ENVIRONMENT} to a folder that can be written",
            },
        )
    )
    temporary = tempfile.TemporaryDirectory(prefix="kserve-installer-")
    return Cache(Path(temporary.name), also_read=directory, keep_alive=temporary)


class Cache:
    """Files by their SHA-256, and parsed objects by a key.

    directory: where new files go. also_read: a folder of the same layout that is only read.
    keep_alive: held as long as the cache, for a temporary folder.
    """

    def __init__(self, directory: Path, *, also_read: Path | None = None, keep_alive: Any = None):
        self.directory = directory
        self.label = str(also_read or directory)
        self._places = [directory] + ([also_read] if also_read else [])
        self._keep_alive = keep_alive

    def find(self, sha256: str) -> Path | None:
        """The file of that hash, not verified; None when there is none."""
        for place in self._places:
            path = place / "sha256" / sha256
            with contextlib.suppress(OSError):
                if path.is_file():
                    return path
        return None

    def add(self, data: bytes, sha256: str) -> Path:
        """Keep verified bytes. Raises ChecksFailed when the disk is full."""
        with self.partial(sha256, fresh=True) as partial:
            partial.write(data)
            return partial.finish()

    @contextlib.contextmanager
    def partial(self, sha256: str, *, fresh: bool = False) -> Iterator[Partial]:
        """A file to download into; what an ended run left of it is in there, unless `fresh`.

        Left on disk when the body raises, unless it called `discard`.
        Raises ChecksFailed when the disk is full or broken.
        """
        with explained(self.directory):
            partial = self._partial(sha256, fresh)
            try:
                yield partial
            except OSError as error:
                if error.errno in _FULL:
                    partial.discard()
                raise
            finally:
                partial.close()

    def _partial(self, sha256: str, fresh: bool) -> Partial:
        final = self.directory / "sha256" / sha256
        folder = self.directory / "partial"
        final.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        left = [] if fresh else sorted(folder.glob(f"{sha256}.*"), key=_size, reverse=True)
        for path in left:
            file = _claimed(path)
            if file:
                return Partial(path, file, final)
        while True:
            descriptor, name = tempfile.mkstemp(prefix=f"{sha256}.", dir=folder)
            os.chmod(descriptor, 0o644)  # noqa: PTH101 - a descriptor; mkstemp says 0600
            new = os.fdopen(descriptor, "r+b")
            # Another process may have taken it for a forgotten one before we could lock it.
            if _locked(new, Path(name)) is not False:
                return Partial(Path(name), new, final)
            new.close()

    def read_objects(self, key: str) -> list[Object] | None:
        """Objects kept under a key; None when there are none or they are damaged."""
        for place in self._places:
            try:
                data = (place / "parsed" / f"{key}.json").read_bytes()
            except OSError:
                continue
            digest, _, body = data.partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() == digest:
                objects: list[Object] = json.loads(body)
                return objects
        return None

    def holds_objects(self, key: str) -> bool:
        """True when something is kept under a key."""
        return (self.directory / "parsed" / f"{key}.json").exists()

    def keep_objects(self, key: str, objects: Sequence[Object]) -> None:
        """Keep objects under a key. What cannot be written is left out: it can be parsed again."""
        path = self.directory / "parsed" / f"{key}.json"
        body = json.dumps(objects, separators=(",", ":"), ensure_ascii=False).encode()
        name = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            Path(name).replace(path)
        except OSError:
            if name:
                Path(name).unlink(missing_ok=True)


class Partial:
    """One file being filled, owned by this thread."""

    def __init__(self, path: Path, file: BinaryIO, final: Path):
        self._path = path
        self._file = file
        self._final = final
        self.digest = hashlib.sha256()
        self.head = b""
        self.size = 0
        while chunk := file.read(1 << 20):
            self._count(chunk)

    def write(self, data: bytes) -> None:
        """Append bytes."""
        self._file.write(data)
        self._count(data)

    def restart(self) -> None:
        """Throw away what is there and begin at byte 0."""
        self._file.seek(0)
        self._file.truncate()
        self.digest = hashlib.sha256()
        self.head = b""
        self.size = 0

    def flush(self) -> None:
        """Hand the bytes to the kernel, so that a killed run leaves them."""
        self._file.flush()

    def finish(self) -> Path:
        """Make the verified bytes visible under their hash; returns where."""
        self._file.flush()
        self._path.replace(self._final)
        for other in self._path.parent.glob(f"{self._final.name}.*"):
            file = _claimed(other)
            if file:
                other.unlink(missing_ok=True)
                file.close()
        return self._final

    def discard(self) -> None:
        """Remove the file: its bytes are of no use to a later run."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the file; an empty one is removed."""
        if self.size == 0:
            self.discard()
        with contextlib.suppress(OSError):
            self._file.close()

    def _count(self, data: bytes) -> None:
        self.digest.update(data)
        self.size += len(data)
        if len(self.head) < 512:
            self.head += data[: 512 - len(self.head)]


@contextlib.contextmanager
def explained(where: Path) -> Iterator[None]:
    """Turn a full disk (quota and file size limit too) or a broken one into one clear sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise ChecksFailed(
                f"downloads cannot be kept in {where}: {error.strerror or error}",
                kind="cache-unusable",
                object=str(where),
                remedy=f"set {ENVIRONMENT} to a folder that can be written",
            ) from error
        raise ChecksFailed(
            f"no space left for downloads in {where}: {error.strerror}",
            kind="disk-full",
            object=str(where),
            remedy=f"free some space, or set {ENVIRONMENT} to a folder on another disk",
        ) from error


def _claimed(path: Path) -> BinaryIO | None:
    """The file, open and locked by us; None when its owner lives or it is gone meanwhile."""
    try:
        file = path.open("r+b")
    except OSError:
        return None
    if _locked(file, path):
        return file
    file.close()
    return None


def _locked(file: BinaryIO, path: Path) -> bool | None:
    """True when the file is ours now, False when it is another's or gone, None when this file
    system has no locks."""
    if not _LOCKS:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    try:
        # Its owner may have renamed or removed it between our open and our lock.
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
