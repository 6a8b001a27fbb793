"""Secrets out of texts that are shown: the passwords, tokens and queries of URLs."""

from __future__ import annotations

import re

_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)([^\s/?#]*)@", re.IGNORECASE)
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?#'\"]*\?|\burl: [^\s?]*\?)[^\s'\"<>)]+", re.I)


def masked(text: str) -> str:
    """The text with `***` for what only its owner should read in a URL.

    That is the password (the user too where it stands alone: it may be a token) and the query.
    """
    if "://" not in text and "url: " not in text:
        return text
    return _QUERY.sub(r"\1***", _USER.sub(_hidden, text))


def _hidden(match: re.Match[str]) -> str:
    user, colon, _ = match[2].partition(":")
    return f"{match[1]}{user}:***@" if colon else f"{match[1]}***@"
