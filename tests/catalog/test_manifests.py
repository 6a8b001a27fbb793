"""Manifest text to objects, as kubectl would read it; and the cache of parsed manifests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up import component

from installer.catalog.cache import Cache, open_cache
from installer.catalog.digest import objects_sha256
from installer.catalog.manifests import load_each, load_objects, objects_of
from installer.catalog.model import Source
from installer.catalog.parse import parse
from installer.catalog.sources import SourceOptions
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, Interrupted, InvalidInput
from installer.core.events import Event, silent

NAMESPACE = b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: made-up\n"


def value(text: str) -> Any:
    """What a manifest's `value` becomes."""
    data = NAMESPACE + f"value: {text}\n".encode()
    return parse(data, "m.yaml")[0]["value"]


def problems(data: bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse(data, "m.yaml")
    return [str(problem) for problem in caught.value.problems]


# What go-yaml v2 (sigs.k8s.io/yaml, so kubectl) makes of plain scalars; see its resolve.go.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", True),
        ("On", True),
        ("y", True),
        ("OFF", False),
        ("n", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("'yes'", "yes"),
        ("!!str yes", "yes"),
        ("~", None),
        ("", None),
        ("null", None),
        ("2021-01-01", "2021-01-01"),
        ("2021-01-01T10:00:00Z", "2021-01-01T10:00:00Z"),
        ("10:30", "10:30"),
        ("1:30:20", "1:30:20"),
        ("8080:80", "8080:80"),
        ("0644", 420),
        ("0o644", 420),
        ("08", 8),
        ("0x1F", 31),
        ("-0b11", -3),
        ("1_000", 1000),
        ("+7", 7),
        ("18446744073709551616", 18446744073709551616),
        ("1.0", 1),
        ("1e3", 1000),
        ("4.294967295e+09", 4294967295),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("1e999", "1e999"),
        ("v1", "v1"),
        ("-x", "-x"),
        ("=", "="),
        ("100m", "100m"),
        ("!!int '7'", 7),
        ("!!float 7", 7),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("{yes: 1, 2: b, 1.5: c}", {"true": 1, "2": "b", "1.5": "c"}),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (".nan", "a finite number"),
        ("-.inf", "a finite number"),
        ("!!binary aGk=", "the tag tag:yaml.org,2002:binary"),
        ("!mine x", "the tag !mine"),
        ("!!set {a, b}", "the tag tag:yaml.org,2002:set"),
        ("{null: a}", "a null as a key"),
        ("{[a]: b}", "a list as a key"),
        ("{<<: 7}", "a merge (<<) of something else"),
        ("*nobody", "*nobody before its anchor"),
        ("&a [*a]", "*a before its anchor"),
        ("[" * 250 + "]" * 250, "nesting of 201 levels"),
    ],
)
def test_what_json_cannot_hold_is_said_with_its_line(text: str, said: str) -> None:
    data = NAMESPACE + f"value: {text}\n".encode()
    (problem,) = problems(NAMESPACE + b"---\n" + data)
    assert problem.startswith("m.yaml: document 2, line 10: ")
    assert said in problem


def test_anchors_give_own_copies() -> None:
    found = value("{a: &x {k: [1]}, b: *x, c: {<<: *x, k2: 2}, d: {k: 0, !!merge <<: [*x]}}")
    assert found == {"a": {"k": [1]}, "b": {"k": [1]}, "c": {"k": [1], "k2": 2}, "d": {"k": 0}}
    found["a"]["k"].append(2)
    assert found["b"] == {"k": [1]}


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    (problem,) = problems(NAMESPACE + "\n".join(lines).encode())
    assert "multiply" in problem


def test_empty_documents_are_skipped_and_lists_expanded() -> None:
    text = b"""
# only a comment
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Secret, metadata: {name: a}}
- apiVersion: v1
  kind: List
  items: [{apiVersion: v1, kind: Secret, metadata: {name: b}}]
---
apiVersion: v1
kind: ConfigMapList
items: [{metadata: {name: c}}]
---
apiVersion: v1
kind: List
items:
---
{apiVersion: batch/v1, kind: Job, metadata: {generateName: d-}}
...
"""
    found = [
        (o["kind"], o["metadata"].get("name") or o["metadata"]["generateName"])
        for o in parse(text, "m.yaml")
    ]
    assert found == [("Secret", "a"), ("Secret", "b"), ("ConfigMap", "c"), ("Job", "d-")]


def test_an_object_whose_kind_ends_in_list_is_no_list() -> None:
    text = b"{apiVersion: x/v1, kind: AllowList, metadata: {name: a}, spec: {}}"
    assert parse(text, "m.yaml")[0]["kind"] == "AllowList"


