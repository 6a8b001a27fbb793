"""The first thing asked of a server: who it is. A server that says nothing is soon told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from installer.cluster.access import Access
from installer.cluster.errors import ApiError, Failure
from installer.core.errors import InstallerError
from installer.core.events import Emit, Event
from installer.core.kubernetes_version import KubernetesVersion
from installer.core.masking import masked
from installer.core.objects import Object, Ref, dig

FIRST_CONTACT = 10.0
"""Seconds in which a server must answer for the first time: a wrong address is told soon."""
_SILENT = 0.5
"""Seconds of waiting for the first answer that nobody wonders about."""

_SYSTEM = Ref("v1", "Namespace", "", "kube-system")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which cluster this is; nodes is 0 when we may not list them."""

    context: str
    server: str
    version: KubernetesVersion
    git_version: str
    nodes: int


def read_identity(
    access: Access, request: Callable[..., Any], patience: float, emit: Emit
) -> Identity:
    """Ask the server at `access`; request: `Cluster.request`. Raises ApiError.

    patience: seconds until a server that says nothing has failed.
    """
    server = access.server
    with _told(server, emit):
        found = request("GET", "/version", deadline=patience, retry_for=patience, about=server)
    git_version = str(dig(found, "gitVersion", default=""))
    try:
        version = KubernetesVersion.parse(git_version)
    except ValueError as error:
        what = f"{server} does not say which Kubernetes version it is: {git_version!r}"
        raise ApiError(Failure("server-error", False, what), server) from error
    return Identity(access.context, masked(server), version, git_version, _count_nodes(request))


@contextmanager
def _told(server: str, emit: Emit) -> Iterator[None]:
    """Say what is waited for once that takes longer than `_SILENT`."""
    waited = {
        "object": masked(server),
        "state": "progressing",
        "reason": "asked for its version, no answer yet",
    }
    fields = {"component": "", "stage": "connect", "for": [waited], "pending": 1, "total": 1}
    timer = threading.Timer(_SILENT, lambda: emit(Event("waiting", fields)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _count_nodes(request: Callable[..., Any]) -> int:
    try:
        page = request("GET", "/api/v1/nodes", query={"limit": "1"}, about="Node")
    except ApiError as error:
        if error.failure.kind == "forbidden":
            return 0
        raise
    remaining = dig(page, "metadata", "remainingItemCount", default=0)
    return len(page["items"]) + int(remaining)


def read_uid(get: Callable[[Ref], Object | None]) -> str:
    """The uid of the namespace kube-system, by which clusters are told apart whatever their
    address; get: `Cluster.get`. Raises InstallerError when it has none."""
    uid = str(dig(get(_SYSTEM) or {}, "metadata", "uid", default=""))
    if not uid:
        raise InstallerError(
            "namespace kube-system has no uid, by which clusters are told apart",
            kind="plan-cluster",
            object=str(_SYSTEM),
        )
    return uid
