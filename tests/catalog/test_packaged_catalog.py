"""The catalog that is shipped: well formed, true to the real manifests, and in the wheel."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from installer.catalog.check import check
from installer.catalog.load import PACKAGED, load, load_releases
from installer.catalog.model import Component, Source
from installer.catalog.parse import parse
from installer.catalog.places import mirror_path
from installer.core.objects import Object

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped files, to be changed."""
    return Path(shutil.copytree(PACKAGED, tmp_path_factory.mktemp("catalog") / "versions"))


def known_files(shared: Path) -> dict[str, tuple[int | None, str]]:
    """(size, sha256) by URL of everything the facts record."""
    found: dict[str, tuple[int | None, str]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "url" in value and "sha256" in value:
                found[value["url"]] = (value.get("size"), value["sha256"])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    for name in ("components.json", "releases.json"):
        walk(json.loads((shared / "facts" / name).read_text()))
    index = json.loads((shared / "upstream" / "index.json").read_text())
    for url, entry in index.items():
        if url in found:
            assert found[url][1] == entry["sha256"], url
        found[url] = (entry["size"], entry["sha256"])
    return found


def test_the_shipped_catalog_is_well_formed() -> None:
    assert check() == []


def in_mirror(shared: Path, source: Source) -> bool:
    return (shared / "upstream" / (source.rendered or mirror_path(source.url))).exists()


def test_the_shipped_catalog_says_the_truth_about_the_real_manifests(shared: Path) -> None:
    """All that is said about files that are not in the mirror is that they are not."""
    missing = {
        (file, f"sources[{index}].url")
        for component in load().components.values()
        for file in [f"components/{component.name}/{component.version}.yaml"]
        for index, source in enumerate(component.sources)
        if not in_mirror(shared, source)
    }
    found = check(None, shared / "upstream")
    assert {(problem.file, problem.path) for problem in found} == missing
    assert {problem.expected for problem in found} == {"in the mirror"}
    assert {file.split("/")[1] for file, _ in missing} == {"kfserving", "kserve"}


def releases_of(shared: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / "facts" / "releases.json").read_text())
    return found


def name_of(fact: dict[str, Any]) -> str:
    return f"{fact['project'].lower()}-{fact['version'].removeprefix('v')}"


def test_it_has_every_release_that_upstream_tagged(shared: Path) -> None:
    dates = {name_of(fact): fact["date"] for fact in releases_of(shared)}
    assert {release.name: release.date for release in load().releases.values()} == dates
    assert len(dates) == 30


def test_group_and_versions_of_inferenceservices_are_those_of_the_crds(shared: Path) -> None:
    releases = load().releases
    for fact in releases_of(shared):
        serving = releases[name_of(fact)].serving
        crd = next(c for c in fact["crds"] if c["name"] == f"inferenceservices.{serving.group}")
        served = {version["name"] for version in crd["versions"] if version["served"]}
        assert set(serving.versions) == served, name_of(fact)


def test_counts_and_images_of_kserve_are_those_that_the_facts_record(shared: Path) -> None:
    """Images without a version in the facts are those that a ConfigMap has in two fields."""
    catalog = load()
    for fact in releases_of(shared):
        name, _, version = name_of(fact).partition("-")
        component = catalog.components[(name, version)]
        counts = (fact["objects_total"], len(fact["crds"]), len(fact["webhooks"]))
        claimed = component.counts
        assert (claimed.objects, claimed.crds, claimed.webhooks) == counts, name_of(fact)
        named = {*fact["workload_images"], *fact["other_images"]}
        bare = {image for image in named if ":" not in image}
        assert named - bare <= set(component.images), name_of(fact)
        assert {i.rpartition(":")[0] for i in component.images} == {
            i.rpartition(":")[0] or i for i in named
        }, name_of(fact)


