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
        reason Evicted), `pending` (no node takes the pod: Unschedulable), `no-such-tag`
        (Knative finds no digest of a model's image, and makes no pod); absent: works.
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
models: how simulated models answer; the first rule whose `match` occurs in `namespace/name` of the
    InferenceService counts.
    seconds: until a model has an answer (0.1 unless given).
    concurrency: requests that one pod works on at the same time, others wait; 0: any number.
    status, body: what is answered instead of a prediction.
    load_seconds: from the container's start until its model listens.
autoscaler_speed: how many times faster than the clock Knative's autoscaler counts its windows and
    ticks (1 unless given).
login: URL that the ingress gateway sends everybody to who has no session, as dex or an OIDC proxy
    in front of it would; empty: nobody asks.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from installer.core.errors import InvalidInput, Problem

IMAGE_FAILURES = ("ErrImagePull", "crash", "never-ready", "evicted", "pending", "no-such-tag")
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
class ModelRule:
    """How the models of matching InferenceServices answer; status 0: with a prediction."""

    match: str
    seconds: float = 0.1
    concurrency: int = 0
    status: int = 0
    body: str = ""
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Script:
    """The whole script. `delays` is empty when the script does not say."""

    images: tuple[ImageRule, ...] = ()
    webhooks: Mapping[str, WebhookRule] = field(default_factory=dict)
    load_balancer: bool = False
    delays: str = ""
    paused: tuple[str, ...] = ()
    models: tuple[ModelRule, ...] = ()
    autoscaler_speed: float = 1.0
    login: str = ""

    def model_rule(self, namespace: str, name: str) -> ModelRule:
        """The first rule that matches an InferenceService, or one that says nothing special."""
        place = f"{namespace}/{name}"
        return next((rule for rule in self.models if rule.match in place), ModelRule(""))

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
        if self.models:
            data["models"] = [_told(rule) for rule in self.models]
        if self.autoscaler_speed != 1.0:
            data["autoscaler_speed"] = self.autoscaler_speed
        if self.login:
            data["login"] = self.login
        return data


def _told(rule: ImageRule | WebhookRule | ModelRule) -> dict[str, Any]:
    defaults = asdict(type(rule)(""))
    return {key: value for key, value in asdict(rule).items() if value != defaults[key]}


def parse(data: Any, file: str = "script.json") -> Script:
    """Check a decoded script. Raises InvalidInput with every problem found."""
    from installer.sandbox.script_reader import Reader

    reader = Reader(file)
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
