"""Everything that opening connections to one API server takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from installer.core.cancel import Cancel
from installer.core.errors import UsageError

_REMEDY_FILE = "give the right file with --kubeconfig or in KUBECONFIG"


@dataclass(frozen=True, slots=True)
class Access:
    """Everything needed to open connections to one API server.

    context: its name, `in-cluster` in a pod. namespace: where names without one are looked for.
    ca, certificate, key: PEM bytes, empty when not given. authorization: the header's value, empty
    when the client certificate speaks. headers: impersonation. renew: gives the same access with
    fresh credentials, unless its token stops it; None when these never change.
    """

    context: str
    server: str
    ca: bytes = field(default=b"", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    authorization: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    namespace: str = "default"
    renew: Callable[[Cancel], Access] | None = None

    def why_unauthorized(self, said: str) -> str:
        """Why the server answered 401, as far as our own credentials tell."""
        expired = _expiry(self.certificate)
        if expired is not None and expired < datetime.now(UTC):
            return f"the client certificate of context {self.context} expired on {expired:%Y-%m-%d}"
        if not self.authorization and not self.certificate:
            return f"context {self.context} has no credentials, and the server wants some ({said})"
        return f"the server does not accept the credentials of context {self.context} ({said})"


def unusable(
    message: str, *, object: str = "", remedy: str = _REMEDY_FILE, kind: str = "kubeconfig"
) -> UsageError:
    """The error for credentials, or a file of them, that lead to no cluster."""
    return UsageError(message, kind=kind, object=object, remedy=remedy)


def _expiry(certificate: bytes) -> datetime | None:
    """notAfter of the first certificate; None without one. cryptography costs 0.1 s: only here."""
    if not certificate:
        return None
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return None
