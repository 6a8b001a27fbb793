"""Bundles: what is written is what an install without a network finds."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest
from made_up import component

from installer.catalog.bundle import Contents, create
from installer.catalog.digest import objects_sha256
from installer.catalog.manifests import load_objects
from installer.catalog.model import Component, Source
from installer.catalog.parse import parse
from installer.catalog.sources import SourceOptions
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, UsageError
from installer.core.events import silent

MANIFEST = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: made-up}\n"
RENDERED = b"""\
apiVersion: v1
kind: ConfigMap
metadata: {name: words, namespace: made-up}
data: {yes: "yes", number: "1e3", empty: "", lines: "a\\n b\\n"}
"""
URL = "https://example.test/a.yaml"
ARCHIVE = "https://example.test/istio.tar.gz"


@pytest.fixture
def part() -> Component:
    digest = objects_sha256(parse(RENDERED, "rendered"))
    return component(
        Source(name="a", url=URL, sha256=hashlib.sha256(MANIFEST).hexdigest(), size=len(MANIFEST)),
        Source(
            name="istio",
            url=ARCHIVE,
            sha256="0" * 64,
            kind="istioctl",
            profile="profiles/istio-1.6.2.yaml",
            rendered="rendered/istio.yaml",
            rendered_objects_sha256=digest,
        ),
    )


@pytest.fixture
def options(tmp_path: Path) -> SourceOptions:
    mirror = tmp_path / "mirror"
    for path, data in (("example.test/a.yaml", MANIFEST), ("rendered/istio.yaml", RENDERED)):
        (mirror / path).parent.mkdir(parents=True)
        (mirror / path).write_bytes(data)
    catalog = tmp_path / "catalog"
    (catalog / "profiles").mkdir(parents=True)
    (catalog / "profiles" / "istio-1.6.2.yaml").write_text("kind: IstioOperator\n")
    return SourceOptions(mirror=str(mirror), cache_dir=tmp_path / "cache", catalog=catalog)


def without_anything_else(options: SourceOptions, bundle: Path, tmp_path: Path) -> SourceOptions:
    return SourceOptions(
        bundle=bundle, cache_dir=tmp_path / "empty", offline=True, catalog=options.catalog
    )


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz", "b.tgz"])
def test_an_install_finds_in_it_exactly_the_objects_that_went_in(
    part: Component, options: SourceOptions, tmp_path: Path, name: str
) -> None:
    made = create(tmp_path / name, [part], options, silent, Cancel())
    assert list(made.files) == ["example.test/a.yaml", "rendered/istio.yaml"]
    assert made.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    alone = without_anything_else(options, tmp_path / name, tmp_path)
    objects = load_objects(part, alone, silent, Cancel())
    assert objects == load_objects(part, options, silent, Cancel())
    assert Contents(str(tmp_path / name)).lacks(part) == []


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_equal_contents_give_equal_bytes(
    part: Component, options: SourceOptions, tmp_path: Path, ending: str
) -> None:
    digests = {
        create(tmp_path / f"{number}{ending}", [part], options, silent, Cancel()).sha256
        for number in range(2)
    }
    assert len(digests) == 1


def test_a_source_that_is_nowhere_leaves_no_file(
    part: Component, options: SourceOptions, tmp_path: Path
) -> None:
    (tmp_path / "mirror" / "example.test" / "a.yaml").unlink()
    before = set(tmp_path.iterdir())
    with pytest.raises(ChecksFailed, match="found in none"):
        create(tmp_path / "b.tar", [part], options, silent, Cancel())
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}


def test_files_that_are_nowhere_are_told_of_all_components_at_once(
    part: Component, options: SourceOptions, tmp_path: Path
) -> None:
    other = Source(name="b", url="https://example.test/b.yaml", sha256="1" * 64)
    (tmp_path / "mirror" / "example.test" / "a.yaml").unlink()
    with pytest.raises(ChecksFailed) as caught:
        create(tmp_path / "b.tar", [part, component(other, name="next")], options, silent, Cancel())
    assert caught.value.message.startswith("2 files found in none of mirror ")
    assert "part 1, a: " in caught.value.message
    assert "next 1, b: " in caught.value.message


def test_a_rendered_file_with_other_objects_is_named_with_its_component(
    part: Component, options: SourceOptions, tmp_path: Path
) -> None:
    rendered = Path(options.mirror or "") / "rendered" / "istio.yaml"
    rendered.write_bytes(RENDERED.replace(b"words", b"other"))
    with pytest.raises(ChecksFailed, match=r"part 1, istio: rendered/istio\.yaml in mirror"):
        create(tmp_path / "b.tar", [part], options, silent, Cancel())


def test_a_file_that_is_there_is_not_replaced(
    part: Component, options: SourceOptions, tmp_path: Path
) -> None:
    (tmp_path / "b.tar").write_text("precious")
    with pytest.raises(UsageError, match="it is there already"):
        create(tmp_path / "b.tar", [part], options, silent, Cancel())
    assert (tmp_path / "b.tar").read_text() == "precious"


def test_what_is_missing_and_what_is_damaged_are_told_apart(
    part: Component, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        (tmp_path / "a.yaml").write_bytes(MANIFEST.replace(b"made-up", b"evil-up"))
        archive.add(tmp_path / "a.yaml", "example.test/a.yaml")
    held = Contents(str(tmp_path / "b.tar"))
    assert [str(item) for item in held.lacks(part)] == ["part 1, a", "part 1, istio"]
    assert [error.kind for error in held.damaged] == ["source-tampered"]


def test_rendered_objects_that_are_not_the_catalogs_are_damaged(
    part: Component, options: SourceOptions
) -> None:
    mirror = Path(options.mirror or "")
    (mirror / "rendered" / "istio.yaml").write_bytes(RENDERED.replace(b"words", b"other"))
    held = Contents(str(mirror))
    assert [str(item) for item in held.lacks(part)] == ["part 1, istio"]
    assert "other objects than the catalog's" in held.damaged[0].message
