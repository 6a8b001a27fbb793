"""The inventory is checked before anything runs: all problems at once, with file and line."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.core.cancel import Cancel
from installer.core.errors import Interrupted, InvalidInput, UsageError
from installer.fleet import runner
from installer.fleet.inventory import Inventory, load
from installer.fleet.model import FleetOptions
from installer.fleet.places import find_places, groups_of
from installer.fleet.variables import is_foreign, known

GOOD = """\
clusters:
  vars:
    ansible_connection: local
    kserve_release: kfserving-0.5.1
  children:
    canary:
      hosts:
        one:
          kserve_context: one
    production:
      hosts:
        two:
          kserve_context: two
"""


def _load(path: Path, text: str, command: str = "install", **options: str) -> Inventory:
    path.write_bytes(text.encode("utf-8"))
    return load(FleetOptions(command, (path,), **options), Cancel())  # type: ignore[arg-type]


def _problems(path: Path, text: str, command: str = "install") -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        _load(path, text, command)
    return [str(problem).removeprefix(f"{path.parent}/") for problem in raised.value.problems]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inventory"


def test_clusters_and_canaries_are_read(path: Path) -> None:
    found = _load(path, GOOD)

    assert [host.name for host in found.hosts] == ["one", "two"]
    assert found.canaries == ("one",)
    assert all(host.local for host in found.hosts)


def test_windows_line_ends_change_nothing(path: Path) -> None:
    assert _load(path, GOOD.replace("\n", "\r\n")) == _load(path, GOOD)


def test_an_ini_inventory_with_windows_line_ends_is_read_too(path: Path) -> None:
    text = "[clusters]\none kserve_context=one\n[clusters:vars]\nkserve_release=kfserving-0.5.1\n"

    found = _load(path, text.replace("\n", "\r\n"))

    assert found.hosts[0].variables["kserve_release"] == "kfserving-0.5.1"
    assert not found.hosts[0].local


def test_every_problem_is_told_at_once_with_its_line(path: Path) -> None:
    text = GOOD.replace("kserve_release: kfserving-0.5.1", "kserve_timeout: soon")
    text = text.replace("kserve_context: one", "kserve_contxt: one\n          kserve_skip: {a: b}")
    text = text.replace("kserve_context: two", "kserve_kubeconfig: /nonexistent/kubeconfig")

    assert _problems(path, text) == [
        'inventory:4: clusters.kserve_timeout: it is "soon"; expected a whole number',
        "inventory:8: one: kserve_release is missing; expected a text",
        "inventory:9: one.kserve_contxt: there is no such variable; expected kserve_context",
        'inventory:10: one.kserve_skip: it is {"a": "b"}; expected a list',
        "inventory:13: two: kserve_release is missing; expected a text",
        "inventory:14: two.kserve_kubeconfig: /nonexistent/kubeconfig does not exist; "
        "expected a file that is there",
    ]


def test_a_command_that_needs_no_release_does_not_ask_for_one(path: Path) -> None:
    text = GOOD.replace("kserve_release: kfserving-0.5.1", "kserve_timeout: 60")

    assert len(_load(path, text, "uninstall").hosts) == 2


def test_a_variable_of_a_file_beside_the_inventory_is_found_there(path: Path) -> None:
    (path.parent / "group_vars").mkdir()
    (path.parent / "group_vars" / "clusters.yml").write_text("---\n\nkserve_adopt: {}\n")

    assert _problems(path, GOOD) == [
        "group_vars/clusters.yml:3: clusters.kserve_adopt: it is {}; expected a list"
    ]


def test_problems_of_settings_have_their_path(path: Path) -> None:
    settings = "kserve_settings: {gateway: {type: Portal}}"

    (problem,) = _problems(path, GOOD.replace("kserve_context: one", settings))

    assert problem.startswith("inventory:9: one.kserve_settings.gateway.type: ")


def test_a_release_that_does_not_exist_names_the_nearest(path: Path) -> None:
    assert _problems(path, GOOD.replace("0.5.1", "0.5.2")) == [
        "inventory:4: clusters.kserve_release: there is no release 'kfserving-0.5.2'; "
        "expected kfserving-0.5.1"
    ]


def test_settings_are_judged_too_when_the_release_is_unknown(path: Path) -> None:
    settings = "kserve_settings: {gateway: {type: Portal}}"
    text = GOOD.replace("0.5.1", "0.5.2").replace("kserve_context: one", settings)

    problems = _problems(path, text)

    assert any("there is no release" in problem for problem in problems)
    assert any("one.kserve_settings.gateway.type" in problem for problem in problems)


def test_machines_are_looked_at_by_preflight_alone_and_their_variables_too(path: Path) -> None:
    text = GOOD + "nodes:\n  hosts:\n    node-1:\n      kserve_hosts_disk_gib: {}\n"

    assert len(_load(path, text).hosts) == 2
    assert _problems(path, text, "preflight") == [
        "inventory:17: node-1.kserve_hosts_disk_gib: it is {}; expected a number"
    ]


def test_a_cluster_listed_twice_in_one_group_is_refused(path: Path) -> None:
    text = GOOD + "        two:\n          kserve_context: three\n"

    assert _problems(path, text) == [
        "inventory:14: host two is here a second time; expected it once; the other is in line 12"
    ]


def test_a_cluster_listed_twice_in_one_section_of_an_ini_inventory_is_refused(path: Path) -> None:
    text = "[clusters]\none kserve_context=a\n[clusters:vars]\nkserve_release=kfserving-0.5.1\n"
    again = "[others]\none\n[clusters]\n# once more\none kserve_context=b\n"

    assert _problems(path, text + again) == [
        "inventory:9: host one is here a second time; expected it once; the other is in line 2"
    ]


def test_two_names_with_the_same_access_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").touch()
    both = f"kserve_kubeconfig: {tmp_path}/kubeconfig\n          kserve_context: same"
    text = GOOD.replace("kserve_context: one", both).replace("kserve_context: two", both)

    assert _problems(path, text) == [
        "inventory:13: two: it has the kubeconfig and the context of one; "
        "expected each cluster once"
    ]


def test_an_inventory_without_clusters_says_what_is_wanted(path: Path) -> None:
    with pytest.raises(UsageError, match="no cluster in the group clusters"):
        _load(path, "servers:\n  hosts:\n    one: {}\n")


def test_an_inventory_that_is_no_inventory_is_a_usage_error(path: Path) -> None:
    with pytest.raises(UsageError, match="Ansible cannot read the inventory"):
        _load(path, "clusters: [")


@pytest.fixture
def hanging(path: Path) -> Iterator[FleetOptions]:
    """An inventory that is a program, which never ends by itself; it has ended at the end."""
    path.write_text(f"#!/bin/sh\necho $$ > {path}.pid\nexec sleep 600\n")
    path.chmod(0o755)
    yield FleetOptions("install", (path,))
    pid = int(Path(f"{path}.pid").read_text())
    deadline = time.monotonic() + 5
    while _runs(pid):  # init takes a moment to bury it
        assert time.monotonic() < deadline, "it still runs"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_inventory_that_is_never_read_is_given_up(
    hanging: FleetOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "READING", 3.0)
    with pytest.raises(UsageError, match="has not read the inventory within 3 s") as raised:
        load(hanging, Cancel())
    assert raised.value.kind == "inventory"
    assert f"ansible-inventory --list -i {hanging.inventory[0]}" in raised.value.remedy


def test_a_stopped_run_does_not_wait_for_the_inventory(hanging: FleetOptions) -> None:
    cancel = Cancel()
    begun = Path(f"{hanging.inventory[0]}.pid")

    def stop_once_it_runs() -> None:
        while not begun.exists() or not begun.read_text():
            time.sleep(0.02)
        cancel.stop()

    threading.Thread(target=stop_once_it_runs, daemon=True).start()
    with pytest.raises(Interrupted):
        load(hanging, cancel)


def test_the_example_names_only_variables_that_there_are(path: Path) -> None:
    example = (Path(__file__).resolve().parents[2] / "inventory.example").read_text()
    # what is only a comment there is said, too
    said = "\n".join(
        line.replace("# ", "", 1) if "# kserve_" in line and "|" not in line else line
        for line in example.splitlines()
    )

    (path.parent / "said").write_text(said)
    names = {name for _, _, name in find_places([path.parent / "said"]).variables}

    ours = {name for name in names if not is_foreign(name)}
    assert ours <= set(known())
    assert set(known()) - ours <= {
        "kserve_hosts_root",
        "kserve_known_uids",
        "kserve_kubeconfig_content",
        "kserve_log_dir",
        "kserve_stop_file",
    }


def test_inner_groups_come_before_the_groups_that_hold_them() -> None:
    groups = {
        "all": {"children": ["clusters"]},
        "clusters": {"children": ["canary"]},
        "canary": {"hosts": ["one"]},
    }

    assert groups_of("one", groups) == ["canary", "clusters", "all"]
