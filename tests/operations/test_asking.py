"""Which way into a cluster is taken: no request is sent here."""

from __future__ import annotations

from typing import Any

import pytest

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.objects import Ref
from installer.operations.asking import Asking, Door, Elsewhere, by_some_way
from installer.serving.ingress import Entry

GATEWAY = Ref("v1", "Service", "istio-system", "istio-ingressgateway")
WAYS = [
    Entry("lb", "http", "192.0.2.1", 80, GATEWAY, 80),
    Entry("nodeport", "http", "192.0.2.2", 31380, GATEWAY, 80, ("lb: left before",)),
]
NO_CLUSTER: Any = None
"""Ways that are addresses ask the cluster nothing."""


def taken(ways: list[Entry], *, wrong: tuple[str, ...] = ()) -> tuple[Entry, list[bool]]:
    """The way that was taken, and whether each that was tried was said to be the last."""
    told: list[bool] = []

    def work(opened: Door, last: bool) -> Entry:
        told.append(last)
        if opened.entry.via in wrong:
            raise Elsewhere("the gateway knows no route")
        return opened.entry

    return by_some_way(NO_CLUSTER, ways, Asking(), Cancel(), work), told


def test_the_first_way_is_taken_when_it_leads_here() -> None:
    assert taken(WAYS) == (WAYS[0], [False])


def test_a_way_that_leads_elsewhere_is_a_reason_for_the_next() -> None:
    entry, told = taken(WAYS, wrong=("lb",))

    assert (entry.via, told) == ("nodeport", [False, True])
    assert entry.reasons == (
        "lb: left before",
        "lb 192.0.2.1:80: the gateway knows no route, so it is not this cluster's gateway",
    )


def test_what_is_found_on_the_last_way_is_told_as_it_is() -> None:
    def work(_: Door, last: bool) -> None:
        if not last:
            raise Elsewhere("another ingress")
        raise InstallerError("nothing answers")

    with pytest.raises(InstallerError, match="nothing answers"):
        by_some_way(NO_CLUSTER, WAYS, Asking(), Cancel(), work)
