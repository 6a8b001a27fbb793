"""Where the bytes of a source come from: bundle, mirror, cache, network, in this order.

Decided:
- Whoever gives a bundle, a mirror or `offline` expects no other traffic: then upstream's address
  is never asked, and a file that is nowhere is an error that names where it was looked for.
- What a mirror on disk gave is kept in the cache too, as are downloads.
- A mirror reached by URL is asked after the cache: what the cache has is the same by its SHA-256.
- A bundle or mirror on disk that holds other bytes under the file's name is an error, even when
  the cache has the right ones. A damaged cache entry is removed with a warning and fetched again.
- Bytes are hashed here, and again by whoever parses them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as bound
from pathlib import Path

from installer.catalog.cache import Cache, open_cache
from installer.catalog.download import download, read_whole
from installer.catalog.http import Http, Patience
from installer.catalog.integrity import bytes_fault, file_fault, redacted, unreadable
from installer.catalog.missing import SourcesMissing, WantedSource
from installer.catalog.model import Source
from installer.catalog.parallel import together
from installer.catalog.places import Place, candidates, is_web, mirror_path, mirror_url, places
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event

WORKERS = 4
_sessions = threading.local()


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where to look for sources, and how patiently.

    bundle: a .tar file or directory. mirror: a directory or an http(s) URL, laid out
    `<host>/<path>`. cache_dir: None for the user's own. timeout: seconds to wait for a server.
    retries: of a passing failure without progress. backoff: seconds before the first of them.
    offline: never ask the network, whatever is missing. catalog: the directory that profiles are
    read from; None for the packaged one.
    """

    bundle: Path | None = None
    mirror: str | None = None
    cache_dir: Path | None = None
    timeout: float = 30.0
    retries: int = 5
    backoff: float = 0.5
    offline: bool = False
    catalog: Path | None = None

    @property
    def network(self) -> bool:
        """True when upstream's own addresses may be asked."""
        return self.bundle is None and self.mirror is None and not self.offline

    @property
    def web_mirror(self) -> str | None:
        """The mirror's URL, when it is one and may be asked."""
        if self.mirror is None or self.offline or not is_web(self.mirror):
            return None
        return self.mirror

    @property
    def patience(self) -> Patience:
        """How long to wait for servers."""
        return Patience(self.timeout, self.retries, self.backoff)


