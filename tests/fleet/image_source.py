"""A tiny container image, as an archive and behind a registry on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_OCI = "application/vnd.oci.image"
_MANIFEST = f"{_OCI}.manifest.v1+json"
Blobs = dict[str, bytes]
"""Content by digest."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _entry(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": _digest(content), "size": len(content)}


def image(text: str) -> tuple[bytes, Blobs]:
    """An image with one file that holds the text: its manifest, and everything it consists of."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as layer:
        _add(layer, "content", text.encode())
    packed = stream.getvalue()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [_digest(packed)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _entry("config.v1+json", config),
            "layers": [_entry("layer.v1.tar", packed)],
        }
    ).encode()
    return manifest, {_digest(blob): blob for blob in (packed, config, manifest)}


def archive(path: Path, name: str) -> Path:
    """As `ctr images export` writes it."""
    manifest, blobs = image(name)
    named = {"annotations": {"io.containerd.image.name": name}}
    index = {"schemaVersion": 2, "manifests": [_entry("manifest.v1+json", manifest) | named]}
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        for digest, blob in blobs.items():
            _add(tar, f"blobs/{digest.replace(':', '/')}", blob)
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


@contextmanager
def registry(repository: str, tag: str) -> Iterator[str]:
    """The address of a registry that has one image."""
    manifest, blobs = image(repository)
    manifests = f"/v2/{repository}/manifests/"
    found = {f"{manifests}{tag}": manifest, f"{manifests}{_digest(manifest)}": manifest}
    found |= {f"/v2/{repository}/blobs/{digest}": blob for digest, blob in blobs.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = found.get(self.path.partition("?")[0])
            self.send_response(200 if content is not None else 404)
            kind = _MANIFEST if "/manifests/" in self.path else "application/octet-stream"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content or b"")))
            if content is not None:
                self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Requests are not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