def test_changes_of_kserve_are_those_that_the_facts_record(shared: Path) -> None:
    """Between neighbours: what is removed, what cannot be changed, whose stored version moves."""
    diffs = json.loads((shared / "facts" / "diffs.json").read_text())["kserve"]
    checked = 0
    for component in load().components.values():
        for change in component.changes if component.name in ("kserve", "kfserving") else ():
            told = diffs.get(f"v{change.since} -> v{component.version}")
            if told is not None:
                checked += 1
                removed = {text.rpartition("/")[2].split()[-1] for text in told.get("removed", ())}
                assert {match.name for match in change.removed} == removed
                fixed = {text.partition(":")[0].split()[-1] for text in told.get("immutable", ())}
                assert {match.name for match in change.immutable} == fixed
                moved = {
                    text.partition(":")[0]
                    for text in told.get("crd", ())
                    if "storage version" in text or "versions removed" in text
                }
                assert {match.name for match in change.storage} == moved
    assert checked > 20


def test_listing_releases_reads_what_loading_everything_reads() -> None:
    assert load_releases() == load().releases


def test_every_size_and_hash_is_one_that_the_facts_record(shared: Path) -> None:
    known = known_files(shared)
    rendered = 0
    for component in load().components.values():
        for source in component.sources:
            if source.kind == "istioctl":
                continue  # an archive that is in no index: the next test looks at what it renders
            if source.url in known:
                assert known[source.url] == (source.size, source.sha256), source.url
            else:  # of a tag without install files: the facts' own rendering has no address
                assert (source.size, source.sha256) in renderings(shared), source.url
                rendered += 1
    assert rendered == 4


def renderings(shared: Path) -> set[tuple[int, str]]:
    """(size, sha256) of what the facts rendered themselves."""
    return {
        (entry["size"], entry["sha256"])
        for fact in releases_of(shared)
        for entry in fact["manifests"]
        if entry["path"].startswith("(rendered)")
    }


def test_the_rendered_istio_is_the_one_of_the_facts(shared: Path) -> None:
    (source,) = load().components[("istio", "1.6.2")].sources
    assert source.rendered is not None
    entry = json.loads((shared / "upstream" / "index.json").read_text())[source.rendered]
    data = (shared / "upstream" / source.rendered).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert source.sha256 in (shared / "design.md").read_text()


def test_our_profile_for_istio_1_6_2_says_what_the_rendered_one_says(shared: Path) -> None:
    ours = yaml.safe_load((PACKAGED / "profiles" / "istio-1.6.2.yaml").read_text())["spec"]
    rendered = shared / "upstream" / "rendered" / "istio" / "1.6.2" / "profile.yaml"
    theirs = yaml.safe_load(rendered.read_text())["spec"]
    assert ours["values"] == theirs["values"]
    assert ours["components"] == theirs["components"]
    # the default profile of 1.6.2 turns on prometheus alone, so the others change nothing
    assert ours["addonComponents"].items() >= theirs["addonComponents"].items()
    assert not any(addon["enabled"] for addon in ours["addonComponents"].values())


def objects_of(component: Component, shared: Path) -> Iterator[Object]:
    for source in component.applied:
        path = source.rendered or source.url.removeprefix("https://")
        yield from parse((shared / "upstream" / path).read_bytes(), path)


def test_recorded_owners_of_fields_in_kfserving_0_5_1_are_all_in_the_catalog(shared: Path) -> None:
    """Whatever a controller wrote into one of our webhook configurations or Secrets is owned."""
    recorded = shared / "facts" / "recordings" / "kfserving-0.5.1" / "managed-fields"
    catalog = load()
    release = catalog.releases["kfserving-0.5.1"]
    parts = [catalog.components[(ref.name, ref.version)] for ref in release.components]
    checked = 0
    for component in parts:
        for obj in objects_of(component, shared):
            for path in written_by_controllers(recorded, obj):
                paths = {r.path for r in component.controller_owned if r.matches(obj)}
                assert path in paths, f"{obj['kind']} {obj['metadata']['name']}: {path}"
                checked += 1
    assert checked > 30


