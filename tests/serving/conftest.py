"""One sandbox per module with KFServing 0.5.1 on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_place import Place

from installer.cluster.client import Cluster
from installer.sandbox import lifecycle
from installer.sandbox.script import Script


@pytest.fixture(scope="module")
def place(sandbox_factory: Any, shared: Path) -> Iterator[Place]:
    """The stack, installed by the real command."""
    info = sandbox_factory(fresh=True)
    cluster = Cluster.connect(kubeconfig=str(info.kubeconfig))
    made = Place(info, cluster, shared / "upstream")
    made.install()
    yield made
    cluster.close()
    lifecycle.down(info.name)


@pytest.fixture
def healed(place: Place) -> Iterator[Place]:
    """The same; afterwards the simulated world works again."""
    yield place
    place.behave(Script())