def fetch(
    sources: Sequence[tuple[str, Source]],
    options: SourceOptions,
    emit: Emit,
    cancel: Cancel,
    version: str = "",
) -> dict[str, Path]:
    """The verified bytes of (component name, source) pairs: paths by SHA-256.

    version: of the component, for messages. A path may lie in the mirror itself, so whoever reads
    it verifies again. Raises ChecksFailed (missing, other bytes than the catalog's, unreachable,
    disk full), UsageError for a bundle or mirror that cannot be used, and what `cancel` says.
    """
    cache = open_cache(options.cache_dir, emit)
    local = list(places(options.bundle, options.mirror))
    wanted = list(
        {source.sha256: WantedSource(name, version, source) for name, source in sources}.values()
    )
    found: dict[str, Path] = {}
    for item in wanted:
        cancel.check(f"looking for {item}")
        begun = time.monotonic()
        with named(str(item)):
            path, origin = _on_this_machine(item.source, local, cache, emit)
        if path is not None:
            found[item.source.sha256] = path
            _tell(emit, item, origin, path, begun)
    left = [item for item in wanted if item.source.sha256 not in found]
    address = _address(options)
    if left and address is not None:
        jobs = [bound(_remote, item, address, options, cache, emit) for item in left]
        for item, path in zip(left, together(jobs, cancel, WORKERS), strict=True):
            if path is not None:
                found[item.source.sha256] = path
    missing = [item for item in wanted if item.source.sha256 not in found]
    if missing:
        raise SourcesMissing(missing, options, cache)
    return found


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Errors about a source begin with what it is: `component version, source name`."""
    try:
        yield
    except SourcesMissing:
        raise  # names each of its files
    except ChecksFailed as error:
        if not error.message.startswith(what):
            error.message = f"{what}: {error.message}"
            error.args = (error.message,)
        raise


@dataclass(frozen=True, slots=True)
class Extra:
    """A file of a bundle or mirror whose hash the catalog does not know, so not verified.

    origin: bundle or mirror. where: as shown to users.
    """

    data: bytes
    origin: str
    where: str


def extra_on_disk(path: str | None, limit: int, options: SourceOptions) -> Extra | None:
    """The file at `path` of the bundle or of a mirror on disk; at most limit + 1 bytes."""
    if path is None:
        return None
    for place in places(options.bundle, options.mirror):
        try:
            data = place.read(path, limit)
        except OSError as error:
            raise unreadable(f"{path} in {place.label}", error) from error
        if data is not None:
            return Extra(data, place.origin, f"{path} in {place.label}")
    return None


def extra_on_web(
    path: str | None, limit: int, options: SourceOptions, emit: Emit, cancel: Cancel
) -> Extra | None:
    """The file at `path` of a mirror reached by URL; at most limit + 1 bytes."""
    mirror = options.web_mirror
    if mirror is None or path is None:
        return None
    url = mirror_url(mirror, path)

    def ask(stop: Cancel) -> bytes | None:
        return read_whole(_http(options, emit, stop), url, limit)

    data = together([ask], cancel)[0]
    return None if data is None else Extra(data, "mirror", redacted(url))


def _http(options: SourceOptions, emit: Emit, stop: Cancel) -> Http:
    mirror = options.web_mirror
    remedy = (
        f"check that the mirror {redacted(mirror)} answers, then run the same command again: what "
        "is here already is kept; without --mirror it is downloaded from upstream"
        if mirror
        else ""
    )
    return Http(options.patience, emit, stop, _sessions, remedy)


def _on_this_machine(
    source: Source, local: Sequence[Place], cache: Cache, emit: Emit
) -> tuple[Path | None, str]:
    """(path, origin) of the verified file; (None, "") when it is not here."""
    for place in local:
        for candidate in candidates(source):
            path = _in_place(source, place, candidate, cache)
            if path is not None:
                return path, place.origin
    path = cache.find(source.sha256)
    if path is None:
        return None, ""
    try:
        wrong = file_fault(source, path)
    except FileNotFoundError:
        return None, ""
    if wrong is None:
        return path, "cache"
    emit(
        Event(
            "warning",
            {
                "message": f"a damaged file in the cache is not used: {wrong.message}",
                "object": str(path),
                "remedy": "nothing to do: it is fetched again",
            },
        )
    )
    _remove(path)
    return None, ""


def _in_place(source: Source, place: Place, candidate: str, cache: Cache) -> Path | None:
    where = f"{candidate} in {place.label}"
    path = place.locate(candidate)
    if path is not None:
        wrong = file_fault(source, path, where)
        if wrong is not None:
            raise wrong
        _keep(path, source.sha256, cache)
        return path
    data = place.read(candidate, source.size_limit)
    if data is None:
        return None
    wrong = bytes_fault(source, where, data)
    if wrong is not None:
        raise wrong
    return cache.add(data, source.sha256)


def _keep(path: Path, sha256: str, cache: Cache) -> None:
    """Later commands, such as `status --drift`, need the file without the mirror at hand."""
    if cache.find(sha256) is None:
        with contextlib.suppress(OSError, ChecksFailed):  # a full disk: this run has its file
            cache.add(path.read_bytes(), sha256)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        # A cache that is only read: the file stays, and is warned about each time.
        return


def _address(options: SourceOptions) -> Callable[[Source], str] | None:
    """How a source's URL is made; None when nothing may be asked."""
    mirror = options.web_mirror
    if mirror is not None:
        return lambda source: mirror_url(mirror, mirror_path(source.url))
    return (lambda source: source.url) if options.network else None


def _remote(
    item: WantedSource,
    address: Callable[[Source], str],
    options: SourceOptions,
    cache: Cache,
    emit: Emit,
    stop: Cancel,
) -> Path | None:
    begun = time.monotonic()
    with named(str(item)):
        http = _http(options, emit, stop)
        path = download(http, address(item.source), item.source, cache)
    if path is not None:
        _tell(emit, item, "mirror" if options.mirror else "network", path, begun)
    return path


def _tell(emit: Emit, item: WantedSource, origin: str, path: Path, begun: float) -> None:
    fields: Mapping[str, object] = {
        "component": item.component,
        "url": redacted(item.source.url),
        "origin": origin,
        "bytes": path.stat().st_size,
        "seconds": round(time.monotonic() - begun, 3),
    }
    emit(Event("source", fields))
