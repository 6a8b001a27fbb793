"""The history of runs in the ledger."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from dataclasses import replace
from datetime import UTC, datetime

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger, Run
from installer.core.errors import InstallerError, Interrupted

_MESSAGE_LIMIT = 1000


def begin_run(command: str, release: str) -> Run:
    """A run that starts now, by this user on this machine."""
    stamp = datetime.now(UTC)
    return Run(
        id=f"{stamp:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        command=command,
        release=release,
        started=_rfc3339(stamp),
        by=this_user(),
    )


def this_user() -> str:
    """Who runs this, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def end_run(run: Run, outcome: str, message: str = "") -> Run:
    """The run ended now. outcome: done, failed or interrupted."""
    stamp = _rfc3339(datetime.now(UTC))
    return replace(run, finished=stamp, outcome=outcome, message=message[:_MESSAGE_LIMIT])


def close_failed(cluster: Cluster, ledger: Ledger, run: Run, error: BaseException) -> None:
    """Note the end of `ledger`'s newest run as far as the server still answers; the cause stays
    `error`."""
    outcome = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
    ended = replace(ledger, runs=(*ledger.runs[:-1], end_run(run, outcome, str(error))))
    try:
        ledgers.write_stack(cluster.uncancelled(), ended)
    except InstallerError:
        return  # the run stays open in the ledger; the next one says so and continues


def _rfc3339(stamp: datetime) -> str:
    return stamp.isoformat(timespec="seconds").replace("+00:00", "Z")
