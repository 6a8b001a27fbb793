"""What `bench` sends, and where to."""

from __future__ import annotations

from dataclasses import dataclass

from installer.cluster.client import Cluster
from installer.core.errors import ChecksFailed, UsageError
from installer.load.request import Target
from installer.load.shape import Load
from installer.operations.asking import Asking, Door
from installer.serving.bench.slo import Limit
from installer.serving.gateways import read_gateways
from installer.serving.inference_service import InferenceService
from installer.serving.ingress import Entry
from installer.serving.own_addresses import own_addresses


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    path, method, body: of the request; empty for a question for the model's state, or a prediction
    where there is a body. host: another Host header. address: HOST:PORT to send to instead of a
    way into the cluster that is found. foreign: whether that may be no gateway of the cluster.
    wait_down: wait until pods are back at the minimum; down_limit: seconds, None for what the
    settings imply.
    """

    load: Load
    method: str = ""
    path: str = ""
    body: bytes = b""
    content_type: str = "application/json"
    host: str = ""
    address: str = ""
    foreign: bool = False
    wait_down: bool = True
    down_limit: float | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Sending:
    """The request that a load is made of."""

    service: InferenceService
    wanted: Wanted

    @property
    def host(self) -> str:
        """The Host header."""
        return self.wanted.host or self.service.host

    @property
    def method(self) -> str:
        """As asked for; else it depends on there being a body."""
        return self.wanted.method or ("POST" if self.wanted.body else "GET")

    @property
    def path(self) -> str:
        """As asked for, else of a prediction, else of the model's state."""
        if self.wanted.path:
            return self.wanted.path
        predicts = bool(self.wanted.body) or self.method == "POST"
        return self.service.predict_path if predicts else self.service.state_path

    @property
    def line(self) -> str:
        """`POST /v1/models/flowers:predict, 120 bytes, Host: …`."""
        size = f", {len(self.wanted.body)} bytes" if self.wanted.body else ""
        return f"{self.method} {self.path}{size}, Host: {self.host}"

    def target(self, opened: Door) -> Target:
        """It, through an opened way."""
        entry, asking = opened.entry, opened.asking
        headers = {"User-Agent": "kserve-installer bench", **asking.headers}
        if self.wanted.body:
            headers = {"Content-Type": self.wanted.content_type, **headers}
        return Target(
            entry.host,
            entry.port,
            self.host,
            self.path,
            self.method,
            self.wanted.body,
            headers,
            entry.scheme,
            asking.verify,
        )

    def where(self, opened: Door) -> str:
        """What it is sent to, for a reader."""
        entry = opened.entry
        if self.wanted.address:
            return f"{entry.address}, as given"
        ways = {
            "lb": f"{entry.address}, the load balancer of {entry.service.name}",
            "nodeport": f"{entry.address}, a node port of {entry.service.name}",
            "port-forward": f"a port-forward of this process to pod {entry.pod}",
        }
        return ways[entry.via]


def given(cluster: Cluster, service: InferenceService, asking: Asking, wanted: Wanted) -> Entry:
    """The address that the user gave, if it leads into this cluster.

    Raises ChecksFailed, kind `foreign-address`, unless it may be another; ApiError, and what
    `read_gateways` raises, where that cannot be found out.
    """
    host, port = split_address(wanted.address)
    scheme = asking.scheme or service.scheme
    gateway = service.ref
    if not wanted.foreign:
        gateway = read_gateways(cluster).outside[0].service
        own = own_addresses(cluster, gateway)
        if (host, port) not in own:
            said = ", ".join(sorted(f"{host}:{port}" for host, port in own))
            raise ChecksFailed(
                f"{wanted.address} is no address of this cluster's gateway"
                + (f", which has {said}" if said else ""),
                kind="foreign-address",
                object=wanted.address,
                remedy="leave --address out to send to the gateway; --yes-really sends the load "
                "there all the same, which is right only where it is yours",
            )
    return Entry("lb", scheme, host, port, gateway, port)


def split_address(text: str) -> tuple[str, int]:
    """(host, port) of `HOST:PORT`, `[HOST]:PORT` or such a URL. Raises UsageError."""
    scheme, _, rest = text.rpartition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    if not host or not port.isdecimal() or scheme not in ("", "http", "https"):
        raise UsageError(
            f"{text!r} is no address: expected HOST:PORT", kind="usage", object="--address"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def load_text(load: Load) -> str:
    """`25 requests at a time for 30 s`."""
    warm = f" after {load.warm_up:g} s of warm-up" if load.warm_up else ""
    if load.requests:
        stage = load.stages[0]
        pace = f"{stage.rate:g} a second" if stage.rate else f"{stage.workers} at a time"
        return f"{load.requests} requests, {pace}{warm}"
    stages = ", then ".join(
        f"{stage.rate:g} requests a second for {stage.seconds:g} s"
        if stage.rate
        else f"{stage.workers} requests at a time for {stage.seconds:g} s"
        for stage in load.stages
    )
    return stages + warm
