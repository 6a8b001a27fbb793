"""The simulators' own small door to the sandbox's API server: standard library only.

It exists beside `installer.cluster.client` because a simulator must behave like the controller it
imitates (its own field manager, no retries of its own, no shared deadline) and must keep working
while the installer's client is the thing under test.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from installer.core.objects import Object

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadata{list};v=v1;g=meta.k8s.io"
_AGENT = "kserve-installer-sandbox-simulator"


class Refused(Exception):
    """The API server answered with an error: its HTTP status `code` and its `message`."""

    def __init__(self, code: int, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Unreachable(Exception):
    """No answer: refused, reset or timed out. The request may or may not have counted."""


Fields = Mapping[str, Any]
"""Values by JSON pointer."""


def path_of(api_version: str, plural: str, namespace: str = "", name: str = "") -> str:
    """The URL path of a resource, such as `/apis/apps/v1/namespaces/x/deployments/y`."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    if namespace:
        root += f"/namespaces/{namespace}"
    return f"{root}/{plural}" + (f"/{name}" if name else "")


class Api:
    """Requests to one API server; each thread keeps one connection alive."""

    def __init__(self, server: str, tls: ssl.SSLContext):
        parts = urlsplit(server)
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 443
        self._tls = tls
        self._local = threading.local()

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Api:
        """Read server, CA and client certificate (inline or files) of the current context."""
        config = yaml.safe_load(path.read_text())
        context = next(c for c in config["contexts"] if c["name"] == config["current-context"])
        names = context["context"]
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == names["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == names["user"])
        tls = ssl.create_default_context(cadata=_material(cluster, "certificate-authority", path))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as bundle:
            bundle.write(_material(user, "client-certificate", path) + "\n")
            bundle.write(_material(user, "client-key", path))
            bundle.flush()
            tls.load_cert_chain(bundle.name)
        return cls(cluster["server"], tls)

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        """A new connection of its own, for a watch; `timeout` in seconds of silence."""
        return http.client.HTTPSConnection(
            self._host, self._port, context=self._tls, timeout=timeout
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        manager: str = "",
        content_type: str = "application/json",
        accept: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Send one request and return the decoded answer. Raises Refused, Unreachable."""
        fields = dict(query or {})
        if manager:
            fields["fieldManager"] = manager
        url = f"{path}?{urlencode(fields)}" if fields else path
        headers = {"Accept": accept, "User-Agent": _AGENT}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        status, content = self._exchange(method, url, data, headers)
        answer = json.loads(content) if content[:1] in (b"{", b"[") else content.decode()
        if status >= 400:
            message = answer.get("message", "") if isinstance(answer, dict) else answer
            raise Refused(status, message)
        return answer

    def get(self, path: str) -> Object | None:
        """One object, or None where there is none."""
        try:
            found: Object = self.request("GET", path)
        except Refused as error:
            if error.code == 404:
                return None
            raise
        return found

    def create(self, path: str, body: Object, manager: str) -> Object | None:
        """Create; None when it already exists."""
        try:
            made: Object = self.request("POST", path, body=body, manager=manager)
        except Refused as error:
            if error.code == 409:
                return None
            raise
        return made

    def patch(self, path: str, body: Object, manager: str, content_type: str = MERGE) -> Object:
        """Patch and return the object."""
        done: Object = self.request(
            "PATCH", path, body=body, manager=manager, content_type=content_type
        )
        return done

    def patch_if(self, path: str, tests: Fields, adds: Fields, manager: str) -> Object | None:
        """Set fields where others hold given values; None when they do not or are absent.

        Both map JSON pointers to values. Of the answer only the metadata is asked for: this is
        for objects so large that every reading of them costs.
        """
        body = [{"op": "test", "path": path, "value": value} for path, value in tests.items()]
        body += [{"op": "add", "path": path, "value": value} for path, value in adds.items()]
        try:
            done: Object = self.request(
                "PATCH",
                path,
                body=body,
                manager=manager,
                content_type=JSON_PATCH,
                accept=accepted(True, of_list=False),
            )
        except Refused as error:
            if error.code in (400, 422):
                return None
            raise
        return done

    def replace(self, path: str, body: Object, manager: str) -> Object:
        """PUT the object; its resourceVersion guards against a lost update (409)."""
        done: Object = self.request("PUT", path, body=body, manager=manager)
        return done

    def _exchange(
        self, method: str, url: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        fresh = getattr(self._local, "connection", None) is None
        for last in (fresh, True):
            connection = getattr(self._local, "connection", None) or self.connect(35)
            self._local.connection = connection
            try:
                connection.request(method, url, body=data, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._local.connection = None
                if last or isinstance(error, TimeoutError):
                    raise Unreachable(f"{method} {url}: {error}") from error
        raise Unreachable(f"{method} {url}")


class Watch:
    """One watch request: iterate over (type, object); `close` from another thread ends it."""

    def __init__(self, api: Api, path: str, resource_version: str, *, metadata_only: bool = False):
        self._connection = api.connect(330)
        self._url = (
            path
            + "?"
            + urlencode(
                {
                    "watch": "1",
                    "resourceVersion": resource_version,
                    "allowWatchBookmarks": "true",
                    "timeoutSeconds": "300",
                }
            )
        )
        self._accept = accepted(metadata_only, of_list=False)

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        headers = {"Accept": self._accept, "User-Agent": _AGENT}
        try:
            self._connection.request("GET", self._url, headers=headers)
            answer = self._connection.getresponse()
            if answer.status != 200:
                raise Refused(answer.status, answer.read().decode(errors="replace"))
            rest = b""
            while chunk := answer.read1(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"watch {self._url}: {error}") from error
        finally:
            self._connection.close()

    def close(self) -> None:
        """End the watch now, whichever thread iterates over it."""
        sock = self._connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._connection.close()


def accepted(metadata_only: bool, *, of_list: bool) -> str:
    """The Accept header: whole objects, or their metadata alone."""
    if not metadata_only:
        return "application/json"
    return _METADATA.format(list="List" if of_list else "")


def _material(entry: Mapping[str, str], name: str, config: Path) -> str:
    inline = entry.get(f"{name}-data")
    if inline:
        return base64.b64decode(inline).decode()
    return (config.parent / entry[name]).read_text()
