"""The inventory, checked before anything runs: every problem at once, with file and line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, InvalidInput, Problem, UsageError
from installer.core.masking import masked
from installer.fleet.model import CLUSTERS, LOCAL, NODES, FleetOptions
from installer.fleet.places import Places, find_places, groups_of
from installer.fleet.runner import read_inventory
from installer.fleet.variables import is_foreign, is_hidden, known, taken_by

if TYPE_CHECKING:
    from installer.catalog.model import Release

_FILES = ("kserve_kubeconfig", "kserve_bundle", "kserve_catalog")
REMEDY = "correct the inventory; nothing was begun. inventory.example shows every variable"
"""What to do about every problem of an inventory."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Host:
    """One cluster of the inventory: variables as Ansible knows them, groups with inner ones first.

    local: its commands run on this machine, so that its files can be looked at.
    node: it is no cluster but a machine. place: file and line where it is listed.
    """

    name: str
    variables: Mapping[str, Any]
    groups: tuple[str, ...]
    local: bool
    node: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The clusters that a run is about, in the order of the inventory; machines come last."""

    hosts: tuple[Host, ...]
    canaries: tuple[str, ...]


def load(options: FleetOptions, cancel: Cancel) -> Inventory:
    """Read and check. Raises UsageError when Ansible cannot read it or it names no cluster,
    InvalidInput with every problem of its variables, and what `cancel` says."""
    for path in options.inventory:
        if not path.exists():
            raise UsageError(
                "there is no such inventory",
                kind="inventory",
                object=str(path),
                remedy="cp inventory.example inventory, edit it, and name it with -i",
            )
    with read_inventory(options.inventory, options.limit, options.vault_password_file) as reading:
        places = find_places(options.inventory)
        _ = known(), _releases(None)  # needed below, and read while Ansible reads
        listed = reading(cancel)
    hosts = _hosts(listed, CLUSTERS, places)
    if not hosts:
        raise _nothing(options, places)
    hosts += _hosts(listed, NODES, places) if options.command == "preflight" else ()
    problems = sorted(set(_problems(hosts, places, options)), key=_order)
    if problems:
        raise InvalidInput("the inventory", problems, remedy=REMEDY)
    canaries = tuple(host.name for host in hosts if options.canary in host.groups)
    return Inventory(hosts, canaries)


def _order(problem: Problem) -> tuple[str, int, str]:
    file, _, line = problem.file.rpartition(":")
    return file, int(line), str(problem)


def _hosts(listed: Mapping[str, Any], group: str, places: Places) -> tuple[Host, ...]:
    groups = {name: group for name, group in listed.items() if name != "_meta"}
    variables = listed.get("_meta", {}).get("hostvars", {})
    names = dict.fromkeys(
        host for group in groups.values() for host in group.get("hosts", ()) if host
    )
    found = []
    for name in names:
        inside = groups_of(name, groups)
        if group in inside:
            own = variables.get(name, {})
            # a host that is listed is reached by ssh unless it says otherwise, localhost too
            local = own.get("ansible_connection") in LOCAL
            place = ":".join(map(str, places.of_host(name)))
            found.append(Host(name, own, tuple(inside), local, group == NODES, place))
    return tuple(found)


def _nothing(options: FleetOptions, places: Places) -> UsageError:
    limited = f" that --limit {options.limit} leaves" if options.limit else ""
    return UsageError(
        f"the inventory has no cluster in the group {CLUSTERS}{limited}",
        kind="inventory",
        object=places.default[0],
        remedy=f"list each cluster as a host of the group {CLUSTERS}; see inventory.example",
    )


def _problems(hosts: tuple[Host, ...], places: Places, options: FleetOptions) -> Iterator[Problem]:
    for what, (file, line), earlier in places.twice:
        found = f"{what} is here a second time"
        yield Problem(f"{file}:{line}", "", found, f"it once; the other is in line {earlier}")
    for host in hosts:
        yield from _of_variables(host, places, options.command)
        if host.node:
            continue
        yield from _of_release(host, places, options)
        if host.local:
            yield from _of_files(host, places)
    yield from _of_twins(hosts)


def _of_variables(host: Host, places: Places, command: str) -> Iterator[Problem]:
    taken = taken_by("check-hosts" if host.node else command)
    there = {**known(), **taken}
    for name, value in host.variables.items():
        if is_foreign(name):
            continue
        variable = there.get(name)
        if variable is None:
            near = difflib.get_close_matches(name, there, n=1)
            meant = near[0] if near else "a variable of inventory.example"
            yield _problem(host, places, name, "there is no such variable", meant)
        elif not variable.takes(value):
            said = json.dumps(value, default=str)[:_SHOWN]
            yield _problem(host, places, name, f"it is {masked(said)}", variable.expected)
    for name, variable in taken.items():
        if variable.required and host.variables.get(name) in (None, ""):
            yield Problem(host.place, host.name, f"{name} is missing", variable.expected)
    both = ("kserve_kubeconfig", "kserve_kubeconfig_content")
    if all(host.variables.get(name) for name in both):
        yield _problem(host, places, both[1], f"{both[0]} is given too", "one of the two")


def _of_release(host: Host, places: Places, options: FleetOptions) -> Iterator[Problem]:
    """Names of releases and settings, as far as they can be judged here."""
    variables = host.variables
    catalog = variables.get("kserve_catalog")
    if not host.local or is_hidden(catalog):
        return
    try:
        releases = _releases(Path(catalog).expanduser() if catalog else None)
    except InstallerError as error:
        yield _problem(host, places, "kserve_catalog", error.message, "a catalog")
        return
    given = variables.get("kserve_release")
    name = given if isinstance(given, str) and not is_hidden(given) else ""
    wanted = "kserve_release" in taken_by(options.command)
    if wanted and name and name not in releases:
        near = difflib.get_close_matches(name, releases, n=1)
        meant = near[0] if near else "a name that `kserve-installer releases` lists"
        yield _problem(host, places, "kserve_release", f"there is no release {name!r}", meant)
    components = [ref.name for ref in releases[name].components] if name in releases else None
    yield from _of_settings(host, places, components)


@cache
def _releases(directory: Path | None) -> Mapping[str, Release]:
    from installer.catalog.load import load_releases

    return load_releases(directory)


def _of_settings(host: Host, places: Places, components: list[str] | None) -> Iterator[Problem]:
    from installer.plan.settings_parse import parse

    settings = host.variables.get("kserve_settings")
    if not isinstance(settings, dict) or not settings or is_hidden(settings):
        return
    text = json.dumps({"apiVersion": "kserve-installer/v1", "kind": "Settings", **settings})
    if "{{" in text or "__ansible_vault" in text:
        return
    try:
        parse([("settings", text)], components, [])
    except InvalidInput as error:
        for problem in error.problems:
            name = f"kserve_settings.{problem.path}" if problem.path else "kserve_settings"
            found = _problem(host, places, "kserve_settings", problem.found, problem.expected)
            found.path = found.path.replace("kserve_settings", name)
            yield found


def _of_files(host: Host, places: Places) -> Iterator[Problem]:
    """Files that have to be on this machine."""
    variables = host.variables
    named = [(name, variables.get(name), "a file that is there") for name in _FILES]
    mirror = variables.get("kserve_mirror")
    if isinstance(mirror, str) and "://" not in mirror:
        named.append(("kserve_mirror", mirror, "a folder that is there, or a URL"))
    files = variables.get("kserve_settings_files")
    if isinstance(files, list):
        named += [("kserve_settings_files", file, "a file that is there") for file in files]
    for name, value, expected in named:
        if not isinstance(value, str) or not value or is_hidden(value) or "$" in value:
            continue
        if not Path(value).expanduser().exists():
            yield _problem(host, places, name, f"{value} does not exist", expected)


def _of_twins(hosts: tuple[Host, ...]) -> Iterator[Problem]:
    """Two names with the same access. Other twins are found once the clusters can be asked."""
    seen: dict[tuple[Any, ...], Host] = {}
    for host in hosts:
        file = host.variables.get("kserve_kubeconfig")
        context = host.variables.get("kserve_context", "")
        if host.node or not host.local or not file or is_hidden(file) or is_hidden(context):
            continue
        first = seen.setdefault((str(Path(str(file)).expanduser()), context), host)
        if first is not host:
            found = f"it has the kubeconfig and the context of {first.name}"
            yield Problem(host.place, host.name, found, "each cluster once")


def _problem(host: Host, places: Places, name: str, found: str, expected: str) -> Problem:
    scope, (file, line) = places.of_variable(host.name, host.groups, name)
    return Problem(f"{file}:{line}", f"{scope}.{name}", found, expected)
