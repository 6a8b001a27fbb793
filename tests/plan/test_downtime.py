"""What an upgrade means for InferenceServices, on the packaged catalog."""

from __future__ import annotations

from typing import Any

import pytest

from installer.catalog.load import load
from installer.core.kubernetes_version import KubernetesVersion
from installer.plan.downtime import Rollouts, expected, rollouts_of
from installer.plan.hops import path_of


@pytest.mark.parametrize(
    ("origin", "target", "server", "rollouts"),
    [
        (
            "kfserving-0.5.1",
            "kfserving-0.6.1",
            "1.20.2",
            Rollouts(knative=4, moves=0, gateway=True),
        ),
        ("kfserving-0.6.1", "kserve-0.7.0", "1.20.2", Rollouts(knative=0, moves=1)),
        ("kfserving-0.5.1", "kserve-0.7.0", "1.20.2", Rollouts(knative=4, moves=1, gateway=True)),
        ("kserve-0.17.0", "kserve-0.20.0", "1.34.4", Rollouts(knative=0, moves=0, releases=1)),
        (
            "kserve-0.9.0",
            "kserve-0.13.1",
            "1.25.3",
            Rollouts(knative=9, moves=0, releases=2, gateway=True),
        ),
    ],
)
def test_pods_are_replaced_with_each_knative_and_each_move(
    origin: str, target: str, server: str, rollouts: Rollouts
) -> None:
    path = path_of(load(), origin, target, KubernetesVersion.parse(server))
    assert path is not None
    assert rollouts_of(path.hops) == rollouts


def test_an_external_knative_replaces_no_pods_by_an_upgrade_of_ours() -> None:
    server = KubernetesVersion.parse("1.25.3")
    left = path_of(load(), "kserve-0.9.0", "kserve-0.13.1", server, ["knative-serving"])
    assert left is not None
    assert rollouts_of(left.hops) == Rollouts(knative=0, moves=0, releases=2, gateway=True)


def fate(**more: Any) -> Any:
    usual = {
        "ready": True,
        "on_knative": True,
        "gateways": 1,
        "rollouts": Rollouts(4, 1, gateway=True),
    }
    return expected("models/flowers", **{**usual, **more})


def test_one_gateway_ends_open_connections_and_two_do_not() -> None:
    assert (fate().downtime, fate(gateways=2).downtime) == ("open connections only", "none")


def test_where_istio_stays_or_is_somebody_elses_the_gateway_stays_too() -> None:
    server = KubernetesVersion.parse("1.20.2")
    left = path_of(load(), "kfserving-0.5.1", "kfserving-0.6.1", server, ["istio"])
    assert left is not None
    assert rollouts_of(left.hops) == Rollouts(knative=4, moves=0)
    stays = fate(rollouts=Rollouts(0, 0))
    assert (stays.downtime, stays.why) == ("none", ())


def test_each_release_of_kserve_may_replace_the_pods_of_all() -> None:
    for on_knative in (True, False):
        said = [fate(on_knative=on_knative, rollouts=Rollouts(1, 0, n)).why[-1] for n in (1, 3)]
        assert said[0].startswith("once more where a release of KServe has another image")
        assert said[1].startswith("up to 3 times more")


def test_what_does_without_knative_keeps_its_pods_where_kserve_stays() -> None:
    assert (fate().rollouts, fate(on_knative=False).rollouts) == (5, 0)
    assert len(fate().why) == 3
    assert len(fate(on_knative=False).why) == 1


def test_what_is_not_ready_now_is_not_judged() -> None:
    assert fate(ready=False).downtime == "is not Ready now"
    assert fate(ready=False).why[0] == "it need not be afterwards"
