"""The ledger's values as the documents that they are kept in, and back. Pure.

The documents are in the cluster, where anybody may have edited them: each crosses one parse
function here, which takes nothing for granted and leaves aside what a later version may add.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from installer.cluster.records import ComponentRecord, Cursor, Ledger, Run, Upgrade
from installer.core.objects import Ref
from installer.plan.drift import Entry
from installer.plan.edits import Edit, Edits
from installer.plan.handover import KEEPERS, Handover

FORMAT = 1
RUNS_KEPT = 10
_STATES = ("", "installing", "installed", "uninstalling", "upgrading")
_Value = TypeVar("_Value")


class Damaged(ValueError):
    """A document that is not what was written; the text says what is wrong with it."""


class Newer(ValueError):
    """A document of a later format; the text is its number."""


def stack_text(ledger: Ledger) -> str:
    """The stack's document: everything but the records of the components."""
    document = {
        "format": FORMAT,
        "release": ledger.release,
        "state": ledger.state,
        "settings": ledger.settings,
        "external": list(ledger.external),
        "components": list(ledger.names),
        "before": ledger.before,
        "upgrade": _upgrade_data(ledger.upgrade),
        "edits": {
            name: {key: [edit.value, edit.onto] for key, edit in keys.items()}
            for name, keys in ledger.edits.items()
        },
        "handovers": [
            {slot: getattr(item, slot) for slot in Handover.__slots__} for item in ledger.handovers
        ],
        "runs": [{s: getattr(run, s) for s in Run.__slots__} for run in ledger.runs[-RUNS_KEPT:]],
    }
    return json.dumps(document, indent=1)


def stack_of(text: object) -> Ledger:
    """The inverse of `stack_text`. Raises Damaged or Newer."""
    data = _document(text)
    state = _of(data, "state", str)
    if state not in _STATES:
        raise Damaged(f"state is {state!r}, which is none")
    return Ledger(
        release=_of(data, "release", str),
        state=state,
        settings=_of(data, "settings", str),
        external=_texts(data, "external"),
        runs=tuple(_run(item) for item in _of(data, "runs", list)),
        names=_texts(data, "components") if "components" in data else (),  # not in old ledgers
        before=_of(data, "before", str) if "before" in data else "",
        upgrade=_upgrade(data.get("upgrade")),
        edits=_edits(data.get("edits", {})),
        handovers=_handovers(data.get("handovers", [])),
    )


def record_text(record: ComponentRecord) -> str:
    """A component's document."""
    document = {
        "format": FORMAT,
        "name": record.name,
        "version": record.version,
        "state": record.state,
        "stages": dict(record.stages),
        "entries": [
            [*_ref(entry.ref), entry.sent, entry.seen, entry.created]
            for _, entry in sorted(record.entries.items())
        ],
    }
    return json.dumps(document, indent=1)


def record_of(text: object, name: str) -> ComponentRecord:
    """The inverse of `record_text`, for the component that the document is kept for. Raises
    Damaged or Newer."""
    data = _document(text)
    if _of(data, "name", str) != name:
        raise Damaged(f"name is {data['name']}, not {name}")
    stages = _of(data, "stages", dict)
    state = _of(data, "state", str)
    if state not in _STATES:
        raise Damaged(f"state is {state!r}, which is none")
    entries = [_entry(item) for item in _of(data, "entries", list)]
    return ComponentRecord(
        name,
        _of(data, "version", str),
        state,
        {stage: _of(stages, stage, str) for stage in stages},
        {entry.ref.identity: entry for entry in entries},
    )


def _document(text: object) -> dict[str, Any]:
    if not isinstance(text, str):
        raise Damaged("it has no ledger.json")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Damaged(f"it is not JSON ({error})") from error
    except RecursionError as error:
        raise Damaged("it is nested too deeply") from error
    if not isinstance(data, dict):
        raise Damaged("it is no JSON object")
    form = _of(data, "format", int)
    if isinstance(form, bool) or form < 1:
        raise Damaged(f"format is {form}, which is none")
    if form > FORMAT:
        raise Newer(str(form))
    return data