def test_every_document_that_is_no_object_is_named() -> None:
    found = problems(
        b"- a\n---\njust text\n---\nkind: A\nmetadata: {name: a}\n---\napiVersion: v1\n---\n"
        b"apiVersion: v1\nkind: A\n---\napiVersion: v1\nkind: A\nmetadata: {labels: {}}\n---\n"
        b"apiVersion: v1\nkind: List\nitems: [7]\n"
    )
    assert found == [
        "m.yaml: document 1 (line 1): a list; expected a Kubernetes object (a mapping)",
        "m.yaml: document 2 (line 2): a text; expected a Kubernetes object (a mapping)",
        "m.yaml: document 3 (line 4): an object without apiVersion; expected apiVersion, a text",
        "m.yaml: document 4 (line 7): an object without kind; expected kind, a text",
        "m.yaml: document 5 (line 9): A without metadata; expected metadata, a mapping",
        "m.yaml: document 6 (line 12): A without a name; expected metadata.name, a text",
        "m.yaml: document 7 (line 16), items[0]: a number; "
        "expected a Kubernetes object (a mapping)",
    ]


@pytest.mark.parametrize(
    "broken", [b"a: [\n", b"\ta: b\n", b"a: b: c\n", b"a: 'x\n", b"\xff\xfe\xff", b"a: \x07\n"]
)
def test_what_is_not_yaml_is_said_with_its_place(broken: bytes) -> None:
    found = problems(broken)
    assert len(found) == 1
    assert found[0].startswith("m.yaml: document 1")
    assert "not YAML" in found[0]


def test_problems_before_a_syntax_error_are_kept() -> None:
    found = problems(b"- a\n---\na: [\n")
    assert [("a list" in found[0]), ("not YAML" in found[1])] == [True, True]


def test_the_digest_of_objects_ignores_order_and_layout() -> None:
    one = parse(b"---\n" + NAMESPACE + b"---\n{kind: A, apiVersion: v1, metadata: {name: b}}", "")
    two = parse(b"apiVersion: v1\nkind: A\nmetadata:\n  name: 'b'\n---\n" + NAMESPACE, "")
    assert one != two
    assert objects_sha256(one) == objects_sha256(two)
    two[0]["metadata"]["name"] = "c"
    assert objects_sha256(one) != objects_sha256(two)


FILES = [
    "github.com/jetstack/cert-manager/releases/download/v0.15.1/cert-manager.yaml",
    "raw.githubusercontent.com/knative/operator/v0.18.0/cmd/operator/kodata/knative-serving/"
    "0.18.0/1-serving-crds.yaml",
    "raw.githubusercontent.com/knative/operator/v0.18.0/cmd/operator/kodata/knative-serving/"
    "0.18.0/2-serving-core.yaml",
    "raw.githubusercontent.com/knative/operator/v0.18.0/cmd/operator/kodata/knative-serving/"
    "0.18.0/4-net-istio.yaml",
    "raw.githubusercontent.com/kserve/kserve/v0.5.1/install/v0.5.1/kfserving.yaml",
    "rendered/istio/1.6.2/kfserving-quick-install.yaml",
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.rpartition("/")[2])
def test_real_manifests_give_what_pyyaml_gives(shared: Path, file: str) -> None:
    data = (shared / "upstream" / file).read_bytes()
    expected = [d for d in yaml.load_all(data, Loader=yaml.CSafeLoader) if d]
    found = parse(data, file)
    assert found == expected
    assert json.loads(json.dumps(found)) == found


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(tmp_path, silent)


SHA256 = hashlib.sha256(NAMESPACE).hexdigest()


def kept(cache: Cache) -> Path:
    (path,) = cache.directory.glob("parsed/*/*.json")
    return path


