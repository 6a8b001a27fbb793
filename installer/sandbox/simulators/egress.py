"""The network between the API server and the simulated pods.

The API server dials every webhook through its EgressSelectorConfiguration: it connects to a Unix
socket and asks `CONNECT <address>:<port>`. Here that address is looked up among the Services and
ready Endpoints of the real API server, and the webhook's side of the TLS connection is played
(`webhook_http` has what is said on it).
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.certificates import (
    Pair,
    impostor,
    issue,
    new_ecdsa,
)
from installer.sandbox.simulators.faults import Faults
from installer.sandbox.simulators.identity import Identities, service_names
from installer.sandbox.simulators.port_forward import KUBELET_PORT
from installer.sandbox.simulators.roles import KFSERVING, role_of
from installer.sandbox.simulators.webhook_http import (
    denied,
    discover,
    misbehave,
    read_body,
    read_head,
    send,
    until_closed,
)
from installer.sandbox.simulators.world import World, ran

log = logging.getLogger(__name__)

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]
"""(path, review) → the answered review."""

LISTENS_AFTER = 4.5
"""Recorded: KFServing's pod, which has no readiness probe, listens 4.5 s after it was Ready."""

_PLAIN_NAMES = ("http-", "metrics", "profiling", "health")
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n400 Bad Request"
)


class NotServed(Exception):
    """The connection cannot be made; the text is what a dialling Go program would say."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection ends: a Service, one of its ready pods and the pod's port."""

    namespace: str
    service: str
    pod: Object
    port: int


