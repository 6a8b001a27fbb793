"""The cluster that `--kubeconfig` and `--context` name: connected to, and named to the user."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from installer.cli.interrupts import Interrupts
from installer.cli.session import Session
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event, silent

if TYPE_CHECKING:
    from installer.cluster.client import Cluster, Identity


@contextmanager
def looked_at(
    args: Namespace, emit: Emit = silent, *, must_answer: bool = True
) -> Iterator[Cluster]:
    """For commands that write nothing: signals and `--timeout`, where there is one, stop what is
    asked of the cluster within the block.

    must_answer: raise ChecksFailed when the server does not say who it is; False where that is
    an answer too.
    """
    from installer.cluster.client import Cluster

    cancel = Cancel(getattr(args, "timeout", math.inf))
    with Interrupts(cancel):
        cluster = Cluster.connect(
            kubeconfig=args.kubeconfig, context=args.context, cancel=cancel, emit=emit
        )
        if must_answer:
            _first_contact(cluster)
        yield cluster


def connect(session: Session, release: str) -> tuple[Cluster, Identity]:
    """Connect, ask the server who it is, and tell that the command began.

    Raises ChecksFailed when it does not say so: nothing has begun then.
    """
    from installer.cluster.client import Cluster

    args = session.args
    cluster = Cluster.connect(
        kubeconfig=args.kubeconfig,
        context=args.context,
        cancel=session.cancel,
        emit=session.emit,
    )
    session.cluster = cluster
    identity = _first_contact(cluster)
    fields = {
        "command": session.command,
        "release": release,
        "cluster": {
            "context": identity.context,
            "server": identity.server,
            "version": identity.git_version,
            "nodes": identity.nodes,
        },
    }
    session.emit(Event("started", fields))
    return cluster, identity


def _first_contact(cluster: Cluster) -> Identity:
    """Who the server is. Raises ChecksFailed when it does not say so: nothing has begun then."""
    from installer.cluster.errors import ApiError

    try:
        return cluster.identity()
    except ApiError as error:
        raise ChecksFailed(
            error.message, kind=error.kind, object=error.object, remedy=error.remedy
        ) from error


def identity_rows(identity: Identity) -> list[tuple[str, str]]:
    """Which cluster it is, for the question before the first write."""
    return [
        ("context", identity.context),
        ("server", identity.server),
        ("version", identity.git_version),
        ("nodes", str(identity.nodes)),
    ]
