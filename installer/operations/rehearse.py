"""`rehearse`: the planned upgrade, run in a sandbox that is filled from the cluster.

The cluster is only read, and of Secrets nothing but their metadata. What its nodes, policies,
quotas and rights are to the first hop is asked there, as the upgrade would, since no sandbox has
them. The sandbox has the cluster's Kubernetes version; the installed release is installed in it,
then what users have made and edited is copied, then the upgrade is run there by the engine that
would run it on the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.cluster.readiness import readiness
from installer.cluster.wait import wait_ready
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, NotReady
from installer.core.events import Emit, Event, silent
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations import install as installing
from installer.operations.install import Outcome
from installer.operations.named_objects import NamedObjects
from installer.operations.telling import warning
from installer.operations.upgrade import Way, check_hop, execute_upgrade, find_way, is_whole
from installer.operations.upgrade_hop import HopContext, UpgradeOptions
from installer.operations.upgrade_steps import look_first
from installer.operations.users import user_objects
from installer.plan.edited import owners_of_keys
from installer.plan.references import CONFIG
from installer.plan.replica import namespace_of, placeholder, replica
from installer.plan.serving_kinds import MODELS
from installer.sandbox import lifecycle
from installer.sandbox.options import SandboxOptions

_MANAGER = "rehearsal"
_READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Copied:
    """What of the cluster is in the sandbox. objects: custom resources of users; edits: keys of the
    release's ConfigMaps; config_maps: those that the objects name; secrets: placeholders."""

    namespaces: int
    objects: int
    edits: int
    config_maps: int
    secrets: int


def rehearse(
    live: Cluster,
    options: UpgradeOptions,
    place: SandboxOptions,
    emit: Emit,
    cancel: Cancel,
    *,
    keep: bool = False,
) -> Outcome:
    """Run the upgrade in a sandbox. keep: leave it there.

    Raises what the upgrade raises there, and what it would refuse before it begins.
    """
    way = find_way(live, options)
    if not is_whole(way.ledger):
        raise ChecksFailed(
            "an upgrade is under way here, and a rehearsal begins with a whole release",
            kind="upgrading",
        )
    if not way.nothing_to_do:
        check_hop(way, way.hops[0])
        hop, lock = way.hops[0], None
        look_first(HopContext(live, way.catalog, options, hop, lock, emit, cancel, way.ledger))
    version = way.identity.git_version
    nodes = max(1, min(100, way.identity.nodes))
    info = lifecycle.up(replace(place, kubernetes=version, nodes=nodes), emit, cancel)
    try:
        copy = Cluster.connect(kubeconfig=str(info.kubeconfig), cancel=cancel, emit=emit)
        _install(copy, way, cancel)
        copied = _fill(live, copy, cancel, emit)
        fields = {slot: getattr(copied, slot) for slot in Copied.__slots__}
        emit(Event("rehearsing", {"sandbox": info.name, "kubernetes": info.kubernetes, **fields}))

        def decide() -> Way:
            return find_way(copy, options)

        return execute_upgrade(copy, decide(), emit, cancel, decide)
    finally:
        if not keep:
            lifecycle.down(info.name)


def _install(copy: Cluster, way: Way, cancel: Cancel) -> None:
    """What is installed on the cluster, with the settings given."""
    options = replace(way.options.install, release=way.ledger.release)
    choice = installing.choose(options)
    prepared = installing.prepare_first(copy, choice, silent, cancel)
    installing.execute(copy, prepared, silent, cancel)


def _fill(live: Cluster, copy: Cluster, cancel: Cancel, emit: Emit) -> Copied:
    ledger = ledgers.read(live)
    edits = sum(_copy_edits(live, copy, e.ref) for e in ledger.owners().values())
    users = user_objects(live, ledger)
    refs = sorted([*users.others, *users.inference], key=_order)
    objects = [obj for ref in refs if (obj := live.get(ref)) is not None]
    namespaces = sorted({ref.namespace for ref in refs if ref.namespace})
    secrets = 0
    for name in namespaces:
        cancel.check(f"copying Namespace {name}")
        secrets += _copy_namespace(live, copy, name)
    maps = _copy_config_maps(live, copy, ledger, objects, cancel)
    for obj in objects:
        cancel.check(f"copying {ref_of(obj)}")
        copy.apply(replica(obj), manager=_MANAGER, force=True)
    _await_ready(copy, objects, cancel, emit)
    return Copied(len(namespaces), len(objects), edits, maps, secrets)


def _order(ref: Ref) -> tuple[int, Ref]:
    """Models come after everything that they may name: runtimes, Secrets, accounts."""
    return (MODELS.index(ref.kind) + 1 if ref.kind in MODELS else 0, ref)


def _copy_edits(live: Cluster, copy: Cluster, ref: Ref) -> int:
    """Keys of one of our ConfigMaps that somebody has changed there, by the same manager here."""
    if ref.kind != "ConfigMap":
        return 0
    theirs, ours = live.get(ref), copy.get(ref)
    if theirs is None or ours is None:
        return 0
    edits = 0
    for key, manager in owners_of_keys(theirs).items():
        value = dig(theirs, "data", key)
        if value is not None and value != dig(ours, "data", key):
            copy.patch(ref, {"data": {key: value}}, manager=manager)
            edits += 1
    return edits


def _copy_namespace(live: Cluster, copy: Cluster, name: str) -> int:
    """A namespace with its accounts, and placeholders for its Secrets: how many."""
    found = live.get(Ref("v1", "Namespace", "", name))
    if found is not None:
        copy.apply(namespace_of(found), manager=_MANAGER, force=True)
    secrets = list(_placeholders(live, name))
    for secret in secrets:
        copy.apply(secret, manager=_MANAGER, force=True)
    for account in live.list("v1", "ServiceAccount", name).items:
        copy.apply(replica(account), manager=_MANAGER, force=True)
    return len(secrets)


def _copy_config_maps(
    live: Cluster, copy: Cluster, ledger: Ledger, objects: list[Object], cancel: Cancel
) -> int:
    """The ConfigMaps without which pods would not start: how many."""
    owned = ledger.owners()
    config = next((e.ref for e in owned.values() if e.ref.name == CONFIG), None)
    named = NamedObjects(live, owned, live.get(config) if config else None, cancel)
    for obj in objects:
        named.note(obj)
    count = 0
    for found in named.config_maps():
        copy.apply(replica(found), manager=_MANAGER, force=True)
        count += 1
    return count


def _placeholders(live: Cluster, namespace: str) -> Iterator[Object]:
    for secret in live.list("v1", "Secret", namespace, metadata_only=True).items:
        empty = placeholder(secret)
        if empty is not None:
            yield empty


def _await_ready(copy: Cluster, objects: list[Object], cancel: Cancel, emit: Emit) -> None:
    """What is Ready there has to become Ready here; else the rehearsal says little about it."""
    ready = [ref_of(o) for o in objects if o["kind"] in MODELS and readiness(o).ready]
    try:
        wait_ready(copy, ready, deadline=min(_READY_SECONDS, cancel.left()), cancel=cancel)
    except NotReady as error:
        said = f"not Ready in the sandbox, so the rehearsal does not judge it: {error.message}"
        emit(warning(said, error.object))
