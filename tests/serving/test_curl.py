"""The curl line for each way into the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from installer.core.objects import Ref
from installer.serving.curl import curl_lines
from installer.serving.ingress import Entry

HOST = "iris.models.example.com"
SERVICE = Ref("v1", "Service", "istio-system", "istio-ingressgateway")


def _entry(via: Any, scheme: str, host: str, port: int) -> Entry:
    return Entry(via, scheme, host, port, SERVICE, 443 if scheme == "https" else 80)


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        (
            _entry("lb", "http", "192.0.2.7", 80),
            [f"curl -H 'Host: {HOST}' http://192.0.2.7:80/v1/models/iris"],
        ),
        (
            _entry("nodeport", "http", "2001:db8::1", 31380),
            [f"curl -H 'Host: {HOST}' 'http://[2001:db8::1]:31380/v1/models/iris'"],
        ),
        (
            _entry("lb", "https", "lb.example.com", 443),
            [f"curl --connect-to {HOST}:443:lb.example.com:443 https://{HOST}:443/v1/models/iris"],
        ),
        (
            _entry("port-forward", "http", "127.0.0.1", 40123),
            [
                "kubectl -n istio-system port-forward service/istio-ingressgateway 8080:80 &",
                f"curl -H 'Host: {HOST}' http://localhost:8080/v1/models/iris",
            ],
        ),
    ],
)
def test_the_line_fits_the_way_in(entry: Entry, lines: list[str]) -> None:
    assert curl_lines(entry, HOST, "/v1/models/iris") == lines


def test_values_of_headers_are_left_out_and_the_body_is_sent_as_json() -> None:
    entry = _entry("lb", "http", "192.0.2.7", 80)
    (line,) = curl_lines(entry, HOST, "/", data='{"instances": []}', header_names=["Cookie"])
    assert "-H 'Cookie: …'" in line
    assert "-H 'Content-Type: application/json' -d '{\"instances\": []}'" in line
