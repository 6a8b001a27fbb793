"""The tools that write component files write those that are shipped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tools() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import catalog_changes

        yield catalog_changes
    finally:
        sys.path.pop(0)


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("component", "version"),
    [
        ("knative-serving", "1.4.0"),
        ("knative-serving", "1.13.1"),
        ("net-istio", "1.15.1"),
        ("istio", "1.24.2"),
        ("cert-manager", "1.16.1"),
        ("kserve", "0.8.0"),
        ("kserve", "0.12.1"),
        ("kserve", "0.16.0"),
        ("kserve", "0.18.0"),
    ],
)
def test_a_file_drafted_after_itself_stays_as_it_is(
    shared: Path, component: str, version: str
) -> None:
    """Where its manifests are at hand, and where there are records only."""
    from draft_component import draft
    from upstream_told import told

    what = told(component, version, shared / "facts", shared / "upstream")
    written = (ROOT / "versions" / "components" / component / f"{version}.yaml").read_text()
    assert draft(component, version, version, what) == written


@pytest.mark.usefixtures("tools")
def test_records_tell_what_the_manifests_tell(shared: Path, tmp_path: Path) -> None:
    """Of every KServe whose manifests are at hand, read once with and once without them."""
    from upstream_told import record_of, told

    facts = shared / "facts"
    compared = 0
    for path in sorted((ROOT / "versions" / "components" / "kserve").glob("*.yaml")):
        seen = told("kserve", path.stem, facts, shared / "upstream")
        if seen.objects:
            read = told("kserve", path.stem, facts, tmp_path)
            assert not read.objects
            assert (read.counts, read.last, read.first) == (seen.counts, seen.last, seen.first)
            assert read.converting == seen.converting
            assert sorted(read.certificates) == sorted(seen.certificates)
            assert record_of("kserve", path.stem, facts)["version"] == f"v{path.stem}"
            compared += 1
    assert compared == 9


def test_changes_are_those_of_every_step_that_an_upgrade_takes(tools: Any, shared: Path) -> None:
    from installer.catalog.load import load

    given = argparse.Namespace(facts=shared / "facts", mirror=shared / "upstream")
    catalog = load()
    wanted = tools.steps(catalog)
    for (name, version), component in catalog.components.items():
        since = [change.since for change in component.changes]
        assert since == list(wanted.get((name, version), ())), (name, version)
    for name, version, earlier in (
        ("kserve", "0.20.0", "0.16.0"),
        ("kserve", "0.18.0", "0.16.0"),
        ("knative-serving", "1.12.4", "1.11.6"),
    ):
        component = catalog.components[(name, version)]
        (change,) = (c for c in component.changes if c.since == earlier)
        found = tools.difference(catalog.components[(name, earlier)], component, given)
        told = {key: [item["name"] for item in items] for key, items in found.items()}
        assert told == {
            key: [match.name for match in getattr(change, key)]
            for key in ("removed", "immutable", "storage")
        }