class Egress:
    """Listens on the egress socket; one thread per connection."""

    def __init__(
        self,
        world: World,
        identities: Identities,
        answer: Answer,
        kubelets: Callable[[socket.socket], None],
    ):
        self._world = world
        self._kubelets = kubelets
        self._identities = identities
        self._answer = answer
        self._faults = Faults(world)
        self._contexts: dict[bytes, ssl.SSLContext] = {}
        self._stopped = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._accept, name="egress", daemon=True)

    def start(self) -> None:
        """Bind the socket (replacing a stale one) and serve."""
        path = self._world.context.egress_socket
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        self._listener.listen(256)
        self._thread.start()

    def stop(self) -> None:
        """Close the listener; open connections end with the process."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._world.context.egress_socket.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._connected(connection)
            except (OSError, ssl.SSLError, ValueError) as error:
                log.debug("egress: %s", error)
            except Exception:
                log.exception("egress")

    def _connected(self, connection: socket.socket) -> None:
        head = read_head(connection.recv)
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        place = f"dial tcp {host}:{port}: connect: "
        if int(port) == KUBELET_PORT:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self._kubelets(connection)
            return
        try:
            target = self._target(host.strip("[]"), int(port))
            if target is None:
                raise NotServed("connection refused")
            rule = self._faults.of_connection(target.namespace, target.service)
            fault = rule.fault if rule else ""
            if fault in ("refused", "flapping", "no-route"):
                raise NotServed("no route to host" if fault == "no-route" else "connection refused")
            if not fault and not self._listens(target):
                raise NotServed("connection refused")
            served = self._certificate(target, fault)
        except NotServed as error:
            # What follows the code is quoted by the API server in the message a user sees.
            connection.sendall(f"HTTP/1.1 502 {place}{error}\r\n\r\n".encode())
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        if fault == "reset":
            # Closing with unread data makes the kernel answer the other side with a reset.
            select.select([connection], [], [], 30)
        elif fault == "tls-timeout":
            until_closed(connection)
        elif fault == "plain-http" or self._plain(target):
            connection.recv(4096)
            connection.sendall(_BAD_REQUEST)
        else:
            self._speak(connection, target, served)

    def _target(self, host: str, port: int) -> Target | None:
        for endpoints in self._world.endpoints.all():
            namespace, name = (
                endpoints["metadata"].get("namespace", ""),
                endpoints["metadata"]["name"],
            )
            service = self._world.services.get(namespace, name)
            if service is None:
                continue
            if dig(service, "spec", "clusterIP") == host:
                return self._behind(service, endpoints, port)
            for subset in endpoints.get("subsets") or []:
                ports = [p["port"] for p in subset.get("ports") or []]
                for address in subset.get("addresses") or []:
                    if address["ip"] == host and port in ports:
                        return self._pod_target(namespace, name, address, port)
        return None

    def _behind(self, service: Object, endpoints: Object, port: int) -> Target | None:
        metadata = service["metadata"]
        names = [p.get("name") for p in dig(service, "spec", "ports") if p["port"] == port]
        for subset in endpoints.get("subsets") or []:
            for entry in subset.get("ports") or []:
                addresses = subset.get("addresses") or []
                if entry.get("name") in names and addresses:
                    name = metadata["name"]
                    return self._pod_target(
                        metadata["namespace"], name, addresses[0], entry["port"]
                    )
        return None

    def _pod_target(
        self, namespace: str, service: str, address: Object, port: int
    ) -> Target | None:
        pod = self._world.pods.get(namespace, dig(address, "targetRef", "name", default=""))
        return Target(namespace, service, pod, port) if pod else None

    def _listens(self, target: Target) -> bool:
        """Whether a process of the pod would accept on the port."""
        if role_of(target.pod) == KFSERVING and self._world.paused(KFSERVING):
            return False
        declared, probed = _ports(target.pod)
        if declared and target.port not in declared and target.port not in probed:
            return False
        if self._world.instant or any(
            c.get("readinessProbe") for c in target.pod["spec"]["containers"]
        ):
            return True
        return ran(target.pod) >= LISTENS_AFTER

    def _plain(self, target: Target) -> bool:
        declared, probed = _ports(target.pod)
        name = declared.get(target.port, "")
        return target.port in probed or (
            name.startswith(_PLAIN_NAMES) and not name.startswith("https")
        )

    def _certificate(self, target: Target, fault: str) -> Pair:
        pair = self._identities.of(target.namespace, target.service, target.pod)
        if pair is None:
            raise NotServed("connection refused")
        return _broken(pair, target, fault) if fault.startswith("x509") else pair

    def _speak(self, connection: socket.socket, target: Target, served: Pair) -> None:
        with self._context(served).wrap_socket(connection, server_side=True) as tls:
            head = read_head(tls.recv)
            method, path = head.split(b" ")[0], head.split(b" ")[1].decode().partition("?")[0]
            if method == b"GET":
                discover(tls, path)
                return
            review = json.loads(read_body(tls, head))
            kind = "conversion" if review.get("kind") == "ConversionReview" else "admission"
            rule = self._faults.of_request(target.namespace, target.service, kind)
            if rule and not misbehave(tls, rule, review):
                return
            if rule and rule.fault == "deny" and kind == "admission":
                answer = denied(review, rule.message)
            else:
                answer = self._answer(path, review)
            if rule is None or rule.fault == "slow":
                self._faults.served(target.namespace, target.service)
            send(tls, 200, "application/json", json.dumps(answer).encode())

    def _context(self, pair: Pair) -> ssl.SSLContext:
        context = self._contexts.get(pair.certificate)
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile(suffix=".pem") as bundle:
                bundle.write(pair.certificate + b"\n" + pair.key)
                bundle.flush()
                context.load_cert_chain(bundle.name)
            self._contexts[pair.certificate] = context
        return context


def _ports(pod: Object) -> tuple[dict[int, str], set[int]]:
    """(declared container ports with their names, ports probed by plain HTTP)."""
    declared: dict[int, str] = {}
    probed: set[int] = set()
    for container in pod["spec"]["containers"]:
        names = {p.get("name", ""): p["containerPort"] for p in container.get("ports") or []}
        declared |= {port: name for name, port in names.items()}
        declared |= {p["containerPort"]: p.get("name", "") for p in container.get("ports") or []}
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            check = dig(container, probe, "httpGet")
            if check and check.get("scheme", "HTTP") == "HTTP":
                probed.add(names.get(check["port"], check["port"]))
    return declared, probed


def _broken(pair: Pair, target: Target, fault: str) -> Pair:
    """A certificate that the API server must refuse.

    A wrong name or date is found before the signature is looked at, so one stranger serves all.
    """
    names = service_names(target.namespace, target.service)
    ca = impostor(pair.certificate)
    if fault == "x509-name":
        return issue(ca, new_ecdsa(), ["other.other.svc"])
    if fault == "x509-expired":
        return issue(ca, new_ecdsa(), names, start=-timedelta(days=3), valid=timedelta(days=2))
    if fault == "x509-common-name":
        return issue(ca, new_ecdsa(), [], name=names[0])
    return issue(ca, new_ecdsa(), names)
