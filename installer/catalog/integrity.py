"""What is wrong with bytes that are not those of the catalog, said in one sentence."""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from installer.catalog.model import Source
from installer.core.errors import ChecksFailed

_HTML = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html)\b", re.I | re.S)
_CHUNK = 1 << 20


def is_html(head: bytes) -> bool:
    """True when the first bytes are those of a web page."""
    return bool(_HTML.match(head.removeprefix(b"\xef\xbb\xbf")))


def redacted(url: str) -> str:
    """A URL as it may be shown: without user, password and query (which may hold a token)."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that is not a URL"
    return urlunsplit(SplitResult(parts.scheme, host, parts.path, "", ""))


def fault(source: Source, place: str, size: int, digest: str, head: bytes) -> ChecksFailed | None:
    """What is wrong with bytes of this size and SHA-256; None when they are the source's.

    place: where they were read, as shown to the user. head: their first bytes.
    """
    if digest == source.sha256:
        return None
    if is_html(head):
        return html(source, place)
    if source.size is not None and size < source.size:
        return ChecksFailed(
            f"{place} is cut off: {size} of {source.size} bytes of {source.name}",
            kind="source-truncated",
            object=place,
            remedy="copy or download the file again",
        )
    if size > source.size_limit:
        return oversized(source, place, size)
    return ChecksFailed(
        f"{place} is not the file the catalog names: its SHA-256 is {digest}, "
        f"that of {source.name} is {source.sha256}",
        kind="source-tampered",
        object=place,
        remedy="find out who changed the file; nothing of it was used",
    )


def html(source: Source, place: str) -> ChecksFailed:
    """A web page where a manifest was expected."""
    remedy = (
        "open the address in a browser to see the page; set HTTPS_PROXY, or use --mirror"
        if "://" in place
        else "see what the page says, and put the real file in its place"
    )
    return ChecksFailed(
        f"{place} is a web page (HTML), not {source.name}: a login page or a proxy's answer?",
        kind="source-html",
        object=place,
        remedy=remedy,
    )


def oversized(source: Source, place: str, size: int) -> ChecksFailed:
    """More bytes than the catalog says."""
    return ChecksFailed(
        f"{place} is larger than {source.name} should be: "
        f"{size} bytes or more instead of {source.size_limit}",
        kind="source-oversized",
        object=place,
        remedy="find out who changed the file; nothing of it was used",
    )


def bytes_fault(source: Source, place: str, data: bytes) -> ChecksFailed | None:
    """What is wrong with bytes in memory; place as for `fault`."""
    return fault(source, place, len(data), hashlib.sha256(data).hexdigest(), data[:512])


def file_fault(source: Source, path: Path, place: str = "") -> ChecksFailed | None:
    """What is wrong with a file on disk; never reads more than the source's size.

    Raises FileNotFoundError when it is not there (any more); other reasons why it cannot be read
    are returned.
    """
    place = place or str(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            head = file.read(512)
            digest.update(head)
            size = len(head)
            while size <= source.size_limit and (chunk := file.read(_CHUNK)):
                digest.update(chunk)
                size += len(chunk)
            return fault(source, place, size, digest.hexdigest(), head)
    except FileNotFoundError:
        raise
    except OSError as error:
        return unreadable(place, error)


def unreadable(place: str, error: OSError) -> ChecksFailed:
    """A file that is there and cannot be read."""
    reason = error.strerror or str(error)
    remedy = "check the file's permissions" if error.errno == errno.EACCES else ""
    return ChecksFailed(
        f"{place} cannot be read: {reason}", kind="source-unreadable", object=place, remedy=remedy
    )
