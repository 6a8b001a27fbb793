"""Reading many objects: a LIST in pages of one snapshot, a watch from open to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster.errors import ApiError, Failure, classify
from installer.cluster.no_answer import classify_exception
from installer.core.cancel import Cancel
from installer.core.objects import Object, dig

PAGE = 500
"""Objects per request of a LIST; kubectl's page too."""
RESTARTS = 3
"""A LIST in pages that began again so often is asked for in one answer."""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A consistent LIST; each item carries apiVersion and kind."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a LIST. items: each carries apiVersion and kind. token: what the next page begins
    with, empty after the last. left: how many are still to come, where the server says so."""

    items: list[Object]
    token: str
    left: int = 0


def selecting(labels: str, fields: str) -> dict[str, str]:
    """The part of a query that narrows a LIST or a watch."""
    found = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in found.items() if value}


def pages(
    fetch: Callable[[Mapping[str, str]], Any], query: Mapping[str, str]
) -> tuple[list[Object], str]:
    """Every object that `fetch(query)` lists, and the resourceVersion that a watch goes on from.

    Begins again when the snapshot was compacted away between two pages; where that goes on, the
    list is asked for in one answer, which no compaction can interrupt.
    """
    items: list[Object] = []
    token, restarts = "", 0
    while True:
        paging = {} if restarts == RESTARTS else {"limit": str(PAGE)}
        if token:
            paging["continue"] = token
        try:
            page = fetch({**query, **paging})
        except ApiError as error:
            if error.failure.kind != "gone" or not token:
                raise
            items, token, restarts = [], "", restarts + 1
            continue
        items += page.get("items") or []
        token = dig(page, "metadata", "continue", default="")
        if not token:
            return items, str(dig(page, "metadata", "resourceVersion", default=""))


def stream(
    fetch: Callable[[Mapping[str, str]], Any],
    query: Mapping[str, str],
    *,
    size: int = PAGE,
    token: str = "",
) -> Iterator[Page]:
    """Pages of `fetch(query)` one by one, so that no more than one need be held.

    token: what an earlier page gave, to go on after it. A snapshot that was compacted away
    meanwhile does not end it: the server offers a token for the rest as it is now, and where it
    offers none the list begins again, so that an object may come twice. What is there throughout
    comes at least once.
    """
    while True:
        paging = {"limit": str(size), **({"continue": token} if token else {})}
        try:
            found = fetch({**query, **paging})
        except ApiError as error:
            if error.failure.kind != "gone" or not token:
                raise
            token = error.failure.resume if error.failure.resume != token else ""
            continue
        token = dig(found, "metadata", "continue", default="")
        left = dig(found, "metadata", "remainingItemCount", default=0)
        yield Page(found.get("items") or [], token, int(left))
        if not token:
            return


def events(send: Callable[[], Any], cancel: Cancel, about: str) -> Iterator[tuple[str, Object]]:
    """(type, object) of each line until the server ends the answer.

    send: opens the request and returns the unread response. Raises ApiError, and the reason of
    `cancel`; closing the iterator closes the connection.
    """
    cancel.check(f"watching: {about}")
    response = None
    try:
        response = _opened(send, about)
        for line in _lines(response):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise ApiError(_of_status(event["object"]), about)
            yield event["type"], event["object"]
    except ApiError:
        cancel.check(f"watching: {about}")
        raise
    except GeneratorExit:
        raise
    except Exception as error:  # urllib3, ssl, socket, or a line cut short
        cancel.check(f"watching: {about}")
        raise ApiError(_lost(error), about) from error
    finally:
        if response is not None:
            response.close()
    cancel.check(f"watching: {about}")


def _opened(send: Callable[[], Any], about: str) -> Any:
    response = send()
    if response.status >= 300:
        raise ApiError(classify(response.status, response.read(), response.headers), about)
    return response


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(None):
        *complete, rest = (rest + chunk).split(b"\n")
        yield from (line for line in complete if line)
    if rest.strip():
        yield rest


def _of_status(status: Any) -> Failure:
    return classify(int(dig(status, "code", default=500)), status)


def _lost(error: Exception) -> Failure:
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return Failure("unreachable", True, "the watch was cut off within a line")
    return classify_exception(error)
