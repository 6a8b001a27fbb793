"""A port of a pod on 127.0.0.1, through the API server and without kubectl.

Subprotocol `v4.channel.k8s.io` over WebSockets: kubelets have it since Kubernetes 1.6, and API
servers pass it on to them (kubernetes/kubernetes: pkg/kubelet/cri/streaming/portforward). Taking
the two channels of each port apart is the `kubernetes` package's work; the connection is ours,
with the credentials of every other request.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from installer.cluster.access import Access
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Failure, classify
from installer.cluster.transport import proxy_of_environment, tls_context
from installer.core.objects import Ref

_SUBPROTOCOL = "v4.channel.k8s.io"
_CHUNK = 64 * 1024
_BACKLOG = 64
_POLL = 0.2


class PortForward:
    """While entered, connections to 127.0.0.1:`local_port` end in a pod. Thread-safe.

    Entering opens one connection to find out whether that is possible at all, and raises ApiError
    when it is not: `forbidden` without the right to create pods/portforward, `not-found`, …
    """

    def __init__(self, cluster: Cluster, namespace: str, pod: str, port: int) -> None:
        self.local_port = 0
        self._cluster = cluster
        self._pod = Ref("v1", "Pod", namespace, pod)
        self._port = port
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._closed = threading.Event()

    def __enter__(self) -> PortForward:
        self._open().close()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(_BACKLOG)
        self._listener.settimeout(_POLL)
        self.local_port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="port-forward", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while not (self._closed.is_set() or self._cluster.cancel.stopped):
            try:
                local, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(local,), daemon=True).start()

    def _serve(self, local: socket.socket) -> None:
        local.settimeout(None)
        try:
            remote = self._open()
        except ApiError:
            local.close()  # whoever dialled it is told by that, and asks again or gives up
            return
        pod_side = remote.socket(self._port)
        threading.Thread(target=_copy, args=(pod_side, local), daemon=True).start()
        _copy(local, pod_side)

    def _open(self) -> Any:
        """One connection to the port: kubernetes' PortForward. Raises ApiError."""
        from kubernetes.stream.ws_client import PortForward as Channels

        path = f"/api/v1/namespaces/{self._pod.namespace}/pods/{self._pod.name}/portforward"
        websocket = _websocket(self._cluster, f"{path}?ports={self._port}", str(self._pod))
        return Channels(websocket, [self._port])  # type: ignore[no-untyped-call]


def _websocket(cluster: Cluster, target: str, about: str) -> Any:
    import websocket

    access = cluster.access
    scheme, _, rest = access.server.partition("://")
    url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}{target}"
    options: dict[str, Any] = {}
    if scheme == "https":
        options["context"] = tls_context(access)
        if access.server_name:
            options["server_hostname"] = access.server_name
    connection = websocket.WebSocket(sslopt=options)
    try:
        connection.connect(  # type: ignore[no-untyped-call]
            url,
            header=_headers(access),
            subprotocols=[_SUBPROTOCOL],
            timeout=cluster.request_timeout,
            **_proxy(access),
        )
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body or b""
        raise ApiError(
            classify(error.status_code, body, dict(error.resp_headers or {})), about
        ) from error
    except (websocket.WebSocketException, OSError) as error:
        cause = f"the API server cannot forward a port of it: {error}"
        raise ApiError(Failure("unreachable", True, cause), about) from error
    connection.settimeout(None)
    return connection


def _headers(access: Access) -> list[str]:
    sent: list[tuple[str, str]] = list(access.headers)
    if access.authorization:
        sent.append(("Authorization", access.authorization))
    return [f"{name}: {value}" for name, value in sent]


def _proxy(access: Access) -> Mapping[str, Any]:
    proxy = access.proxy or proxy_of_environment(access.server)
    if not proxy:
        return {"http_no_proxy": ["*"]}
    parts = urlsplit(proxy)
    found: dict[str, Any] = {"proxy_type": "http"}
    found |= {"http_proxy_host": parts.hostname, "http_proxy_port": parts.port or 80}
    if parts.username:
        found["http_proxy_auth"] = (parts.username, parts.password or "")
    return found


def _copy(source: Any, target: Any) -> None:
    """Bytes from one socket to another until either ends; then both end."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            end.close()
