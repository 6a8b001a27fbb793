#!/usr/bin/python
"""Proves that the KFServing/KServe stack on a cluster serves a model."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_verify
short_description: Proves that the KFServing/KServe stack on a cluster serves
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - Makes a sample InferenceService in a namespace of its own, has it predict through the ingress,
    and removes it again.
  - In check mode nothing is made, and the task is skipped.
extends_documentation_fragment:
  - kserve_installer.fleet.cluster
options:
  predictor_image:
    description: A container image that answers predictions by itself, instead of the sample.
    type: str
  storage_uri:
    description: Another TensorFlow model than the sample.
    type: str
  use:
    description: An InferenceService that exists, as C(NAMESPACE/NAME); nothing is made.
    type: str
  timeout:
    description: Limit for the whole run, in seconds.
    type: int
    default: 600
attributes:
  check_mode:
    description: Skipped, since the proof needs a model that runs.
    support: none
  diff_mode:
    description: Leaves nothing changed.
    support: none
"""

EXAMPLES = r"""
- name: Prove that it serves
  kserve_installer.fleet.kserve_verify:
    context: production

- name: Prove it with a model that is there
  kserve_installer.fleet.kserve_verify:
    use: models/flowers
"""

RETURN = r"""
outcome:
  description: V(done), V(failed) or V(interrupted).
  returned: always
  type: str
exit_code:
  description: Exit code of the command.
  returned: always
  type: int
seconds:
  description: How long it took.
  returned: always
  type: float
error:
  description: What does not serve, and what to do.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.command import (  # noqa: E402
    ARGUMENTS,
    EXCLUSIVE,
    Command,
)

_WHICH = ("predictor_image", "storage_uri", "use")


def main():
    """Run `verify`; what it makes it removes, so nothing is changed."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            **{name: {"type": "str"} for name in _WHICH},
            "timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=[*EXCLUSIVE, _WHICH],
    )
    words = ["verify"]
    for name in _WHICH:
        if module.params[name]:
            words += ["--" + name.replace("_", "-"), module.params[name]]
    with Command(module) as command:
        _, result = command.work(words, module.params["timeout"])
    module.exit_json(**{**result, "changed": False})


if __name__ == "__main__":
    main()
