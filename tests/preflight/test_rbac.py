"""The rights that `rbac` prints: enough for install, status and uninstall, and no more."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from accounts import account, command, give, refused_writes, until

from installer.catalog.sources import SourceOptions
from installer.cluster import ledger
from installer.cluster.client import Cluster
from installer.core.cancel import Cancel
from installer.core.events import silent
from installer.operations.choice import InstallOptions, choose
from installer.operations.rbac import Rbac, rbac
from installer.preflight.rbac import (
    documents,
    namespaces_for,
    revocation,
    roles_of,
    rules_of,
    subject,
)
from installer.preflight.rights_held import Held, holds
from installer.preflight.rights_needed import Right, plural_of
from installer.sandbox import lifecycle

RELEASE = "kfserving-0.5.1"
SOMEONE = subject("User", "someone")


@pytest.fixture(scope="module")
def found(shared: Path) -> Rbac:
    """What `rbac` finds for the reference release."""
    options = InstallOptions(RELEASE, sources=SourceOptions(mirror=str(shared / "upstream")))
    return rbac(choose(options), SOMEONE, silent, Cancel())


def held_with(roles: Sequence[dict[str, Any]]) -> Held:
    return Held(
        False, {role["metadata"].get("namespace", ""): role.get("rules") or [] for role in roles}
    )


def smaller(roles: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The same roles, each time without one rule."""
    for place, role in enumerate(roles):
        for index in range(len(role["rules"])):
            rules = [*role["rules"][:index], *role["rules"][index + 1 :]]
            yield [*roles[:place], {**role, "rules": rules}, *roles[place + 1 :]]


