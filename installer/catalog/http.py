"""HTTP GET for downloads: deadlines, retries, proxies, redirects. Used by `sources` only.

`requests` brings proxies (HTTPS_PROXY, NO_PROXY), private certificate authorities
(REQUESTS_CA_BUNDLE) and .netrc; it is imported when the first download starts.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

from installer import __version__
from installer.catalog.integrity import redacted
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event

if TYPE_CHECKING:
    import requests

T = TypeVar("T")
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_DELAY = 60.0
_CHUNK = 1 << 16
_UNREACHABLE = (
    "run the same command again: it continues this download; behind a proxy set HTTPS_PROXY, "
    "without a network use --mirror or --bundle"
)
_REFUSED = {
    401: "log in: user and password go into ~/.netrc",
    403: "check that this machine may read that address",
    407: "give the proxy's user and password: HTTPS_PROXY=http://user:password@host:port",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """timeout: seconds to connect, and between two parts of an answer. retries: how often a
    passing failure is tried again without any progress. backoff: seconds before the first."""

    timeout: float = 30.0
    retries: int = 5
    backoff: float = 0.5


class Passing(Exception):
    """A failure that another try may mend. after: seconds the server asked us to wait."""

    def __init__(self, cause: str, after: float | None = None):
        super().__init__(cause)
        self.cause = cause
        self.after = after


class Absent(Exception):
    """The server has no such file (404 or 410)."""

    def __init__(self, status: int):
        super().__init__(str(status))
        self.status = status


class Http:
    """Sends GETs.

    sessions: kept-alive connections per thread, which several Https may share. remedy: what to do
    when a server cannot be reached.
    """

    def __init__(
        self,
        patience: Patience,
        emit: Emit,
        cancel: Cancel,
        sessions: threading.local | None = None,
        remedy: str = "",
    ):
        self._patience = patience
        self._emit = emit
        self._cancel = cancel
        self._local = sessions or threading.local()
        self._remedy = remedy or _UNREACHABLE

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Send one GET; any answer but a failure is returned, with its body still unread.

        Raises Passing, Absent or ChecksFailed (permanent).
        """
        import requests

        self._cancel.check(f"about to ask {redacted(url)}")
        try:
            response = self._session().get(
                url,
                # Compressed transfer would make ranges and sizes mean something else.
                headers={"Accept-Encoding": "identity", **headers},
                stream=True,
                timeout=(min(10.0, self._patience.timeout), self._patience.timeout),
            )
        except (requests.RequestException, OSError, ValueError) as error:
            raise self._failure(error, url) from error
        status = response.status_code
        if status in (200, 206, 416):
            return Answer(response, self)
        response.close()
        if status in (404, 410):
            raise Absent(status)
        if status in _PASSING:
            after = _retry_after(response.headers.get("Retry-After"))
            raise Passing(f"the server answered {status} {response.reason}", after)
        raise ChecksFailed(
            f"{redacted(url)} cannot be downloaded: the server answered {status} {response.reason}",
            kind="source-refused",
            object=redacted(url),
            remedy=_REFUSED.get(status, ""),
        )

    def retrying(self, about: str, attempt: Callable[[], T], progress: Callable[[], int]) -> T:
        """Call attempt until it ends without Passing.

        progress: bytes here so far; tries are counted anew whenever it grew by 64 KiB.
        """
        tried = 0
        reached = progress()
        while True:
            self._cancel.check(f"about to ask for {about}")
            try:
                return attempt()
            except Passing as passing:
                if progress() >= reached + _CHUNK:
                    tried, reached = 0, progress()
                tried += 1
                if tried > self._patience.retries:
                    raise ChecksFailed(
                        f"{about} cannot be downloaded: {passing.cause} (tried {tried} times)",
                        kind="source-unreachable",
                        object=about,
                        remedy=self._remedy,
                    ) from passing
                self._wait(about, passing, tried)

    def _wait(self, about: str, passing: Passing, tried: int) -> None:
        longest = min(self._patience.backoff * 2 ** (tried - 1), 15.0)
        delay = longest * random.uniform(0.5, 1.0)
        if passing.after is not None:
            delay = max(delay, min(passing.after, _LONGEST_DELAY))
        fields = {"object": about, "cause": passing.cause, "attempt": tried}
        self._emit(Event("retrying", {**fields, "delay": round(delay, 3)}))
        self._cancel.sleep(delay, f"waiting to ask again for {about}, because of: {passing.cause}")

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _new_session()
        return session

    def _failure(self, error: Exception, url: str) -> Exception:
        """Passing, or the error to end with."""
        import requests

        shown = redacted(url)
        if isinstance(error, requests.exceptions.TooManyRedirects):
            return _permanent(shown, "it redirects in a circle", "source-refused", "")
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY" in str(error):
            remedy = (
                "a proxy with its own certificate authority? set REQUESTS_CA_BUNDLE to its file"
            )
            return _permanent(
                shown, f"its certificate is not trusted ({_innermost(error)})", "source-tls", remedy
            )
        if isinstance(error, ValueError) and not isinstance(error, OSError | UnicodeError):
            return _permanent(shown, "it is not an address that can be asked", "source-refused", "")
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
            return _permanent(shown, "it is not an address that can be asked", "source-refused", "")
        if isinstance(error, requests.exceptions.Timeout):
            return Passing(f"no answer within {self._patience.timeout:g} s")
        if isinstance(error, requests.exceptions.ProxyError):
            return Passing(f"the proxy does not answer: {_innermost(error)}")
        return Passing(_innermost(error))

    def body(self, response: requests.Response) -> Iterator[bytes]:
        """Parts of a body as they arrive. Raises Passing when it breaks off."""
        import requests

        try:
            for chunk in response.iter_content(_CHUNK):
                self._cancel.check(f"downloading {redacted(response.url)}")
                yield chunk
        except (requests.RequestException, OSError) as error:
            if isinstance(error, requests.exceptions.ConnectionError) and "timed out" in str(error):
                raise Passing(f"nothing arrived for {self._patience.timeout:g} s") from error
            raise Passing(f"the connection broke off: {_innermost(error)}") from error


