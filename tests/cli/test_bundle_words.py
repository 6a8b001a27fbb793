"""`bundle` and `images` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

from cli_process import Run

from installer.catalog.load import load

RELEASE = "kfserving-0.5.1"


def test_images_are_one_a_line_each_once_and_those_of_the_catalog(command: Run) -> None:
    done = command("images", RELEASE)
    catalog = load()
    parts = [catalog.components[(r.name, r.version)] for r in catalog.releases[RELEASE].components]

    assert done.returncode == 0
    assert done.stdout.splitlines() == sorted({image for part in parts for image in part.images})


def test_images_by_component_are_a_document(command: Run) -> None:
    found = json.loads(command("images", RELEASE, "-o", "json").stdout)

    assert "kfserving 0.5.1" in [entry["component"] for entry in found]
    assert all(entry["images"] for entry in found)


def test_a_bundle_that_lacks_what_is_asked_for_ends_with_3_and_names_all(
    command: Run, tmp_path: Path
) -> None:
    done = command("bundle", "inspect", str(tmp_path), RELEASE)

    assert done.returncode == 3
    assert f"{tmp_path} holds no release whole" in done.stdout
    assert done.stdout.count("missing: ") == 6
    as_json = command("bundle", "inspect", str(tmp_path), RELEASE, "-o", "json")
    assert len(json.loads(as_json.stdout)["missing"]) == 6


def test_a_file_that_is_no_bundle_is_one_sentence(command: Run, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("not a tar")
    done = command("bundle", "inspect", str(tmp_path / "b.tar"))

    assert done.returncode == 2
    assert "it is no tar archive" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_release_is_refused_before_anything_is_fetched(
    command: Run, tmp_path: Path
) -> None:
    done = command("bundle", "create", str(tmp_path / "b.tar"), "kfserving-0.5.2")

    assert done.returncode == 2
    assert "did you mean" in done.stderr
    assert list(tmp_path.iterdir()) == []
