"""What the flags of commands ask for, as the values that operations take. Files are read here."""

from __future__ import annotations

import errno
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from installer.cli.parser import split
from installer.core.errors import InstallerError, Problem

if TYPE_CHECKING:
    from installer.catalog.sources import SourceOptions
    from installer.operations.choice import InstallOptions
    from installer.plan.settings import Settings

_SETTINGS_LIMIT = 1_000_000
"""Characters of a settings file."""


def install_options(args: Namespace) -> InstallOptions:
    """What is to be installed, from where, and how; flags that a command lacks are as by default.

    Raises InvalidInput for the settings.
    """
    from installer.operations.choice import InstallOptions

    catalog = Path(args.catalog) if args.catalog else None
    settings = read_settings(args.settings, args.release, catalog)
    return InstallOptions(
        release=args.release,
        settings=settings,
        sources=source_options(args),
        take_ownership=getattr(args, "take_ownership", False),
        adopt=split(getattr(args, "adopt", ())),
        wait=getattr(args, "wait", True),
        catalog=catalog,
        flags=_as_typed(args),
    )


def _as_typed(args: Namespace) -> str:
    """The flags that say where settings and sources come from, each after a space."""
    from installer.cli.session import shown

    words = [word for file in args.settings for word in ("-f", file)]
    for name in ("mirror", "bundle", "catalog"):
        value = getattr(args, name)
        words += [f"--{name}", value] if value else []
    return "".join(f" {shown(word)}" for word in words)


def source_options(args: Namespace) -> SourceOptions:
    """What `--mirror`, `--bundle` and `--catalog` say. Raises UsageError for a mirror or a bundle
    that is none, before anybody is asked for anything."""
    from installer.catalog.places import places
    from installer.catalog.sources import SourceOptions

    options = SourceOptions(
        bundle=Path(args.bundle) if args.bundle else None,
        mirror=args.mirror or None,
        catalog=Path(args.catalog) if args.catalog else None,
    )
    list(places(options.bundle, options.mirror))
    return options


def skipped(args: Namespace) -> tuple[str, ...]:
    """What `--skip` says. Raises UsageError for checks that there are not."""
    skip = split(args.skip)
    if skip:
        from installer.operations.preflight import Selection  # with every check

        Selection(skip).checks()
    return skip


def read_settings(files: list[str], release: str = "", catalog: Path | None = None) -> Settings:
    """Settings of these files. Raises InvalidInput with the problems of all of them.

    release: whose components they may name, where it is known; catalog: where to look it up.
    """
    from installer.plan.settings import Settings

    if not files:
        return Settings()
    from installer.plan.settings_parse import parse

    documents: list[tuple[str, str]] = []
    unreadable: list[Problem] = []
    for name in files:
        try:
            documents.append((name, _text_of(name)))
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
            unreadable.append(Problem(name, "", reason, "a text file of at most 1 MB"))
    return parse(documents, _components(release, catalog), unreadable)


def _text_of(name: str) -> str:
    with Path(name).open(encoding="utf-8") as stream:
        text = stream.read(_SETTINGS_LIMIT + 1)
    if len(text) > _SETTINGS_LIMIT:
        raise OSError(errno.EFBIG, "it is larger")
    return text


def _components(release: str, catalog: Path | None) -> list[str] | None:
    """Names of a release's components; None when it, or its catalog, has to be explained first."""
    from installer.catalog.load import load_releases

    try:
        return [ref.name for ref in load_releases(catalog)[release].components]
    except (KeyError, InstallerError):
        return None
