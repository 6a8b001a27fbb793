"""Downloads from a real server on 127.0.0.1 that misbehaves in every way we know of."""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from faulty_server import (
    FaultyServer,
    compressed,
    cut,
    endless,
    proxy,
    ranged,
    redirect,
    running,
    stall,
    status,
    whole,
)
from self_signed import serving_tls

from installer import __version__
from installer.catalog.model import Source
from installer.catalog.sources import SourceOptions, fetch
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed, InstallerError, Interrupted
from installer.core.events import Emit, Event, silent

BODY = bytes(range(256)) * 2048  # 512 KiB: several chunks
HALF = len(BODY) // 2


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with running() as server:
        yield server


@pytest.fixture
def options(tmp_path: Path) -> SourceOptions:
    return SourceOptions(cache_dir=tmp_path / "cache", retries=3, backoff=0.001)


def source(url: str, body: bytes = BODY, size: int | None = -1) -> Source:
    digest = hashlib.sha256(body).hexdigest()
    return Source(name="file.yaml", url=url, sha256=digest, size=len(body) if size == -1 else size)


def got(item: Source, options: SourceOptions, emit: Emit = silent) -> bytes:
    return fetch([("part", item)], options, emit, Cancel())[item.sha256].read_bytes()


def refused(item: Source, options: SourceOptions) -> ChecksFailed:
    with pytest.raises(ChecksFailed) as caught:
        got(item, options)
    return caught.value


def files(options: SourceOptions) -> list[str]:
    assert options.cache_dir is not None
    return sorted(p.parent.name for p in options.cache_dir.rglob("*") if p.is_file())


def test_a_download_is_kept_for_the_next_run(server: FaultyServer, options: SourceOptions) -> None:
    item = source(server.serve("/file.yaml", whole(BODY)))
    events: list[Event] = []
    assert got(item, options, events.append) == BODY
    assert got(item, options, events.append) == BODY
    assert [event.fields["origin"] for event in events] == ["network", "cache"]
    assert len(server.requests) == 1
    assert server.seen("User-Agent") == [f"kserve-installer/{__version__}"]
    assert files(options) == ["sha256"]


def test_passing_answers_are_tried_again_with_an_event_each(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", status(503), status(500), status(408), ranged(BODY)))
    events: list[Event] = []
    assert got(item, options, events.append) == BODY
    assert [event.name for event in events] == ["retrying"] * 3 + ["source"]
    first = events[0].fields
    assert first["cause"] == "the server answered 503 Service Unavailable"
    assert (first["attempt"], first["object"]) == (1, item.url)


def test_tries_end_and_say_how_many(server: FaultyServer, options: SourceOptions) -> None:
    error = refused(source(server.serve("/f", status(502))), options)
    assert error.kind == "source-unreachable"
    assert "502 Bad Gateway (tried 4 times)" in error.message
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("header", "least"),
    [
        ("7", 7),
        ("3600", 60),
        (email.utils.format_datetime(datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)), 60),
    ],
)
def test_retry_after_is_honoured_up_to_a_minute(
    server: FaultyServer, options: SourceOptions, header: str, least: int
) -> None:
    item = source(server.serve("/f", status(429, Retry_After=header)))
    cancel = Cancel()
    delays: list[float] = []

    def stop(event: Event) -> None:
        delays.append(event.fields["delay"])
        cancel.stop()

    with pytest.raises(Interrupted):
        fetch([("part", item)], options, stop, cancel)
    assert delays == [least]


def test_a_broken_download_goes_on_where_it_ended(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(BODY, HALF), ranged(BODY)))
    assert got(item, options) == BODY
    assert server.seen("Range") == ["", f"bytes={HALF}-"]
    assert server.seen("If-Range") == ["", '"one"']
    assert files(options) == ["sha256"]


def test_an_answer_without_length_that_ends_early_is_continued(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(BODY, HALF, announced=False), ranged(BODY)))
    assert got(item, options) == BODY
    assert server.seen("Range") == ["", f"bytes={HALF}-"]


def test_a_weak_etag_is_not_used_as_a_condition(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(BODY, HALF, 'W/"one"'), ranged(BODY)))
    assert got(item, options) == BODY
    assert server.seen("If-Range") == ["", ""]


def test_a_server_without_ranges_makes_it_start_again(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(BODY, HALF), whole(BODY)))
    assert got(item, options) == BODY


def test_a_file_changed_between_two_tries_is_sent_whole(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(b"old" + BODY[3:], HALF), ranged(BODY, '"two"')))
    assert got(item, options) == BODY
    assert server.seen("If-Range") == ["", '"one"']


def test_a_continued_download_that_does_not_match_is_started_again(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(b"old" + BODY[3:], HALF), ranged(BODY)))
    assert got(item, options) == BODY
    assert server.seen("Range") == ["", f"bytes={HALF}-", ""]


