"""The request that is sent over and over, and where to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """One request.

    address, port: what is connected to. host: the Host header and, with TLS, the server name.
    verify: with TLS, whether the certificate must be signed by someone this machine trusts.
    """

    address: str
    port: int
    host: str
    path: str = "/"
    method: str = "GET"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    scheme: str = "http"
    verify: bool = True

    def encoded(self, *, keep_alive: bool = True) -> bytes:
        """Its bytes. Raises ValueError for what would break out of its line."""
        headers = {"Host": self.host, "Accept": "*/*", **self.headers}
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(self.body))
        if not keep_alive:
            headers["Connection"] = "close"
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        for line in lines:
            if any(ord(sign) < 32 or ord(sign) == 127 for sign in line):
                raise ValueError("a line of the request holds a control character")
        if " " in self.path or " " in self.method:
            raise ValueError("method and path of a request hold no spaces")
        return "\r\n".join([*lines, "", ""]).encode("utf-8") + self.body