def singles(rules: Sequence[dict[str, Any]], namespace: str) -> set[Right]:
    return {
        Right(namespace, group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def test_rules_give_exactly_the_rights_that_they_are_made_of() -> None:
    rights = {
        Right("", "", "pods", "list"),
        Right("", "", "pods", "get", "a"),
        Right("", "", "secrets", "get", "a"),
        Right("", "", "secrets", "get", "b"),
        Right("", "apps", "deployments", "list"),
    }
    assert singles(rules_of(rights), "") == rights


def test_the_roles_of_a_release_give_exactly_its_rights(found: Rbac) -> None:
    given: set[Right] = set()
    for role in roles_of(found.rights):
        given |= singles(role["rules"], role["metadata"].get("namespace", ""))
    assert given == set(found.rights)


def test_no_rule_can_be_left_out(found: Rbac) -> None:
    roles = roles_of(found.rights)
    assert all(holds(held_with(roles), right) for right in found.rights)
    for fewer in smaller(roles):
        have = held_with(fewer)
        assert not all(holds(have, right) for right in found.rights)


def test_nothing_is_a_wildcard_and_escalation_is_limited_to_names(found: Rbac) -> None:
    for right in found.rights:
        assert "*" not in (right.verb, right.group, right.resource)
        assert right.name or right.verb not in ("escalate", "bind")


def test_secrets_are_read_only_where_the_release_has_its_own(found: Rbac) -> None:
    read = {r.namespace for r in found.rights if r.resource == "secrets" and r.verb == "list"}
    assert "" not in read
    assert "kserve-installer" not in read


def test_users_objects_are_deleted_only_when_asked_for(found: Rbac, shared: Path) -> None:
    options = InstallOptions(RELEASE, sources=SourceOptions(mirror=str(shared / "upstream")))
    more = rbac(choose(options), SOMEONE, silent, Cancel(), custom_resources=True)
    right = Right("", "serving.kubeflow.org", "inferenceservices", "delete")
    assert right not in found.rights
    assert right in more.rights


def test_deleting_what_was_applied_takes_rights_away_and_no_namespace(found: Rbac) -> None:
    kinds = {item["kind"] for item in found.documents}
    assert kinds == {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def test_every_document_carries_the_label_that_the_revocation_selects(found: Rbac) -> None:
    selector = revocation().partition(" -l ")[2]
    key, _, value = selector.partition("=")
    assert all(item["metadata"]["labels"] == {key: value} for item in found.documents)
    assert value != ledger.MANAGER
    kinds = revocation().split()[2].split(",")
    assert {item["kind"].lower() for item in found.documents} == set(kinds)


def test_namespaces_that_roles_need_are_named_but_for_those_of_every_cluster() -> None:
    made = documents([Right("a", "", "pods", "list"), Right("kube-system", "", "pods", "list"),
                      Right("", "", "pods", "list")], SOMEONE)  # fmt: skip
    assert namespaces_for(made) == ["a"]


@pytest.mark.parametrize(
    ("kind", "plural"),
    [("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies"), ("Endpoints", "endpoints"),
     ("Deployment", "deployments"), ("PodSecurityPolicy", "podsecuritypolicies")],
)  # fmt: skip
def test_plurals_of_built_in_kinds(kind: str, plural: str) -> None:
    assert plural_of(kind) == plural


def test_what_is_printed_is_yaml_with_its_caveats_and_a_placeholder(shared: Path) -> None:
    done = command("rbac", RELEASE, "--mirror", str(shared / "upstream"))
    assert done.returncode == 0, done.stderr
    assert "# escalate and bind: " in done.stdout
    assert "#   kubectl create namespace kserve-installer\n" in done.stdout
    assert f"#   {revocation()}\n" in done.stdout
    bindings = [d for d in yaml.safe_load_all(done.stdout) if d["kind"].endswith("Binding")]
    assert {b["subjects"][0]["name"] for b in bindings} == {"NAME-OF-THE-USER"}


def test_the_command_to_apply_names_the_subject(shared: Path) -> None:
    given = ("--group", "my team", "--mirror", str(shared / "upstream"))
    done = command("rbac", RELEASE, *given, "-o", "yaml")
    said = f"kserve-installer {shlex.join(('rbac', RELEASE, *given))} | kubectl apply -f -"
    assert f"#   {said}\n" in done.stdout


def test_the_command_to_apply_prints_the_same_again(shared: Path, tmp_path: Path) -> None:
    settings = tmp_path / "my settings.yaml"
    head = "apiVersion: kserve-installer/v1\nkind: Settings\n"
    settings.write_text(f"{head}external: [istio, cert-manager]\n")
    given = ("-f", str(settings), "--mirror", str(shared / "upstream"), "--no-backup")
    way = ("--from", "kfserving-0.5.1", "--user", "ann")
    done = command("rbac", "kfserving-0.6.1", *way, *given)
    (line,) = [part for part in done.stdout.splitlines() if part.endswith("| kubectl apply -f -")]
    words = shlex.split(line.lstrip("# ").partition("|")[0])
    assert words[0] == "kserve-installer"
    assert command(*words[1:]).stdout == done.stdout


def test_bindings_are_for_one_subject() -> None:
    done = command("rbac", RELEASE, "--user", "a", "--group", "b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "one of --user, --group, --service-account" in done.stderr
    done = command("rbac", RELEASE, "--service-account", "installer")
    assert "is not a ServiceAccount such as NAMESPACE/NAME" in done.stderr


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_release_is_installed_and_removed_with_exactly_these_rights(
    sandbox_factory: Any, shared: Path, tmp_path: Path
) -> None:
    sandbox = sandbox_factory("1.20.2", fresh=True)
    admin = Cluster.connect(kubeconfig=str(sandbox.kubeconfig))
    mirror = ["--mirror", str(shared / "upstream")]
    printed = command("rbac", RELEASE, "--service-account", "default/installer", "-o", "json",
                      *mirror)  # fmt: skip
    roles = json.loads(printed.stdout)["items"]
    kubeconfig = account(admin, sandbox, "installer", tmp_path)
    for name in namespaces_for(roles):
        admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    give(admin, roles)
    flags = ["--kubeconfig", str(kubeconfig), "-o", "json"]
    checks = ["preflight", RELEASE, "--only", "rights", *flags, *mirror]
    until(lambda: command(*checks).returncode == 0)

    installed = command("install", RELEASE, "--yes", *flags, *mirror, timeout=600)
    assert installed.returncode == 0, installed.stdout[-3000:]
    report = json.loads(command("status", *flags).stdout)
    assert report["healthy"]
    assert not report["drift"]
    removed = command("uninstall", "--yes", *flags, timeout=600)
    assert removed.returncode == 0, removed.stdout[-3000:]
    assert admin.list("apps/v1", "Deployment").items == []
    assert refused_writes(sandbox.audit_log) == []
    lifecycle.down(sandbox.name)