@pytest.mark.parametrize("place", ["", "bytes 7-9/10", f"bytes {HALF}-9/10", "pages 1-2/3"])
def test_a_wrong_content_range_makes_it_start_again(
    server: FaultyServer, options: SourceOptions, place: str
) -> None:
    def wrong(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", place)
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"abc")

    item = source(server.serve("/f", cut(BODY, HALF), wrong, ranged(BODY)))
    assert got(item, options) == BODY
    assert server.seen("Range") == ["", f"bytes={HALF}-", ""]


def test_progress_gives_new_tries(server: FaultyServer, options: SourceOptions) -> None:
    step = len(BODY) // 8

    def part(start: int) -> Callable[[BaseHTTPRequestHandler], None]:
        return lambda handler: _part(handler, start, start + step)

    item = source(server.serve("/f", cut(BODY, step), *map(part, range(step, len(BODY), step))))
    assert got(item, options) == BODY
    assert len(server.requests) == 8 > options.retries + 1


def _part(handler: BaseHTTPRequestHandler, start: int, end: int) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
    handler.send_header("Content-Length", str(len(BODY) - start))
    handler.end_headers()
    handler.wfile.write(BODY[start:end])
    handler.close_connection = True


def test_an_ended_run_leaves_what_it_got_for_the_next(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(BODY, HALF), status(503)))
    assert refused(item, options).kind == "source-unreachable"
    assert files(options) == ["partial"]
    server.serve("/f", ranged(BODY))
    assert got(item, options) == BODY
    assert server.seen("Range")[-1] == f"bytes={HALF}-"
    assert files(options) == ["sha256"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"!" + BODY[1:], "source-tampered"),
        (BODY[:-1], "source-truncated"),
        (BODY + b"!", "source-oversized"),
        (b"<!doctype html><html><body>Please log in", "source-html"),
        (b"<html>" + BODY * 2, "source-html"),
    ],
)
def test_wrong_bytes_are_named_for_what_they_are_and_not_asked_for_again(
    server: FaultyServer, options: SourceOptions, body: bytes, kind: str
) -> None:
    error = refused(source(server.serve("/f", whole(body))), options)
    assert error.kind == kind
    assert server.url in error.message
    assert len(server.requests) == 1
    assert files(options) == []


def test_an_endless_answer_is_given_up_as_soon_as_it_is_too_long(
    server: FaultyServer, options: SourceOptions
) -> None:
    error = refused(source(server.serve("/f", endless)), options)
    assert error.kind == "source-oversized"
    assert files(options) == []


def test_compression_nobody_asked_for_is_undone(
    server: FaultyServer, options: SourceOptions
) -> None:
    assert got(source(server.serve("/f", compressed(BODY))), options) == BODY
    assert server.seen("Accept-Encoding") == ["identity"]


def test_a_source_of_unknown_size_is_downloaded_and_continued(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", cut(BODY, HALF), ranged(BODY)), size=None)
    assert got(item, options) == BODY


def test_a_file_upstream_removed_is_said_with_all_the_others(
    server: FaultyServer, options: SourceOptions
) -> None:
    items = [source(f"{server.url}/{n}", n.encode()) for n in ("one", "two")]
    server.serve("/one", status(404))
    server.serve("/two", status(410))
    with pytest.raises(ChecksFailed) as caught:
        fetch([("part", item) for item in items], options, silent, Cancel())
    assert caught.value.kind == "source-missing"
    assert all(item.url in caught.value.message for item in items)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("code", "said"), [(401, ".netrc"), (403, "may read"), (407, "HTTPS_PROXY"), (400, "")]
)
def test_refusals_are_permanent_and_say_what_to_do(
    server: FaultyServer, options: SourceOptions, code: int, said: str
) -> None:
    error = refused(source(server.serve("/f", status(code))), options)
    assert error.kind == "source-refused"
    assert str(code) in error.message
    assert said in error.remedy
    assert len(server.requests) == 1


def test_nobody_listening_is_said_without_python_objects(options: SourceOptions) -> None:
    with running() as gone:
        url = gone.serve("/f?token=secret")
    error = refused(source(url.replace("//", "//user:secret@")), options)
    assert error.kind == "source-unreachable"
    assert "Connection refused" in error.message
    assert "secret" not in str(error.to_dict())
    assert "object at" not in error.message


def test_a_name_that_does_not_resolve_is_said(options: SourceOptions) -> None:
    error = refused(source("http://nowhere.invalid/f"), options)
    assert error.kind == "source-unreachable"
    assert "http://nowhere.invalid/f cannot be downloaded: " in error.message


