"""Which variables the playbooks know, read from the argument specifications of their roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from installer.catalog.yaml_loader import LOADER

_ROLES = "collections/ansible_collections/kserve_installer/fleet/roles"
_PREFIX = "kserve_"
_OF_THE_PLAYBOOKS = (
    "kserve_canary",
    "kserve_hosts_become",
    "kserve_identify",
    "kserve_max_fail_percentage",
    "kserve_serial",
)
_ENTRIES = {"status": ("kserve", "facts"), "check-hosts": ("kserve_hosts", "check")}
_WORDS = ("yes", "no", "true", "false", "on", "off", "y", "n", "t", "f", "1", "0")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a role: type as Ansible names it (str, path, int, float, bool, list, dict)."""

    name: str
    type: str
    required: bool

    @property
    def expected(self) -> str:
        """What its value has to be, for a reader."""
        return {
            "str": "a text",
            "path": "a path",
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "list": "a list",
            "dict": "a mapping",
        }[self.type]

    def takes(self, value: Any) -> bool:
        """Whether Ansible would take the value; what is templated or encrypted is not looked at."""
        if is_hidden(value):
            return True
        if self.type == "list":
            return isinstance(value, (list, str))
        if self.type == "dict":
            return isinstance(value, dict)
        if self.type == "int":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, str) and value.strip().isdecimal()
            )
        if self.type == "float":
            return isinstance(value, (int, float)) or _is_number(value)
        if self.type == "bool":
            return isinstance(value, bool) or str(value).lower() in _WORDS
        return not isinstance(value, (list, dict)) and value is not None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def is_hidden(value: Any) -> bool:
    """True for what is known only when a playbook runs: templates, and what a vault encrypts."""
    if isinstance(value, dict):
        return "__ansible_vault" in value
    return isinstance(value, str) and ("{{" in value or "{%" in value)


@cache
def known() -> Mapping[str, Variable]:
    """Every variable of the roles, whichever command looks at it."""
    entries = [entry for role in ("kserve", "kserve_hosts") for entry in _specs(role).values()]
    return {name: found for entry in entries for name, found in entry.items()}


def taken_by(command: str) -> Mapping[str, Variable]:
    """The variables that a command looks at."""
    role, entry = _ENTRIES.get(command, ("kserve", command))
    return _specs(role)[entry]


def is_foreign(name: str) -> bool:
    """True for a variable that is not ours to judge."""
    return not name.startswith(_PREFIX) or name in _OF_THE_PLAYBOOKS


@cache
def _specs(role: str) -> Mapping[str, Mapping[str, Variable]]:
    """Variables by entry point of a role."""
    folder = Path(__file__).resolve().parent.parent / "_playbooks" / _ROLES / role
    text = (folder / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    data = yaml.load(text, Loader=LOADER)
    return {
        entry: {
            name: Variable(name, option["type"], bool(option.get("required")))
            for name, option in spec["options"].items()
        }
        for entry, spec in data["argument_specs"].items()
    }
