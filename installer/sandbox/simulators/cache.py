"""List and watch of one kind, kept as a dictionary. Survives restarts of the API server and 410."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from installer.core.objects import Object
from installer.sandbox.simulators.api import Api, Refused, Unreachable, Watch, accepted

log = logging.getLogger(__name__)

Handler = Callable[[str, Object], None]
"""Called with `added`, `changed` or `deleted` and the object, in the cache's own thread."""

Key = tuple[str, str]

_REMEMBERED = 1000
"""Of how many deleted objects the version is kept in which they went."""


def key_of(obj: Object) -> Key:
    """(namespace, name)."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Cache:
    """All objects of one kind in the cluster, by (namespace, name).

    metadata_only: keep only metadata (large kinds of which nothing else is needed).
    others: paths of the same kind at other versions, for servers that do not serve the first.
    A kind that the server does not serve (yet) is an empty cache; `poke` makes it look again.
    """

    def __init__(self, api: Api, path: str, *others: str, metadata_only: bool = False) -> None:
        self.path = path
        self._paths = (path, *others)
        self._api = api
        self._eager_until = 0.0
        self._anew = False
        self._metadata_only = metadata_only
        self._items: dict[Key, Object] = {}
        self._removed: dict[Key, int] = {}
        self._guard = threading.Lock()
        self._handlers: list[Handler] = []
        self._stopped = threading.Event()
        self._poked = threading.Event()
        self._watch: Watch | None = None
        self.synced = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def subscribe(self, handler: Handler) -> None:
        """Call `handler` for every change; subscribe before `start`."""
        self._handlers.append(handler)

    def start(self) -> None:
        """Begin to list and watch."""
        self._thread.start()

    def stop(self) -> None:
        """End; the thread ends soon after."""
        self._stopped.set()
        self._poked.set()
        watch = self._watch
        if watch:
            watch.close()

    def poke(self) -> None:
        """Look again, now and in the next seconds, whether the kind is served."""
        self._eager_until = time.monotonic() + 3.0
        self._poked.set()

    def reconsider(self) -> None:
        """Choose the version anew when it is not the first one (after an upgrade of its CRD)."""
        if self.path != self._paths[0]:
            self._anew = True
            watch = self._watch
            if watch:
                watch.close()

    def get(self, namespace: str, name: str) -> Object | None:
        """One object as last seen; never change it in place."""
        return self._items.get((namespace, name))

    def all(self) -> list[Object]:
        """Every object as last seen."""
        return list(self._items.values())

    def put(self, obj: Object) -> None:
        """Remember what a write of ours returned, ahead of the watch.

        The answer may come when the watch has already told that the object is gone.
        """
        key, version = key_of(obj), _version(obj)
        with self._guard:
            current = self._items.get(key)
            newest = _version(current) if current else self._removed.get(key, 0)
            if newest < version:
                self._items[key] = obj

    def _run(self) -> None:
        version, pause = "", 0.05
        while not self._stopped.is_set():
            try:
                if not version:
                    version = self._list()
                    self.synced.set()
                    pause = 0.05
                version = self._follow(version)
                if self._anew:
                    self._anew, version = False, ""
            except Refused as error:
                if error.code == 410:
                    version = ""
                elif error.code == 404:
                    version = self._absent()
                else:
                    log.warning("%s: %s", self.path, error)
                    self._wait(pause)
                    pause = min(pause * 2, 1.0)
            except Unreachable as error:
                log.info("%s", error)
                self._wait(pause)
                pause = min(pause * 2, 0.5)
            except Exception:
                log.exception("%s", self.path)
                self._wait(0.5)
                version = ""

    def _absent(self) -> str:
        for obj in self.all():
            self._tell("deleted", obj)
        self.synced.set()
        self._wait(0.2 if time.monotonic() < self._eager_until else 3.0)
        return ""

    def _wait(self, seconds: float) -> None:
        self._poked.wait(seconds)
        if not self._stopped.is_set():
            self._poked.clear()

    def _choose(self) -> None:
        """Take the first version that is served."""
        group = self.path.rsplit("/", 2)[0]
        versions = [v["version"] for v in self._api.request("GET", group)["versions"]]
        served = [path for path in self._paths if path.split("/")[3] in versions]
        self.path = served[0] if served else self._paths[0]

    def _list(self) -> str:
        if len(self._paths) > 1:
            self._choose()
        answer = self._api.request(
            "GET", self.path, accept=accepted(self._metadata_only, of_list=True)
        )
        found: dict[Key, Object] = {}
        for obj in answer.get("items") or []:
            obj.setdefault("apiVersion", answer["apiVersion"])
            obj.setdefault("kind", answer["kind"].removesuffix("List"))
            found[key_of(obj)] = obj
        for key, obj in list(self._items.items()):
            if key not in found:
                self._tell("deleted", obj)
        for key, obj in found.items():
            known = self._items.get(key)
            if known is None or _version(known) != _version(obj):
                self._tell("changed" if known else "added", obj)
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> str:
        watch = Watch(self._api, self.path, version, metadata_only=self._metadata_only)
        self._watch = watch
        try:
            for kind, obj in watch:
                if self._stopped.is_set():
                    break
                if kind == "ERROR":
                    raise Refused(int(obj.get("code", 500)), str(obj.get("message", "")))
                version = obj["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self._tell(_KINDS[kind], obj)
        except Unreachable:
            if not self._stopped.is_set():
                # The position is kept: nothing is lost and nothing listed again.
                self._wait(0.05)
        finally:
            self._watch = None
        return version

    def _tell(self, kind: str, obj: Object) -> None:
        key = key_of(obj)
        with self._guard:
            if kind == "deleted":
                self._items.pop(key, None)
                self._removed[key] = _version(obj)
                if len(self._removed) > _REMEMBERED:
                    del self._removed[next(iter(self._removed))]
            else:
                self._items[key] = obj
        for handler in self._handlers:
            try:
                handler(kind, obj)
            except Exception:
                log.exception("handler of %s", self.path)


_KINDS = {"ADDED": "added", "MODIFIED": "changed", "DELETED": "deleted"}


def _version(obj: Object) -> int:
    return int(obj["metadata"].get("resourceVersion") or 0)
