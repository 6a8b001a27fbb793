"""The curl line that sends the same request. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from installer.serving.ingress import Entry

LOCAL_PORT = 8080
"""Where a port-forward typed by hand listens in the lines shown."""


def curl_lines(
    entry: Entry,
    host: str,
    path: str,
    *,
    data: str = "",
    header_names: Iterable[str] = (),
    verify: bool = True,
) -> list[str]:
    """The lines to type: one, or two where kubectl must forward a port first.

    data: the body, or `@FILE`. header_names: of headers that were sent too; their values, which
    may be secrets, are left out.
    """
    words = ["curl"]
    address = entry.address
    lines = []
    if entry.via == "port-forward":
        place = f"-n {entry.service.namespace} port-forward service/{entry.service.name}"
        lines.append(f"kubectl {place} {LOCAL_PORT}:{entry.service_port} &")
        address = f"localhost:{LOCAL_PORT}"
    if entry.scheme == "https":
        port = address.rpartition(":")[2]
        words += ["--connect-to", f"{host}:{port}:{address}"]
        words += [] if verify else ["--insecure"]
        url = f"https://{host}:{port}{path}"
    else:
        words += ["-H", f"Host: {host}"]
        url = f"http://{address}{path}"
    for name in header_names:
        words += ["-H", f"{name}: …"]
    if data:
        words += ["-H", "Content-Type: application/json", "-d", data]
    return [*lines, " ".join(shlex.quote(word) for word in [*words, url])]
