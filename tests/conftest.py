"""What every tier needs: the shared facts, and sandboxes with a real control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from every_check import EveryCheck

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.events import silent
from installer.sandbox import binaries
from installer.sandbox.lifecycle import SandboxInfo, SandboxOptions, down, up

# Modules that hold assertions for tests: a failure is to show what differs.
pytest.register_assert_rewrite(
    "accounts", "fleet_command", "harness", "recorded", "recorded_forms", "serving_place", "waits"
)

SHARED = Path(__file__).resolve().parents[2] / "shared"
DEFAULT_KUBERNETES = "1.20.2"

SandboxFactory = Callable[..., SandboxInfo]
"""`sandbox_factory(kubernetes, fresh=…, **options)`; see the fixture."""


def pytest_configure(config: pytest.Config) -> None:
    """Watch over the checks of preflight where all reports come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(EveryCheck())


_LONGEST_FIRST = ("operations", "fleet", "serving", "sandbox", "preflight", "cluster", "cli")
"""Folders whose modules take minutes; those of the others take seconds."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules first, so that at the end no worker has one that the others wait for."""
    tests = Path(__file__).parent
    rank = {tests / folder: place for place, folder in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent, len(rank)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts, manifests and binaries beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared facts are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def own_directories(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[None]:
    """State and cache of the tests, away from the user's; unpacked binaries are kept by pytest."""
    cache = tmp_path_factory.mktemp("cache")
    if pytestconfig.cache is not None:
        (cache / "control-plane").symlink_to(pytestconfig.cache.mkdir("control-plane"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KSERVE_INSTALLER_CACHE", str(cache))
        patch.setenv("KSERVE_INSTALLER_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def control_plane_folder() -> Path | None:
    """What `--control-plane` is in tests; None when the binaries come from elsewhere."""
    folder = SHARED / "control-plane"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def control_plane_binaries(control_plane_folder: Path | None) -> Callable[[str], dict[str, Path]]:
    """Paths of the binaries of a Kubernetes version; skips the test when there are none."""
    found: dict[str, dict[str, Path]] = {}

    def of(kubernetes: str) -> dict[str, Path]:
        if kubernetes not in found:
            options = binaries.BinaryOptions(control_plane_folder, build=False)
            try:
                found[kubernetes] = binaries.find(kubernetes, options, silent, Cancel())
            except InstallerError as error:
                if error.kind != "no-binaries":
                    raise
                pytest.skip(error.message)
        return found[kubernetes]

    return of


@pytest.fixture(scope="session")
def sandbox_factory(
    control_plane_binaries: Callable[[str], dict[str, Path]],
    control_plane_folder: Path | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SandboxFactory]:
    """Starts sandboxes and takes them down at the end of the session.

    Delays are zero and requests are audited unless the options say otherwise. With the same
    arguments it gives the same sandbox again; `fresh=True` starts one that only the caller knows,
    who may take it down before.
    """
    known: dict[object, SandboxInfo] = {}
    names: list[str] = []
    logs = tmp_path_factory.mktemp("audit")

    def start(
        kubernetes: str = DEFAULT_KUBERNETES, *, fresh: bool = False, **options: Any
    ) -> SandboxInfo:
        key = (kubernetes, tuple(sorted(options.items())))
        if not fresh and key in known:
            return known[key]
        control_plane_binaries(kubernetes)
        name = options.pop("name", f"test-{len(names)}")
        defaults = {"instant": True, "tied": True, "audit_log": logs / f"{name}.jsonl"}
        wanted = SandboxOptions(
            name=name,
            kubernetes=kubernetes,
            control_plane=control_plane_folder,
            build=False,
            **{**defaults, **options},
        )
        names.append(name)
        info = up(wanted)
        if not fresh:
            known[key] = info
        return info

    yield start
    for name in names:
        down(name)


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest, sandbox_factory: SandboxFactory) -> SandboxInfo:
    """A running sandbox that tests share, 1.20.2 unless parametrized with another version.

    `@pytest.mark.parametrize("sandbox", ["1.25.3", "1.34.4"], indirect=True)`
    """
    return sandbox_factory(getattr(request, "param", DEFAULT_KUBERNETES))
