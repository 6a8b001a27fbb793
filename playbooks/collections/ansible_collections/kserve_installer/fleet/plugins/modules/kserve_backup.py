#!/usr/bin/python
"""Writes what users of the KFServing/KServe stack have made and edited into one file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_backup
short_description: Backs up what users of the KFServing/KServe stack have made and edited
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - Custom resources of users, and their edits of the stack's ConfigMaps, in one file with a
    checksum on the host where the module runs.
  - Each run makes a file, so it always reports a change; in check mode it is skipped.
extends_documentation_fragment:
  - kserve_installer.fleet.cluster
options:
  file:
    description: File to write, which must not be there yet. Its folder is made.
    type: path
    required: true
  catalog:
    description: Folder with a catalog of releases instead of the packaged one.
    type: path
  timeout:
    description: Limit for the whole run, in seconds.
    type: int
    default: 7200
attributes:
  check_mode:
    description: Skipped, since only the file would be written.
    support: none
  diff_mode:
    description: Writes a new file.
    support: none
"""

EXAMPLES = r"""
- name: Back up before an upgrade
  kserve_installer.fleet.kserve_backup:
    file: /srv/backups/production.backup.gz
    context: production
"""

RETURN = r"""
file:
  description: The file.
  returned: success
  type: str
objects:
  description: Number of objects in it.
  returned: success
  type: int
sha256:
  description: Checksum of its content.
  returned: success
  type: str
outcome:
  description: V(done), V(failed) or V(interrupted).
  returned: always
  type: str
exit_code:
  description: Exit code of the command.
  returned: always
  type: int
error:
  description: What went wrong.
  returned: failure
  type: dict
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.command import (  # noqa: E402
    ARGUMENTS,
    EXCLUSIVE,
    Command,
)


def main():
    """Run `backup`, and return what the file holds."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "file": {"type": "path", "required": True},
            "catalog": {"type": "path"},
            "timeout": {"type": "int", "default": 7200},
        },
        mutually_exclusive=EXCLUSIVE,
    )
    file = Path(module.params["file"])
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = ["backup", str(file)]
    words += ["--catalog", module.params["catalog"]] if module.params["catalog"] else []
    with Command(module) as command:
        events, result = command.work(words, module.params["timeout"])
    written = next(event for event in events if event["event"] == "backup")
    kept = {name: written[name] for name in ("file", "objects", "sha256")}
    module.exit_json(**{**result, **kept, "changed": True})


if __name__ == "__main__":
    main()
