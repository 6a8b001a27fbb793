"""The behaviour script: how simulated images, webhooks and controllers behave or misbehave.

A JSON file, `script.json` in the sandbox's state directory, read again whenever it changes
(replace it atomically: `write`). Absent, empty or `{}` means that everything works. Example:

    {
      "images": [
        {"match": "kfserving-controller", "pull_seconds": 5, "ready_seconds": 2},
        {"match": "gcr.io/knative-releases/knative.dev/serving/cmd/activator", "fail": "crash",
         "exit_code": 2, "count": 3, "message": "cannot reach the API server"}
      ],
      "webhooks": {
        "kfserving-system/kfserving-webhook-server-service": {"fault": "refused", "count": 5},
        "cert-manager/cert-manager-webhook": {"fault": "slow", "seconds": 4, "on": "conversion"}
      },
      "load_balancer": true,
      "delays": "none",
      "paused": ["cainjector"]
    }

images: the first rule whose `match` occurs in the image name counts.
    pull_seconds: the container waits with ContainerCreating that long.
    start_seconds: from pulled to Running.
    ready_seconds: from Running to Ready.
    fail: `ErrImagePull` (then ImagePullBackOff), `crash` (terminated with `exit_code`, then
        CrashLoopBackOff), `never-ready` (Running, never Ready), `evicted` (the pod ends as Failed,
        reason Evicted), `pending` (no node takes the pod: Unschedulable); absent: works.
    count: attempts that fail before it works, of all pods with such an image together; absent:
        all. `crash` and `ErrImagePull` count starts and pulls, of which one pod makes many;
        `never-ready` and `evicted` count pods; `pending` does not end by itself.
    exit_code: of `crash`, 1 unless given. message: what the failure says.
webhooks: by `namespace/service`; one rule for a Service. `fault` is one of
    refused      nothing listens: connection refused
    no-route     the address cannot be reached: no route to host
    reset        the connection closes at once, before TLS
    eof          the connection closes after the request, without an answer
    plain-http   HTTP where TLS is expected
    tls-timeout  accepts and never speaks TLS
    timeout      reads the request and never answers
    slow         answers correctly after `seconds`
    flapping     refused and answering in turn, `seconds` each (1 unless given)
    x509         certificate of an unknown CA
    x509-name    certificate for another name
    x509-expired certificate that has expired
    x509-common-name  certificate with a Common Name only
    deny         denies every admission request, with `message` when given
    http         HTTP status `code` with `body`
    not-json     200 with something that is not JSON
    empty        an AdmissionReview or ConversionReview without a response
  on: `admission`, `conversion` or `both` (default): which requests it hits. A connection-level
    fault (refused to x509-common-name) hits before the request is known, so there `on` is ignored.
  after: requests answered properly before the fault begins (0 unless given).
  count: requests it hits before it heals; absent: until the script changes. `after` and `count`
    start anew when the rule changes.
load_balancer: Services of type LoadBalancer get an address (default false: they stay pending).
delays: `recorded` (as the real controllers took) or `none`; absent: as `sandbox up` was told.
paused: simulated controllers that do nothing while listed, by the name of the real one:
    `cainjector`, `cert-manager`, `knative-webhook`, `istiod`, `kfserving-controller`, `kubelet`,
    and any other name a simulator gives itself.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from installer.core.errors import InvalidInput, Problem

IMAGE_FAILURES = ("ErrImagePull", "crash", "never-ready", "evicted", "pending")
CONNECTION_FAULTS = (
    "refused",
    "no-route",
    "reset",
    "plain-http",
    "tls-timeout",
    "flapping",
    "x509",
    "x509-name",
    "x509-expired",
    "x509-common-name",
)
REQUEST_FAULTS = ("eof", "timeout", "slow", "deny", "http", "not-json", "empty")
WEBHOOK_FAULTS = CONNECTION_FAULTS + REQUEST_FAULTS
DELAYS = ("recorded", "none")
REQUESTS = ("admission", "conversion", "both")


@dataclass(frozen=True, slots=True)
class ImageRule:
    """How containers of matching images behave; seconds are None where not given."""

    match: str
    pull_seconds: float | None = None
    start_seconds: float | None = None
    ready_seconds: float | None = None
    fail: str = ""
    count: int | None = None
    exit_code: int = 1
    message: str = ""


@dataclass(frozen=True, slots=True)
class WebhookRule:
    """How one Service's webhook fails; see the module's text for the faults."""

    fault: str
    seconds: float | None = None
    on: str = "both"
    after: int = 0
    count: int | None = None
    code: int = 500
    body: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """The whole script. `delays` is empty when the script does not say."""

    images: tuple[ImageRule, ...] = ()
    webhooks: Mapping[str, WebhookRule] = field(default_factory=dict)
    load_balancer: bool = False
    delays: str = ""
    paused: tuple[str, ...] = ()

    def image_rule(self, image: str) -> ImageRule | None:
        """The first rule that matches an image name."""
        return next((rule for rule in self.images if rule.match in image), None)

    def webhook_rule(self, namespace: str, service: str) -> WebhookRule | None:
        """The rule of a Service, if there is one."""
        return self.webhooks.get(f"{namespace}/{service}")

    def instant(self, default: bool) -> bool:
        """Whether delays are zero; `default` is `SimulatorContext.instant`."""
        return self.delays == "none" if self.delays else default

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without what equals the default."""
        data: dict[str, Any] = {}
        if self.images:
            data["images"] = [_told(rule) for rule in self.images]
        if self.webhooks:
            data["webhooks"] = {name: _told(rule) for name, rule in self.webhooks.items()}
        if self.load_balancer:
            data["load_balancer"] = True
        if self.delays:
            data["delays"] = self.delays
        if self.paused:
            data["paused"] = list(self.paused)
        return data


