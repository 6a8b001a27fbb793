"""The door to Ansible: the only module that knows ansible-runner, its arguments and its events."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from installer.core.cancel import Cancel
from installer.core.child import end_group
from installer.core.errors import InstallerError, UsageError

_PACKAGED = Path(__file__).resolve().parent.parent / "_playbooks"
_TICK = 0.2
"""Seconds between two looks at whether the run is to end."""
READING = 120.0
"""Seconds that Ansible may take to read an inventory: plugins ask clouds for it."""
_SAID = 2000
_HOST_KEYS = "ANSIBLE_HOST_KEY_CHECKING"
_EVENTS = {
    "runner_on_start": "started",
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """What a task did on a host: started, ok, failed, unreachable or skipped.

    module: last part of its name, e.g. kserve_stack. result: what it returned.
    tolerated: it failed, and the playbook goes on regardless.
    """

    host: str
    what: str
    task: str
    module: str
    result: Mapping[str, Any] = field(default_factory=dict)
    tolerated: bool = False


@dataclass(frozen=True, slots=True)
class Play:
    """One run of a playbook. variables win over those of the inventory (`--extra-vars`)."""

    playbook: str
    inventory: Sequence[Path]
    limit: str
    forks: int
    variables: Mapping[str, Any]
    check: bool = False
    diff: bool = False
    vault_password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How Ansible ended: its exit code, and the end of what it printed."""

    code: int
    said: str


def playbook(name: str) -> Path:
    """The path of one of our playbooks."""
    return _PACKAGED.resolve() / f"{name}.yaml"


@contextlib.contextmanager
def read_inventory(
    inventory: Sequence[Path], limit: str, vault_password_file: Path | None
) -> Iterator[Callable[[Cancel], Mapping[str, Any]]]:
    """Start to read the inventory; what is yielded waits for it, and gives it as
    `ansible-inventory --list` prints it: groups, and `_meta.hostvars`.

    What a vault encrypts stays so. Waiting raises UsageError when Ansible cannot read it, or not
    within `READING`, and what its Cancel says. At the end nothing of it runs any more.
    """
    program = _require("ansible-inventory")
    words = ["--list", *(part for path in inventory for part in ("-i", str(path)))]
    words += ["--limit", limit] if limit else []
    words += _vault(vault_password_file)
    child = subprocess.Popen(
        [program, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **_environment()},
        # a program that is the inventory ends with it
        start_new_session=True,
    )
    with child:
        try:
            yield functools.partial(_listed, child, words, ", ".join(map(str, inventory)))
        finally:
            end_group(child)


def _listed(
    child: subprocess.Popen[str], words: Sequence[str], named: str, cancel: Cancel
) -> Mapping[str, Any]:
    import ansible_runner  # noqa: F401  (it takes as long as what is waited for here)

    printed = _printed(child, cancel)
    if printed is None:
        raise UsageError(
            f"Ansible has not read the inventory within {READING:g} s",
            kind="inventory",
            object=named,
            remedy="see what takes so long, a program or a plugin that asks a server? "
            f"{shlex.join(['ansible-inventory', *words])}",
        )
    out, err = printed
    if child.returncode != 0:
        said = " ".join((err or out).split())[:_SAID]
        raise UsageError(
            f"Ansible cannot read the inventory: {said}",
            kind="inventory",
            object=named,
            remedy="correct what it says; inventory.example shows the form",
        )
    found = json.loads(out[out.index("{") :])
    return found if isinstance(found, dict) else {}


def _printed(child: subprocess.Popen[str], cancel: Cancel) -> tuple[str, str] | None:
    """Its output and its errors once it has ended; None when it took too long."""
    end = time.monotonic() + READING
    while time.monotonic() < end:
        cancel.check("waiting for Ansible to read the inventory")
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=_TICK)
    return None


def run(
    play: Play, folder: Path, on_event: Callable[[TaskEvent], None], ended: Callable[[], bool]
) -> Ended:
    """Run a playbook to its end; its artifacts go to `folder`/ansible.

    on_event: called for each event of a host, in this thread. ended: asked several times a
    second; once it says True everything is killed.
    """
    from ansible_runner.interface import init_runner

    _require("ansible-playbook")
    words = [*(["--check"] if play.check else []), *(["--diff"] if play.diff else [])]
    words += _vault(play.vault_password_file)
    private = folder / "ansible"
    private.mkdir(mode=0o700, exist_ok=True)
    runner = init_runner(
        private_data_dir=str(private),
        project_dir=str(Path.cwd()),
        playbook=str(playbook(play.playbook)),
        inventory=[str(path) for path in play.inventory],
        limit=play.limit or None,
        extravars=dict(play.variables),
        forks=play.forks,
        cmdline=shlex.join(words) or None,
        envvars=_environment(),
        settings={"pexpect_timeout": _TICK},
        event_handler=lambda event: _tell(event, on_event),
        cancel_callback=ended,
        ident="run",
        quiet=True,
    )
    if _HOST_KEYS not in os.environ:
        # ansible-runner turns the check off; whether it is made is Ansible's configuration to say
        runner.config.env.pop(_HOST_KEYS, None)
    artifacts = private / "artifacts" / "run"
    try:
        runner.run()
    finally:
        # it holds the whole environment, passwords of proxies included
        (artifacts / "command").unlink(missing_ok=True)
    return Ended(int(runner.rc), _last_words(artifacts / "stdout"))


def _tell(event: Mapping[str, Any], on_event: Callable[[TaskEvent], None]) -> bool:
    """Hand on what concerns a host. The answer has ansible-runner keep its own copy."""
    what = _EVENTS.get(event.get("event", ""))
    data = event.get("event_data", {})
    if what is not None and data.get("host"):
        module = str(data.get("resolved_action") or data.get("task_action") or "")
        on_event(
            TaskEvent(
                host=data["host"],
                what=what,
                task=str(data.get("task") or ""),
                module=module.rpartition(".")[2],
                result=data.get("res") or {},
                tolerated=bool(data.get("ignore_errors")),
            )
        )
    return True


def _environment() -> dict[str, str]:
    """What Ansible is started with beyond our own environment."""
    # its programs and our own command may be known to this interpreter only (pipx, a venv)
    beside = str(Path(sys.executable).parent)
    found = {
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
    }
    own = Path("ansible.cfg").resolve()
    if own.is_file() and "ANSIBLE_CONFIG" not in os.environ:
        found["ANSIBLE_CONFIG"] = str(own)
    return found


def _require(program: str) -> str:
    """The path of one of Ansible's programs."""
    found = shutil.which(program, path=_environment()["PATH"])
    if not found:
        raise UsageError(
            f"{program} is not there: neither on PATH nor beside {sys.executable}",
            kind="no-ansible",
            remedy="install ansible-core 2.17 or later, e.g. pipx inject kserve-installer "
            "--include-apps ansible-core",
        )
    return found


def _vault(password_file: Path | None) -> list[str]:
    return ["--vault-password-file", str(password_file)] if password_file else []


def _last_words(stdout: Path) -> str:
    try:
        text = stdout.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise InstallerError(
            f"what Ansible printed cannot be read: {problem.strerror}", object=str(stdout)
        ) from problem
    return text[-_SAID:].strip()
