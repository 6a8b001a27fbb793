"""Reading many objects: a LIST in pages of one snapshot, a watch from open to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from installer.cluster.errors import ApiError, Failure, classify, classify_exception
from installer.core.cancel import Cancel
from installer.core.objects import Object, dig

PAGE = 500
"""Objects per request of a LIST; kubectl's page too."""


def pages(
    fetch: Callable[[Mapping[str, str]], Any], query: Mapping[str, str]
) -> tuple[list[Object], str]:
    """Every object that `fetch(query)` lists, and the resourceVersion that a watch goes on from.

    Begins again when the snapshot was compacted away between two pages.
    """
    items: list[Object] = []
    token = ""
    while True:
        paging = {"limit": str(PAGE), "continue": token} if token else {"limit": str(PAGE)}
        try:
            page = fetch({**query, **paging})
        except ApiError as error:
            if error.failure.kind != "gone" or not token:
                raise
            items, token = [], ""
            continue
        items += page.get("items") or []
        token = dig(page, "metadata", "continue", default="")
        if not token:
            return items, str(dig(page, "metadata", "resourceVersion", default=""))


def events(send: Callable[[], Any], cancel: Cancel, about: str) -> Iterator[tuple[str, Object]]:
    """(type, object) of each line until the server ends the answer.

    send: opens the request and returns the unread response. Raises ApiError, and the reason of
    `cancel`; closing the iterator closes the connection.
    """
    cancel.check()
    response = None
    try:
        response = _opened(send, about)
        for line in _lines(response):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise ApiError(_of_status(event["object"]), about)
            yield event["type"], event["object"]
    except ApiError:
        cancel.check()
        raise
    except GeneratorExit:
        raise
    except Exception as error:  # urllib3, ssl, socket, or a line cut short
        cancel.check()
        raise ApiError(_lost(error), about) from error
    finally:
        if response is not None:
            response.close()
    cancel.check()


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