def test_a_silent_server_ends_at_the_deadline(server: FaultyServer, tmp_path: Path) -> None:
    options = SourceOptions(cache_dir=tmp_path, retries=0, timeout=0.2)
    item = source(server.serve("/f", stall(BODY, 0, threading.Event())))
    error = refused(item, options)
    assert error.kind == "source-unreachable"
    assert "for 0.2 s" in error.message


@pytest.mark.parametrize("sent", [0, HALF])
def test_cancel_ends_a_download_that_hangs(
    server: FaultyServer, options: SourceOptions, sent: int
) -> None:
    reached = threading.Event()
    item = source(server.serve("/f", stall(BODY, sent, reached)))
    cancel = Cancel()
    raised: list[InstallerError] = []

    def run() -> None:
        try:
            fetch([("part", item)], options, silent, cancel)
        except InstallerError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    reached.wait()
    cancel.stop()
    thread.join()
    assert [type(error) for error in raised] == [Interrupted]


def test_cancel_ends_the_pause_between_two_tries(
    server: FaultyServer, options: SourceOptions
) -> None:
    item = source(server.serve("/f", status(503, Retry_After="60")))
    cancel = Cancel()
    with pytest.raises(Interrupted):
        fetch([("part", item)], options, lambda _: cancel.stop(), cancel)
    assert len(server.requests) == 1


def test_the_first_failure_stops_the_other_downloads(
    server: FaultyServer, options: SourceOptions
) -> None:
    reached = threading.Event()
    hanging = source(server.serve("/hangs", stall(BODY, HALF, reached)))

    def later(handler: BaseHTTPRequestHandler) -> None:
        reached.wait()
        status(403)(handler)

    bad = source(server.serve("/bad", later), b"other")
    with pytest.raises(ChecksFailed, match="403"):
        fetch([("a", hanging), ("b", bad)], options, silent, Cancel())


def test_four_downloads_run_at_once(server: FaultyServer, options: SourceOptions) -> None:
    together = threading.Barrier(4)
    items = []
    for number in range(4):
        body = bytes([number]) * 100

        def answer(handler: BaseHTTPRequestHandler, body: bytes = body) -> None:
            together.wait()
            whole(body)(handler)

        items.append(("part", source(server.serve(f"/{number}", answer), body)))
    assert len(fetch(items, options, silent, Cancel())) == 4


def test_a_mirror_by_url_is_asked_instead_of_upstream(server: FaultyServer, tmp_path: Path) -> None:
    item = source("https://upstream.invalid/a%20b/c+d.yaml")
    server.serve("/base/upstream.invalid/a%20b/c+d.yaml", whole(BODY))
    options = SourceOptions(mirror=f"{server.url}/base/", cache_dir=tmp_path)
    events: list[Event] = []
    assert got(item, options, events.append) == BODY
    assert events[0].fields["origin"] == "mirror"
    assert got(item, options, events.append) == BODY
    assert len(server.requests) == 1


def test_a_mirror_by_url_that_lacks_the_file_is_named(server: FaultyServer, tmp_path: Path) -> None:
    options = SourceOptions(mirror=server.url, cache_dir=tmp_path)
    error = refused(source("https://upstream.invalid/x.yaml"), options)
    assert error.kind == "source-missing"
    assert f"mirror {server.url}" in error.message
    assert "upstream.invalid/x.yaml" in error.message


