"""Where a sandbox's sockets go when their path would be too long for a socket."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from installer.sandbox.state import StateDirectory


def bound(folder: Path) -> None:
    """Bind a socket there, as the daemon does."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "control.sock"))


def test_a_short_state_directory_holds_its_sockets(tmp_path: Path) -> None:
    assert StateDirectory(tmp_path).socket_directory() == tmp_path


@pytest.mark.parametrize("temporary", ["short", "as long"])
def test_sockets_of_a_long_state_directory_go_where_their_path_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if temporary == "as long":
        monkeypatch.setattr("tempfile.tempdir", str(long))

    found = StateDirectory(long).socket_directory()
    try:
        bound(found)
        assert found.stat().st_mode & 0o777 == 0o700
    finally:
        (found / "control.sock").unlink(missing_ok=True)
        found.rmdir()
