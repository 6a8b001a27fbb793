"""Bundle, mirror on disk and cache: what is found where, and what is said when it is not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from installer.catalog.cache import open_cache
from installer.catalog.missing import describe_places
from installer.catalog.model import Source
from installer.catalog.places import mirror_path, mirror_url
from installer.catalog.sources import SourceOptions, fetch
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, UsageError
from installer.core.events import Event, silent

MANIFEST = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: made-up}\n"
URL = "https://example.test/releases/v1/some thing.yaml".replace(" ", "%20")


def source(data: bytes = MANIFEST, url: str = URL, size: int | None = -1) -> Source:
    digest = hashlib.sha256(data).hexdigest()
    return Source(name="some.yaml", url=url, sha256=digest, size=len(data) if size == -1 else size)


def got(item: Source, options: SourceOptions, events: list[Event] | None = None) -> bytes:
    emit = silent if events is None else events.append
    return fetch([("part", item)], options, emit, Cancel())[item.sha256].read_bytes()


def refused(item: Source, options: SourceOptions) -> ChecksFailed:
    with pytest.raises(ChecksFailed) as caught:
        fetch([("part", item)], options, silent, Cancel())
    return caught.value


def tar(path: Path, files: dict[str, bytes], mode: Any = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    file = tmp_path / "mirror" / "example.test" / "releases" / "v1" / "some thing.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(MANIFEST)
    return tmp_path / "mirror"


@pytest.fixture
def options(tmp_path: Path, mirror: Path) -> SourceOptions:
    return SourceOptions(mirror=str(mirror), cache_dir=tmp_path / "cache")


def test_a_mirror_on_disk_is_laid_out_by_host_and_unquoted_path(options: SourceOptions) -> None:
    events: list[Event] = []
    assert got(source(), options, events) == MANIFEST
    assert [event.name for event in events] == ["source"]
    assert events[0].fields["origin"] == "mirror"
    assert events[0].fields["component"] == "part"
    assert events[0].fields["bytes"] == len(MANIFEST)


def test_a_mirror_may_be_given_as_a_file_url(options: SourceOptions, mirror: Path) -> None:
    options = SourceOptions(mirror=mirror.as_uri(), cache_dir=options.cache_dir)
    assert got(source(), options) == MANIFEST


@pytest.mark.parametrize("layout", ["example.test/releases/v1/some thing.yaml", "sha256/HASH"])
@pytest.mark.parametrize("packed", ["w", "w:gz", "w:xz", "folder"])
def test_a_bundle_may_be_packed_or_not_and_named_by_place_or_by_hash(
    tmp_path: Path, layout: str, packed: str
) -> None:
    name = layout.replace("HASH", source().sha256)
    bundle = tmp_path / "bundle"
    if packed == "folder":
        (bundle / name).parent.mkdir(parents=True)
        (bundle / name).write_bytes(MANIFEST)
    else:
        tar(bundle, {f"./{name}": MANIFEST, "other/file": b"x"}, packed)
    events: list[Event] = []
    options = SourceOptions(bundle=bundle, cache_dir=tmp_path / "cache")
    assert got(source(), options, events) == MANIFEST
    assert events[0].fields["origin"] == "bundle"


def test_a_bundle_is_asked_before_the_mirror(tmp_path: Path, mirror: Path) -> None:
    bundle = tar(tmp_path / "b.tar", {mirror_path(URL): MANIFEST})
    events: list[Event] = []
    options = SourceOptions(bundle=bundle, mirror=str(mirror), cache_dir=tmp_path / "cache")
    got(source(), options, events)
    assert events[0].fields["origin"] == "bundle"


def test_what_a_mirror_lacks_comes_from_the_cache(options: SourceOptions) -> None:
    other = source(b"other", "https://example.test/other.yaml")
    open_cache(options.cache_dir, silent).add(b"other", other.sha256)
    events: list[Event] = []
    assert got(other, options, events) == b"other"
    assert events[0].fields["origin"] == "cache"


def test_what_a_mirror_on_disk_gave_is_kept_for_commands_without_it(
    options: SourceOptions,
) -> None:
    got(source(), options)
    events: list[Event] = []
    assert got(source(), SourceOptions(offline=True, cache_dir=options.cache_dir), events)
    assert events[0].fields["origin"] == "cache"


def test_a_cache_that_cannot_take_it_does_not_keep_a_mirror_from_serving(
    options: SourceOptions,
) -> None:
    assert options.cache_dir is not None
    options.cache_dir.mkdir()
    (options.cache_dir / "sha256").write_text("a file where a folder belongs")
    assert got(source(), options) == MANIFEST


def test_what_neither_mirror_nor_cache_has_is_an_error_and_no_traffic(
    options: SourceOptions, mirror: Path
) -> None:
    first = source(b"one", "https://example.test/one.yaml")
    second = source(b"two", "https://example.test/two.yaml")
    with pytest.raises(ChecksFailed) as caught:
        fetch([("a", first), ("b", second), ("c", source())], options, silent, Cancel())
    error = caught.value
    assert error.kind == "source-missing"
    assert "2 files found in none of" in error.message
    assert f"mirror {mirror}" in error.message
    assert str(options.cache_dir) in error.message
    assert f"a, some.yaml: {mirror}/example.test/one.yaml" in error.message
    assert f"b, some.yaml: {mirror}/example.test/two.yaml" in error.message
    assert "--mirror" in error.remedy


def test_offline_never_asks_the_network(tmp_path: Path) -> None:
    error = refused(source(), SourceOptions(offline=True, cache_dir=tmp_path))
    assert error.kind == "source-missing"
    assert "--offline" not in error.remedy  # the command line has no such flag
    assert "--mirror" in error.remedy


def test_one_file_wanted_by_two_components_is_found_once(options: SourceOptions) -> None:
    events: list[Event] = []
    found = fetch([("a", source()), ("b", source())], options, events.append, Cancel())
    assert list(found) == [source().sha256]
    assert len(events) == 1


@pytest.mark.parametrize(
    ("bytes_there", "kind", "said"),
    [
        (MANIFEST.replace(b"made-up", b"evil-up"), "source-tampered", source().sha256),
        (MANIFEST[:-5], "source-truncated", f"{len(MANIFEST) - 5} of {len(MANIFEST)} bytes"),
        (MANIFEST + b"#", "source-oversized", f"instead of {len(MANIFEST)}"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>Log in", "source-html", "web page (HTML)"),
        (b"<!-- x --><HTML><body>" + b"x" * 900, "source-html", "login page"),
        (b"", "source-truncated", "0 of"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_wrong_bytes_in_a_mirror_or_bundle_are_named_for_what_they_are(
    tmp_path: Path, mirror: Path, bytes_there: bytes, kind: str, said: str, packed: bool
) -> None:
    options = SourceOptions(mirror=str(mirror), cache_dir=tmp_path / "cache")
    (mirror / mirror_path(URL)).write_bytes(bytes_there)
    if packed:
        bundle = tar(tmp_path / "b.tar.gz", {mirror_path(URL): bytes_there}, "w:gz")
        options = SourceOptions(bundle=bundle, cache_dir=tmp_path / "cache")
    error = refused(source(), options)
    assert error.kind == kind
    assert said in error.message
    assert "some.yaml" in error.message


def test_a_web_page_in_a_mirror_on_disk_is_not_to_be_opened_at_an_address(
    options: SourceOptions, mirror: Path
) -> None:
    (mirror / mirror_path(URL)).write_bytes(b"<html>log in</html>")
    remedy = refused(source(), options).remedy
    assert remedy == "see what the page says, and put the real file in its place"


def test_both_hashes_are_named_for_a_tampered_file(options: SourceOptions, mirror: Path) -> None:
    changed = MANIFEST.replace(b"made-up", b"evil-up")
    (mirror / mirror_path(URL)).write_bytes(changed)
    error = refused(source(), options)
    assert hashlib.sha256(changed).hexdigest() in error.message
    assert source().sha256 in error.message
    assert error.exit_code == 3


def test_an_error_about_a_source_begins_with_the_component_its_version_and_the_source(
    options: SourceOptions, mirror: Path
) -> None:
    (mirror / mirror_path(URL)).write_bytes(b"x" * len(MANIFEST))
    with pytest.raises(ChecksFailed) as caught:
        fetch([("part", source())], options, silent, Cancel(), "1.2.0")
    assert caught.value.message.startswith(f"part 1.2.0, some.yaml: {mirror_path(URL)} in ")
    assert str(caught.value) == caught.value.message


def test_a_bundle_that_is_no_archive_is_one_sentence(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar"
    bundle.write_text("not a tar")
    with pytest.raises(UsageError) as caught:
        fetch([("part", source())], SourceOptions(bundle=bundle), silent, Cancel())
    assert caught.value.message == f"bundle {bundle} cannot be read: it is no tar archive"
    assert caught.value.exit_code == 2


def test_a_mirror_that_is_no_address_is_refused_without_its_password() -> None:
    with pytest.raises(UsageError, match="--mirror is no address") as caught:
        fetch([("p", source())], SourceOptions(mirror="http://u:secret@[h/"), silent, Cancel())
    assert "secret" not in caught.value.message + caught.value.object


def test_a_broken_mirror_is_seen_even_when_the_cache_has_the_right_bytes(
    options: SourceOptions, mirror: Path
) -> None:
    open_cache(options.cache_dir, silent).add(MANIFEST, source().sha256)
    (mirror / mirror_path(URL)).write_bytes(b"x" * len(MANIFEST))
    assert refused(source(), options).kind == "source-tampered"


def test_a_damaged_cache_entry_is_removed_with_a_warning(tmp_path: Path) -> None:
    options = SourceOptions(offline=True, cache_dir=tmp_path)
    path = open_cache(tmp_path, silent).add(MANIFEST, source().sha256)
    path.write_bytes(b"rotten")
    events: list[Event] = []
    with pytest.raises(ChecksFailed, match="found in none"):
        fetch([("part", source())], options, events.append, Cancel())
    assert [event.name for event in events] == ["warning"]
    assert not path.exists()


@pytest.mark.parametrize("cut_off", [10, 120])
def test_a_broken_bundle_is_a_usage_error(tmp_path: Path, cut_off: int) -> None:
    data = tar(tmp_path / "b.tgz", {mirror_path(URL): os.urandom(5000)}, "w:gz").read_bytes()
    (tmp_path / "b.tgz").write_bytes(data[:cut_off])
    with pytest.raises(UsageError) as caught:
        got(source(), SourceOptions(bundle=tmp_path / "b.tgz", cache_dir=tmp_path / "cache"))
    assert "cannot be read" in caught.value.message


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bundle": Path("nowhere.tar")}, "--bundle nowhere.tar does not exist"),
        ({"mirror": "nowhere"}, "--mirror nowhere does not exist"),
        ({"mirror": "s3://bucket/x"}, "neither a directory nor an http(s) URL"),
        ({"mirror": __file__}, "is a file"),
    ],
)
def test_a_place_that_is_none_is_a_usage_error(
    tmp_path: Path, given: dict[str, object], said: str
) -> None:
    options = SourceOptions(cache_dir=tmp_path, **given)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        got(source(), options)
    assert said in caught.value.message


def test_links_in_a_bundle_are_not_followed(tmp_path: Path) -> None:
    bundle = tmp_path / "b.tar"
    with tarfile.open(bundle, "w") as archive:
        member = tarfile.TarInfo(mirror_path(URL))
        member.type = tarfile.SYMTYPE
        member.linkname = "/etc/hostname"
        archive.addfile(member)
    error = refused(source(), SourceOptions(bundle=bundle, cache_dir=tmp_path / "cache"))
    assert error.kind == "source-missing"


def test_a_url_cannot_lead_out_of_a_mirror() -> None:
    for path in ("/../../etc/passwd", "/a/%2e%2e/%2e%2e/b", "/a//b"):
        with pytest.raises(UsageError):
            mirror_path("https://example.test" + path)


def test_mirror_addresses_are_quoted_and_keep_their_token() -> None:
    assert (
        mirror_url("https://m.test/base/?sig=1", mirror_path("https://u:p@h.test/a%20b/c+d#x"))
        == "https://m.test/base/h.test/a%20b/c+d?sig=1"
    )


def test_passwords_and_tokens_of_addresses_are_never_shown(tmp_path: Path) -> None:
    options = SourceOptions(mirror="https://u:secret@m.test/x?sig=secret", offline=True)
    assert describe_places(options) == "mirror https://m.test/x, cache"
    error = refused(
        source(url="https://u:secret@h.test/x?sig=secret"),
        SourceOptions(offline=True, cache_dir=tmp_path),
    )
    assert "secret" not in str(error.to_dict())


def test_without_a_writable_cache_everything_works_and_a_warning_says_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("not a folder")
    bundle = tar(tmp_path / "b.tar", {mirror_path(URL): MANIFEST})
    events: list[Event] = []
    options = SourceOptions(bundle=bundle, cache_dir=tmp_path / "file" / "cache")
    assert got(source(), options, events) == MANIFEST
    assert got(source(), options, events) == MANIFEST
    assert [event.name for event in events] == ["warning", "source", "source"]
    assert "cannot be written" in events[0].fields["message"]


def test_without_a_home_there_is_no_cache_folder_named_tilde(tmp_path: Path) -> None:
    program = (
        "import pwd, sys\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "from installer.catalog.cache import default_directory\n"
        "print(default_directory())\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"


FILL = """
import json, resource, sys
from pathlib import Path
from typing import Any
from installer.catalog.cache import open_cache
from installer.core.errors import ChecksFailed
from installer.core.events import silent
limit, folder = int(sys.argv[1]), Path(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
cache = open_cache(folder, silent)
try:
    cache.add(b"x" * 1_000_000, "ab" * 32)
except ChecksFailed as error:
    left = [str(p) for p in folder.rglob("*") if p.is_file()]
    print(json.dumps({**error.to_dict(), "left": left}))
"""


def test_a_file_that_may_not_grow_is_explained_and_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL, "100000", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["kind"] == "disk-full"
    assert "no space left for downloads" in said["message"]
    assert said["left"] == []


def test_a_full_disk_is_explained_and_the_part_is_removed(tmp_path: Path) -> None:
    script = f'mount -t tmpfs -o size=128k none {tmp_path} && exec "$@"'
    command = ["unshare", "-Urm", "sh", "-c", script, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine does not allow a private mount, so no disk can be filled")
    command += [sys.executable, "-c", FILL, "0", str(tmp_path)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert said["kind"] == "disk-full"
    assert "No space left on device" in said["message"]
    assert said["left"] == []
