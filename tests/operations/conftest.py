"""Sandboxes with the real command, and one that has KFServing 0.5.1 installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import RELEASE, EndState, Installer, MakePlace, Place, Stack, applied_refs, state_of

from installer.sandbox import lifecycle


@pytest.fixture(scope="module")
def place(sandbox_factory: Any, shared: Path) -> Iterator[MakePlace]:
    """place(kubernetes="1.20.2", **options): a sandbox that only the caller knows.

    They are taken down with the module: an API server that has served a stack keeps a gigabyte.
    """
    names: list[str] = []

    def make(kubernetes: str = "1.20.2", **options: Any) -> Place:
        info = sandbox_factory(kubernetes, fresh=True, **options)
        names.append(info.name)
        return Place(info, Installer(info.kubeconfig, shared / "upstream"))

    yield make
    for name in names:
        lifecycle.down(name)


@pytest.fixture(scope="session")
def undisturbed(sandbox_factory: Any, shared: Path) -> EndState:
    """What an install of the reference release leaves that nothing disturbed.

    Its sandbox is gone again: an end state is all that faults are judged by.
    """
    info = sandbox_factory("1.20.2", fresh=True)
    made = Place(info, Installer(info.kubeconfig, shared / "upstream"))
    first = made.installer.run("install", RELEASE)
    assert first.code == 0, first.stderr
    state = state_of(made.cluster(), applied_refs(first))
    lifecycle.down(info.name)
    return state


@pytest.fixture
def there(place: MakePlace) -> Iterator[Place]:
    """A sandbox of this test's own: a new one is there in a third of the time of an uninstall."""
    made = place()
    yield made
    lifecycle.down(made.sandbox.name)


@pytest.fixture(scope="module")
def stack(place: MakePlace) -> Stack:
    """One sandbox per module with the reference release on it."""
    made = place()
    first = made.installer.run("install", RELEASE)
    assert first.code == 0, first.stderr
    return Stack(made.sandbox, made.installer, first)
