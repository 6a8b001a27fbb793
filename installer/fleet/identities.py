"""Which clusters of an inventory are one: each is asked for the uid of its namespace kube-system.

Only what this machine can ask with what the inventory says in the clear. The others (bastions,
vaults, templates) are asked by the playbook `identify`, which is told what is known already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError, InvalidInput, Problem
from installer.fleet.inventory import REMEDY, Host
from installer.fleet.model import FleetOptions
from installer.fleet.variables import is_hidden

_PARALLEL = 16
_PATIENCE = 3.0
"""Seconds for a cluster to answer; one that is slower, or away, fails when its own turn comes."""


_NOBODY = "all:!all"
"""A pattern of Ansible's that no host matches."""


def told_apart(options: FleetOptions, hosts: Sequence[Host], cancel: Cancel) -> FleetOptions:
    """The options with what the playbook has to know of it. Raises InvalidInput with every name of
    a cluster that has another name before it."""
    uids = read_uids(hosts, cancel)
    refuse_twins(hosts, uids)
    told = {"kserve_identify": left_to_ask(hosts, uids), "kserve_known_uids": dict(uids)}
    return replace(options, variables={**options.variables, **told})


def read_uids(hosts: Sequence[Host], cancel: Cancel) -> Mapping[str, str]:
    """Uid by name, of the clusters that answer. One cluster alone is not asked."""
    clusters = [host for host in hosts if not host.node]
    open_ones = [host for host in clusters if _is_open(host)]
    if len(clusters) < 2 or not open_ones:
        return {}
    with ThreadPoolExecutor(min(_PARALLEL, len(open_ones))) as pool:
        uids = pool.map(lambda host: _uid(host, cancel), open_ones)
        found = {host.name: uid for host, uid in zip(open_ones, uids, strict=True) if uid}
    cancel.check("telling the clusters apart")
    return found


def refuse_twins(hosts: Sequence[Host], uids: Mapping[str, str]) -> None:
    """Raise InvalidInput with every name of a cluster that has another name before it."""
    first: dict[str, str] = {}
    problems = []
    for host in hosts:
        uid = uids.get(host.name)
        if uid is None:
            continue
        other = first.setdefault(uid, host.name)
        if other != host.name:
            found = f"it is the same cluster as {other}: their namespace kube-system has one uid"
            problems.append(Problem(host.place, host.name, found, "each cluster once"))
    if problems:
        raise InvalidInput("the inventory", problems, remedy=REMEDY)


def left_to_ask(hosts: Sequence[Host], uids: Mapping[str, str]) -> str:
    """A pattern of Ansible's for the clusters that the playbook has to ask."""
    clusters = [host.name for host in hosts if not host.node]
    left = [name for name in clusters if name not in uids]
    return ",".join(left) if left and len(clusters) > 1 else _NOBODY


def _is_open(host: Host) -> bool:
    """Whether what it takes to ask is known here, and is what the command would use."""
    variables: Mapping[str, Any] = host.variables
    named = ("kserve_kubeconfig", "kserve_context", "ansible_become")
    return (
        host.local
        and not variables.get("kserve_kubeconfig_content")
        and not variables.get("ansible_become")
        and not any(is_hidden(variables.get(name)) for name in named)
    )


def _uid(host: Host, cancel: Cancel) -> str:
    from installer.cluster.client import Cluster
    from installer.cluster.identity import read_uid

    try:
        cluster = Cluster.connect(
            kubeconfig=host.variables.get("kserve_kubeconfig") or None,
            context=host.variables.get("kserve_context") or None,
            cancel=cancel,
            request_timeout=_PATIENCE,
            retry_for=0.0,
        )
        return read_uid(cluster.get)
    except InstallerError:
        return ""
