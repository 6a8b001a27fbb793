"""Where kserve-installer keeps what is not in the cluster: sandboxes, backups, runs of fleets."""

from __future__ import annotations

import os
from pathlib import Path

ENVIRONMENT = "KSERVE_INSTALLER_STATE"


def state_folder() -> Path:
    """`$KSERVE_INSTALLER_STATE`, else this user's state folder; absolute, not made yet."""
    import platformdirs  # what only computes does not pay for it

    return Path(
        os.environ.get(ENVIRONMENT) or platformdirs.user_state_dir("kserve-installer")
    ).absolute()
