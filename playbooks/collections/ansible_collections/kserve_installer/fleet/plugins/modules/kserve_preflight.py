#!/usr/bin/python
"""Checks whether a release of the KFServing/KServe stack can be installed on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_preflight
short_description: Checks whether a release of the KFServing/KServe stack fits a cluster
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - Looks at the cluster from every side and writes nothing.
  - Fails when a check fails; warnings are returned.
extends_documentation_fragment:
  - kserve_installer.fleet.cluster
  - kserve_installer.fleet.cluster.sources
  - kserve_installer.fleet.cluster.settings
options:
  release:
    description: Name of the release, as C(kserve-installer releases) lists them.
    type: str
    required: true
  skip:
    description: Checks not to run, by id.
    type: list
    elements: str
    default: []
  adopt:
    description: Components to take over from whoever installed them.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Reads only, in check mode as outside of it.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: See whether a release fits
  kserve_installer.fleet.kserve_preflight:
    release: kfserving-0.5.1
    context: production
"""

RETURN = r"""
counts:
  description: Number of checks by verdict.
  returned: when the checks ran
  type: dict
  sample: {ok: 30, warning: 1, unknown: 0, failed: 0, skipped: 0}
findings:
  description: Checks that have something to say, with reason and remedy.
  returned: when the checks ran
  type: list
  elements: dict
  sample:
    - check: nodes-ready
      verdict: warning
      details: [{verdict: warning, reason: node b is not ready, remedy: "", object: Node b}]
kubernetes:
  description: Version of the cluster.
  returned: when the checks ran
  type: str
exit_code:
  description: Exit code of the command, 3 when a check failed.
  returned: always
  type: int
error:
  description: What went wrong.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.command import (  # noqa: E402
    ARGUMENTS,
    EXCLUSIVE,
    SETTINGS,
    SOURCES,
    Command,
)

_OWN = {
    "release": {"type": "str", "required": True},
    "skip": {"type": "list", "elements": "str", "default": []},
    "adopt": {"type": "list", "elements": "str", "default": []},
}


def main():
    """Run the checks; the sentence of a failure names every failed one."""
    module = AnsibleModule(
        argument_spec={**ARGUMENTS, **SOURCES, **SETTINGS, **_OWN},
        mutually_exclusive=EXCLUSIVE,
        supports_check_mode=True,
    )
    with Command(module) as command:
        words = ["preflight", module.params["release"], *command.sources(), *command.settings()]
        for name in ("skip", "adopt"):
            if module.params[name]:
                words += ["--" + name, ",".join(module.params[name])]
        code, report = command.report(words)
        findings = [
            {name: check[name] for name in ("check", "verdict", "sentence", "details")}
            for category in report["categories"]
            for check in category["checks"]
            if check["details"]
        ]
        result = {
            "counts": report["counts"],
            "findings": findings,
            "kubernetes": report["kubernetes"],
            "release": report["release"],
        }
        if code != 0:
            command.fail(_error(findings), code, **result)
    module.exit_json(changed=False, exit_code=code, **result)


def _error(findings):
    """One sentence over all failed checks, and their remedies."""
    bad = [
        (finding["check"], detail)
        for finding in findings
        for detail in finding["details"]
        if detail["verdict"] == "failed"
    ]
    return {
        "kind": "checks-failed",
        "message": "; ".join(f"{check}: {detail['reason']}" for check, detail in bad),
        "object": "",
        "remedy": "; ".join(dict.fromkeys(d["remedy"] for _, d in bad if d["remedy"])),
    }


if __name__ == "__main__":
    main()
