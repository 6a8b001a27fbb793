"""Asks the sandbox's own API server whether it is ready, every few milliseconds.

The daemon cannot use `installer.cluster.client`: that one retries and explains, this one reports
what is so at this moment.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from installer.core.kubernetes_version import KubernetesVersion
from installer.sandbox.state import Record, StateDirectory

# From 1.24 on a ServiceAccount gets no token Secret; before, pods are refused until it has one.
_NO_TOKEN_SECRETS = KubernetesVersion(1, 24)


class Probe:
    """One kept-alive connection with the administrator's certificate."""

    def __init__(self, directory: StateDirectory, record: Record) -> None:
        self._port = record.server_port
        self._needs_secret = KubernetesVersion.parse(record.kubernetes) < _NO_TOKEN_SECRETS
        self._tls = ssl.create_default_context(cafile=str(directory.pki / "ca.crt"))
        pki = directory.pki
        self._tls.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
        self._connection: http.client.HTTPSConnection | None = None

    def serving(self) -> bool:
        """Whether the API server answers anything at all."""
        return self._get("/livez")[0] > 0

    def api_server(self) -> str:
        """What the API server still waits for; empty when /readyz is content."""
        code, body = self._get("/readyz")
        if code == 200:
            return ""
        if not code:
            return "does not listen yet"
        failing = [line[3:].split(" ")[0] for line in body.splitlines() if line.startswith("[-]")]
        return "waits for " + (", ".join(failing[:3]) or f"/readyz, which answers {code}")

    def controller_manager(self) -> str:
        """What the controller-manager has not done yet; empty when its first effects are there."""
        account = self._object("/api/v1/namespaces/default/serviceaccounts/default")
        if account is None:
            return "has not created the ServiceAccount default yet"
        if self._needs_secret and not account.get("secrets"):
            return "has not created the token of the ServiceAccount default yet"
        return ""

    def nodes(self) -> int:
        """How many nodes have registered."""
        listed = self._object("/api/v1/nodes?resourceVersion=0")
        return len((listed or {}).get("items") or [])

    def _object(self, path: str) -> dict[str, Any] | None:
        code, body = self._get(path)
        return json.loads(body) if code == 200 else None

    def _get(self, path: str) -> tuple[int, str]:
        """(status, body); (0, "") when there is no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=5, context=self._tls
            )
        try:
            self._connection.request("GET", path, headers={"User-Agent": "kserve-sandbox/daemon"})
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return 0, ""
