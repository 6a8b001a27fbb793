"""Files that are in none of the places where they may be looked for, all told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from installer.catalog.cache import Cache
from installer.catalog.integrity import redacted
from installer.catalog.model import Source
from installer.catalog.parallel import together
from installer.catalog.places import is_web, mirror_path
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed

if TYPE_CHECKING:
    from installer.catalog.sources import SourceOptions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WantedSource:
    """A source of a component; its text says so."""

    component: str
    version: str
    source: Source

    def __str__(self) -> str:
        return f"{self.component} {self.version}".rstrip() + f", {self.source.name}"


class SourcesMissing(ChecksFailed):
    """Files that are in none of the places that may be asked; all of them are named."""

    def __init__(self, items: Sequence[WantedSource], options: SourceOptions, cache: Cache):
        self._made_of = (tuple(items), options, cache)
        text, first, remedy = (_gone if options.network else _nowhere)(items, options, cache)
        super().__init__(text, kind="source-missing", object=first, remedy=remedy)

    @property
    def of(self) -> list[str]:
        """The components whose files they are, each once: name and version."""
        return list(dict.fromkeys(f"{item.component} {item.version}" for item in self._made_of[0]))

    @classmethod
    def merged(cls, errors: Sequence[SourcesMissing]) -> SourcesMissing:
        """One error for what several calls with the same options did not find."""
        _, options, cache = errors[0]._made_of
        items = {item.source.sha256: item for error in errors for item in error._made_of[0]}
        return cls(list(items.values()), options, cache)


def all_found(jobs: Sequence[Callable[[Cancel], T]], cancel: Cancel) -> list[T]:
    """`together`, except that files which are nowhere are told of all jobs at once."""

    def caught(job: Callable[[Cancel], T], stop: Cancel) -> T | SourcesMissing:
        try:
            return job(stop)
        except SourcesMissing as error:
            return error

    found = together([partial(caught, job) for job in jobs], cancel)
    missing = [item for item in found if isinstance(item, SourcesMissing)]
    if missing:
        raise SourcesMissing.merged(missing)
    return [item for item in found if not isinstance(item, SourcesMissing)]


def _gone(items: Sequence[WantedSource], _: SourceOptions, __: Cache) -> tuple[str, str, str]:
    """(message, object, remedy) where upstream itself was asked."""
    urls = [redacted(item.source.url) for item in items]
    text = "upstream has no such file (404): " + ", ".join(urls)
    return text, urls[0], "it was moved or removed; use --mirror or --bundle with a copy of it"


def _nowhere(
    items: Sequence[WantedSource], options: SourceOptions, cache: Cache
) -> tuple[str, str, str]:
    """(message, object, remedy) where only a mirror, a bundle or the cache may be asked."""
    # A folder is searched at exactly these paths; elsewhere they are relative.
    folder = options.mirror if options.mirror and options.bundle is None else None
    root = "" if folder is None or "://" in folder else f"{folder.rstrip('/')}/"
    paths = [root + mirror_path(item.source.url) for item in items]
    for index, item in enumerate(items):
        if item.source.rendered is not None:
            paths[index] += f" (or {item.source.rendered})"
    lines = [f"{item}: {path}" for item, path in zip(items, paths, strict=True)]
    some = "a file" if len(items) == 1 else f"{len(items)} files"
    listed = f" {lines[0]}" if len(items) == 1 else "".join(f"\n  {line}" for line in lines)
    given = "mirror" if options.mirror is not None else "bundle"
    if options.bundle is None and options.mirror is None:
        remedy = "run once with a network, or use --mirror or --bundle"
    else:
        both = "the mirror or the bundle" if options.bundle and options.mirror else f"the {given}"
        remedy = f"add what is missing to {both}; without --{given} it is downloaded from upstream"
    text = f"{some} found in none of {describe_places(options, cache)}:{listed}"
    return text, paths[0], remedy


def describe_places(options: SourceOptions, cache: Cache | None = None) -> str:
    """Where sources are looked for, as a clause: `bundle x.tar, mirror /srv/m, cache …`."""
    parts = []
    if options.bundle is not None:
        parts.append(f"bundle {options.bundle}")
    if options.mirror is not None:
        shown = redacted(options.mirror) if is_web(options.mirror) else options.mirror
        parts.append(f"mirror {shown}")
    parts.append(f"cache {cache.label}" if cache else "cache")
    if options.network:
        parts.append("network")
    return ", ".join(parts)
