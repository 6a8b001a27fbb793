"""Istio up to 1.x as upstream ships it: a generator (istioctl) and a profile.

A bundle or mirror may hold what istioctl prints, and then nothing is run. Either way the *objects*
are compared with the catalog, because the bytes of an own build may differ.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path, PurePosixPath

from installer.catalog.cache import Cache, explained, open_cache
from installer.catalog.digest import objects_sha256
from installer.catalog.integrity import file_fault, html, is_html, redacted
from installer.catalog.model import Component, Source
from installer.catalog.parse import FORMAT, parse
from installer.catalog.parsed import objects_of
from installer.catalog.sources import (
    Extra,
    SourceOptions,
    extra_on_disk,
    extra_on_web,
    fetch,
)
from installer.core.cancel import Cancel
from installer.core.child import end_group
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object

TIMEOUT = 120.0
RENDERED_LIMIT = 32 * 1024 * 1024
"""Bytes that a rendered file may have."""
_BINARY_LIMIT = 512 * 1024 * 1024
_NOWHERE = "http://127.0.0.1:9"


def rendered_objects(
    component: Component, source: Source, options: SourceOptions, emit: Emit, cancel: Cancel
) -> list[Object]:
    """The objects of an `istioctl` source: rendered file of bundle or mirror, cache, own run.

    Raises ChecksFailed: nothing to render with here, istioctl failed, or other objects than the
    catalog's.
    """
    begun = time.monotonic()
    profile = profile_bytes(source, options)
    cache = open_cache(options.cache_dir, emit)
    key = f"{FORMAT}/rendered-{hashlib.sha256(source.sha256.encode() + profile).hexdigest()}"
    given = _given(source, extra_on_disk(source.rendered, RENDERED_LIMIT, options), cache)
    kept = None if given else cache.read_objects(key)
    if kept is not None and not _differs(source, kept):
        _tell(emit, component, source, "cache", 0, begun)
        return kept
    given = given or _given(
        source, extra_on_web(source.rendered, RENDERED_LIMIT, options, emit, cancel), cache
    )
    if given:
        objects, extra = given
        # Without a digest in the catalog nothing says that these come from this profile.
        if source.rendered_objects_sha256 and not cache.holds_objects(key):
            cache.keep_objects(key, objects)
        _tell(emit, component, source, extra.origin, len(extra.data), begun)
        return objects
    check_platform(source)
    archive = fetch([(component.name, source)], options, emit, cancel, component.version)[
        source.sha256
    ]
    text = run_istioctl(source, archive, profile, cache, cancel)
    objects = parse(text, f"what istioctl of {redacted(source.url)} printed")
    _compare(source, objects, f"what istioctl of {redacted(source.url)} printed")
    cache.keep_objects(key, objects)
    return objects


def profile_bytes(source: Source, options: SourceOptions) -> bytes:
    """The IstioOperator to render. Raises ChecksFailed when the catalog lacks it."""
    if options.catalog is None:
        from installer.catalog.load import PACKAGED

        directory = PACKAGED
    else:
        directory = options.catalog
    path = directory / (source.profile or "")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ChecksFailed(
            f"the profile {path} of {source.name} cannot be read: {error.strerror}",
            kind="source-unreadable",
            object=str(path),
        ) from error


def check_platform(source: Source) -> None:
    """Raise ChecksFailed where the pinned istioctl (linux/amd64) cannot run."""
    machine = platform.machine().lower()
    if sys.platform == "linux" and machine in ("x86_64", "amd64"):
        return
    raise ChecksFailed(
        f"{source.name} is rendered by a program for linux/amd64, this is {sys.platform}/{machine}",
        kind="render-platform",
        object=redacted(source.url),
        remedy=f"use a --mirror or --bundle that holds {source.rendered or 'the rendered file'}",
    )


def _given(source: Source, extra: Extra | None, cache: Cache) -> tuple[list[Object], Extra] | None:
    """The objects of a rendered file. Raises ChecksFailed when they are not the catalog's."""
    if extra is None:
        return None
    if len(extra.data) > RENDERED_LIMIT:
        raise ChecksFailed(
            f"{extra.where} is larger than a rendered manifest: over {RENDERED_LIMIT} bytes",
            kind="source-oversized",
            object=extra.where,
        )
    if is_html(extra.data[:512]):
        raise html(source, extra.where)
    digest = hashlib.sha256(extra.data).hexdigest()
    objects = objects_of(extra.data, digest, cache, extra.where)
    _compare(source, objects, extra.where)
    return objects, extra


