"""An API server that answers badly all through an install, whatever is asked of it.

The command talks to a real API server through a proxy that breaks its requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import FaultProxy
from harness import (
    RELEASE,
    EndState,
    Installer,
    Place,
    Result,
    assert_complete,
    counts,
    state_of,
)

from installer.cluster import ledger as ledgers
from installer.cluster.lock import LEASE

pytestmark = pytest.mark.cluster

OBJECTS = 184


@pytest.fixture
def proxy(there: Place, tmp_path: Path) -> Iterator[FaultProxy]:
    with FaultProxy(there.sandbox.kubeconfig, tmp_path) as started:
        yield started


@pytest.fixture
def through(there: Place, proxy: FaultProxy) -> Installer:
    """The command through the proxy."""
    return replace(there.installer, kubeconfig=proxy.kubeconfig)


@pytest.fixture
def install(through: Installer) -> Callable[[], Result]:
    return lambda: through.run("install", RELEASE, "--timeout", "5m")


def answer(code: int, reason: str, message: str, **headers: str) -> dict[str, Any]:
    """What a rule needs to answer as the API server does."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    body = {**status, "reason": reason, "message": message}
    return {"status": code, "body": body, "headers": headers}


MODIFIED = answer(409, "Conflict", "the object has been modified; please apply your changes")
BUSY = answer(429, "TooManyRequests", "too many requests, try again", **{"Retry-After": "1"})
BROKEN = answer(500, "InternalError", "an error on the server has prevented the request")
AWAY = answer(503, "ServiceUnavailable", "the server is currently unable to handle the request")
EXPIRED = answer(410, "Expired", "The provided continue parameter is too old")
TOO_OLD = answer(410, "Expired", "too old resource version: 1 (2)")["body"]
TOO_OLD_LINE = json.dumps({"type": "ERROR", "object": TOO_OLD}).encode() + b"\n"


def causes(result: Result) -> str:
    """What the run said of the requests that it sent again."""
    told = result.of("retrying")
    assert all(event["object"] and event["cause"] and event["attempt"] >= 1 for event in told)
    return "\n".join(event["cause"] for event in told)


def assert_undisturbed(there: Place, ended: Result, undisturbed: EndState) -> None:
    """The run made everything, and a second one that meets no faults has nothing to do."""
    assert ended.code == 0, ended.finished.get("error") or ended.stderr
    assert_complete(there, undisturbed)
    again = there.installer.run("install", RELEASE)
    assert (again.finished["outcome"], again.finished["writes"]) == ("unchanged", 0), again.finished


@pytest.mark.timeout(600)
def test_writes_that_fail_or_whose_answers_are_lost_are_repeated_until_all_is_done(
    there: Place, proxy: FaultProxy, install: Callable[[], Result], undisturbed: EndState
) -> None:
    rules = [
        proxy.on("PATCH", "/customresourcedefinitions/", times=5, **AWAY),
        proxy.on("POST", "/leases", lose=True),
        proxy.on("PUT", "/leases/", every=2, times=3, lose=True),
        proxy.on("DELETE", "/leases/", lose=True),
        proxy.on("PATCH", "/configmaps/ledger", every=5, times=None, lose=True),
        proxy.on("POST", "", every=3, times=4, lose=True),
        proxy.on("POST", "", every=4, times=4, **BUSY),
        proxy.on("PATCH", "", every=5, times=None, lose=True),
        proxy.on("PATCH", "", every=7, times=None, **MODIFIED),
        proxy.on("PATCH", "", every=11, times=None, close=True),
        proxy.on("PATCH", "", every=13, times=None, **BROKEN),
        proxy.on("PATCH", "", every=17, times=None, **AWAY),
        proxy.on("PATCH", "", every=19, times=None, **BUSY),
    ]
    ended = install()
    assert_undisturbed(there, ended, undisturbed)
    assert [index for index, rule in enumerate(rules) if not rule.hits] == []
    assert counts(ended) == (OBJECTS, 0, 0)
    told = causes(ended)
    for fault in (MODIFIED, BUSY, BROKEN, AWAY):
        assert fault["body"]["message"] in told
    assert "no answer from the API server" in told


