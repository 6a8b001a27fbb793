"""Sources that upstream ships as a generator.

The real istioctl is not run here: a small script takes its place. These tests prove how we handle
a generator, not what istioctl prints; what it printed is checked by the digest in the catalog.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import made_up
import pytest
from faulty_server import running, whole

from installer.catalog import render
from installer.catalog.digest import objects_sha256
from installer.catalog.manifests import load_objects
from installer.catalog.model import Component, Source
from installer.catalog.parse import parse
from installer.catalog.sources import SourceOptions
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, Interrupted, InvalidInput
from installer.core.events import Event, silent
from installer.core.objects import Object

PRINTS = """#!/bin/sh
cat <<END
apiVersion: v1
kind: ConfigMap
metadata: {name: seen}
data:
  arguments: "$*"
  profile: "$(cat "$4")"
  home: "$HOME"
  kubeconfig: "$KUBECONFIG"
  proxy: "$HTTPS_PROXY"
  secret: "$MADE_UP_SECRET"
END
"""
ONE = '#!/bin/sh\necho "{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}"\n'
RENDERED = b"kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: one\n"
DIGEST = objects_sha256(parse(RENDERED, ""))
PLACE = "rendered/istio/1.0/made-up.yaml"

only_where_it_runs = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the generator is for linux/amd64"
)


def archive(script: str, name: str = "istio-1.0/bin/istioctl", link: str = "") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for path, content in (("istio-1.0/README", b"x"), (name, script.encode())):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            if link and path == name:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, link, 0
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


class Setting:
    """A catalog with one profile, a mirror and a cache."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.mirror = folder / "mirror"
        (folder / "catalog" / "profiles").mkdir(parents=True)
        self.profile = folder / "catalog" / "profiles" / "made-up.yaml"
        self.profile.write_text("made-up profile")
        self.mirror.mkdir()
        self.options = SourceOptions(
            mirror=str(self.mirror), cache_dir=folder / "cache", catalog=folder / "catalog"
        )

    def source(self, data: bytes, digest: str | None = None) -> Source:
        file = self.mirror / "example.test" / "istio.tar.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        return Source(
            name="istio",
            url="https://example.test/istio.tar.gz",
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            kind="istioctl",
            profile="profiles/made-up.yaml",
            rendered=PLACE,
            rendered_objects_sha256=digest,
        )

    def put_rendered(self, data: bytes = RENDERED) -> None:
        (self.mirror / PLACE).parent.mkdir(parents=True, exist_ok=True)
        (self.mirror / PLACE).write_bytes(data)

    def objects(self, source: Source, events: list[Event] | None = None) -> list[Object]:
        emit = silent if events is None else events.append
        return load_objects(component(source), self.options, emit, Cancel())

    def refused(self, source: Source) -> ChecksFailed:
        with pytest.raises(ChecksFailed) as caught:
            self.objects(source)
        return caught.value

    def left(self) -> list[str]:
        return [path.name for path in (self.folder / "cache").glob("render-*")]


def component(source: Source) -> Component:
    return made_up.component(source, name="istio", version="1.0")


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


@only_where_it_runs
def test_the_generator_runs_on_the_profile_without_our_environment(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE_UP_SECRET", "secret")
    monkeypatch.setenv("KUBECONFIG", "/made/up")
    (found,) = setting.objects(setting.source(archive(PRINTS)))
    seen = found["data"]
    assert seen["arguments"].startswith("manifest generate -f ")
    assert seen["profile"] == "made-up profile"
    assert seen["home"] != os.environ.get("HOME")
    assert seen["kubeconfig"] != "/made/up"
    assert not Path(seen["kubeconfig"]).exists()
    assert seen["proxy"] == "http://127.0.0.1:9"
    assert seen["secret"] == ""
    assert setting.left() == []


@only_where_it_runs
def test_it_runs_once_per_archive_and_profile(setting: Setting) -> None:
    source = setting.source(archive(PRINTS))
    first = setting.objects(source)
    events: list[Event] = []
    assert setting.objects(source, events) == first
    assert [event.fields["origin"] for event in events] == ["cache"]
    setting.profile.write_text("another profile")
    assert setting.objects(source)[0]["data"]["profile"] == "another profile"


@only_where_it_runs
def test_what_it_prints_must_be_the_objects_of_the_catalog(setting: Setting) -> None:
    assert setting.objects(setting.source(archive(ONE), DIGEST))
    other = setting.source(archive(ONE.replace("one", "two")), DIGEST)
    error = setting.refused(other)
    assert error.kind == "source-tampered"
    assert DIGEST in error.message


@only_where_it_runs
def test_kept_objects_that_the_catalog_no_longer_names_are_not_used(setting: Setting) -> None:
    source = setting.source(archive(ONE))
    setting.objects(source)
    error = setting.refused(replace(source, rendered_objects_sha256="0" * 64))
    assert error.kind == "source-tampered"


@pytest.mark.parametrize("packed", [True, False])
def test_a_rendered_file_of_a_mirror_or_bundle_is_used_instead(
    setting: Setting, packed: bool
) -> None:
    source = setting.source(b"never unpacked", DIGEST)
    setting.put_rendered(RENDERED + b"# built elsewhere\n")
    if packed:
        bundle = setting.folder / "bundle.tar"
        with tarfile.open(bundle, "w") as tar:
            tar.add(setting.mirror / PLACE, PLACE)
        setting.options = replace(setting.options, bundle=bundle, mirror=None)
    events: list[Event] = []
    assert setting.objects(source, events) == parse(RENDERED, "")
    assert [event.fields["origin"] for event in events] == ["bundle" if packed else "mirror"]
    setting.options = replace(setting.options, bundle=None, mirror=None, offline=True)
    assert setting.objects(source) == parse(RENDERED, "")


def test_a_rendered_file_of_a_mirror_by_url_is_used_when_nothing_is_kept(
    setting: Setting,
) -> None:
    source = setting.source(b"never unpacked", DIGEST)
    with running() as server:
        server.serve(f"/{PLACE}", whole(RENDERED))
        setting.options = replace(setting.options, mirror=server.url)
        assert setting.objects(source) == parse(RENDERED, "")
        assert setting.objects(source) == parse(RENDERED, "")
    assert [path for path, _ in server.requests] == [f"/{PLACE}"]


@only_where_it_runs
def test_a_mirror_by_url_may_hold_only_the_archive(setting: Setting) -> None:
    data = archive(ONE)
    source = setting.source(data, DIGEST)
    with running() as server:
        server.serve("/example.test/istio.tar.gz", whole(data))
        setting.options = replace(setting.options, mirror=server.url)
        assert setting.objects(source) == parse(RENDERED, "")


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (RENDERED.replace(b"one", b"two"), "source-tampered", DIGEST),
        (b"<html>log in</html>", "source-html", "web page"),
    ],
)
def test_a_rendered_file_with_something_else_in_it_is_refused(
    setting: Setting, data: bytes, kind: str, said: str
) -> None:
    setting.put_rendered(data)
    error = setting.refused(setting.source(b"never unpacked", DIGEST))
    assert error.kind == kind
    assert said in error.message
    assert PLACE in error.message