def _of(data: Mapping[str, Any], key: str, kind: type[_Value]) -> _Value:
    value = data.get(key)
    if not isinstance(value, kind):
        found = "missing" if key not in data else f"{type(value).__name__}, not {kind.__name__}"
        raise Damaged(f"{key} is {found}")
    _check_text(key, value)
    return value


def _check_text(what: str, value: object) -> None:
    """JSON can write half a character, which no terminal and no request can."""
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise Damaged(f"{what} has half a character, which is no text")


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _of(data, key, list)
    if not all(isinstance(value, str) for value in values):
        raise Damaged(f"{key} has something that is no text")
    for value in values:
        _check_text(key, value)
    return tuple(values)


def _run(data: object) -> Run:
    if not isinstance(data, dict):
        raise Damaged("a run is no object")
    needed = {key: _of(data, key, str) for key in ("id", "command", "release", "started", "by")}
    later = {key: _of(data, key, str) for key in ("finished", "outcome", "message") if key in data}
    return Run(**needed, **later)


def _upgrade_data(upgrade: Upgrade | None) -> dict[str, Any] | None:
    if upgrade is None:
        return None
    data = {slot: getattr(upgrade, slot) for slot in Upgrade.__slots__}
    cursor = upgrade.cursor
    data["cursor"] = cursor and {slot: getattr(cursor, slot) for slot in Cursor.__slots__}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}


def _upgrade(data: object) -> Upgrade | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        raise Damaged("upgrade is no object")
    texts = {key: _of(data, key, str) for key in ("command", "target", "origin", "hop", "since")}
    if texts["command"] not in ("upgrade", "rollback"):
        raise Damaged(f"upgrade.command is {texts['command']!r}, which is none")
    done, unwell, silent = (_texts(data, key) for key in ("done", "unwell", "silent"))
    cursor = _cursor(data.get("cursor"))
    return Upgrade(**texts, done=done, unwell=unwell, silent=silent, cursor=cursor)


def _edits(data: object) -> Edits:
    if not isinstance(data, dict) or not all(isinstance(keys, dict) for keys in data.values()):
        raise Damaged("edits is no object of objects")
    found: dict[str, dict[str, Edit]] = {}
    for name, keys in data.items():
        for key, pair in keys.items():
            whole = isinstance(pair, list) and len(pair) == 2
            if not whole or not all(isinstance(part, str) for part in pair):
                raise Damaged("an edit is not [value, onto]")
            for part in (name, key, *pair):
                _check_text("an edit", part)
            found.setdefault(name, {})[key] = Edit(*pair)
    return found


def _handovers(data: object) -> tuple[Handover, ...]:
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise Damaged("handovers is no list of objects")
    found = []
    for item in data:
        keeper = next((known for known in KEEPERS if known == item.get("keeper")), None)
        if keeper is None:
            raise Damaged(f"a handover has keeper {item.get('keeper')!r}, which is none")
        where = (_of(item, "namespace", str), _of(item, "name", str))
        found.append(Handover(keeper, *where, _texts(item, "components"), _texts(item, "managers")))
    return tuple(found)


def _cursor(data: object) -> Cursor | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        raise Damaged("upgrade.cursor is no object")
    return Cursor(_of(data, "about", str), _of(data, "token", str), _of(data, "done", int))


def _entry(item: object) -> Entry:
    if not isinstance(item, list) or len(item) != 7 or not isinstance(item[6], bool):
        raise Damaged("an entry is not [apiVersion, kind, namespace, name, sent, seen, created]")
    if not all(isinstance(part, str) for part in item[:6]):
        raise Damaged("an entry has something that is no text")
    for part in item[:6]:
        _check_text("an entry", part)
    if not (item[0] and item[1] and item[3]):
        raise Damaged("an entry does not name an object")
    return Entry(Ref(*item[:4]), item[4], item[5], item[6])


def _ref(ref: Ref) -> Iterable[str]:
    return (ref.api_version, ref.kind, ref.namespace, ref.name)