def _differs(source: Source, objects: list[Object]) -> str:
    """The digest found, when it is not the catalog's; else empty."""
    wanted = source.rendered_objects_sha256
    found = objects_sha256(objects) if wanted else ""
    return found if found != (wanted or "") else ""


def _compare(source: Source, objects: list[Object], where: str) -> None:
    found = _differs(source, objects)
    if found:
        raise ChecksFailed(
            f"{where} does not hold the objects the catalog names: the SHA-256 of its "
            f"{len(objects)} objects is {found}, that of {source.name} is "
            f"{source.rendered_objects_sha256}",
            kind="source-tampered",
            object=where,
            remedy="render it again with the pinned istioctl and profile; nothing of it was used",
        )


def run_istioctl(
    source: Source, archive: Path, profile: bytes, cache: Cache, cancel: Cancel
) -> bytes:
    """Take istioctl out of its archive, run it on the profile, return what it prints.

    It runs in a folder of its own, without the user's environment or kubeconfig and with proxies
    that lead nowhere, so it can neither see a cluster nor quietly download charts.
    """
    _sweep(cache)
    with (
        explained(cache.directory),
        tempfile.TemporaryDirectory(dir=cache.directory, prefix="render-") as name,
    ):
        folder = Path(name)
        binary = folder / "istioctl"
        extract_istioctl(source, archive, binary)
        (folder / "profile.yaml").write_bytes(profile)
        return _run(source, binary, folder, cancel)


def _sweep(cache: Cache) -> None:
    """Remove the folders of runs that were killed; none lives for a day."""
    for folder in cache.directory.glob("render-*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - 86400:
                shutil.rmtree(folder, ignore_errors=True)


def extract_istioctl(source: Source, archive: Path, to: Path) -> None:
    """Verify the archive and copy its one `bin/istioctl`, nothing else, to a new file."""
    wrong = file_fault(source, archive)
    if wrong is not None:
        raise wrong
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if PurePosixPath(member.name).parts[-2:] != ("bin", "istioctl"):
                    continue
                if not member.isreg() or member.size > _BINARY_LIMIT:
                    break
                content = tar.extractfile(member)
                with to.open("xb") as file:
                    shutil.copyfileobj(content, file)  # type: ignore[arg-type]
                to.chmod(0o700)
                return
    except (tarfile.TarError, EOFError) as error:
        raise _failed(source, f"its archive cannot be read: {error}") from error
    raise _failed(source, "its archive holds no file bin/istioctl")


def _run(source: Source, binary: Path, folder: Path, cancel: Cancel) -> bytes:
    home = folder / "home"
    home.mkdir()
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "TMPDIR": str(folder),
        "KUBECONFIG": str(folder / "no-kubeconfig"),
        "HTTP_PROXY": _NOWHERE,
        "HTTPS_PROXY": _NOWHERE,
    }
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        try:
            process = subprocess.Popen(
                [str(binary), "manifest", "generate", "-f", str(folder / "profile.yaml")],
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise _failed(source, f"it cannot be started: {error.strerror}") from error
        try:
            code = _ended(source, process, cancel)
        finally:
            end_group(process)
        err.seek(0)
        if code != 0:
            said = err.read(4000).decode(errors="replace").strip() or "nothing"
            raise _failed(source, f"it ended with code {code} and said: {said}")
        out.seek(0)
        text = out.read(RENDERED_LIMIT + 1)
        if len(text) > RENDERED_LIMIT:
            raise _failed(source, f"it printed more than {RENDERED_LIMIT} bytes")
        return text


def _ended(source: Source, process: subprocess.Popen[bytes], cancel: Cancel) -> int:
    """The exit code, once there is one within TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        cancel.check(f"waiting until {source.name} is rendered")
        try:
            return process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
    raise _failed(source, f"it did not end within {TIMEOUT:g} s")


def _failed(source: Source, why: str) -> ChecksFailed:
    return ChecksFailed(
        f"istioctl of {source.name} cannot render the profile: {why}",
        kind="render-failed",
        object=redacted(source.url),
        remedy=f"use a --mirror or --bundle that holds {source.rendered or 'the rendered file'}",
    )


def _tell(
    emit: Emit, component: Component, source: Source, origin: str, size: int, begun: float
) -> None:
    fields = {
        "component": component.name,
        "url": redacted(source.url),
        "origin": origin,
        "bytes": size,
        "seconds": round(time.monotonic() - begun, 3),
    }
    emit(Event("source", fields))
