"""Answers of the simulated webhooks: the server's side of AdmissionReview and ConversionReview."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Object
from installer.sandbox.simulators.conversion import convert_review


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request is refused: message, HTTP code and the Status' reason as upstream sends them.

    reason is empty where upstream sends none; `None` stands for the message itself, as
    controller-runtime does.
    """

    message: str
    code: int = 403
    reason: str | None = None


Review = dict[str, Any]
Validate = Callable[[Object], Denial | None]
"""Object to be stored → why it is refused, or None."""

Default = Callable[[Object], Object]
"""Object → a copy with defaults filled in, or the object itself."""


class Admission:
    """Chooses by path who validates and who fills in defaults; whatever is unknown is allowed."""

    def __init__(self) -> None:
        self._validators: list[tuple[str, Validate]] = []
        self._defaulters: list[tuple[str, Default]] = []

    def validate(self, path: str, function: Validate) -> None:
        """Use `function` for paths that start with `path`."""
        self._validators.append((path, function))

    def default(self, path: str, function: Default) -> None:
        """Use `function` to fill in defaults for paths that start with `path`."""
        self._defaulters.append((path, function))

    def answer(self, path: str, review: Review) -> Review:
        """Answer one review that was sent to a path."""
        if review.get("kind") == "ConversionReview":
            return convert_review(review)
        request = review["request"]
        response: Review = {"uid": request["uid"], "allowed": True}
        obj = request.get("object")
        if obj and request.get("operation") in ("CREATE", "UPDATE"):
            denial = self._denial(path, obj)
            if denial:
                response |= {"allowed": False, "status": _status(denial)}
            else:
                patch = self._patch(path, obj)
                if patch:
                    response |= {"patchType": "JSONPatch", "patch": patch}
        return {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}

    def _denial(self, path: str, obj: Object) -> Denial | None:
        for prefix, function in self._validators:
            if path.startswith(prefix):
                denial = function(obj)
                if denial:
                    return denial
        return None

    def _patch(self, path: str, obj: Object) -> str:
        changed = obj
        for prefix, function in self._defaulters:
            if path.startswith(prefix):
                changed = function(changed)
        operations = [
            {"op": "replace" if key in obj else "add", "path": f"/{key}", "value": value}
            for key, value in changed.items()
            if obj.get(key) != value
        ]
        return base64.b64encode(json.dumps(operations).encode()).decode() if operations else ""


def _status(denial: Denial) -> dict[str, Any]:
    status: dict[str, Any] = {"message": denial.message, "code": denial.code}
    reason = denial.message if denial.reason is None else denial.reason
    return status | ({"reason": reason} if reason else {})
