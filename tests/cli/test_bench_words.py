"""The words of `bench`: hey's options as hey writes them, and what does not fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from installer.cli.bench_flags import wanted
from installer.cli.commands import parse
from installer.core.errors import UsageError
from installer.load.shape import MOST_OPEN, Stage
from installer.operations.bench_request import Wanted, split_address


def _wanted(*words: str) -> Wanted:
    return wanted(parse(["bench", "models/flowers", *words]))


def test_heys_options_mean_what_they_mean_to_hey(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text("{}")
    load = ["-z", "10s", "-c", "7", "-q", "3", "-t", "5", "-disable-keepalive"]
    request = ["-m", "put", "-T", "text/plain", "-host", "a.example", "-H", "X: y"]
    found = _wanted(*load, *request, "-D", str(file))
    assert found.load.stages == (Stage(10, 7),)
    assert (found.load.per_worker, found.load.timeout, found.load.keep_alive) == (3, 5, False)
    assert (found.method, found.content_type, found.host) == ("PUT", "text/plain", "a.example")
    assert found.body == b"{}"


def test_without_a_length_it_is_30_seconds_of_50_at_a_time() -> None:
    assert _wanted().load.stages == (Stage(30, 50),)
    assert _wanted("-d", "x").body == b"x"


def test_a_number_of_requests_ends_the_load_unless_a_time_does() -> None:
    assert _wanted("-n", "200", "-c", "3").load.requests == 200
    assert _wanted("-n", "200", "-z", "5s").load.requests == 0


def test_a_rate_takes_c_for_its_connections() -> None:
    load = _wanted("--rate", "50", "-z", "5s").load
    assert (load.stages, load.most, load.open) == ((Stage(5, rate=50),), MOST_OPEN, True)
    assert _wanted("--rate", "50", "-c", "9").load.most == 9


def test_stages_and_limits_are_read() -> None:
    found = _wanted("--stages", "5x30s,25x30s", "--warm-up", "5s", "--slo", "p99=300ms,errors=0.1%")
    assert found.load.stages == (Stage(30, 5), Stage(30, 25))
    assert found.load.warm_up == 5
    assert [limit.name for limit in found.limits] == ["p99", "errors"]
    assert found.limits[0].most == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stages", "5x30s", "-z", "3s"], "leave out -z"),
        (["--stages", "5x30s", "--rate", "3", "-n", "5"], "leave out -n, --rate"),
        (["--stages", "x"], "expected REQUESTSxDURATION"),
        (["--slo", "p99"], "expected pNN"),
        (["--rate", "5", "-q", "5"], "leave one out"),
        (["--yes-really"], "without --address"),
        (["--address", "gateway"], "expected HOST:PORT"),
        (["--path", "v1"], "does not begin with /"),
        (["-q", "-1"], "above 0"),
        (["-t", "0"], "duration"),
        (["-c", "0"], "whole number"),
        (["-d", "x", "-D", "y"], "not allowed with"),
        (["-D", "/no/such/file"], "cannot be read"),
        (["--disable-keepaliv"], "did you mean"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_sentence(words: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        _wanted(*words)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[2001:db8::1]:8080", ("2001:db8::1", 8080)),
        ("http://lb.example:80/", ("lb.example", 80)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Any) -> None:
    assert split_address(text) == address
