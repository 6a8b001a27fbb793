"""What is known about installations by others, held against the catalog and its manifests."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from installer.catalog.foreign import Project, load_foreign
from installer.catalog.load import load
from installer.catalog.model import Component
from installer.catalog.places import mirror_path

COMPONENTS = sorted(load().components.values(), key=lambda c: (c.name, c.version))
IDS = [f"{c.name}-{c.version}" for c in COMPONENTS]
STATIC = [c for c in COMPONENTS if all(s.kind == "manifest" for s in c.applied)]


def _project(component: Component) -> Project:
    project = load_foreign().of_component(component.name)
    assert project is not None, f"no project for {component.name}"
    return project


def _documents(shared: Path, component: Component) -> Iterator[dict]:
    for source in component.applied:
        path = shared / "upstream" / source.url.removeprefix("https://")
        for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
            if document:
                yield document


@pytest.mark.parametrize("component", COMPONENTS, ids=IDS)
def test_each_version_of_a_component_has_an_image_of_a_controller(component: Component) -> None:
    images = [image.partition("@")[0].rpartition(":")[0] or image for image in component.images]
    repositories = [image.partition("@")[0] for image in component.images] + images
    ends = _project(component).images
    assert any(r == end or r.endswith(f"/{end}") for r in repositories for end in ends)


def test_each_end_of_an_image_is_one_that_some_version_names_or_says_why_not() -> None:
    others = {"istio-release/pilot", "knative.dev/operator/cmd/operator"}
    named = {image.partition("@")[0].rsplit(":", 1)[0] for c in COMPONENTS for image in c.images}
    for project in load_foreign().projects:
        for end in set(project.images) - others:
            assert any(name.endswith(end) for name in named), end


@pytest.mark.parametrize("component", STATIC, ids=[f"{c.name}-{c.version}" for c in STATIC])
def test_webhooks_and_crds_of_the_manifests_are_known_as_the_projects(
    shared: Path, component: Component
) -> None:
    if not all((shared / "upstream" / mirror_path(s.url)).exists() for s in component.applied):
        pytest.skip("its manifests are not at hand")
    project = _project(component)
    foreign = {g for other in load_foreign().projects if other != project for g in other.groups}
    definitions = set()
    for document in _documents(shared, component):
        name = document["metadata"].get("name", "")
        if document["kind"].endswith("WebhookConfiguration"):
            for webhook in document["webhooks"]:
                known = any(fnmatchcase(webhook["name"], p) for p in project.webhooks)
                assert known, f"{webhook['name']} of {name}"
        if document["kind"] == "CustomResourceDefinition":
            assert name.partition(".")[2] not in foreign, name
            definitions.add(name)
    if definitions:
        assert project.essential in definitions


def test_every_mark_has_one_place_an_origin_and_a_way_to_remove() -> None:
    for mark in load_foreign().owners:
        places = [mark.label, mark.annotation, mark.owner_kind, mark.manager, mark.node_label]
        assert len([place for place in places if place]) == 1, mark
        assert mark.origin, mark
        assert mark.remove, mark
        assert mark.adopt or mark.why, mark
