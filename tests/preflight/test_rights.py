"""What the present user may do, told from rules, and on a real API server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from accounts import account, command, give, until

from installer.catalog.sources import SourceOptions
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.core.objects import ObjectId, Ref
from installer.operations.choice import InstallOptions, choose
from installer.operations.rbac import wanted_objects
from installer.plan.drift import Decision
from installer.preflight.rbac import namespaces_for
from installer.preflight.rights import new_namespaces, told, unsure
from installer.preflight.rights_held import Held, Lack, holds, not_held, settle
from installer.preflight.rights_needed import ROLES, Grant, Right
from installer.preflight.world import Part, Target
from installer.sandbox.lifecycle import SandboxInfo

RELEASE = "kfserving-0.5.1"

LIST_PODS = Right("home", "", "pods", "list")
GET_ONE = Right("home", "", "pods", "get", "one")


def rule(groups: list[str], resources: list[str], verbs: list[str], *names: str) -> dict[str, Any]:
    named = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": groups, "resources": resources, "verbs": verbs, **named}


@pytest.mark.parametrize(
    ("place", "rules", "right", "expected"),
    [
        ("home", [rule([""], ["pods"], ["list"])], LIST_PODS, True),
        ("", [rule(["*"], ["*"], ["*"])], LIST_PODS, True),
        ("away", [rule([""], ["pods"], ["list"])], LIST_PODS, False),
        ("home", [rule(["apps"], ["pods"], ["list"])], LIST_PODS, False),
        ("home", [rule([""], ["pods"], ["get"])], LIST_PODS, False),
        ("home", [rule([""], ["pods"], ["list"], "one")], LIST_PODS, False),
        ("home", [rule([""], ["pods"], ["get"], "one")], GET_ONE, True),
        ("home", [rule([""], ["pods"], ["get"], "two")], GET_ONE, False),
        ("home", [rule([""], ["pods"], ["get"])], GET_ONE, True),
        ("home", [], GET_ONE, False),
    ],
)
def test_a_rule_gives_a_right(
    place: str, rules: list[dict[str, Any]], right: Right, expected: bool
) -> None:
    assert holds(Held(False, {place: rules}), right) is expected


ROLE = Ref(f"{ROLES}/v1", "ClusterRole", "", "wide")
ESCALATE = Right("", ROLES, "clusterroles", "escalate", "wide")


def test_a_role_may_be_given_by_who_holds_all_its_rules() -> None:
    grant = Grant(ROLE, ESCALATE, [rule([""], ["pods", "secrets"], ["get"])])
    assert not_held(Held(False, {"": [rule([""], ["*"], ["get"])]}), grant) == []
    have = Held(False, {"": [rule([""], ["pods"], ["get"])]})
    assert not_held(have, grant) == ["get secrets"]


def test_a_role_may_be_given_with_the_verb_escalate() -> None:
    grant = Grant(ROLE, ESCALATE, [rule([""], ["secrets"], ["get"])], all_of_all=True)
    assert not_held(Held(False, {}), grant) == ["everything (it is made of other roles)"]
    have = Held(False, {"": [rule([ROLES], ["clusterroles"], ["escalate"], "wide")]})
    assert not_held(have, grant) == []


def test_rules_in_one_namespace_do_not_give_a_role_for_all() -> None:
    grant = Grant(ROLE, ESCALATE, [rule([""], ["pods"], ["get"])])
    assert not_held(Held(False, {"home": [rule(["*"], ["*"], ["*"])]}), grant) == ["get pods"]


NAMED = [Right("home", "", "pods", "get", f"pod-{number}") for number in range(1000)]


class Authorizer:
    """Allows what it is made with, and whatever that covers; counts its questions."""

    def __init__(self, *allowed: Right) -> None:
        self.allowed, self.asked = allowed, 0

    def __call__(self, rights: Sequence[Right]) -> list[bool]:
        self.asked += len(rights)
        return [
            any(
                (a.verb, a.resource) == (r.verb, r.resource)
                and a.namespace in ("", r.namespace)
                and a.name in ("", r.name)
                for a in self.allowed
            )
            for r in rights
        ]


@pytest.mark.parametrize(
    ("allowed", "rights", "asked", "lacking", "unsure"),
    [
        # one question for all answers for a thousand objects
        ([Right("", "", "pods", "get")], NAMED, 1, 0, 0),
        ([Right("home", "", "pods", "get")], NAMED, 2, 0, 0),
        ([NAMED[0]], NAMED[:3], 5, 2, 0),
        ([], NAMED[:3], 5, 3, 0),
        ([], [LIST_PODS, Right("", "", "pods", "list")], 2, 2, 0),
        # the bound: what was not asked is not said to be lacking
        ([], NAMED, 10, 8, 992),
        ([], [], 0, 0, 0),
    ],
)
def test_an_authorizer_that_lists_nothing_is_asked_from_wide_to_narrow(
    allowed: list[Right], rights: list[Right], asked: int, lacking: int, unsure: int
) -> None:
    server = Authorizer(*allowed)
    found = settle(rights, server, most=10)
    assert (server.asked, len(found.rights), len(found.unsure)) == (asked, lacking, unsure)


def test_rights_that_were_not_asked_are_unknown_and_not_missing() -> None:
    assert [d.verdict for d in unsure(Lack([LIST_PODS], NAMED))] == ["unknown"]
    assert list(unsure(Lack([LIST_PODS]))) == []


def test_what_is_missing_is_told_by_namespace_and_as_roles() -> None:
    details = list(told([LIST_PODS, GET_ONE, Right("", "", "nodes", "list")], "rbac a-release"))
    assert [d.object for d in details] == ["", "Namespace home"]
    assert "2 rights are missing in namespace home: list, get pods" in details[1].reason
    assert "rbac a-release" in details[0].remedy
    kinds = [item["kind"] for item in yaml.safe_load_all(details[0].data["rbac"])]
    assert kinds.count("Role") == kinds.count("ClusterRole") == 1


def test_namespaces_that_an_install_would_make_are_known(shared: Path) -> None:
    options = InstallOptions(RELEASE, sources=SourceOptions(mirror=str(shared / "upstream")))
    choice = choose(options)
    first = choice.components[0]
    wanted = wanted_objects(choice, [first], silent, Cancel())
    decisions: dict[ObjectId, Decision]
    for decision, expected in (("create", [first.namespace]), ("apply", [])):
        decisions = {item.ref.identity: decision for item in wanted}  # type: ignore[misc]
        part = Part(first, wanted, decisions, {})
        target = Target(choice.catalog, choice.release, [first], parts=[part])
        assert new_namespaces(target) == expected


@pytest.mark.cluster
def test_an_administrator_lacks_nothing(look: Any, sandbox: SandboxInfo) -> None:
    found = look(sandbox, only=("rights",))
    assert {f.verdict for f in found.values()} <= {"ok", "note"}, found


@pytest.mark.cluster
def test_an_account_without_rights_is_told_what_to_ask_for(
    look: Any, sandbox: SandboxInfo, tmp_path: Path
) -> None:
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    mine = account(admin, sandbox, "nobody", tmp_path)
    reader = {"apiGroup": ROLES, "kind": "ClusterRole", "name": "reads-all"}
    who = {"kind": "ServiceAccount", "namespace": "default", "name": "nobody"}
    role = {
        "apiVersion": f"{ROLES}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "reads-all"},
        "rules": [rule(["*"], ["*"], ["get", "list"])],
    }
    binding = {
        "apiVersion": f"{ROLES}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "reads-all"},
        "roleRef": reader,
        "subjects": [who],
    }
    made, places = [role, binding], []
    give(admin, made)
    as_account = Cluster.connect(kubeconfig=str(mine))
    until(lambda: _reads(as_account))
    try:
        found = look(sandbox, only=("rights",), kubeconfig=mine)
        objects, escalation = found["rights-objects"], found["rights-escalation"]
        assert objects.verdict == escalation.verdict == "failed"
        assert any("namespaces" in d.reason for d in objects.details)
        assert any("ClusterRole istiod-istio-system" in d.reason for d in escalation.details)
        asked = list(yaml.safe_load_all(objects.details[0].data["rbac"]))
        places = objects.details[0].data["rbac_namespaces"]
        assert places == namespaces_for(asked)
        made += [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                 for name in places]  # fmt: skip
        give(admin, made)
        for item in asked:
            if "subjects" in item:
                item["subjects"] = [who]
        made += asked
        give(admin, asked)
        until(
            lambda: (
                look(sandbox, only=("rights",), kubeconfig=mine)["rights-objects"].verdict
                in ("ok", "note")
            )
        )
    finally:
        for item in reversed(made):
            metadata = item["metadata"]
            admin.delete(Ref(item["apiVersion"], item["kind"], metadata.get("namespace", ""),
                             metadata["name"]))  # fmt: skip
        # the sandbox is shared: whoever comes next meets no namespace that is going
        until(lambda: not any(admin.get(Ref("v1", "Namespace", "", name)) for name in places))


def _reads(cluster: Cluster) -> bool:
    try:
        cluster.list("v1", "Node")
    except ApiError:
        return False
    return True


@pytest.mark.cluster
def test_an_install_that_may_not_look_ends_before_it_writes_and_says_how_to_get_the_rights(
    sandbox: SandboxInfo, shared: Path, tmp_path: Path
) -> None:
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    nobody = account(admin, sandbox, "lookless", tmp_path)
    mirror = ("--mirror", str(shared / "upstream"))
    ended = command("install", RELEASE, "--kubeconfig", str(nobody), "--yes", "-o", "json", *mirror)
    admin.close()
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, last["writes"]) == (3, 0)
    assert last["error"]["kind"] == "forbidden"
    assert "kserve-installer rbac" in last["error"]["remedy"]
