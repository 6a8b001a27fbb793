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

from installer.catalog.structure import Found, parse_yaml
from installer.catalog.structure import found as shown
from installer.core.errors import Problem
from installer.plan.settings import Origin, Settings, invalid
from installer.plan.settings_apply import merged
from installer.plan.settings_form import problems_of, whole

_DEEPEST = 100
"""Levels of values in values; nothing that Kubernetes knows has as many."""
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


def parse(
    documents: Sequence[tuple[str, str]],
    components: Sequence[str] | None = None,
    problems: Sequence[Problem] = (),
) -> Settings:
    """(file name, text) pairs as one Settings: later files win, `patches` and `external` add up.

    components: those of the release, where they are known already. problems: those of files that
    are not among the documents. Raises InvalidInput with the problems of all files.
    """
    told = list(problems)
    total: dict[str, Any] = {}
    gateway: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for name, text in documents:
        data, wrong = _document(text)
        for part, found in problems_of(data, lambda part: _semantics(part, components)):
            wrong += found
            if not found and "gateway" in part:
                gateway = merged(gateway, part["gateway"])
        told += [Problem(name, *item) for item in wrong]
        if wrong:
            origins |= {"gateway": Origin(name, "gateway")} if "gateway" in data else {}
        else:
            _add(total, origins, name, data)
    told += _gateway_problems(replace(whole({"gateway": gateway}), origins=origins))
    if told:
        raise invalid(told)
    return replace(whole(total), origins=origins)


def _document(text: str) -> tuple[dict[str, Any], list[Found]]:
    """One file as raw mapping without its head, and what is wrong with YAML and head."""
    try:
        data, found = parse_yaml(text, _DEEPEST)
    except yaml.YAMLError as error:
        return {}, [("", " ".join(str(error).split()), "one YAML document")]
    if data is None and found:
        return {}, found
    if not isinstance(data, dict):
        return {}, [("", shown(data), f"a mapping with kind: {KIND}")]
    found += [
        (key, shown(data.get(key)) if key in data else "missing", wanted)
        for key, wanted in (("apiVersion", API_VERSION), ("kind", KIND))
        if data.get(key) != wanted
    ]
    head = ("apiVersion", "kind")
    return {k: v for k, v in data.items() if k not in head and v is not None}, found


def _add(
    total: dict[str, Any], origins: dict[str, Origin], file: str, data: Mapping[str, Any]
) -> None:
    """Put one file over those before it and note who said what."""
    lists = ("patches", "external")
    for key, value in data.items():
        if key in lists:
            for index in range(len(value)):
                number = len(total.get(key, [])) + index
                origins[f"{key}[{number}]"] = Origin(file, f"{key}[{index}]")
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


def _semantics(settings: Settings, components: Sequence[str] | None) -> Iterator[Found]:
    """What types cannot say."""
    for name, port in (settings.gateway.node_ports if settings.gateway else {}).items():
        if not 1 <= port <= 65535:
            yield f"gateway.nodePorts.{name}", shown(port), "a port from 1 to 65535"
    if settings.domain and not _DOMAIN.fullmatch(settings.domain):
        yield "domain", shown(settings.domain), "a DNS name in lower case"
    for key, value in settings.deployments.items():
        if not _OBJECT.fullmatch(key):
            yield f"deployments.{key}", "the key is not namespace/name", "namespace/name"
        if value.replicas is not None and value.replicas < 1:
            yield f"deployments.{key}.replicas", shown(value.replicas), "1 or more"
    for key, text in settings.inferenceservice.items():
        if isinstance(text, str) and not _is_json(text):
            yield f"inferenceservice.{key}", "the text is not JSON", "JSON, or a mapping to merge"
    yield from _labels(settings)
    yield from _patches(settings)
    if components is not None:
        yield from ((p.path, p.found, p.expected) for p in settings.unknown_components(components))


def _labels(settings: Settings) -> Iterator[Found]:
    for key, text in settings.labels.items():
        if not _LABEL.fullmatch(key):
            yield f"labels.{key}", "the key is not a label name", "such as team or example.com/team"
        if not _LABEL_VALUE.fullmatch(text):
            expected = "at most 63 letters, digits, dots, dashes or underscores"
            yield f"labels.{key}", shown(text), expected


def _patches(settings: Settings) -> Iterator[Found]:
    for index, patch in enumerate(settings.patches):
        if not patch.patch:
            yield f"patches[{index}].patch", "the list is empty", "RFC 6902 operations"
        for number, operation in enumerate(patch.patch):
            yield from _operation(f"patches[{index}].patch[{number}]", operation)


def _gateway_problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong with the gateway of all files together."""
    gateway = settings.gateway
    if gateway is None or gateway.type != "ClusterIP":
        return
    if gateway.node_ports or gateway.external_traffic_policy:
        found = "a Service of type ClusterIP has neither nodePorts nor externalTrafficPolicy"
        yield settings.problem("gateway", found, "another type, or without these")


def _operation(path: str, operation: Mapping[str, Any]) -> Iterator[Found]:
    op = operation.get("op")
    if not isinstance(op, str) or op not in _OPERATIONS:
        yield f"{path}.op", shown(op), f"one of {', '.join(_OPERATIONS)}"
        return
    for key in _OPERATIONS[op]:
        if key not in operation:
            yield f"{path}.{key}", "missing", f"{key}, which {op} needs"
    for key in ("path", "from"):
        pointer = operation.get(key, "/")
        if not isinstance(pointer, str) or not pointer.startswith("/"):
            yield f"{path}.{key}", shown(pointer), "a JSON pointer such as /spec/type"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
