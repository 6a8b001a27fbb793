"""Turns a decoded behaviour script into values, and says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from installer.core.errors import Problem
from installer.sandbox.script import (
    DELAYS,
    IMAGE_FAILURES,
    REQUESTS,
    WEBHOOK_FAULTS,
    ImageRule,
    ModelRule,
    Script,
    WebhookRule,
)


class Reader:
    """Turns decoded JSON into values and collects every problem."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def script(self, data: Any) -> Script:
        fields = self._mapping(data, "", tuple(Script.__dataclass_fields__))
        images = fields.get("images", [])
        if not isinstance(images, list):
            images = self._wrong("images", images, "a list of rules", [])
        webhooks = fields.get("webhooks", {})
        if not isinstance(webhooks, dict):
            webhooks = self._wrong("webhooks", webhooks, "an object of namespace/service", {})
        paused = fields.get("paused", [])
        if not isinstance(paused, list) or not all(isinstance(name, str) for name in paused):
            paused = self._wrong("paused", paused, "a list of controller names", [])
        models = fields.get("models", [])
        if not isinstance(models, list):
            models = self._wrong("models", models, "a list of rules", [])
        return Script(
            models=tuple(self._model(rule, f"models[{i}]") for i, rule in enumerate(models)),
            autoscaler_speed=float(
                self._value(
                    fields, "", "autoscaler_speed", _is_positive, "a number above zero", 1.0
                )
            ),
            login=str(self._value(fields, "", "login", _is_text, "a URL", "")),
            images=tuple(self._image(rule, f"images[{i}]") for i, rule in enumerate(images)),
            webhooks={name: self._webhook(name, rule) for name, rule in webhooks.items()},
            load_balancer=self._value(
                fields, "", "load_balancer", _is_bool, "true or false", False
            ),
            delays=self._value(fields, "", "delays", _one_of(DELAYS), " or ".join(DELAYS), ""),
            paused=tuple(paused),
        )

    def _image(self, data: Any, path: str) -> ImageRule:
        fields = self._mapping(data, path, tuple(ImageRule.__dataclass_fields__))
        get = _Getter(self, fields, path)
        if not fields.get("match"):
            self._wrong(f"{path}.match", fields.get("match"), "part of an image name", "")
        return ImageRule(
            match=get.text("match"),
            pull_seconds=get.seconds("pull_seconds"),
            start_seconds=get.seconds("start_seconds"),
            ready_seconds=get.seconds("ready_seconds"),
            fail=get.choice("fail", IMAGE_FAILURES, ""),
            count=get.number("count", None),
            exit_code=get.number("exit_code", 1) or 1,
            message=get.text("message"),
        )

    def _model(self, data: Any, path: str) -> ModelRule:
        fields = self._mapping(data, path, tuple(ModelRule.__dataclass_fields__))
        get = _Getter(self, fields, path)
        if not fields.get("match"):
            self._wrong(f"{path}.match", fields.get("match"), "part of namespace/name", "")
        seconds = get.seconds("seconds")
        return ModelRule(
            match=get.text("match"),
            seconds=0.1 if seconds is None else seconds,
            concurrency=get.number("concurrency", 0) or 0,
            status=get.number("status", 0) or 0,
            body=get.text("body"),
            load_seconds=get.seconds("load_seconds") or 0.0,
        )

    def _webhook(self, name: str, data: Any) -> WebhookRule:
        path = f"webhooks[{name}]"
        if name.count("/") != 1 or name.startswith("/") or name.endswith("/"):
            self._wrong(path, name, "a key of the form namespace/service", "")
        fields = self._mapping(data, path, tuple(WebhookRule.__dataclass_fields__))
        get = _Getter(self, fields, path)
        if "fault" not in fields:
            self._wrong(f"{path}.fault", None, "one of " + ", ".join(WEBHOOK_FAULTS), "")
        return WebhookRule(
            fault=get.choice("fault", WEBHOOK_FAULTS, ""),
            seconds=get.seconds("seconds"),
            on=get.choice("on", REQUESTS, "both"),
            after=get.number("after", 0) or 0,
            count=get.number("count", None),
            code=get.number("code", 500) or 500,
            body=get.text("body"),
            message=get.text("message"),
        )

    def _mapping(self, data: Any, path: str, known: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(data, dict):
            self._wrong(path, data, "an object", None)
            return {}
        for key in data:
            if key not in known:
                place = f"{path}.{key}" if path else str(key)
                self._wrong(place, "unknown key", "one of " + ", ".join(known), None)
        return data

    def _value(
        self,
        fields: dict[str, Any],
        path: str,
        key: str,
        fits: Callable[[Any], bool],
        expected: str,
        default: Any,
    ) -> Any:
        value = fields.get(key, default)
        if key in fields and not fits(value):
            return self._wrong(f"{path}.{key}" if path else key, value, expected, default)
        return value

    def _wrong(self, path: str, found: Any, expected: str, default: Any) -> Any:
        self.problems.append(Problem(self.file, path, f"found {found!r}", expected))
        return default


class _Getter:
    """Reads typed members of one rule."""

    def __init__(self, reader: Reader, fields: dict[str, Any], path: str) -> None:
        self._reader = reader
        self._fields = fields
        self._path = path

    def _get(self, key: str, fits: Callable[[Any], bool], expected: str, default: Any) -> Any:
        return self._reader._value(self._fields, self._path, key, fits, expected, default)

    def text(self, key: str) -> str:
        return str(self._get(key, lambda value: isinstance(value, str), "text", ""))

    def seconds(self, key: str) -> float | None:
        value = self._get(key, _is_number, "seconds, zero or more", None)
        return None if value is None else float(value)

    def number(self, key: str, default: int | None) -> int | None:
        value = self._get(key, _is_whole, "a whole number, zero or more", default)
        return None if value is None else int(value)

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        return str(self._get(key, _one_of(choices), "one of " + ", ".join(choices), default))


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int)


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: value in choices
