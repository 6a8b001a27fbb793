#!/usr/bin/python
"""Puts images onto a machine before pods ask for them, and takes them away again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kserve_hosts_images
short_description: Loads container images onto a machine beforehand
version_added: 1.0.0
author: kserve-installer maintainers
description:
  - Imports archives and pulls images into containerd, those that are not there yet, and keeps a
    record of what it brought.
  - With I(state=absent) it removes what the record names, and nothing else.
options:
  images:
    description: Images to pull, by the mirrors and the proxy that containerd has.
    type: list
    elements: str
    default: []
  archives:
    description: Files on the machine, made by C(docker save) or C(ctr images export).
    type: list
    elements: path
    default: []
  state:
    description: Whether they are to be there.
    type: str
    choices: [present, absent]
    default: present
  address:
    description: Socket of containerd.
    type: path
    default: /run/containerd/containerd.sock
  namespace:
    description: Namespace of containerd; Kubernetes has C(k8s.io).
    type: str
    default: k8s.io
  hosts_dir:
    description: Folder that says where the mirrors of registries are.
    type: path
    default: /etc/containerd/certs.d
  record:
    description: File that says which images were brought.
    type: path
    default: /etc/kserve-installer/images.json
  timeout:
    description: Seconds that one image may take.
    type: int
    default: 1800
attributes:
  check_mode:
    description: Says what it would load or remove.
    support: full
  diff_mode:
    description: Changes are images, not text.
    support: none
"""

EXAMPLES = r"""
- name: Have the model server there before the first pod
  kserve_installer.fleet.kserve_hosts_images:
    images: [docker.io/kserve/sklearnserver:v0.11.2]
    archives: [/srv/images/kserve.tar]
"""

RETURN = r"""
loaded:
  description: Images that were not there and are now.
  returned: always
  type: list
  elements: str
removed:
  description: Images that were taken away.
  returned: always
  type: list
  elements: str
"""

import json  # noqa: E402
import subprocess  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible_collections.kserve_installer.fleet.plugins.module_utils.images import (  # noqa: E402
    archived,
    full_name,
)

_ASKING = 60


def main():
    """Compare what is there with what is asked for, and bring or remove the rest."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "default": []},
            "archives": {"type": "list", "elements": "path", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "address": {"type": "path", "default": "/run/containerd/containerd.sock"},
            "namespace": {"type": "str", "default": "k8s.io"},
            "hosts_dir": {"type": "path", "default": "/etc/containerd/certs.d"},
            "record": {"type": "path", "default": "/etc/kserve-installer/images.json"},
            "timeout": {"type": "int", "default": 1800},
        },
        supports_check_mode=True,
    )
    images = _Images(module)
    present = module.params["state"] == "present"
    loaded, removed = (images.bring(), []) if present else ([], images.remove())
    module.exit_json(changed=bool(loaded or removed), loaded=loaded, removed=removed)


class _Images:
    def __init__(self, module):
        self.module = module
        self.asked = module.params
        self.record = Path(self.asked["record"])
        self.ours = self._ours()
        if self.asked["state"] == "absent" and not self.ours:
            self.there = set()  # nothing of ours: containerd may be gone
        else:
            self.there = set(self._ctr("images", "list", "--quiet").split())

    def bring(self):
        """Names that were loaded, or would be in check mode."""
        loaded = []
        for archive in self.asked["archives"]:
            missing = [name for name in self._archived(archive) if name not in self.there]
            if missing:
                self._change("images", "import", archive)
                loaded += self._brought(missing)
        for name in dict.fromkeys(map(full_name, self.asked["images"])):
            if name not in self.there:
                self._change("images", "pull", "--hosts-dir", self.asked["hosts_dir"], name)
                loaded += self._brought([name])
        return loaded

    def remove(self):
        """Names that were removed, or would be in check mode."""
        gone = [name for name in self.ours if name in self.there]
        for name in gone:
            self._change("images", "remove", name)
        if not self.module.check_mode:
            self.record.unlink(missing_ok=True)
        return gone

    def _brought(self, names):
        """Noted after each, so that an interrupted run forgets none."""
        self.there |= set(names)
        self.ours += [name for name in names if name not in self.ours]
        if not self.module.check_mode:
            self.record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.record.write_text(json.dumps({"images": self.ours}, indent=2), encoding="utf-8")
        return names

    def _ours(self):
        try:
            return list(json.loads(self.record.read_text(encoding="utf-8"))["images"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as problem:
            self.module.fail_json(
                msg=f"{self.record} is no record of loaded images ({problem}): remove it to go on "
                "without it; the images that it named then stay"
            )

    def _archived(self, path):
        try:
            return archived(path)
        except (OSError, ValueError) as problem:
            self.module.fail_json(msg=f"cannot read images from {path}: {problem}")

    def _change(self, *words):
        if not self.module.check_mode:
            self._ctr(*words, timeout=self.asked["timeout"])

    def _ctr(self, *words, timeout=_ASKING):
        place = ("--address", self.asked["address"], "--namespace", self.asked["namespace"])
        try:
            done = subprocess.run(
                ["ctr", *place, *words],
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            self.module.fail_json(msg="there is no program ctr on this machine: install containerd")
        except subprocess.TimeoutExpired:
            self.module.fail_json(msg=f"ctr {' '.join(words)} did not end within {timeout} s")
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            self.module.fail_json(msg=f"ctr {' '.join(words)} failed: {' '.join(said)}")
        return done.stdout


if __name__ == "__main__":
    main()
