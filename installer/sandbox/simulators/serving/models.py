"""What simulated models answer: the prediction protocols' forms, with made-up numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_V1 = re.compile(r"/v1/models/(?P<model>[^/:]+)(?P<verb>:predict|:explain)?$")
_V2 = re.compile(r"/v2/models/(?P<model>[^/]+)(?P<verb>/infer|/ready)?$")
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": _JSON})


def reply(method: str, path: str, body: bytes, pod: str) -> Reply:
    """Answer as a model server would, whatever the model is called."""
    path = path.partition("?")[0]
    v1, v2 = _V1.match(path), _V2.match(path)
    if v1 and v1["verb"] and method == "POST":
        return _predict(body, pod)
    if v1 and method == "GET":
        return _json(200, {"name": v1["model"], "ready": True})
    if v2 and v2["verb"] == "/infer" and method == "POST":
        output = {"name": "output-0", "shape": [1], "datatype": "INT64", "data": [0]}
        return _json(200, {"model_name": v2["model"], "outputs": [output]})
    if v2 and method == "GET":
        return _json(200, {"name": v2["model"], "ready": True})
    if path == "/" and method == "GET":
        return _json(200, {"status": "alive"})
    return _json(404, {"error": f"no such path: {path}"})


def _predict(body: bytes, pod: str) -> Reply:
    try:
        instances = json.loads(body)["instances"]
        assert isinstance(instances, list)
    except (ValueError, KeyError, TypeError, AssertionError):
        return _json(400, {"error": "expected a JSON object with the list `instances`"})
    predictions = [
        {
            "key": item.get("key", "") if isinstance(item, dict) else "",
            "prediction": 0,
            "scores": [1.0, 0.0],
            "pod": pod,
        }
        for item in instances
    ]
    return _json(200, {"predictions": predictions})


def _json(status: int, value: object) -> Reply:
    return Reply(status, json.dumps(value).encode())
