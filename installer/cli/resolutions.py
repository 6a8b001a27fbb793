"""`--resolve` and `--resolve-file`: how conflicts in ConfigMaps are decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from installer.core.errors import InvalidInput, Problem

_LIMIT = 1_000_000
_PATH = "CONFIGMAP/KEY or CONFIGMAP/KEY/FIELD"


def read_resolutions(words: Sequence[str], file: str | None) -> dict[str, Any]:
    """What is decided, by path; words win over the file. Raises InvalidInput with all problems."""
    problems: list[Problem] = []
    found = dict(_of_file(file, problems)) if file else {}
    for word in words:
        path, equals, value = word.partition("=")
        if not equals or not _is_path(path):
            problems.append(Problem("--resolve", "", repr(word), f"{_PATH}=ours|theirs|VALUE"))
            continue
        found[path] = _value(path, value)
    if problems:
        raise InvalidInput("what is resolved", problems)
    return found


def _is_path(path: str) -> bool:
    steps = path.split("/")
    return len(steps) >= 2 and all(steps)


def _value(path: str, text: str) -> Any:
    """A field's value is JSON where it reads as such; that of a whole key is always text."""
    if path.count("/") < 2:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _of_file(file: str, problems: list[Problem]) -> Mapping[str, Any]:
    import yaml

    try:
        with Path(file).open(encoding="utf-8") as stream:
            text = stream.read(_LIMIT + 1)
        data = yaml.safe_load(text) if len(text) <= _LIMIT else None
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        problems.append(Problem(file, "", reason, "a readable text file"))
        return {}
    except (yaml.YAMLError, RecursionError):
        problems.append(Problem(file, "", "it is not YAML", f"{_PATH}: ours, theirs or a value"))
        return {}
    if not isinstance(data, dict):
        problems.append(Problem(file, "", "it is no mapping", f"{_PATH}: ours, theirs or a value"))
        return {}
    for path, value in data.items():
        if not isinstance(path, str) or not _is_path(path):
            problems.append(Problem(file, str(path), "it names no value", _PATH))
        elif path.count("/") < 2 and not isinstance(value, str):
            problems.append(
                Problem(file, path, f"it is {value!r}", "text: ConfigMaps hold nothing else")
            )
    return data