def _told(rule: ImageRule | WebhookRule) -> dict[str, Any]:
    plain = type(rule)(match="") if isinstance(rule, ImageRule) else type(rule)(fault="")
    defaults = asdict(plain)
    return {key: value for key, value in asdict(rule).items() if value != defaults[key]}


def parse(data: Any, file: str = "script.json") -> Script:
    """Check a decoded script. Raises InvalidInput with every problem found."""
    reader = _Reader(file)
    script = reader.script(data)
    if reader.problems:
        raise InvalidInput(f"the sandbox script {file}", reader.problems)
    return script


def read(path: Path) -> Script:
    """Read a script file; an absent or empty file is the empty script. Raises InvalidInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Script()
    try:
        data = json.loads(text) if text.strip() else {}
    except ValueError as error:
        problem = Problem(str(path), "", f"not JSON ({error})", "a JSON object")
        raise InvalidInput(f"the sandbox script {path}", [problem]) from error
    return parse(data, str(path))


def write(path: Path, script: Script) -> None:
    """Replace the script file atomically, so that a reader sees the old or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".script-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(script.to_dict(), stream, indent=2)
    Path(name).replace(path)


class ScriptFile:
    """The script as it is now: `current` reads the file again when it has changed.

    A broken script leaves the last good one in force; `problem` then holds what is wrong with it.
    Safe to use from several threads: at worst one change is read twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem: InvalidInput | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._script = Script()

    def current(self) -> Script:
        """The script in force; costs one stat when nothing has changed."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        except FileNotFoundError:
            stamp = (0, 0, 0)
        if stamp != self._stamp:
            try:
                self._script = read(self.path)
                self.problem = None
            except InvalidInput as error:
                self.problem = error
            self._stamp = stamp
        return self._script


class _Reader:
    """Turns decoded JSON into values and collects every problem."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def script(self, data: Any) -> Script:
        fields = self._mapping(
            data, "", ("images", "webhooks", "load_balancer", "delays", "paused")
        )
        images = fields.get("images", [])
        if not isinstance(images, list):
            images = self._wrong("images", images, "a list of rules", [])
        webhooks = fields.get("webhooks", {})
        if not isinstance(webhooks, dict):
            webhooks = self._wrong("webhooks", webhooks, "an object of namespace/service", {})
        paused = fields.get("paused", [])
        if not isinstance(paused, list) or not all(isinstance(name, str) for name in paused):
            paused = self._wrong("paused", paused, "a list of controller names", [])
        return Script(
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

    def __init__(self, reader: _Reader, fields: dict[str, Any], path: str) -> None:
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


def _is_whole(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int)


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: value in choices
