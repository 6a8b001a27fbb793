"""What answers mean: who gave them, and what to do."""

from __future__ import annotations

import pytest

from installer.serving.ask import Reply
from installer.serving.replies import meaning

_JSON = {"content-type": "application/json"}
_DEX = {"location": "/dex/auth?client_id=x&response_type=code&state=secret"}


@pytest.mark.parametrize(
    ("reply", "origin", "reason"),
    [
        (Reply(200, _JSON, b'{"predictions": [1]}'), "model", "Answered"),
        (Reply(200, {"content-type": "text/plain"}, b"ok"), "model", "NotJson"),
        (Reply(200, _JSON, b"[1]"), "model", "NotJson"),
        (Reply(200, {"content-type": "text/html"}, b"<html>"), "login", "Page"),
        (Reply(404, {"server": "istio-envoy"}), "gateway", "NoRoute"),
        (Reply(404, _JSON, b'{"error": "no model"}'), "model", "NoSuchModel"),
        (Reply(503), "gateway", "NoUpstream"),
        (Reply(503, {}, b"no healthy upstream"), "gateway", "NoUpstream"),
        (Reply(503, {}, b"upstream connect error or disconnect"), "gateway", "NoUpstream"),
        (Reply(503, _JSON, b'{"error": "loading"}'), "model", "Http503"),
        (Reply(504, {}, b"activator request timeout"), "gateway", "GatewayTimeout"),
        (Reply(500, _JSON, b'{"error": "boom"}'), "model", "Http500"),
        (Reply(302, _DEX), "login", "LoginRedirect"),
        (Reply(302, {"location": "https://id.example.com/oauth2/x"}), "login", "LoginRedirect"),
        (Reply(301, {"location": "https://iris.example.com/"}), "gateway", "HttpsRedirect"),
        (Reply(403, {}, b"RBAC: access denied"), "gateway", "AccessDenied"),
        (Reply(401), "login", "Unauthorized"),
        (Reply(426), "model", "OtherHttp"),
        (Reply(0, trouble="refused", message="nothing listens"), "nowhere", "Refused"),
        (Reply(0, trouble="protocol", message="no HTTP/1.1"), "nowhere", "Protocol"),
    ],
)
def test_each_answer_is_traced_to_who_gave_it(reply: Reply, origin: str, reason: str) -> None:
    found = meaning(reply, "iris.models.example.com")
    assert (found.origin, found.reason) == (origin, reason)
    assert found.ok is (reason == "Answered")
    assert found.ok or found.remedy


def test_a_login_redirect_does_not_repeat_what_is_in_its_query() -> None:
    assert "secret" not in meaning(Reply(302, _DEX), "iris").says


def test_a_missing_route_tells_of_the_changed_default_domain() -> None:
    found = meaning(Reply(404), "iris.models.example.com")
    assert "iris.models.example.com" in found.says
    assert "svc.cluster.local" in found.remedy
