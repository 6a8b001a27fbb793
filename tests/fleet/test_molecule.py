"""The scenario `default` of molecule, with a small release: installs, and finds nothing to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from fleet_command import ROOT, SMALL_RELEASE, environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def test_the_playbooks_converge_two_clusters_and_are_idempotent(
    shared: Path, small_catalog: Path, control_plane_folder: Path | None
) -> None:
    done = subprocess.run(
        ["tools/molecule.sh", "default"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **environment(),
            "KSERVE_RELEASE": SMALL_RELEASE,
            "KSERVE_CATALOG": str(small_catalog),
            "KSERVE_MIRROR": str(shared / "upstream"),
            "KSERVE_CONTROL_PLANE": str(control_plane_folder or ""),
            "NO_COLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        timeout=580,
        check=False,
    )

    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    for step in ("syntax", "create", "converge", "idempotence", "verify", "destroy"):
        assert re.search(rf"default (?:>|➜) {step}: Executed: Successful", said), step
