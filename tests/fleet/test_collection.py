"""The collection as Ansible's own tools see it."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from fleet_command import BIN, ROOT, environment

COLLECTION = ROOT / "playbooks/collections/ansible_collections/kserve_installer/fleet"
MODULES = sorted(path.stem for path in (COLLECTION / "plugins/modules").glob("*.py"))


def _run(program: str, *words: str) -> str:
    done = subprocess.run(
        [BIN / program, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What ansible-doc says of every module."""
    names = [f"kserve_installer.fleet.{name}" for name in MODULES]
    out = _run("ansible-doc", "--playbook-dir", "playbooks", "--json", *names)
    found: dict[str, Any] = json.loads(out)
    return found


def test_ansible_doc_shows_every_module_with_examples_and_what_it_returns(
    documented: dict[str, Any],
) -> None:
    assert len(documented) == len(MODULES)
    for module in documented.values():
        assert module["doc"]["short_description"]
        assert module["examples"].strip()
        assert module["return"]


def test_every_option_that_a_module_takes_is_documented(documented: dict[str, Any]) -> None:
    shown = {name: sorted(module["doc"]["options"]) for name, module in documented.items()}

    assert shown == {f"kserve_installer.fleet.{name}": taken for name, taken in _options().items()}


_READ = """
import importlib, json, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

class Taken(Exception):
    pass

def take(**options):
    raise Taken(sorted(options["argument_spec"]))

_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
found = {}
for name in sys.argv[2:]:
    where = "ansible_collections.kserve_installer.fleet.plugins.modules." + name
    module = importlib.import_module(where)
    module.AnsibleModule = take
    try:
        module.main()
    except Taken as taken:
        found[name] = taken.args[0]
print(json.dumps(found))
"""


def _options() -> dict[str, list[str]]:
    """The options in each module's argument specification, as the module itself has them."""
    collections = str(ROOT / "playbooks" / "collections")
    found: dict[str, list[str]] = json.loads(_run("python", "-c", _READ, collections, *MODULES))
    return found


def test_the_collection_can_be_built_for_publishing(tmp_path: Path) -> None:
    _run("ansible-galaxy", "collection", "build", str(COLLECTION), "--output-path", str(tmp_path))

    (archive,) = tmp_path.glob("kserve_installer-fleet-*.tar.gz")
    with tarfile.open(archive) as built:
        names = set(built.getnames())
    assert {f"plugins/modules/{name}.py" for name in MODULES} <= names
    assert "roles/kserve/meta/argument_specs.yml" in names