def test_a_manifest_is_parsed_once(cache: Cache, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_bytes(NAMESPACE)
    first = objects_of(file, SHA256, cache)
    assert first[0]["metadata"] == {"name": "made-up"}
    file.unlink()
    assert objects_of(file, SHA256, cache) == first


def test_objects_from_the_cache_are_own_copies(cache: Cache) -> None:
    objects_of(NAMESPACE, SHA256, cache)
    objects_of(NAMESPACE, SHA256, cache)[0]["metadata"]["name"] = "changed"
    assert objects_of(NAMESPACE, SHA256, cache)[0]["metadata"]["name"] == "made-up"


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_damaged_parsed_objects_are_parsed_again(cache: Cache, damage: str) -> None:
    first = objects_of(NAMESPACE, SHA256, cache)
    path = kept(cache)
    data = path.read_bytes()
    changed = {"cut": data[:-3], "changed": data.replace(b"made", b"evil"), "empty": b""}
    path.write_bytes(changed[damage])
    assert objects_of(NAMESPACE, SHA256, cache) == first
    assert path.read_bytes() == data


@pytest.mark.parametrize("with_cache", [True, False])
def test_bytes_are_verified_before_they_are_parsed(cache: Cache, with_cache: bool) -> None:
    with pytest.raises(ChecksFailed) as caught:
        objects_of(b"a: [", SHA256, cache if with_cache else None)
    assert caught.value.kind == "source-tampered"


def test_what_is_no_manifest_is_not_kept(cache: Cache) -> None:
    data = b"- a\n"
    with pytest.raises(InvalidInput):
        objects_of(data, hashlib.sha256(data).hexdigest(), cache)
    assert list(cache.directory.rglob("*.json")) == []


def in_mirror(mirror: Path, name: str, data: bytes, **more: Any) -> Source:
    mirror.mkdir(parents=True, exist_ok=True)
    (mirror / "example.test").mkdir(exist_ok=True)
    (mirror / "example.test" / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    url = f"https://example.test/{name}"
    return Source(name=name, url=url, sha256=digest, size=len(data), **more)


def test_a_component_has_the_objects_of_its_sources_in_order(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    second = NAMESPACE.replace(b"made-up", b"second")
    part = component(
        in_mirror(mirror, "b.yaml", second + b"---\n" + NAMESPACE),
        in_mirror(mirror, "z.yaml", NAMESPACE.replace(b"made-up", b"no"), optional=True),
        in_mirror(mirror, "a.yaml", NAMESPACE),
    )
    events: list[Event] = []
    options = SourceOptions(mirror=str(mirror), cache_dir=tmp_path / "cache")
    objects = load_objects(part, options, events.append, Cancel())
    assert [o["metadata"]["name"] for o in objects] == ["second", "made-up", "made-up"]
    assert [event.name for event in events] == ["source", "source"]
    assert load_objects(part, options, silent, Cancel()) == objects


def test_a_component_without_objects_is_an_error(tmp_path: Path) -> None:
    part = component(in_mirror(tmp_path / "mirror", "a.yaml", b"# nothing\n"))
    options = SourceOptions(mirror=str(tmp_path / "mirror"), cache_dir=tmp_path / "cache")
    with pytest.raises(ChecksFailed, match="hold no object"):
        load_objects(part, options, silent, Cancel())


def test_a_stopped_run_reads_nothing(tmp_path: Path) -> None:
    part = component(in_mirror(tmp_path / "mirror", "a.yaml", NAMESPACE))
    options = SourceOptions(mirror=str(tmp_path / "mirror"), cache_dir=tmp_path / "cache")
    cancel = Cancel()
    cancel.stop()
    with pytest.raises(Interrupted):
        load_objects(part, options, silent, cancel)


def test_a_manifest_that_is_no_manifest_is_named_by_its_address(tmp_path: Path) -> None:
    part = component(in_mirror(tmp_path / "mirror", "a.yaml", b"- a\n"))
    options = SourceOptions(mirror=str(tmp_path / "mirror"), cache_dir=tmp_path / "cache")
    with pytest.raises(InvalidInput) as caught:
        load_objects(part, options, silent, Cancel())
    assert "https://example.test/a.yaml: document 1 (line 1): a list" in caught.value.message


def test_files_that_a_mirror_lacks_are_told_of_all_components_at_once(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    sources = [
        in_mirror(mirror, f"{letter}.yaml", NAMESPACE.replace(b"made-up", letter.encode()))
        for letter in "abc"
    ]
    parts = [component(item, name=f"part-{item.name[0]}") for item in sources]
    options = SourceOptions(mirror=str(mirror), cache_dir=tmp_path / "cache")
    for letter in "ac":
        (mirror / "example.test" / f"{letter}.yaml").unlink()
    with pytest.raises(ChecksFailed) as caught:
        load_each(parts, options, silent, Cancel())
    error = caught.value
    assert error.kind == "source-missing"
    assert error.message.startswith(f"2 files found in none of mirror {mirror}, cache ")
    assert f"part-a 1, a.yaml: {mirror}/example.test/a.yaml" in error.message
    assert f"part-c 1, c.yaml: {mirror}/example.test/c.yaml" in error.message
    assert "b.yaml" not in error.message


def test_components_are_loaded_in_their_order(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    options = SourceOptions(mirror=str(mirror), cache_dir=tmp_path / "cache")
    names = [f"part-{index}" for index in range(9)]
    parts = [
        component(
            in_mirror(mirror, f"{name}.yaml", NAMESPACE.replace(b"made-up", name.encode())),
            name=name,
        )
        for name in names
    ]
    found = load_each(parts, options, silent, Cancel())
    assert [[obj["metadata"]["name"] for obj in objects] for objects in found] == [
        [name] for name in names
    ]
