"""Paths of fields as catalog files have them; their form: `model.OwnedField.path`."""

from __future__ import annotations


def split_path(path: str) -> tuple[str, ...]:
    """Take a field path apart (form: `OwnedField.path`). Raises ValueError on a broken one."""
    steps: list[str] = []
    rest = path
    while rest:
        step, rest = _step(rest, path)
        steps.append(step)
        while rest.startswith("["):
            inside, closed, rest = rest[1:].partition("]")
            if not closed or not inside:
                raise ValueError(f"{path!r} has an open bracket")
            steps.append(f"[{inside}]")
        if rest:
            if not rest.startswith(".") or rest == ".":
                raise ValueError(f"{path!r} is not keys joined by dots")
            rest = rest[1:]
    if not steps:
        raise ValueError("an empty path")
    return tuple(steps)


def _step(rest: str, path: str) -> tuple[str, str]:
    if rest.startswith('"'):
        key, closed, rest = rest[1:].partition('"')
        if not closed:
            raise ValueError(f"{path!r} has an open quote")
    else:
        end = min((i for i in (rest.find("."), rest.find("[")) if i >= 0), default=len(rest))
        key, rest = rest[:end], rest[end:]
    if not key:
        raise ValueError(f"{path!r} has an empty key")
    return key, rest
