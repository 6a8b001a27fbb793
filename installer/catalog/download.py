"""One source from a URL into the cache: resumed where an earlier try ended, hashed on the way."""

from __future__ import annotations

import re
from pathlib import Path

from installer.catalog.cache import Cache, Partial
from installer.catalog.http import Absent, Answer, Http, Passing
from installer.catalog.integrity import fault, html, is_html, oversized, redacted
from installer.catalog.model import Source
from installer.core.errors import ChecksFailed

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def download(http: Http, url: str, source: Source, cache: Cache) -> Path | None:
    """Bring the bytes of `source` from `url`; None when the server has no such file.

    Raises ChecksFailed: unreachable, refused, or other bytes than the catalog's. What a broken
    connection left is kept for the next run; what is wrong is removed.
    """
    with cache.partial(source.sha256) as partial:
        transfer = _Transfer(http, url, source, partial)
        try:
            http.retrying(redacted(url), transfer.attempt, lambda: partial.size)
        except Absent:
            return None
        return partial.finish()


def read_whole(http: Http, url: str, limit: int) -> bytes | None:
    """A file whose hash is not known beforehand, at most limit + 1 bytes; None when absent."""

    def attempt() -> bytes:
        data = bytearray()
        with http.get(url, {}) as answer:
            for chunk in answer.body():
                data += chunk
                if len(data) > limit:
                    break
            if answer.length is not None and len(data) < min(answer.length, limit):
                raise Passing(f"the answer ended after {len(data)} of {answer.length} bytes")
        return bytes(data[: limit + 1])

    try:
        return http.retrying(redacted(url), attempt, lambda: 0)
    except Absent:
        return None


class _Transfer:
    """The tries of one download, each continuing the one before."""

    def __init__(self, http: Http, url: str, source: Source, partial: Partial):
        self._http = http
        self._url = url
        self._source = source
        self._partial = partial
        self._etag = ""
        self._continued = False

    def attempt(self) -> None:
        """One try: returns when all bytes are there and right. Raises as `Http.get` does."""
        partial = self._partial
        self._continued = True
        if not self._complete():
            self._receive()
        wrong = self._fault()
        if wrong is None:
            return
        if self._continued:
            # What an earlier try left may be damaged, or of an earlier state of the server.
            partial.restart()
            self._etag = ""
            raise Passing("the continued download does not match; starting again")
        self._reject(wrong)

    def _receive(self) -> None:
        offset = self._partial.size
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and self._etag:
            headers["If-Range"] = self._etag
        with self._http.get(self._url, headers) as answer:
            self._place(answer, offset)
            self._etag = answer.etag
            self._announced(answer)
            for chunk in answer.body():
                self._take(chunk)
        self._partial.flush()
        size = self._source.size
        if size is not None and self._partial.size < size and not answer.delimited:
            raise Passing(f"the answer ended after {self._partial.size} of {size} bytes")

    def _place(self, answer: Answer, offset: int) -> None:
        """Make sure that the body continues what is there, or begin anew."""
        partial = self._partial
        if answer.status == 200:
            self._continued = False
            partial.restart()
            return
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        fits = answer.status == 206 and found and int(found[1]) == offset and not answer.encoded
        if not fits or (
            self._source.size and found and found[2] not in ("*", str(self._source.size))
        ):
            partial.restart()
            self._etag = ""
            raise Passing("the server could not continue the download; starting again")

    def _announced(self, answer: Answer) -> None:
        """Stop before the body when its announced length is already wrong."""
        size, length = self._source.size, answer.length
        if length is None or answer.status != 200:
            return
        if length > self._source.size_limit:
            self._reject(self._maybe_html(answer) or oversized(self._source, self._where, length))
        if size is not None and length < size:
            for chunk in answer.body():
                self._take(chunk)
            self._reject(self._fault())

    def _maybe_html(self, answer: Answer) -> ChecksFailed | None:
        head = next(answer.body(), b"")[:512]
        return html(self._source, self._where) if is_html(head) else None

    def _take(self, chunk: bytes) -> None:
        size = self._partial.size + len(chunk)
        if size > self._source.size_limit:
            head = (self._partial.head + chunk)[:512]
            self._reject(
                html(self._source, self._where)
                if is_html(head)
                else oversized(self._source, self._where, size)
            )
        self._partial.write(chunk)

    def _complete(self) -> bool:
        """True when an earlier run already got every byte."""
        if self._source.size is None:
            return self._partial.digest.hexdigest() == self._source.sha256
        return self._partial.size >= self._source.size

    @property
    def _where(self) -> str:
        return redacted(self._url)

    def _fault(self) -> ChecksFailed | None:
        partial = self._partial
        digest = partial.digest.hexdigest()
        return fault(self._source, self._where, partial.size, digest, partial.head)

    def _reject(self, wrong: ChecksFailed | None) -> None:
        """End for good: these bytes are of no use to a later run."""
        if wrong is not None:
            self._partial.discard()
            raise wrong
