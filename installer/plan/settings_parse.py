"""Settings files into values, with every problem found: file, path, what is there, what should be.

Takes text, so that the layer above decides what is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from installer.core.errors import InvalidInput, Problem
from installer.plan.settings import Origin, Settings
from installer.plan.settings_apply import merged
from installer.plan.settings_form import Found, shown, structure

API_VERSION, KIND = "kserve-installer/v1", "Settings"

_LABEL = re.compile(
    r"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_OBJECT = re.compile(r"[a-z0-9][-a-z0-9.]*/[a-z0-9][-a-z0-9.]*")
_OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "add": ("path", "value"),
    "replace": ("path", "value"),
    "test": ("path", "value"),
    "remove": ("path",),
    "move": ("from", "path"),
    "copy": ("from", "path"),
}


def parse(documents: Sequence[tuple[str, str]]) -> Settings:
    """(file name, text) pairs as one Settings: later files win, `patches` and `external` add up.

    Raises InvalidInput with the problems of all files.
    """
    problems: list[Problem] = []
    total: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for name, text in documents:
        data, found = _document(text)
        problems += [Problem(name, *item) for item in found]
        if not found:
            _add(total, origins, name, data)
    if problems:
        raise InvalidInput("the settings file", problems)
    structured, _ = structure(total)
    settings = replace(structured or Settings(), origins=origins)
    problems = [settings.problem("gateway", *item[1:]) for item in _gateway(settings)]
    if problems:
        raise InvalidInput("the settings file", problems)
    return settings


def _document(text: str) -> tuple[dict[str, Any], list[Found]]:
    """One file as raw mapping without its head, and its problems."""
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        return {}, [("", _syntax(error), "one YAML document")]
    if not isinstance(data, dict):
        return {}, [("", f"found {shown(data)}", f"a mapping with kind: {KIND}")]
    found = [
        (key, f"found {shown(data.get(key))}" if key in data else "it is missing", wanted)
        for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND))
        if data.get(key) != wanted
    ]
    head = ("apiVersion", "kind")
    rest = {key: value for key, value in data.items() if key not in head and value is not None}
    settings, wrong = structure(rest)
    return rest, found + wrong + (list(_semantics(settings)) if settings else [])


def _add(
    total: dict[str, Any], origins: dict[str, Origin], file: str, data: Mapping[str, Any]
) -> None:
    """Put one file over those before it and note who said what."""
    lists = ("patches", "external")
    for key, value in data.items():
        if key == "patches":
            for index in range(len(value)):
                number = len(total.get("patches", [])) + index
                origins[f"patches[{number}]"] = Origin(file, f"patches[{index}]")
        elif key in ("deployments", "inferenceservice"):
            origins |= {f"{key}.{name}": Origin(file, f"{key}.{name}") for name in value}
        else:
            origins[key] = Origin(file, key)
        if key in lists:
            total[key] = [*total.get(key, []), *value]
        elif key == "inferenceservice":
            total[key] = {**total.get(key, {}), **_layered(total.get(key, {}), value)}
        else:
            total[key] = merged(total.get(key), value)


def _layered(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Unlike `merged`, keeps null: it removes a key of the ConfigMap's JSON later."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = _layered(old, value) if both else value  # type: ignore[arg-type]
    return result


def _semantics(settings: Settings) -> Iterator[Found]:
    """What types cannot say."""
    yield from _gateway(settings)
    if settings.domain and not _DOMAIN.fullmatch(settings.domain):
        yield "domain", f"found {shown(settings.domain)}", "a DNS name in lower case"
    for key, value in settings.deployments.items():
        if not _OBJECT.fullmatch(key):
            yield f"deployments.{key}", "the key is not namespace/name", "namespace/name"
        if value.replicas is not None and value.replicas < 1:
            yield f"deployments.{key}.replicas", f"found {value.replicas}", "1 or more"
    for key, text in settings.inferenceservice.items():
        if isinstance(text, str) and not _is_json(text):
            yield f"inferenceservice.{key}", "the text is not JSON", "JSON, or a mapping to merge"
    yield from _labels(settings)
    for index, patch in enumerate(settings.patches):
        if not patch.patch:
            yield f"patches[{index}].patch", "the list is empty", "RFC 6902 operations"
        for number, operation in enumerate(patch.patch):
            yield from _operation(f"patches[{index}].patch[{number}]", operation)


def _labels(settings: Settings) -> Iterator[Found]:
    for key, text in settings.labels.items():
        if not _LABEL.fullmatch(key):
            yield f"labels.{key}", "the key is not a label name", "such as team or example.com/team"
        if not _LABEL_VALUE.fullmatch(text):
            expected = "at most 63 letters, digits, dots, dashes or underscores"
            yield f"labels.{key}", f"found {shown(text)}", expected


def _gateway(settings: Settings) -> Iterator[Found]:
    gateway = settings.gateway
    if gateway is None:
        return
    for name, port in gateway.node_ports.items():
        if not 1 <= port <= 65535:
            yield f"gateway.nodePorts.{name}", f"found {port}", "a port from 1 to 65535"
    if gateway.type == "ClusterIP" and (gateway.node_ports or gateway.external_traffic_policy):
        found = "a Service of type ClusterIP has neither nodePorts nor externalTrafficPolicy"
        yield "gateway", found, "another type, or without these"


def _operation(path: str, operation: Mapping[str, Any]) -> Iterator[Found]:
    op = operation.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        yield f"{path}.op", f"found {shown(op)}", f"one of {', '.join(_OPERATIONS)}"
        return
    for key in _OPERATIONS[op]:
        if key not in operation:
            yield f"{path}.{key}", "it is missing", f"{key}, which {op} needs"
    for key in ("path", "from"):
        pointer = operation.get(key, "/")
        if not isinstance(pointer, str) or not pointer.startswith("/"):
            yield f"{path}.{key}", f"found {shown(pointer)}", "a JSON pointer such as /spec/type"


def _syntax(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + str(getattr(error, "problem", None) or error)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice; YAML itself would let the last one win unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
