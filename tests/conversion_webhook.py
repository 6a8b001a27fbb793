"""A conversion webhook on 127.0.0.1 that a real API server calls, and that fails as told.

with ConversionWebhook(tmp_path) as webhook:
    cluster.apply(definition("v1", "v2", storage="v2", conversion=webhook.conversion))
    webhook.refused = {"note-7"}
"""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from installer.core.objects import Object
from installer.sandbox.pki import Authority


class ConversionWebhook:
    """Converts by changing apiVersion. refused: names of objects that it fails for, and so for
    every request with one of them. asked: (name, apiVersion) that it was to convert to, in order;
    the API server's caches ask too."""

    def __init__(self, directory: Path) -> None:
        self.refused: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        authority = Authority(directory, "conversion-ca")
        authority.issue("webhook", "127.0.0.1", hosts=("127.0.0.1",))
        self._directory = directory
        self._bundle = b64encode((directory / "ca.crt").read_bytes()).decode()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def __enter__(self) -> ConversionWebhook:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def conversion(self) -> Object:
        """The field `spec.conversion` of a CRD."""
        config = {"url": f"https://127.0.0.1:{self._port}/convert", "caBundle": self._bundle}
        reviewed = {"clientConfig": config, "conversionReviewVersions": ["v1"]}
        return {"strategy": "Webhook", "webhook": reviewed}

    def up(self) -> None:
        """Answer, at the same port as before."""
        server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._directory / "webhook.crt", self._directory / "webhook.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        self._port = server.server_address[1]
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Answer no more: connections are refused, and those that are open are answered 503."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook._server is not self.server:
                    self.send_error(503)
                    self.close_connection = True
                    return
                answer = json.dumps(webhook._answer(json.loads(body))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        return Handler

    def _answer(self, review: Object) -> Object:
        request = review["request"]
        response: Object = {"uid": request["uid"], "result": {"status": "Success"}}
        names = [obj["metadata"]["name"] for obj in request["objects"]]
        to = request["desiredAPIVersion"]
        self.asked += [(name, to) for name in names]
        refused = sorted(self.refused & set(names))
        if refused:
            said = f"{refused[0]} has a field that is no more"
            response["result"] = {"status": "Failure", "message": said}
        else:
            response["convertedObjects"] = [{**obj, "apiVersion": to} for obj in request["objects"]]
        return {**review, "request": None, "response": response}
