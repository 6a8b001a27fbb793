#!/usr/bin/python
"""Reads what of the KFServing/KServe stack is installed on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_facts
short_description: Reads what of the KFServing/KServe stack is installed on a cluster
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - The release, its components with versions and health, and who is at work on it now.
  - Only reads; nothing is downloaded.
extends_documentation_fragment:
  - kserve_installer.fleet.cluster
attributes:
  check_mode:
    description: Reads only, in check mode as outside of it.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Read what is installed
  kserve_installer.fleet.kserve_facts:
    context: production

- name: Say which release that is
  ansible.builtin.debug:
    msg: "{{ ansible_facts.kserve_installed.release | default('nothing', true) }}"
"""

RETURN = r"""
ansible_facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    kserve_installed:
      description: The report of C(kserve-installer status).
      type: dict
      contains:
        release:
          description: Name of the installed release; empty when none is.
          type: str
          sample: kfserving-0.5.1
        state:
          description: As the record in the cluster has it; empty when nothing is installed.
          type: str
          sample: installed
        healthy:
          description: Whether everything that is recorded is there and ready.
          type: bool
        drift:
          description: Number of objects that differ from what was installed, or are gone.
          type: int
        uid:
          description: Of the namespace kube-system, which tells clusters apart; empty when it may
            not be read.
          type: str
        kubernetes:
          description: Version of the cluster.
          type: str
          sample: v1.20.2
        server:
          description: Address of the API server.
          type: str
        components:
          description: Name, version, state, ready and total objects of each component.
          type: list
          elements: dict
        running:
          description: Who is at work on the stack now; empty when nobody is.
          type: str
exit_code:
  description: Exit code of the command.
  returned: always
  type: int
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.command import (  # noqa: E402
    ARGUMENTS,
    EXCLUSIVE,
    Command,
)


def main():
    """Ask, and return the report as a fact."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, mutually_exclusive=EXCLUSIVE, supports_check_mode=True
    )
    with Command(module) as command:
        code, report = command.report(["status"])
    module.exit_json(changed=False, exit_code=code, ansible_facts={"kserve_installed": report})


if __name__ == "__main__":
    main()
