"""A small release for tests that are about many clusters, not about a whole stack."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from fleet_command import ROOT, SMALL_RELEASE


@pytest.fixture(scope="session")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged catalog with one release more: cert-manager alone, upstream's own manifest."""
    folder = tmp_path_factory.mktemp("catalog") / "versions"
    shutil.copytree(ROOT / "versions", folder)
    release = {
        "name": SMALL_RELEASE,
        "title": "cert-manager alone",
        "date": "2021-03-02",
        "kubernetes": {
            "min": {"version": "1.16", "reason": "it is not tested below it"},
            "max": {"version": "1.21", "reason": "cert-manager uses API versions gone in 1.22"},
        },
        "components": [{"name": "cert-manager", "version": "0.15.1"}],
        "serving": {"group": "serving.kubeflow.org", "versions": ["v1beta1"]},
    }
    text = yaml.safe_dump(release, sort_keys=False)
    (folder / "releases" / f"{SMALL_RELEASE}.yaml").write_text(text, encoding="utf-8")
    return folder