@pytest.mark.timeout(600)
def test_watches_and_lists_that_break_off_are_begun_again_and_miss_nothing(
    there: Place,
    proxy: FaultProxy,
    install: Callable[[], Result],
    through: Installer,
    undisturbed: EndState,
) -> None:
    """No watch lives longer than its first event; the uninstall has no better server."""
    rules = [
        proxy.on("GET", "watch=1", times=2, close=True),
        proxy.on("GET", "watch=1", times=1, **BUSY),
        proxy.on("GET", "watch=1", every=3, times=None, lines=1, ending=TOO_OLD_LINE),
        proxy.on("GET", "watch=1", every=2, times=None, lines=1),
        proxy.on("GET", "watch=1", times=None, cut=3000),
        proxy.on("GET", "continue=", every=9, times=4, **EXPIRED),
        proxy.on("GET", "limit=", every=5, times=None, **AWAY),
        proxy.on("GET", "limit=", every=6, times=None, close=True),
        proxy.on("GET", "^/apis?/", every=7, times=None, **BROKEN),
        proxy.on("GET", "", every=9, times=None, lose=True),
    ]
    ended = install()
    assert_undisturbed(there, ended, undisturbed)
    assert [index for index, rule in enumerate(rules) if not rule.hits] == []
    assert counts(ended) == (OBJECTS, 0, 0)
    told = causes(ended)
    for cause in (TOO_OLD, AWAY["body"], BUSY["body"], BROKEN["body"]):
        assert cause["message"] in told
    watched = [event for event in ended.of("retrying") if event["object"].startswith("watch of")]
    assert watched

    proxy.on("DELETE", "", every=5, times=None, lose=True)
    proxy.on("DELETE", "", every=7, times=None, **AWAY)
    proxy.on("DELETE", "", every=11, times=None, **BUSY)
    gone = through.run("uninstall", "--timeout", "5m")
    assert gone.code == 0, gone.finished.get("error") or gone.stderr
    assert gone.of("retrying")
    assert state_of(there.cluster(), list(undisturbed)) == {}
    assert there.cluster().get(ledgers.HOME) is None


@pytest.mark.timeout(600)
def test_an_uninstall_that_may_not_look_at_the_end_keeps_its_ledger(
    there: Place, proxy: FaultProxy, through: Installer, undisturbed: EndState
) -> None:
    """Nobody knows then whether everything is gone, so the next run must know what to look for."""
    assert there.installer.run("install", RELEASE).code == 0
    last = proxy.on("DELETE", r"^/api/v1/namespaces/[^/?]+$")
    denied = 'deployments.apps is forbidden: User "ann" cannot list resource "deployments"'
    look = proxy.on(
        "GET",
        r"^/apis/apps/v1/\S*deployments\?",
        times=None,
        after=last,
        **answer(403, "Forbidden", denied),
    )
    ended = through.run("uninstall", "--timeout", "5m")
    assert (ended.code, ended.finished["error"]["kind"]) == (1, "forbidden"), ended.stderr
    assert denied in ended.finished["error"]["message"]
    assert look.hits
    ledger = ledgers.read(there.cluster())
    assert ledger.state == "uninstalling"
    assert sorted(ledger.components) == sorted(ledger.names)

    proxy.clear()
    again = through.run("uninstall")
    assert again.code == 0, again.finished.get("error") or again.stderr
    assert state_of(there.cluster(), list(undisturbed)) == {}
    assert there.cluster().get(ledgers.HOME) is None


FOR_GOOD = r"\?(?!\S*dryRun)"
"""Not the dry run of the preflight, which would tell the refusal before anything is written."""


@pytest.mark.timeout(600)
def test_what_is_refused_for_good_ends_the_run_at_once_and_a_rerun_goes_on_from_there(
    there: Place, proxy: FaultProxy, install: Callable[[], Result], undisturbed: EndState
) -> None:
    denied = 'deployments.apps "istiod" is forbidden: User "ann" cannot patch resource'
    path = f"/deployments/istiod{FOR_GOOD}"
    rule = proxy.on("PATCH", path, times=None, **answer(403, "Forbidden", denied))
    told = assert_failed(there, install(), "forbidden", "Deployment istio-system/istiod")
    assert (denied in told["message"], rule.hits) == (True, 1)

    invalid = 'StatefulSet.apps "x" is invalid: spec.replicas: Invalid value: -1'
    proxy.clear()
    name = "kfserving-controller-manager"
    path = f"/statefulsets/{name}{FOR_GOOD}"
    rule = proxy.on("PATCH", path, times=None, **answer(422, "Invalid", invalid))
    ledger = "/configmaps/ledger-kfserving"
    proxy.on("PATCH", ledger, after=rule, times=None, **answer(403, "Forbidden", denied))
    told = assert_failed(there, install(), "invalid", f"StatefulSet kfserving-system/{name}")
    assert (invalid in told["message"], rule.hits) == (True, 1)

    proxy.clear()
    assert_undisturbed(there, install(), undisturbed)


def assert_failed(there: Place, ended: Result, kind: str, named: str) -> dict[str, Any]:
    """Exit 1 with one sentence that names the object, and the ledger knows; the error."""
    assert ended.code == 1, ended.finished
    error: dict[str, Any] = ended.finished["error"]
    assert (error["kind"], error["object"]) == (kind, named), error
    assert "\n" not in error["message"]
    assert error["remedy"]
    assert [event for event in ended.of("retrying") if event["object"] == named] == []
    cluster = there.cluster()
    assert cluster.get(LEASE) is None
    last = ledgers.read(cluster).last_run
    assert last is not None
    assert (last.outcome, last.message) == ("failed", error["message"])
    return error
