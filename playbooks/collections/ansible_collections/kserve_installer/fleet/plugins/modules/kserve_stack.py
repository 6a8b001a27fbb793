#!/usr/bin/python
"""Brings the KFServing/KServe stack on a cluster to a release, or takes it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_stack
short_description: Installs, upgrades, plans or removes the KFServing/KServe stack on a cluster
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - Istio, Knative Serving, cert-manager and KFServing or KServe, at versions that were tested
    together, installed by the C(kserve-installer) command.
  - A second run with the same options writes nothing and reports C(changed=false).
  - An interrupted run is continued by running the task again.
extends_documentation_fragment:
  - kserve_installer.fleet.cluster
  - kserve_installer.fleet.cluster.sources
  - kserve_installer.fleet.cluster.settings
options:
  state:
    description:
      - V(present) installs O(release), or brings what is there back to it.
      - V(upgraded) goes from the installed release to O(release), hop by hop.
      - V(absent) removes what was installed.
      - V(planned) only reads what V(present) would change; nothing is written, so that
        C(changed) is true in check mode only.
    type: str
    choices: [present, upgraded, absent, planned]
    default: present
  release:
    description: Name of the release, as C(kserve-installer releases) lists them. Needed unless
      O(state=absent).
    type: str
  take_ownership:
    description: Take fields over from other field managers instead of stopping.
    type: bool
    default: false
  adopt:
    description: Components to take over from whoever installed them.
    type: list
    elements: str
    default: []
  skip:
    description: Checks not to run before the work, by id.
    type: list
    elements: str
    default: []
  discard_edits:
    description: With O(state=upgraded), take back keys of ConfigMaps that were edited in place.
    type: bool
    default: false
  delete_inferenceservices:
    description: With O(state=absent), delete InferenceServices too, whose presence stops it
      otherwise.
    type: bool
    default: false
  delete_custom_resources:
    description: With O(state=absent), delete users' other custom resources of the removed kinds
      too.
    type: bool
    default: false
  timeout:
    description: Limit for the whole run, in seconds.
    type: int
    default: 900
attributes:
  check_mode:
    description: Reads the cluster and says what would change, without writing.
    support: full
  diff_mode:
    description: Shows every field that differs of objects that are there, and the names of objects
      that are created or deleted. With O(state=upgraded) only the releases are shown.
    support: partial
"""

EXAMPLES = r"""
- name: Install a release
  kserve_installer.fleet.kserve_stack:
    release: kfserving-0.5.1
    kubeconfig: ~/.kube/config
    context: production

- name: Install with settings, from a mirror
  kserve_installer.fleet.kserve_stack:
    release: kfserving-0.5.1
    mirror: https://mirror.example.com/kserve
    settings:
      domain: models.example.com
      external: [cert-manager]

- name: Go to a later release
  kserve_installer.fleet.kserve_stack:
    state: upgraded
    release: kfserving-0.6.1
    timeout: 7200

- name: Remove everything that was installed
  kserve_installer.fleet.kserve_stack:
    state: absent
"""