def test_a_rendered_file_that_is_no_manifest_is_refused(setting: Setting) -> None:
    setting.put_rendered(b"- a\n")
    with pytest.raises(InvalidInput, match=r"made-up\.yaml"):
        setting.objects(setting.source(b"never unpacked", DIGEST))


def test_a_rendered_file_without_end_is_refused(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "RENDERED_LIMIT", 20)
    setting.put_rendered()
    assert setting.refused(setting.source(b"x", DIGEST)).kind == "source-oversized"


def test_a_mirror_with_neither_names_both_places(setting: Setting) -> None:
    source = setting.source(b"x", DIGEST)
    (setting.mirror / "example.test" / "istio.tar.gz").unlink()
    error = setting.refused(source)
    assert error.kind == "source-missing"
    assert f"example.test/istio.tar.gz (or {PLACE})" in error.message


@only_where_it_runs
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive("#!/bin/sh\necho made-up trouble >&2\nexit 3\n"), "code 3 and said: made-up"),
        (archive("#!/bin/nowhere\n"), "cannot be started"),
        (archive(ONE, name="istio-1.0/bin/other"), "no file bin/istioctl"),
        (archive(ONE, link="/bin/true"), "no file bin/istioctl"),
        (b"not an archive", "its archive cannot be read"),
        (archive(PRINTS * 500)[:-50], "its archive cannot be read"),
    ],
)
def test_a_generator_that_fails_is_explained(setting: Setting, data: bytes, said: str) -> None:
    error = setting.refused(setting.source(data))
    assert error.kind == "render-failed"
    assert said in error.message
    assert PLACE in error.remedy
    assert setting.left() == []


@only_where_it_runs
def test_an_archive_with_other_bytes_is_never_unpacked(setting: Setting) -> None:
    source = setting.source(archive(ONE))
    (setting.mirror / "example.test" / "istio.tar.gz").write_bytes(archive(PRINTS))
    assert setting.refused(source).kind in ("source-tampered", "source-oversized")


@only_where_it_runs
def test_a_generator_that_hangs_is_ended_with_its_children(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "TIMEOUT", 0.3)
    pipe = setting.folder / "pipe"
    os.mkfifo(pipe)
    source = setting.source(archive(f"#!/bin/sh\nsleep 600 > {pipe}\n"))
    # The pipe reads as ended only when no process holds its other side any more.
    ended = threading.Thread(target=pipe.read_bytes)
    ended.start()
    error = setting.refused(source)
    ended.join()
    assert "did not end within 0.3 s" in error.message
    assert setting.left() == []


@only_where_it_runs
def test_what_a_killed_run_left_is_swept_a_day_later(setting: Setting) -> None:
    for name, age in (("render-old", 90_000), ("render-young", 60)):
        folder = setting.folder / "cache" / name
        folder.mkdir(parents=True)
        (folder / "istioctl").write_text("x")
        os.utime(folder, (time.time() - age,) * 2)
    setting.objects(setting.source(archive(ONE)))
    assert setting.left() == ["render-young"]


@only_where_it_runs
def test_cancel_ends_the_generator(setting: Setting) -> None:
    pipe = setting.folder / "pipe"
    os.mkfifo(pipe)
    source = setting.source(archive(f"#!/bin/sh\nexec sleep 600 > {pipe}\n"))
    cancel = Cancel()

    def stop() -> None:
        with pipe.open("rb") as started:
            cancel.stop()
            started.read()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Interrupted):
        load_objects(component(source), setting.options, silent, cancel)
    thread.join()
    assert setting.left() == []


def test_on_another_machine_the_rendered_file_is_asked_for(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    error = setting.refused(setting.source(archive(ONE)))
    assert error.kind == "render-platform"
    assert "linux/arm64" in error.message
    assert PLACE in error.remedy
    setting.put_rendered()
    assert setting.objects(setting.source(archive(ONE), DIGEST))


def test_a_missing_profile_is_named(setting: Setting) -> None:
    setting.profile.unlink()
    assert "profiles/made-up.yaml" in setting.refused(setting.source(archive(ONE))).message
