"""One run over the clusters of an inventory: Ansible works; this follows, records, stops it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from installer.core.cancel import Cancel
from installer.core.errors import ExitCode, InstallerError
from installer.core.events import Event
from installer.fleet import runs
from installer.fleet.inventory import Inventory
from installer.fleet.model import LOCAL, NOT_RUN, WELL, WRITING, ClusterRun, FleetOptions, worst
from installer.fleet.recorder import Recorder
from installer.fleet.runner import Play, TaskEvent, run
from installer.fleet.runs import RunFolder
from installer.fleet.tail import Tail

_MOST_FORKS = 50
_PATIENCE = 90.0
"""Seconds that clusters at work have to end once the run is to stop; longer than the modules
give their command."""


class Show(Protocol):
    """What shows a run while it works."""

    def began(self, name: str) -> None:
        """Work on a cluster begins."""

    def event(self, name: str, event: Event) -> None:
        """The command on a cluster told something."""

    def ended(self, cluster: ClusterRun) -> None:
        """Work on a cluster ended."""


@dataclass(frozen=True, slots=True)
class FleetReport:
    """How a run ended. clusters: those of an earlier run that --resume left alone included."""

    folder: RunFolder
    clusters: Sequence[ClusterRun]
    code: int
    record: dict[str, Any]


def resumed(options: FleetOptions) -> tuple[FleetOptions, list[ClusterRun]]:
    """The options narrowed to what the newest such run left undone, and the clusters it did.

    Raises InstallerError when there was no such run, or nothing is left of it.
    """
    found = runs.newest(options)
    if found is None:
        raise InstallerError(
            f"there is no earlier run of {options.command} on this inventory to resume",
            kind="nothing-to-resume",
            remedy="run the command without --resume",
        )
    name, clusters = found
    left = [cluster.name for cluster in clusters if cluster.outcome not in WELL]
    done = [replace(c, earlier=True) for c in clusters if c.outcome in WELL]
    if not left:
        raise InstallerError(
            f"nothing is left to do of run {name}: all of its clusters are done",
            kind="nothing-to-resume",
            remedy="run the command without --resume to look at every cluster again",
        )
    narrowed = [*left, f"&{options.limit}"] if options.limit else left
    return replace(options, limit=",".join(narrowed)), done


def run_fleet(
    options: FleetOptions,
    inventory: Inventory,
    earlier: Sequence[ClusterRun],
    show: Show,
    cancel: Cancel,
) -> FleetReport:
    """Run the playbook of the command; every cluster ends in a recorded state.

    Raises InstallerError when Ansible fails before it came to any cluster.
    """
    folder = RunFolder.make(options.command)
    following = _Following(options, inventory, earlier, folder, show, cancel)
    following.keep(None)
    ended = run(following.play(), folder.path, following.on_event, following.look)
    code = following.finish()
    clusters = following.clusters()
    if ended.code and code == ExitCode.DONE:
        raise InstallerError(
            f"Ansible ended with exit code {ended.code} before it came to any cluster: "
            f"{ended.said}",
            kind="ansible",
            object=str(folder.path),
        )
    return FleetReport(folder, clusters, code, following.keep(code))


def forks(serial: str, clusters: int) -> int:
    """How many clusters are worked on at a time. Of batches, in which those that write go, none is
    larger; those that only look go without: Ansible ends a run when a whole batch has failed."""
    share = serial.removesuffix("%")
    number = int(share) if share == serial else clusters * int(share) // 100
    return max(1, min(number, clusters, _MOST_FORKS))


def _here(path: Path) -> str:
    """A path of this machine, for hosts that are this machine; a template of Ansible's."""
    return f"{{{{ '{path}' if ansible_connection | default('ssh') in {LOCAL} else '' }}}}"


class _Following:
    """The callbacks of one run; all of them come in the thread that runs Ansible."""

    def __init__(
        self,
        options: FleetOptions,
        inventory: Inventory,
        earlier: Sequence[ClusterRun],
        folder: RunFolder,
        show: Show,
        cancel: Cancel,
    ):
        first = set(inventory.canaries)
        names = sorted((host.name for host in inventory.hosts), key=lambda name: name not in first)
        self._options = options
        self._earlier = earlier
        self._folder = folder
        self._show = show
        self._cancel = cancel
        nodes = {host.name for host in inventory.hosts if host.node}
        self._recorder = Recorder(options.command, names, nodes)
        self._tails = {host.name: Tail(folder.log(host.name)) for host in inventory.hosts}
        self._local = {host.name for host in inventory.hosts if host.local}
        self._began = time.time()
        self._stopped = 0.0

    def play(self) -> Play:
        """What Ansible is to run."""
        options, folder = self._options, self._folder
        variables: dict[str, Any] = {
            "kserve_log_dir": _here(folder.logs),
            "kserve_stop_file": _here(folder.stop_file),
        }
        if options.command in WRITING:
            variables["kserve_serial"] = options.serial
            variables["kserve_canary"] = options.canary
            variables["kserve_max_fail_percentage"] = options.max_fail
        return Play(
            playbook=options.command,
            inventory=[path.resolve() for path in options.inventory],
            limit=options.limit,
            forks=forks(options.serial, len(self._tails)),
            variables={**variables, **options.variables},
            check=options.check,
            diff=options.diff,
            vault_password_file=options.vault_password_file,
        )

    def clusters(self) -> list[ClusterRun]:
        """Every cluster, those of the earlier run first."""
        return [*self._earlier, *self._recorder.clusters.values()]

    def on_event(self, event: TaskEvent) -> None:
        """A task began or ended on a host."""
        if not self._recorder.on(event, time.time()):
            return
        cluster = self._recorder.clusters[event.host]
        if event.host in self._local and self._folder.log(event.host).exists():
            cluster.log = str(self._folder.log(event.host))
        if event.host in self._recorder.working:
            self._show.began(event.host)
        else:
            self._tell(event.host)
            self._show.ended(cluster)
        self.keep(None)

    def look(self) -> bool:
        """Show what clusters at work have told; True once nothing is to go on."""
        for name in list(self._recorder.working):
            self._tell(name)
        if not self._cancel.asked:
            return False
        if not self._stopped:
            self._stopped = time.monotonic()
            self._folder.stop()
        late = time.monotonic() - self._stopped > _PATIENCE
        return late or not self._recorder.working

    def finish(self) -> int:
        """Settle what did not end by itself; the exit code of the run."""
        self._recorder.interrupted(time.time())
        codes = [int(cluster.code) for cluster in self.clusters()]
        undone = any(c.outcome == NOT_RUN for c in self._recorder.clusters.values())
        if self._stopped and undone:
            codes.append(ExitCode.INTERRUPTED)
        return worst(codes)

    def keep(self, code: int | None) -> dict[str, Any]:
        """Write the record of the run; code: its exit code once it has ended."""
        found = runs.record(self._folder, self._options, self.clusters(), self._began, code)
        self._folder.write(found)
        return found

    def _tell(self, name: str) -> None:
        for event in self._tails[name].events():
            self._show.event(name, event)
