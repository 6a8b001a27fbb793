"""Ledger and lock on a real API server, without the stack."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

import pytest
from harness import MakePlace, Place

from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.holder import Holder
from installer.cluster.ledger import ComponentRecord, Ledger, Run
from installer.cluster.lock import LEASE, held, held_by
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Event, silent
from installer.core.objects import Ref
from installer.plan.drift import Entry

pytestmark = pytest.mark.cluster

REF = Ref("apps/v1", "Deployment", "n", "d")


@pytest.fixture(scope="module")
def there(place: MakePlace) -> Place:
    made = place()
    ledgers.create_home(made.cluster())
    return made


@pytest.fixture
def free(there: Place) -> Iterator[Place]:
    """Nobody holds the lock, before and after."""
    there.cluster().delete(LEASE)
    yield there
    there.cluster().delete(LEASE)


def lease_of(holder: Holder) -> dict[str, object]:
    """A Lease as another process would have left it."""
    details = {slot: getattr(holder, slot) for slot in Holder.__slots__}
    return {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {
            "name": LEASE.name,
            "namespace": LEASE.namespace,
            "annotations": {"kserve-installer/holder": json.dumps(details)},
        },
        "spec": {
            "holderIdentity": "ann@elsewhere/1/r",
            # a clock that is years ahead: it must not matter
            "renewTime": "2099-01-01T00:00:00.000000Z",
        },
    }


@contextlib.contextmanager
def renewing(cluster: Cluster) -> Iterator[None]:
    """The Lease is renewed meanwhile, as its holder would."""
    stop = threading.Event()

    def renew() -> None:
        number = 0
        while not stop.wait(0.5):
            number += 1
            cluster.patch(LEASE, {"spec": {"leaseTransitions": number}})

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_ledger_is_read_back_as_it_was_written(there: Place) -> None:
    cluster = there.cluster()
    run = Run("r1", "install", "kfserving-0.5.1", "2021-03-02T10:00:00Z", "ann@laptop")
    record = ComponentRecord(
        "istio", "1.6.2", "installing", {"crds": "done"}, {REF.identity: Entry(REF, "s", "t", True)}
    )
    ledgers.write_stack(cluster, Ledger("kfserving-0.5.1", "installing", "", (), (run,)))
    ledgers.write_component(cluster, record)
    found = ledgers.read(cluster)
    assert (found.release, found.state, found.runs) == ("kfserving-0.5.1", "installing", (run,))
    assert found.components == {"istio": record}
    ledgers.forget_component(cluster, "istio")
    assert ledgers.read(cluster).components == {}


def test_a_ledger_of_a_newer_format_is_refused_and_not_overwritten(there: Place) -> None:
    cluster = there.cluster()
    stack = Ref("v1", "ConfigMap", ledgers.NAMESPACE, ledgers.STACK)
    ledgers.write_stack(cluster, Ledger("x", "installed"))
    cluster.patch(stack, {"data": {"ledger.json": '{"format": 99}'}})
    with pytest.raises(InstallerError, match="newer kserve-installer"):
        ledgers.read(cluster)
    cluster.patch(stack, {"data": {"ledger.json": "not json"}})
    with pytest.raises(InstallerError, match="cannot be read"):
        ledgers.read(cluster)
    cluster.delete(stack)


def test_the_lock_is_held_by_one_and_given_back(free: Place) -> None:
    cluster = free.cluster()
    with held(cluster, run="a", command="install", emit=silent, cancel=Cancel()):
        assert cluster.get(LEASE) is not None
        other = free.cluster()
        with (
            pytest.raises(ChecksFailed, match="another run holds the lock"),
            held(other, run="b", command="install", emit=silent, cancel=Cancel()),
        ):
            pass
        assert other.writes == 0, "who is refused has written nothing"
        with pytest.raises(ApiError, match="already exists"):
            other.create(lease_of(Holder.this_process("b", "install")))
        assert other.writes == 0, "nor has who was refused when two tried at once"
    assert cluster.get(LEASE) is None


def test_who_holds_the_lock_is_told_by_a_live_process_or_a_renewal(free: Place) -> None:
    cluster = free.cluster()
    assert held_by(cluster) == ""
    own = Holder.this_process("own", "install")
    cluster.create(lease_of(own))
    assert held_by(cluster) == str(own), "a live process of this machine needs no renewal"
    cluster.delete(LEASE)
    cluster.create(lease_of(Holder(own.user, own.host, 2**22 - 1, own.boot, "1", "gone", "i")))
    assert held_by(cluster) == "", "a dead process of this machine holds nothing"
    cluster.delete(LEASE)
    cluster.create(lease_of(Holder("ann", "elsewhere", 1, "boot", "1", "theirs", "install")))
    assert held_by(cluster) == "", "nobody renews it"
    with renewing(cluster):
        assert held_by(free.cluster()) == "ann@elsewhere (process 1, install)"
    assert cluster.get(LEASE) is not None, "looking takes nothing away"


def test_a_dead_process_of_this_machine_is_replaced_at_once_whatever_its_clock(
    free: Place,
) -> None:
    cluster = free.cluster()
    own = Holder.this_process("gone", "install")
    cluster.create(lease_of(Holder(own.user, own.host, 2**22 - 1, own.boot, "1", "gone", "i")))
    events: list[Event] = []
    with held(cluster, run="c", command="install", emit=events.append, cancel=Cancel()):
        pass
    assert [event.name for event in events] == ["warning"]
    assert "took over the lock" in events[0].fields["message"]


def test_a_holder_elsewhere_that_stops_renewing_is_replaced_and_one_that_renews_is_not(
    free: Place,
) -> None:
    cluster = free.cluster()
    foreign = Holder("ann", "elsewhere", 1, "boot", "1", "theirs", "install")
    cluster.create(lease_of(foreign))
    with (
        renewing(cluster),
        pytest.raises(ChecksFailed, match="ann@elsewhere") as refused,
        held(free.cluster(), run="d", command="install", emit=silent, cancel=Cancel()),
    ):
        pass
    assert "since 20" in refused.value.message
    with held(cluster, run="e", command="install", emit=silent, cancel=Cancel()):
        found = cluster.get(LEASE)
        assert found is not None
        assert "/e" in found["spec"]["holderIdentity"]


def test_a_run_whose_lock_was_taken_is_stopped(free: Place) -> None:
    cluster, cancel = free.cluster(), Cancel()
    with held(cluster, run="f", command="install", emit=silent, cancel=cancel):
        cluster.delete(LEASE)
        cluster.create(lease_of(Holder("ann", "elsewhere", 1, "boot", "1", "g", "install")))
        with pytest.raises(InstallerError, match="lock was lost to ann@elsewhere"):
            cancel.sleep(60, "sleeping")
    found = cluster.get(LEASE)
    assert found is not None, "a lock that is not ours is not given back"
