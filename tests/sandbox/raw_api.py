"""The API of a sandbox without any of the installer's client: requests, and watches to wait on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import requests

from installer.sandbox.lifecycle import SandboxInfo

Objects = dict[str, dict[str, Any]]


class RawApi:
    """Requests with the sandbox's administrator certificate; errors raise, with the body."""

    def __init__(self, info: SandboxInfo) -> None:
        self.server = info.server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(info.state_dir / "pki" / "ca.crt")
        pki = info.state_dir / "pki"
        self.session.cert = (str(pki / "admin.crt"), str(pki / "admin.key"))

    def call(self, method: str, path: str, body: Any = None, timeout: float = 30) -> Any:
        answer = self.session.request(method, self.server + path, json=body, timeout=timeout)
        if not answer.ok:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def get(self, path: str, timeout: float = 30) -> Any:
        return self.call("GET", path, timeout=timeout)

    def create(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def until(self, path: str, holds: Callable[[Objects], bool], seconds: int = 60) -> Objects:
        """Watch a collection until `holds` for its objects by name; fails after `seconds`."""
        listed = self.get(path)
        objects = {item["metadata"]["name"]: item for item in listed["items"]}
        if holds(objects):
            return objects
        version = listed["metadata"]["resourceVersion"]
        query = f"?watch=true&resourceVersion={version}&timeoutSeconds={seconds}"
        with self.session.get(
            self.server + path + query, stream=True, timeout=seconds + 10
        ) as stream:
            for line in stream.iter_lines():
                event = json.loads(line)
                name = event["object"]["metadata"]["name"]
                if event["type"] == "DELETED":
                    objects.pop(name, None)
                else:
                    objects[name] = event["object"]
                if holds(objects):
                    return objects
        raise AssertionError(f"{path} is still {sorted(objects)} after {seconds} s")
