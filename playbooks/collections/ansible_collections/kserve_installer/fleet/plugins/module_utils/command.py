"""Runs the `kserve-installer` command for the modules, and reads the JSON that it prints.

Standard library and Ansible's own helpers only: it runs under the Python of the host.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARGUMENTS = {
    "kubeconfig": {"type": "path"},
    "kubeconfig_content": {"type": "str", "no_log": True},
    "context": {"type": "str"},
    "executable": {"type": "path"},
    "log": {"type": "path"},
    "stop_file": {"type": "path"},
}
"""Options of every module: which cluster, which command, where to write what it says."""

SOURCES = {
    "mirror": {"type": "str"},
    "bundle": {"type": "path"},
    "catalog": {"type": "path"},
}
"""Options of the modules that read manifests."""

SETTINGS = {
    "settings": {"type": "dict"},
    "settings_files": {"type": "list", "elements": "path", "default": []},
}
"""Options of the modules that know what is wanted."""

EXCLUSIVE = [("kubeconfig", "kubeconfig_content")]

INTERRUPTED = 130
_NAME = "kserve-installer"
_TICK = 0.5
_GRACE = 60
"""Seconds that the command has, beyond its own limit, to end and say how."""
_KEPT = 2000
_PASSWORD = re.compile(r"://(?:[^\s/@:]*:)?([^\s/@]+)@")
_COUNTS = ("created", "changed", "unchanged", "deleted", "writes", "seconds")


class Answer:
    """What a run of the command gave: its exit code, its JSON documents, the end of its stderr."""

    def __init__(self, code, lines, errors):
        self.code = code
        self.lines = lines
        self.errors = errors

    def document(self):
        """The one JSON document of a command that prints a report; {} when it printed none."""
        try:
            found = json.loads("".join(self.lines))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def events(self):
        """The events of a command that prints JSON lines, in order."""
        found = []
        for line in self.lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                found.append(event)
        return found


class Command:
    """The command on this host, pointed at the cluster of a module's options."""

    def __init__(self, module):
        self.module = module
        self._folder = None
        for name in ("mirror", "kubeconfig_content"):
            _hide(module, module.params.get(name))

    def __enter__(self):
        # 0700: what it holds may be credentials
        self._folder = tempfile.mkdtemp(prefix="kserve-installer-", dir=self.module.tmpdir)
        return self

    def __exit__(self, *_unused):
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, words, limit, log=os.devnull):
        """Run it with these words and `-o json`; limit: seconds. Its lines are added to `log` as
        they come.

        The modules' options for the cluster are added. Ends the module when the command cannot be
        started, or is not to be started any more.
        """
        self._refuse_when_stopped()
        line = [self._executable(), *words, *self._cluster(), "-o", "json"]
        try:
            child = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(os.environ, NO_COLOR="1"),
            )
        except OSError as problem:
            self.module.fail_json(
                msg=f"{line[0]} cannot be started: {problem.strerror}",
                exit_code=2,
            )
        with self._log(log) as stream, _Forwarding(child):
            lines, errors = self._follow(child, stream, limit)
        return Answer(_exit_code(child.returncode), lines, errors)

    def sources(self):
        """`--mirror`, `--bundle` and `--catalog` as the options say."""
        return self._flags("mirror", "bundle", "catalog")

    def settings(self):
        """`--settings` for each file, and for the settings given inline, which win."""
        words = []
        for name in self.module.params["settings_files"]:
            words += ["--settings", name]
        inline = self.module.params["settings"]
        if inline:
            document = {"apiVersion": "kserve-installer/v1", "kind": "Settings"}
            document.update(inline)
            words += ["--settings", self._write("settings.yaml", json.dumps(document))]
        return words

    def fail(self, error, code, **more):
        """End the module with an error of the command: {kind, message, object, remedy}."""
        parts = [error.get("message") or f"the command ended with exit code {code}"]
        if error.get("remedy"):
            parts.append(error["remedy"])
        about = error.get("object") or ""
        said = "; ".join(parts)
        if about and about not in said:
            said = f"{about}: {said}"
        self.module.fail_json(msg=said, error=error, exit_code=code, **more)

    def report(self, words, limit=300, logged=True):
        """The document of a command that prints one; ends the module when it fails.

        logged: it is added to the log, as one line.
        """
        answer = self.run(words, limit)
        document = answer.document()
        if logged and document:
            with self._log(self.module.params["log"]) as log:
                log.write(json.dumps(document).encode("utf-8") + b"\n")
        if "error" in document or not document:
            error = document.get("error") or {"message": answer.errors}
            self.fail(error, answer.code or 1)
        return answer.code, document

    def work(self, words, limit, **more):
        """Run a command that prints events; returns all of them and the fields of the result.

        Ends the module when it fails. more: further fields of the result in that case.
        """
        words = [*words, "--timeout", f"{limit}s"]
        answer = self.run(words, limit, self.module.params["log"])
        events = answer.events()
        last = events[-1] if events and events[-1]["event"] == "finished" else {}
        counts = {name: last.get(name, 0) for name in _COUNTS}
        counts["changed_objects"] = counts.pop("changed")
        done = any(counts[name] for name in ("created", "changed_objects", "deleted"))
        result = dict(counts, outcome=last.get("outcome", "failed"), changed=bool(done))
        if answer.code != 0:
            error = last.get("error") or {"message": answer.errors}
            result.update(more)
            self.fail(error, answer.code, **result)
        result["exit_code"] = 0
        return events, result

    def _follow(self, child, log, limit):
        """Read both streams until they end; ask the command to stop when that is wanted."""
        lines, rest, errors = [], b"", b""
        begun, asked = time.monotonic(), 0
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            selector.register(child.stderr, selectors.EVENT_READ)
            while selector.get_map():
                for key, _mask in selector.select(_TICK):
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is child.stderr:
                        errors = (errors + data)[-_KEPT:]
                    else:
                        log.write(data)
                        whole, newline, rest = (rest + data).rpartition(b"\n")
                        lines += [line + b"\n" for line in whole.split(b"\n")] if newline else []
                late = time.monotonic() - begun > limit + _GRACE
                if not asked and (late or self._stopped()):
                    child.send_signal(signal.SIGINT)
                    asked = time.monotonic()
                elif asked and time.monotonic() - asked > _GRACE:
                    child.kill()
        child.wait()
        lines += [rest] if rest else []
        said = errors.decode("utf-8", "replace").strip()
        return [line.decode("utf-8", "replace") for line in lines], said

    def _log(self, name):
        """The file to which lines are added, for its owner only; without a name nowhere."""
        path = Path(name or os.devnull)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)
            return path.open("ab", buffering=0)
        except OSError as problem:
            self.module.fail_json(
                msg=f"the log {path} cannot be written: {problem.strerror}", exit_code=2
            )

    def _stopped(self):
        stop = self.module.params["stop_file"]
        return bool(stop) and Path(stop).exists()

    def _refuse_when_stopped(self):
        if self._stopped():
            self.module.fail_json(
                msg="not begun: the run is being stopped",
                exit_code=INTERRUPTED,
                outcome="not-run",
            )

    def _executable(self):
        given = self.module.params["executable"]
        if given:
            return given
        beside = Path(sys.executable).parent / _NAME
        found = shutil.which(_NAME) or (str(beside) if os.access(beside, os.X_OK) else None)
        if not found:
            self.module.fail_json(
                msg=f"{_NAME} is not on PATH of this host, nor beside {sys.executable}; install it "
                "there, or say with the option executable where it is",
                exit_code=2,
            )
        return found

    def _cluster(self):
        words = self._flags("kubeconfig", "context")
        content = self.module.params["kubeconfig_content"]
        if content:
            words += ["--kubeconfig", self._write("kubeconfig", content)]
        return words

    def _flags(self, *names):
        words = []
        for name in names:
            if self.module.params.get(name):
                words += ["--" + name, self.module.params[name]]
        return words

    def _write(self, name, text):
        path = Path(self._folder, name)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return str(path)


class _Forwarding:
    """While entered, signals that would end the module go to the command, which ends cleanly."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, child):
        self._child = child
        self._before = {}

    def __enter__(self):
        for number in self.NUMBERS:
            self._before[number] = signal.signal(number, self._pass_on)

    def __exit__(self, *_unused):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, *_unused):
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)


def _exit_code(code):
    """As a shell has it: 128 and the signal when one ended the command."""
    return code if code >= 0 else 128 - code


def _hide(module, text):
    """Keep passwords of URLs, and credentials of a kubeconfig, out of what Ansible shows."""
    for found in _PASSWORD.findall(text or ""):
        module.no_log_values.add(found)


def components(status):
    """Names, versions and health of the components, from a `status` report."""
    return [
        {
            "name": component["name"],
            "version": component["version"],
            "state": component["state"],
            "ready": component["ready"],
            "total": component["total"],
        }
        for component in status.get("components", [])
    ]