def written_by_controllers(recorded: Path, obj: Object) -> Iterator[str]:
    """Recorded paths, with `[*]` for items, that others than kubectl wrote into an object."""
    kinds = {
        "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
        "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
        "Secret": "secrets",
    }
    if obj["kind"] not in kinds:
        return
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace")
    entries = yaml.safe_load((recorded / f"{kinds[obj['kind']]}.yaml").read_text())
    managers = entries[f"{namespace}/{name}" if namespace else name]["managers"]
    for paths in managers.values():
        if isinstance(paths, list):
            for path in paths:
                if path.startswith("webhooks"):
                    yield "webhooks[*]" + path[path.index("]") + 1 :]
                elif path == "data":
                    yield path


def test_a_false_claim_is_found_in_the_manifests(copy: Path, shared: Path) -> None:
    knative = copy / "components" / "knative-serving" / "0.18.0.yaml"
    file = "components/knative-serving/0.18.0.yaml"
    data = yaml.safe_load(knative.read_text())
    data["counts"]["crds"] = 9
    data["images"][0] = "example.org/other:1"
    data["kubernetes"]["max"]["version"] = "1.25"
    data["controller_owned"].append(
        {"kind": "Secret", "name": "no-such", "path": "data", "owner": "nobody", "reason": "none"}
    )
    data["config_maps"].append("config-nothing")
    data["webhook_probes"][0]["versions"] = ["v1", "v9"]
    data["webhook_probes"].append({"group": "serving.knative.dev", "kind": "No", "passing": {}})
    data["changes"][0]["removed"] = [{"kind": "Service", "name": "activator-service"}]
    knative.write_text(yaml.safe_dump(data))
    kfserving = copy / "components" / "kfserving" / "0.5.1.yaml"
    kfserving.write_text(kfserving.read_text().replace(", cert-manager]", "]"))
    found = {
        (problem.file, problem.path)
        for problem in check(copy, shared / "upstream")
        if problem.expected != "in the mirror"
    }
    assert found == {
        (file, "counts"),
        (file, "images"),
        (file, "kubernetes.max"),
        (file, f"controller_owned[{len(data['controller_owned']) - 1}]"),
        (file, f"config_maps[{len(data['config_maps']) - 1}]"),
        (file, "webhook_probes[0].versions"),
        (file, f"webhook_probes[{len(data['webhook_probes']) - 1}]"),
        (file, "changes[0].removed[0]"),
        ("components/kfserving/0.5.1.yaml", "needs"),
    }


def test_other_bytes_and_missing_files_are_found_in_a_mirror(tmp_path: Path, shared: Path) -> None:
    source = load().components[("net-istio", "0.18.0")].sources[0]
    place = source.url.removeprefix("https://")
    changed = tmp_path / place
    changed.parent.mkdir(parents=True)
    changed.write_bytes((shared / "upstream" / place).read_bytes() + b"\n")
    problems = check(None, tmp_path)
    assert {p.path for p in problems if p.file == "components/net-istio/0.18.0.yaml"} == {
        "sources[0].sha256",
        "sources[0].size",
    }
    missing = [p for p in problems if p.file == "components/cert-manager/0.15.1.yaml"]
    assert [p.expected for p in missing] == ["in the mirror"]
    assert "No such file" in missing[0].found


def test_a_wheel_carries_the_catalog_and_the_playbooks(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("installer", "versions", "playbooks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, tree / name, symlinks=True, ignore=ignored)
    shutil.copy(CHECKOUT / "pyproject.toml", tree)
    (tree / "README.md").write_text("for the build\n")
    build = "import setuptools.build_meta as b; b.build_wheel('out')"
    (tree / "out").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (wheel,) = (tree / "out").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import installer.catalog.load as l; print(l.PACKAGED); print(*l.load(None).releases);"
        "from installer.catalog.check import check; print(len(check(None)));"
        "from installer.fleet.runner import playbook; print(playbook('install'));"
        "from installer.fleet.variables import known; print('kserve_release' in known())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    where, releases, problems, playbook, variables = ran.stdout.splitlines()
    assert Path(where) == site / "installer" / "_versions"
    assert releases.split() == list(load().releases)
    assert problems == "0"
    assert Path(playbook) == site / "installer" / "_playbooks" / "install.yaml"
    assert Path(playbook).is_file()
    assert variables == "True"
