"""What an upgrade takes beside its installs, told without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from installer.catalog.load import load
from installer.catalog.sources import SourceOptions
from installer.core.cancel import Cancel
from installer.core.errors import UsageError
from installer.core.events import silent
from installer.operations.choice import InstallOptions, choose
from installer.operations.rbac import rbac
from installer.preflight.rbac import subject
from installer.preflight.rights_needed import Right
from installer.preflight.world import Target

OLD, NEW = "serving.kubeflow.org", "serving.kserve.io"
SOMEONE = subject("User", "someone")


@pytest.mark.parametrize(
    ("release", "more", "command"),
    [
        ("kfserving-0.5.1", {}, "rbac kfserving-0.5.1"),
        (
            "kfserving-0.5.1",
            {"flags": " -f 'a b.yaml' --mirror /srv/m"},
            "rbac kfserving-0.5.1 -f 'a b.yaml' --mirror /srv/m",
        ),
        ("kfserving-0.5.1", {"backup": False}, "rbac kfserving-0.5.1"),
        (
            "kfserving-0.6.1",
            {"origin": "kfserving-0.5.1", "backup": False, "flags": " --bundle b.tar"},
            "rbac kfserving-0.6.1 --from kfserving-0.5.1 --no-backup --bundle b.tar",
        ),
        (  # a rollback: the way is known by its earlier end
            "kfserving-0.5.1",
            {"origin": "kfserving-0.6.1"},
            "rbac kfserving-0.6.1 --from kfserving-0.5.1",
        ),
    ],
)
def test_the_command_for_the_rights_has_what_the_checks_were_given(
    release: str, more: dict[str, Any], command: str
) -> None:
    catalog = load()
    target = Target(catalog, catalog.releases[release], (), **more)
    assert target.rbac == f"kserve-installer {command}"


def rights_of(
    shared: Path, release: str, origin: str = "", *, backup: bool = True
) -> frozenset[Right]:
    sources = SourceOptions(mirror=str(shared / "upstream"))
    choice = choose(InstallOptions(release, sources=sources))
    found = rbac(choice, SOMEONE, silent, Cancel(), origin=origin, backup=backup)
    return frozenset(found.rights)


def everywhere(rights: frozenset[Right], resource: str, group: str = "") -> set[str]:
    """Verbs on objects of any name in any namespace."""
    sought = ("", group, resource, "")
    return {r.verb for r in rights if (r.namespace, r.group, r.resource, r.name) == sought}


@pytest.fixture(scope="module")
def moving(shared: Path) -> frozenset[Right]:
    """From KFServing to KServe."""
    return rights_of(shared, "kserve-0.7.0", "kfserving-0.6.1")


@pytest.fixture(scope="module")
def staying(shared: Path) -> frozenset[Right]:
    """Inside one API group."""
    return rights_of(shared, "kfserving-0.6.1", "kfserving-0.5.1")


def test_both_ends_can_be_installed_and_removed_too(moving: frozenset[Right], shared: Path) -> None:
    for release in ("kfserving-0.6.1", "kserve-0.7.0"):
        for right in rights_of(shared, release):
            wider = [
                Right(namespace, right.group, right.resource, right.verb, name)
                for namespace in ("", right.namespace)
                for name in ("", right.name)
            ]
            assert any(each in moving for each in wider), right


def test_objects_of_users_are_written_only_where_they_move(
    moving: frozenset[Right], staying: frozenset[Right]
) -> None:
    assert {"patch", "list", "get"} <= everywhere(moving, "configmaps") & everywhere(
        moving, "services"
    )
    assert "patch" in everywhere(moving, "secrets")
    kinds = [(name, "") for name in ("services", "secrets", "configmaps")]
    for resource, group in (*kinds, ("deployments", "apps"), ("trainedmodels", OLD)):
        assert not everywhere(staying, resource, group) & {"create", "update", "patch", "delete"}


def test_objects_are_rewritten_only_of_kinds_whose_stored_version_may_go(
    moving: frozenset[Right], staying: frozenset[Right]
) -> None:
    status = "customresourcedefinitions/status"
    struck = {right.name for right in moving if right.resource == status}
    assert f"inferenceservices.{OLD}" in struck
    assert not {name for name in struck if name.startswith("trainedmodels.")}
    assert Right("", OLD, "trainedmodels", "update") not in moving
    assert Right("", OLD, "inferenceservices", "update") in moving
    # 0.5.1 and 0.6.1 have the same versions of it
    assert f"inferenceservices.{OLD}" not in {r.name for r in staying if r.resource == status}


def test_webhooks_are_only_cut_down_where_some_stay(moving: frozenset[Right]) -> None:
    cut = {
        (right.resource, right.name)
        for right in moving
        if right.group == "admissionregistration.k8s.io" and right.verb == "update"
    }
    assert cut == {
        ("mutatingwebhookconfigurations", f"inferenceservice.{OLD}"),
        ("mutatingwebhookconfigurations", f"inferenceservice.{NEW}"),
    }


def test_secrets_of_users_are_read_for_the_backup_alone(
    staying: frozenset[Right], shared: Path
) -> None:
    without = rights_of(shared, "kfserving-0.6.1", "kfserving-0.5.1", backup=False)
    assert {"get", "list"} <= everywhere(staying, "secrets")
    assert everywhere(without, "secrets") == set()
    assert everywhere(without, "serviceaccounts") == set()


def test_a_way_that_the_catalog_does_not_know_is_refused_with_those_it_does(shared: Path) -> None:
    with pytest.raises(UsageError) as refused:
        rights_of(shared, "kfserving-0.5.1", "kserve-0.7.0")
    assert "no upgrade leads from kserve-0.7.0 to kfserving-0.5.1" in refused.value.message
    assert "kserve-0.8.0" in refused.value.remedy
