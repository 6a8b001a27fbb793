"""Which variables the playbooks know, read from the argument specification of their role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PREFIX = "kserve_"
_COLLECTION = "collections/ansible_collections/kserve_installer/fleet"
_SPECS = f"{_COLLECTION}/roles/kserve/meta/argument_specs.yml"
_OF_THE_PLAYBOOKS = ("kserve_serial", "kserve_canary", "kserve_max_fail_percentage")
_OTHER_ROLES = "kserve_hosts_"
_ENTRIES = {"status": "facts"}
_WORDS = ("yes", "no", "true", "false", "on", "off", "y", "n", "t", "f", "1", "0")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the role: type as Ansible names it (str, path, int, bool, list, dict)."""

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
        if self.type == "bool":
            return isinstance(value, bool) or str(value).lower() in _WORDS
        return not isinstance(value, (list, dict)) and value is not None


def is_hidden(value: Any) -> bool:
    """True for what is known only when a playbook runs: templates, and what a vault encrypts."""
    if isinstance(value, dict):
        return "__ansible_vault" in value
    return isinstance(value, str) and ("{{" in value or "{%" in value)


@cache
def known() -> Mapping[str, Variable]:
    """Every variable of the role that clusters use."""
    return {name: found for entry in _specs().values() for name, found in entry.items()}


def taken_by(command: str) -> Mapping[str, Variable]:
    """The variables that a command looks at."""
    return _specs()[_ENTRIES.get(command, command)]


def is_foreign(name: str) -> bool:
    """True for a variable that is not ours to judge."""
    ours = name.startswith(PREFIX) and not name.startswith(_OTHER_ROLES)
    return not ours or name in _OF_THE_PLAYBOOKS


@cache
def _specs() -> Mapping[str, Mapping[str, Variable]]:
    file = Path(__file__).resolve().parent.parent / "_playbooks" / _SPECS
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {
        entry: {
            name: Variable(name, option["type"], bool(option.get("required")))
            for name, option in spec["options"].items()
        }
        for entry, spec in data["argument_specs"].items()
    }
