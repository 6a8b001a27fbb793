"""Why there was no complete answer, from what urllib3, ssl or a socket raised. Pure."""

from __future__ import annotations

import ssl
from typing import Any

from installer.cluster.errors import SEE_ETCD, Failure

_NETWORK = "check the server address, the network and any VPN, proxy or firewall in between"


def classify_exception(error: BaseException) -> Failure:
    """Judge what urllib3 or a socket raised: there was no complete answer."""
    from urllib3 import exceptions as http

    chain = list(_chain(error))
    tls = [e for e in chain if isinstance(e, ssl.SSLError | http.SSLError)]
    if tls and not isinstance(tls[-1], ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _tls(tls[-1])
    if any(isinstance(e, http.ProxyError) for e in chain):
        detail = _innermost(chain)
        return Failure("unreachable", True, f"the proxy cannot be used: {detail}", _NETWORK)
    if any(isinstance(e, http.NameResolutionError) for e in chain):
        return Failure("unreachable", True, "its name cannot be resolved", _NETWORK)
    refused = any(isinstance(e, http.NewConnectionError) for e in chain)  # a ConnectTimeoutError
    late = http.TimeoutError if not refused else TimeoutError
    if any(isinstance(e, late | TimeoutError) for e in chain):
        if any(isinstance(e, http.ReadTimeoutError) for e in chain):
            return Failure("timeout", True, "it was reached but did not answer in time", SEE_ETCD)
        return Failure("timeout", True, "no connection within the time allowed", _NETWORK)
    if any(isinstance(e, http.HTTPError | OSError) for e in chain):
        return Failure("unreachable", True, _innermost(chain), _NETWORK)
    return Failure("unreachable", False, f"{type(error).__name__}: {error}", _NETWORK)


def _chain(error: BaseException) -> Any:
    """An exception and those it was raised for: urllib3 keeps them in `reason` and `args`."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]


def _innermost(chain: list[BaseException]) -> str:
    """The operating system's own words, else what the outermost exception says."""
    for found in reversed(chain):
        if isinstance(found, OSError) and found.strerror:
            return found.strerror.lower()
    return "the connection was closed before the answer was complete"


_ALERTS = (
    ("CERTIFICATE_EXPIRED", "the server says that our client certificate has expired"),
    ("UNKNOWN_CA", "the server does not know the issuer of our client certificate"),
    ("BAD_CERTIFICATE", "the server refuses our client certificate"),
    ("CERTIFICATE_REQUIRED", "the server wants a client certificate"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: is it http:// instead of https://?"),
)


_GARBLED = ("UNEXPECTED_MESSAGE", "BAD_RECORD_MAC", "DECODE_ERROR", "INTERNAL_ERROR")
"""Alerts (RFC 8446, section 6) that say that bytes went astray, not that somebody is unknown."""


def _tls(error: BaseException) -> Failure:
    reason = str(getattr(error, "reason", "") or "").upper()
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "") or error
        cause = f"its certificate cannot be verified: {why}"
        remedy = "check certificate-authority and tls-server-name in the kubeconfig"
        return Failure("tls", False, cause, remedy)
    for alert, cause in _ALERTS:
        if alert in reason:
            return Failure("tls", False, cause, "get a new kubeconfig for this cluster")
    garbled = any(alert in reason for alert in _GARBLED)
    cause = f"TLS failed: {reason.lower().replace('_', ' ') or error}"
    return Failure("tls", garbled, cause, _NETWORK)
