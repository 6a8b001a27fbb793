"""How the commands that send real requests reach an InferenceService."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.serving import ingress
from installer.serving.ask import Reply, Request, ask
from installer.serving.curl import curl_lines
from installer.serving.inference_service import InferenceService
from installer.serving.ingress import Entry, Via

T = TypeVar("T")

NOT_HERE = ("NoRoute", "Refused", "Reset", "Protocol", "Tls")
"""Reasons (`replies.Meaning`) of answers that may be another ingress's than this cluster's, or
nobody's: then the next way in is tried."""
REQUEST_SECONDS = 30.0
"""How long one request may take unless the user says otherwise."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What the flags say of requests. scheme: empty for that of the InferenceService's address.

    headers: sent with each, their values never shown. seconds: for one request.
    """

    via: Via | None = None
    scheme: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool = True
    seconds: float = REQUEST_SECONDS


@dataclass(frozen=True, slots=True)
class Door:
    """An opened way into the cluster."""

    entry: Entry
    asking: Asking
    cancel: Cancel

    def send(
        self, host: str, path: str, body: bytes | None = None, seconds: float | None = None
    ) -> Reply:
        """A POST with a body, else a GET."""
        headers = dict(self.asking.headers)
        if body is not None:
            headers = {"Content-Type": "application/json", **headers}
        request = Request(
            self.entry.host,
            self.entry.port,
            host,
            path,
            "GET" if body is None else "POST",
            body,
            headers,
            self.entry.scheme,
            self.asking.verify,
        )
        return ask(request, timeout=seconds or self.asking.seconds, cancel=self.cancel)

    def curl(self, host: str, path: str, data: str = "") -> list[str]:
        """The lines that would send the same."""
        return curl_lines(
            self.entry,
            host,
            path,
            data=data,
            header_names=self.asking.headers,
            verify=self.asking.verify,
        )


def entries(cluster: Cluster, service: InferenceService, asking: Asking) -> list[Entry]:
    """The ways in for requests to an InferenceService. Raises what `ingress.find_all` raises."""
    return ingress.find_all(cluster, via=asking.via, scheme=asking.scheme or service.scheme)


@contextmanager
def door(cluster: Cluster, entry: Entry, asking: Asking, cancel: Cancel) -> Iterator[Door]:
    """A way in, opened."""
    with ingress.opened(cluster, entry) as ready:
        yield Door(ready, asking, cancel)


class Elsewhere(Exception):
    """A way in that takes connections and leads to another cluster, or nowhere; says: a clause."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.says = says


def by_some_way(
    cluster: Cluster,
    ways: Sequence[Entry],
    asking: Asking,
    cancel: Cancel,
    work: Callable[[Door, bool], T],
) -> T:
    """What `work` returns through the first of the ways that it does not call `Elsewhere`.

    work: is told whether there is no other way left; then it must not raise Elsewhere.
    """
    entry, *others = ways
    while True:
        with door(cluster, entry, asking, cancel) as opened:
            try:
                return work(opened, not others)
            except Elsewhere as left:
                why = f"{opened.entry.via} {opened.entry.address}: {left.says}"
        entry, *others = others
        reasons = (*entry.reasons, f"{why}, so it is not this cluster's gateway")
        entry = replace(entry, reasons=reasons)