def test_the_proxy_of_the_environment_is_used(
    server: FaultyServer, options: SourceOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve("/f", ranged(BODY))
    url = f"http://upstream.invalid:{server.port}/f"
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        assert got(source(url), options) == BODY
    assert asked == [url]


def test_no_proxy_goes_past_the_proxy(
    server: FaultyServer, options: SourceOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = source(server.serve("/f", ranged(BODY)))
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("NO_PROXY", "example.test,127.0.0.1")
        assert got(item, options) == BODY
    assert asked == []


def test_a_dead_proxy_is_blamed_and_its_password_not_shown(
    server: FaultyServer, options: SourceOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy() as (address, _):
        pass
    monkeypatch.setenv("HTTP_PROXY", address.replace("//", "//user:secret@"))
    error = refused(source(server.serve("/f", whole(BODY))), options)
    assert "the proxy does not answer: Connection refused" in error.message
    assert "secret" not in str(error.to_dict())


def test_redirects_are_followed(server: FaultyServer, options: SourceOptions) -> None:
    server.serve("/there", whole(BODY))
    assert got(source(server.serve("/f", redirect("/there"))), options) == BODY


def test_redirects_in_a_circle_end(server: FaultyServer, options: SourceOptions) -> None:
    error = refused(source(server.serve("/f", redirect("/f"))), options)
    assert "redirects in a circle" in error.message


def test_a_redirect_to_another_scheme_is_refused(
    server: FaultyServer, options: SourceOptions
) -> None:
    error = refused(source(server.serve("/f", redirect("ftp://127.0.0.1/f"))), options)
    assert error.kind == "source-refused"
    assert "ftp://127.0.0.1/f, which is not https" in error.message


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for localhost, and a server's context with it."""
    return serving_tls(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


def test_a_private_authority_is_trusted_when_the_environment_says_so(
    options: SourceOptions,
    authority: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, context = authority
    with running(context) as server:
        item = source(server.serve("/f", ranged(BODY)))
        error = refused(item, options)
        assert error.kind == "source-tls"
        assert "REQUESTS_CA_BUNDLE" in error.remedy
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
        assert got(item, options) == BODY


def test_https_never_redirects_to_http(
    server: FaultyServer,
    options: SourceOptions,
    authority: tuple[Path, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, context = authority
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    plain = server.serve("/f", whole(BODY))
    with running(context) as secure:
        error = refused(source(secure.serve("/f", redirect(plain))), options)
    assert error.kind == "source-refused"
    assert "which is not https" in error.message
    assert server.requests == []


FETCH = """
import json, sys
from pathlib import Path
from installer.catalog.model import Source
from installer.catalog.sources import SourceOptions, fetch
from installer.core.cancel import Cancel
from installer.core.events import silent
url, sha256, size, cache = sys.argv[1:]
source = Source(name="f", url=url, sha256=sha256, size=int(size))
found = fetch([("part", source)], SourceOptions(cache_dir=Path(cache)), silent, Cancel())
print(found[sha256])
"""


def process(item: Source, options: SourceOptions) -> subprocess.Popen[str]:
    arguments = [item.url, item.sha256, str(item.size), str(options.cache_dir)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_two_processes_fill_one_cache_at_once(server: FaultyServer, options: SourceOptions) -> None:
    together = threading.Barrier(2)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        together.wait()
        whole(BODY)(handler)

    item = source(server.serve("/f", answer))
    both = [process(item, options), process(item, options)]
    paths = {one.communicate()[0].strip() for one in both}
    assert [one.returncode for one in both] == [0, 0]
    assert [Path(path).read_bytes() == BODY for path in paths] == [True]
    assert files(options) == ["sha256"]


def test_a_killed_download_is_continued_by_the_next_run(
    server: FaultyServer, options: SourceOptions
) -> None:
    reached = threading.Event()
    item = source(server.serve("/f", stall(BODY, HALF, reached)))
    assert options.cache_dir is not None
    one = process(item, options)
    reached.wait()
    partials: list[Path] = []
    while not partials or partials[0].stat().st_size < HALF:
        assert one.poll() is None
        partials = list(options.cache_dir.glob("partial/*"))
    one.send_signal(signal.SIGKILL)
    one.communicate()
    server.serve("/f", ranged(BODY))
    assert got(item, options) == BODY
    assert server.seen("Range") == ["", f"bytes={HALF}-"]
    assert files(options) == ["sha256"]


def test_a_partial_file_of_a_living_process_is_left_alone(
    server: FaultyServer, options: SourceOptions
) -> None:
    reached = threading.Event()
    item = source(server.serve("/f", stall(BODY, HALF, reached), ranged(BODY)))
    assert options.cache_dir is not None
    other = process(item, options)
    reached.wait()
    partials: list[Path] = []
    while not partials or partials[0].stat().st_size < HALF:
        assert other.poll() is None
        partials = list(options.cache_dir.glob("partial/*"))
    assert got(item, options) == BODY
    assert server.seen("Range") == ["", ""]
    assert partials[0].stat().st_size == HALF
    other.kill()
    other.communicate()


def test_events_are_json(server: FaultyServer, options: SourceOptions) -> None:
    events: list[Event] = []
    got(source(server.serve("/f", status(503), whole(BODY))), options, events.append)
    assert [json.loads(json.dumps(e.to_dict()))["event"] for e in events] == ["retrying", "source"]


def test_a_dead_mirror_is_tried_a_few_times_and_named(tmp_path: Path) -> None:
    mirror = "http://user:secret@127.0.0.1:1"
    options = SourceOptions(mirror=mirror, cache_dir=tmp_path, retries=2, backoff=0.001)
    events: list[Event] = []
    with pytest.raises(ChecksFailed) as caught:
        got(source("https://example.test/a.yaml"), options, events.append)

    error = caught.value
    assert [(e.name, e.fields["attempt"]) for e in events] == [("retrying", 1), ("retrying", 2)]
    assert error.message.startswith("part, file.yaml: http://127.0.0.1:1/example.test/a.yaml ")
    assert error.message.endswith("(tried 3 times)")
    assert "the mirror http://127.0.0.1:1 answers" in error.remedy
    assert "secret" not in error.message + error.remedy + str([e.fields for e in events])
