"""HTTP on 127.0.0.1, routed as Istio's gateways, Knative's activator and queue-proxy would do it.

Each request follows the objects in the API server hop by hop: the pods of a gateway, the
VirtualService that knows its host, the Service that this leads to, and so on until a pod's model.
What is missing on the way answers as upstream does: 404 for an unknown host, 503 for a Service
that does not exist or has no endpoints.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.roles import ACTIVATOR
from installer.sandbox.simulators.serving import models
from installer.sandbox.simulators.serving.base_forms import ISTIO_V1, KNATIVE, labels_of
from installer.sandbox.simulators.serving.models import Reply
from installer.sandbox.simulators.serving.raw_forms import INGRESS_V1
from installer.sandbox.simulators.serving.routes import INGRESS, ISTIO
from installer.sandbox.simulators.serving.routing import (
    Asked,
    gateways_at,
    ingress_route,
    route,
    service_of,
)
from installer.sandbox.simulators.serving.traffic import Key, Traffic
from installer.sandbox.simulators.serving.world import Objects, addresses

log = logging.getLogger(__name__)

COLD_START = 60.0
"""Seconds that the activator holds a request for a pod, with room to spare for simulated ones."""

_HOPS = 4
_PORTS = (80, 8080, 8081)
"""Plain HTTP on gateways: of Services, of Envoys, and of knative-local-gateway."""

_ENVOY = {"server": "istio-envoy"}
_TEXT = {"Content-Type": "text/plain", **_ENVOY}


class _Closed(Exception):
    """Nobody would take the connection."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Gateway:
    """Answers requests; `serve` opens a port for them."""

    def __init__(self, objects: Objects, traffic: Traffic) -> None:
        self._objects = objects
        self._world = objects.world
        self._traffic = traffic
        self._servers: dict[tuple[str, int], ThreadingHTTPServer] = {}
        self._turns: dict[tuple[Key, int], threading.BoundedSemaphore] = {}
        self._guard = threading.Lock()

    def serve(self, address: str, port: int) -> bool:
        """Listen there, once; False when that is not possible."""
        with self._guard:
            if (address, port) in self._servers:
                return True
            try:
                server = _Server((address, port), _handler(self.answer))
            except OSError as error:
                log.info("gateway: %s:%d: %s", address, port, error)
                return False
            self._servers[address, port] = server
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
        thread.start()
        return True

    def dial(self, namespace: str, pod: str, port: int) -> socket.socket | None:
        """A connection to a port of a pod: of gateways alone, nothing else listens."""
        found = self._world.pods.get(namespace, pod)
        labels = labels_of(found or {"metadata": {}})
        if not gateways_at(self._objects.of(ISTIO_V1, "Gateway").all(), labels, _PORTS):
            return None
        place = "127.0.0.1", self._world.context.gateway_port
        return socket.create_connection(place, timeout=10) if port in _PORTS else None

    def stop(self) -> None:
        """Close every port."""
        with self._guard:
            for server in self._servers.values():
                threading.Thread(target=server.shutdown, daemon=True).start()
                server.server_close()
            self._servers.clear()

    def answer(self, request: _Request) -> Reply:
        """What a client of the ingress gateway gets. Raises _Closed."""
        login = self._world.script.current().login
        if login and "authservice_session" not in request.headers.get("cookie", ""):
            return Reply(302, b"", {"Location": login, **_ENVOY})
        namespace, service, port, host = ISTIO, INGRESS, 80, request.host
        if not addresses(self._world.endpoints.get(namespace, service)):
            raise _Closed
        for _ in range(_HOPS):
            found = self._world.services.get(namespace, service)
            if found is None:
                return _no_cluster()
            at = self._gateways(found, port)
            if not at:
                return self._revision(namespace, service, request)
            if not addresses(self._world.endpoints.get(namespace, service)):
                return _unhealthy()
            asked = Asked(host, request.path, request.headers)
            hop = route(self._objects.of(ISTIO_V1, "VirtualService").all(), at, asked)
            if hop is None and service == INGRESS:
                hop = ingress_route(self._objects.of(INGRESS_V1, "Ingress").all(), asked)
            if hop is None:
                return Reply(404, b"", _ENVOY)
            host = hop.headers.get("Host", host)
            namespace, service = service_of(hop.host, hop.virtual_service.partition("/")[0])
            port = hop.port
        return Reply(508, b"loop detected", _TEXT)

    def _gateways(self, service: Object, port: int) -> set[str]:
        ports = [
            number
            for entry in dig(service, "spec", "ports", default=[])
            if entry["port"] == port
            for number in (entry["port"], entry.get("targetPort"))
            if isinstance(number, int)
        ]
        selector = dig(service, "spec", "selector", default={})
        gateways = self._objects.of(ISTIO_V1, "Gateway").all()
        return gateways_at(gateways, selector, ports) if selector else set()

    def _revision(self, namespace: str, service: str, request: _Request) -> Reply:
        """The last Service is that of a Revision, or of a Deployment without Knative."""
        found = self._world.services.get(namespace, service)
        labels = labels_of(found or {"metadata": {}})
        revision = labels.get(f"{KNATIVE}/revision", service)
        there = addresses(self._world.endpoints.get(namespace, service))
        if not there:
            return _unhealthy()
        key = namespace, revision
        limit = self._hard_limit(key)
        by_activator = any(dig(a, "targetRef", "namespace") != namespace for a in there)
        if by_activator and not self._world.running(ACTIVATOR):
            return _unhealthy()
        self._traffic.begin(key)
        try:
            patience = COLD_START if by_activator else 0.0
            pod = self._take(key, there, by_activator, limit, patience)
            if pod is None:
                return (
                    Reply(503, b"activator request timed out", _TEXT)
                    if by_activator
                    else (_unhealthy())
                )
            try:
                return self._model(pod, labels, request)
            finally:
                self._traffic.give_back(pod)
        finally:
            self._traffic.end(key)

    def _hard_limit(self, key: Key) -> int:
        revision = self._objects.of(f"{KNATIVE}/v1", "Revision").get(*key)
        return int(dig(revision, "spec", "containerConcurrency", default=0) or 0)

    def _take(
        self, key: Key, there: list[Any], by_activator: bool, limit: int, patience: float
    ) -> Key | None:
        end = time.monotonic() + patience
        while True:
            if by_activator:
                there = addresses(self._world.endpoints.get(key[0], f"{key[1]}-private"))
            pods = [(key[0], str(dig(address, "targetRef", "name"))) for address in there]
            left = max(0.0, end - time.monotonic())
            pod = self._traffic.take(pods, limit, min(left, 0.5) if by_activator else 30.0)
            if pod is not None or left <= 0:
                return pod
            time.sleep(0.02)

    def _model(self, pod: Key, labels: Mapping[str, str], request: _Request) -> Reply:
        name = next((v for k, v in labels.items() if k.endswith("/inferenceservice")), pod[1])
        rule = self._world.script.current().model_rule(pod[0], name)
        if rule.concurrency:
            # beyond what the model works on at the same time, requests wait their turn
            turn = self._turn(pod, rule.concurrency)
            with turn:
                time.sleep(rule.seconds)
        else:
            time.sleep(rule.seconds)
        if rule.status:
            return Reply(rule.status, rule.body.encode(), {"Content-Type": "text/plain"})
        return models.reply(request.method, request.path, request.body, pod[1])

    def _turn(self, pod: Key, places: int) -> threading.BoundedSemaphore:
        with self._guard:
            found = self._turns.get((pod, places))
            if found is None:
                found = self._turns[pod, places] = threading.BoundedSemaphore(places)
            return found


def _no_cluster() -> Reply:
    return Reply(503, b"", _ENVOY)


def _unhealthy() -> Reply:
    return Reply(503, b"no healthy upstream", _TEXT)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""


def _handler(answer: Callable[[_Request], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 120
        wbufsize = 1 << 16

        def setup(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().setup()

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            headers = {key.lower(): value for key, value in self.headers.items()}
            host = headers.get("host", "").partition(":")[0].lower()
            try:
                found = answer(_Request(self.command, host, self.path, headers, body))
            except _Closed:
                self.close_connection = True
                return
            self.send_response_only(found.status)
            for key, value in found.headers.items():
                self.send_header(key, value)
            self.send_header("x-simulated-by", "kserve-installer sandbox")
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.body)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Requests are not logged."""

    return Handler