RETURN = r"""
outcome:
  description: V(done), V(unchanged), V(failed), V(interrupted) or V(not-run).
  returned: always
  type: str
  sample: done
exit_code:
  description: Exit code of the command, as its documentation lists them.
  returned: always
  type: int
  sample: 0
release:
  description: The release that is installed after the run, or is planned; empty when none is.
  returned: success
  type: str
  sample: kfserving-0.5.1
differs:
  description: Whether an install would change something.
  returned: O(state=planned), and O(state=present) in check mode
  type: bool
created:
  description: Number of objects created, or to be created.
  returned: always
  type: int
changed_objects:
  description: Number of objects changed, or to be changed.
  returned: always
  type: int
unchanged:
  description: Number of objects that are as wanted.
  returned: always
  type: int
deleted:
  description: Number of objects deleted, or to be deleted.
  returned: always
  type: int
writes:
  description: Write requests sent to the cluster.
  returned: when something may have been written
  type: int
seconds:
  description: How long the command worked.
  returned: when something may have been written
  type: float
components:
  description: Components of the stack after the run.
  returned: success, when something may have been written
  type: list
  elements: dict
  sample: [{name: istio, version: 1.6.2, state: installed, ready: 60, total: 60}]
healthy:
  description: Whether everything that is recorded is there and ready.
  returned: success, when something may have been written and O(state) is not V(absent)
  type: bool
kubernetes:
  description: Version of the cluster.
  returned: success, when something may have been written
  type: str
  sample: v1.20.2
error:
  description: What went wrong, with the object that it is about, and what to do.
  returned: failure
  type: dict
  sample:
    kind: release
    message: there is no release kfserving-9
    object: ""
    remedy: "see: kserve-installer releases"
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.command import (  # noqa: E402
    ARGUMENTS,
    EXCLUSIVE,
    SETTINGS,
    SOURCES,
    Command,
    components,
)
from ansible_collections.kserve_installer.fleet.plugins.module_utils.differences import (  # noqa: E402
    deletions,
    differences,
)

_OWN = {
    "state": {
        "choices": ["present", "upgraded", "absent", "planned"],
        "default": "present",
    },
    "release": {"type": "str"},
    "take_ownership": {"type": "bool", "default": False},
    "adopt": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
    "discard_edits": {"type": "bool", "default": False},
    "delete_inferenceservices": {"type": "bool", "default": False},
    "delete_custom_resources": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 900},
}


def main():
    """Read the options, do what the state asks for."""
    module = AnsibleModule(
        argument_spec={**ARGUMENTS, **SOURCES, **SETTINGS, **_OWN},
        mutually_exclusive=EXCLUSIVE,
        required_if=[("state", state, ["release"]) for state in ("present", "upgraded", "planned")],
        supports_check_mode=True,
    )
    state = module.params["state"]
    with Command(module) as command:
        if state == "planned" or (state == "present" and module.check_mode):
            result = _planned(module, command)
        elif state == "present":
            result = _present(module, command)
        elif state == "upgraded":
            result = _upgraded(module, command)
        else:
            result = _absent(module, command)
    module.exit_json(**result)


def _planned(module, command):
    """What an install would change; nothing is written."""
    words = ["plan", module.params["release"], *_wanted(module, command)]
    code, plan = command.report(words)
    objects = plan["objects"]
    counts = {
        name: sum(1 for row in objects if row["action"] in actions)
        for name, actions in _ACTIONS.items()
    }
    result = {
        **counts,
        "changed": module.check_mode and bool(plan["differs"]),
        "differs": bool(plan["differs"]),
        "exit_code": code,
        "outcome": "done" if plan["differs"] else "unchanged",
        "release": plan["release"],
    }
    if module._diff:
        result["diff"] = differences(objects)
    return result


_ACTIONS = {
    "created": ("create",),
    "changed_objects": ("change", "recreate", "adopt"),
    "unchanged": ("unchanged",),
    "deleted": ("delete",),
}


def _present(module, command):
    """Install; with --diff the fields are read before."""
    diff = _planned(module, command)["diff"] if module._diff else None
    words = ["install", module.params["release"], "--yes", *_wanted(module, command)]
    words += _skipped(module)
    events, result = command.work(words, module.params["timeout"])
    result.update(_installed(events), release=module.params["release"])
    return {**result, **({"diff": diff} if module._diff else {})}


def _upgraded(module, command):
    """Upgrade; in check mode only the way is read."""
    words = ["upgrade", module.params["release"], "--yes", *command.sources(), *command.settings()]
    words += _skipped(module)
    words += ["--take-ownership"] if module.params["take_ownership"] else []
    words += ["--discard-edits"] if module.params["discard_edits"] else []
    before = command.report(["status"], logged=False)[1]["release"] if module._diff else ""
    if module.check_mode:
        _, result = command.work([*words, "--dry-run"], module.params["timeout"])
        result["changed"] = result["outcome"] != "unchanged"
        result["release"] = module.params["release"]
    else:
        _, result = command.work(words, module.params["timeout"])
        result.update(_afterwards(command))
    if module._diff:
        after = module.params["release"]
        result["diff"] = {"before": f"release: {before}\n", "after": f"release: {after}\n"}
    return result


def _absent(module, command):
    """Uninstall; in check mode only what would be deleted is read."""
    flags = ("delete_inferenceservices", "delete_custom_resources")
    words = ["uninstall", "--yes"]
    words += ["--" + flag.replace("_", "-") for flag in flags if module.params[flag]]
    if module.check_mode:
        words.append("--dry-run")
    events, result = command.work(words, module.params["timeout"])
    gone = [event["object"] for event in events if event["event"] == "object"]
    if module.check_mode:
        result.update(changed=result["outcome"] != "unchanged", deleted=len(gone))
    if module._diff:
        result["diff"] = deletions(gone)
    return {**result, "release": ""}


def _wanted(module, command):
    words = [*command.sources(), *command.settings()]
    words += ["--take-ownership"] if module.params["take_ownership"] else []
    adopted = module.params["adopt"]
    return words + (["--adopt", ",".join(adopted)] if adopted else [])


def _skipped(module):
    return ["--skip", ",".join(module.params["skip"])] if module.params["skip"] else []


def _installed(events):
    """What is there after an install that ended well, and so waited until all of it was ready."""
    said = {event["event"]: event for event in events}
    return {
        "kubernetes": said["started"]["cluster"]["version"],
        "healthy": True,
        "components": [
            {
                "name": part["name"],
                "version": part["version"],
                "state": "installed",
                "ready": part["objects"],
                "total": part["objects"],
            }
            for part in said["planned"]["components"]
        ],
    }


def _afterwards(command):
    """What is there now."""
    _, status = command.report(["status"], logged=False)
    return {
        "release": status["release"],
        "kubernetes": status["kubernetes"],
        "healthy": status["healthy"],
        "components": components(status),
    }


if __name__ == "__main__":
    main()