class Answer:
    """A response whose body is still to be read; a context manager that closes it."""

    def __init__(self, response: requests.Response, http: Http):
        self._response = response
        self._http = http
        self.status = response.status_code
        self.headers = response.headers

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def body(self) -> Iterator[bytes]:
        """Parts of the body as they arrive. Raises Passing when it breaks off."""
        return self._http.body(self._response)

    @property
    def encoded(self) -> bool:
        """True when the server compressed the body although it was asked not to."""
        return self.headers.get("Content-Encoding", "identity").lower() not in ("", "identity")

    @property
    def length(self) -> int | None:
        """Bytes of the body as announced; None when unknown."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() and not self.encoded else None

    @property
    def delimited(self) -> bool:
        """True when the end of the body is told from a connection that broke."""
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        return chunked or self.encoded or self.length is not None

    @property
    def etag(self) -> str:
        """A strong ETag, else empty: only a strong one may stand in If-Range."""
        text = self.headers.get("ETag", "")
        return text if text.startswith('"') else ""


def _permanent(shown: str, why: str, kind: str, remedy: str) -> ChecksFailed:
    return ChecksFailed(
        f"{shown} cannot be downloaded: {why}", kind=kind, object=shown, remedy=remedy
    )


def _new_session() -> requests.Session:
    import requests

    class Session(requests.Session):
        """Follows a redirect only where it stays as safe as the first address."""

        def get_redirect_target(self, resp: requests.Response) -> str | None:
            target = super().get_redirect_target(resp)
            if target:
                scheme = urlsplit(urljoin(resp.url, target)).scheme.lower()
                if scheme not in ("https", urlsplit(resp.url).scheme.lower()):
                    shown = redacted(resp.url)
                    raise ChecksFailed(
                        f"{shown} redirects to {redacted(urljoin(resp.url, target))}, "
                        "which is not https",
                        kind="source-refused",
                        object=shown,
                        remedy="nothing was downloaded; check who answers at that address",
                    )
            return target

    session = Session()
    session.max_redirects = 5
    session.headers["User-Agent"] = f"kserve-installer/{__version__}"
    return session


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of nested exceptions, without addresses that may hold secrets."""
    seen: set[int] = set()
    current: Any = error
    while id(current) not in seen:
        seen.add(id(current))
        args = getattr(current, "args", ())
        inner = getattr(args[0] if args else None, "reason", None) or getattr(
            current, "reason", None
        )
        nested = [
            inner,
            *(arg for arg in args if isinstance(arg, BaseException)),
            current.__cause__,
            current.__context__,
        ]
        current = next((n for n in nested if isinstance(n, BaseException)), current)
    return getattr(current, "strerror", None) or _plain(str(current)) or type(current).__name__


def _plain(text: str) -> str:
    """The end of urllib3's texts: `<… object at 0x7f…>: Failed to …` → `Failed to …`."""
    text = text.rpartition(">: ")[2]
    return "" if "://" in text or "url:" in text else text[:200]
