"""Reads versions/ into a `Catalog`, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from installer.catalog.model import Catalog, Component, Release
from installer.catalog.structure import read_yaml, structure
from installer.core.errors import InvalidInput, Problem

T = TypeVar("T", Release, Component)
Facts = TypeVar("Facts")

PACKAGED = Path(__file__).resolve().parent.parent / "_versions"
"""versions/ as the package carries it; in a checkout a link to the folder at its top."""
FOREIGN = "foreign.yaml"
"""How installations by others are recognised: read by `foreign`."""
PLATFORMS = "platforms.yaml"
"""What is known of Kubernetes distributions: read by `platforms`."""
AUTOSCALER = "autoscaler.yaml"
"""Defaults of Knative's autoscaler, by version: read by `autoscaler`."""


def packaged_facts(form: type[Facts], file: str, what: str) -> Facts:
    """A packaged file of facts about the world; what: its name in errors. Raises InvalidInput with
    every problem."""
    problems: list[Problem] = []
    data = read_yaml(PACKAGED / file, file, problems)
    value = None if problems else structure(form, data, file, problems)
    if value is None:
        raise InvalidInput(what, problems)
    return value


@dataclass(slots=True)
class Read:
    """What a directory holds: values by file, and the problems met.

    files: every YAML file found, as paths below the directory; releases and components: those of
    them that could be read, by the same path.
    """

    directory: Path
    files: set[str] = field(default_factory=set)
    releases: dict[str, Release] = field(default_factory=dict)
    components: dict[str, Component] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load(directory: Path | None = None) -> Catalog:
    """The whole catalog; None means the packaged one. Raises InvalidInput with every Problem."""
    # not for `releases`, which must be quick
    from installer.catalog import rules
    from installer.catalog.versions import order

    read = read_directory(directory or PACKAGED)
    _raise(read.directory, [*read.problems, *rules.problems(read)])
    releases = sorted(read.releases.values(), key=lambda r: (r.date, r.name))
    components = sorted(read.components.values(), key=lambda c: (c.name, order(c.version)))
    return Catalog(
        {release.name: release for release in releases},
        {(component.name, component.version): component for component in components},
    )


def check(directory: Path | None = None) -> list[Problem]:
    """What `load` would raise; empty when the catalog is well formed."""
    try:
        load(directory)
    except InvalidInput as error:
        return error.problems
    return []


def load_releases(directory: Path | None = None) -> Mapping[str, Release]:
    """Only the release files, oldest first: enough to list them, and several times faster.

    Raises InvalidInput with the problems inside these files; what they refer to is not looked at.
    """
    read = read_directory(directory or PACKAGED, components=False)
    _raise(read.directory, read.problems)
    releases = sorted(read.releases.values(), key=lambda r: (r.date, r.name))
    return {release.name: release for release in releases}


def load_release(name: str, directory: Path | None = None) -> Catalog:
    """Every release, but the components of this one only: what an install needs, quickly.

    An unknown name gives a catalog without components. Raises InvalidInput with the problems of
    the files read.
    """
    place = directory or PACKAGED
    releases = load_releases(place)
    read = Read(place)
    for ref in releases[name].components if name in releases else ():
        _read_all(read, f"components/{ref.name}/{ref.version}.yaml", Component, read.components)
    _raise(place, read.problems)
    return Catalog(releases, {(c.name, c.version): c for c in read.components.values()})


def read_directory(directory: Path, *, components: bool = True) -> Read:
    """Parse every file of a catalog directory; nothing is raised, problems are collected."""
    read = Read(directory)
    if not (directory / "releases").is_dir():
        read.problems.append(
            Problem(str(directory), "releases", "no such folder", "a folder of release files")
        )
        return read
    _read_all(read, "releases/*.yaml", Release, read.releases)
    if components:
        _read_all(read, "components/*/*.yaml", Component, read.components)
        read.files.update(_names(directory, "profiles/*.yaml"))
        read.files.update(_names(directory, FOREIGN))
        read.files.update(_names(directory, PLATFORMS))
        read.files.update(_names(directory, AUTOSCALER))
        _strangers(read)
    return read


def _read_all(read: Read, pattern: str, cls: type[T], into: dict[str, T]) -> None:
    for file in _names(read.directory, pattern):
        read.files.add(file)
        before = len(read.problems)
        data = read_yaml(read.directory / file, file, read.problems)
        if len(read.problems) == before:
            value = structure(cls, data, file, read.problems)
            if value is not None:
                into[file] = value


def _names(directory: Path, pattern: str) -> Iterator[str]:
    for path in sorted(directory.glob(pattern)):
        yield path.relative_to(directory).as_posix()


def _strangers(read: Read) -> None:
    """Files that nothing would ever read are mistakes, such as a misplaced component."""
    for path in sorted(read.directory.rglob("*")):
        file = path.relative_to(read.directory).as_posix()
        if path.is_file() and file not in read.files and not path.name.startswith("."):
            read.problems.append(
                Problem(
                    file,
                    "",
                    "a file that nothing reads",
                    "releases/<name>.yaml, components/<component>/<version>.yaml "
                    "or profiles/<name>.yaml",
                )
            )


def _raise(directory: Path, problems: list[Problem]) -> None:
    if problems:
        raise InvalidInput(
            f"the catalog {directory}",
            problems,
            remedy="correct these files; `kserve-installer catalog check` tells when all is well",
        )
