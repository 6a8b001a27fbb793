"""Which kinds the API server serves, and under which path. Read when asked for, then kept."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from installer.cluster.errors import ApiError
from installer.core.objects import dig

_AGGREGATED = ",".join(
    (
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    )
)
"""Everything in one answer, since Kubernetes 1.26; older servers list groups only."""
_PARALLEL = 8


class Fetch(Protocol):
    """GET of a path, decoded; raises ApiError."""

    def __call__(self, path: str, accept: str = "") -> Any: ...


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as served. path_prefix: `/api/v1` or `/apis/GROUP/VERSION`."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...]

    @property
    def path_prefix(self) -> str:
        """Path of the group and version."""
        return path_prefix(self.api_version)

    def path(self, namespace: str = "", name: str = "") -> str:
        """Path of an object, or of all of a namespace, or of all."""
        place = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        named = f"/{quote(name, safe=':')}" if name else ""
        return f"{self.path_prefix}{place}/{self.plural}{named}"


def path_prefix(api_version: str) -> str:
    """`/api/v1` for the core group, `/apis/GROUP/VERSION` for the others."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


class Discovery:
    """The kinds of one API server. Thread-safe.

    Each group and version is read when first asked for, so a broken aggregated API that nobody
    asks for does no harm. What is not served is kept too: `forget` it once that may have changed.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._guard = threading.Lock()
        self._known: dict[str, dict[str, Resource]] = {}

    def with_fetch(self, fetch: Fetch) -> Discovery:
        """The same knowledge, read on through another `fetch`."""
        other = Discovery(fetch)
        with self._guard:
            other._known = dict(self._known)
        return other

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The served resource of a kind, None when it is not served (yet)."""
        return self._of(api_version).get(kind)

    def kinds(self, api_version: str) -> Mapping[str, Resource]:
        """Every kind of one group and version, empty when it is not served."""
        return self._of(api_version)

    def prefetch(self, api_versions: Iterable[str]) -> None:
        """Read several group versions at once."""
        with self._guard:
            wanted = sorted(set(api_versions) - set(self._known))
        if len(wanted) < 2:
            for api_version in wanted:
                self._of(api_version)
            return
        with ThreadPoolExecutor(min(_PARALLEL, len(wanted))) as pool:
            list(pool.map(self._of, wanted))

    def namespaced(self) -> list[Resource]:
        """Every namespaced kind, each at its group's preferred version.

        Aggregated APIs that do not answer are left out: nobody can list their objects.
        """
        found = [*self._everything("/api"), *self._everything("/apis")]
        return [resource for resource in found if resource.namespaced]

    def _everything(self, path: str) -> list[Resource]:
        listed = self._fetch(path, accept=_AGGREGATED)
        if listed.get("kind") == "APIGroupDiscoveryList":
            return [resource for group in listed["items"] for resource in _of_group(group)]
        if path == "/api":
            preferred = list(listed["versions"])
        else:
            preferred = [group["preferredVersion"]["groupVersion"] for group in listed["groups"]]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return [r for kinds in pool.map(self._or_nothing, preferred) for r in kinds]

    def _or_nothing(self, api_version: str) -> list[Resource]:
        try:
            return list(self._of(api_version).values())
        except ApiError:
            return []

    def versions(self, group: str) -> tuple[str, ...]:
        """The versions of a group that are served, the preferred one first; empty when none."""
        try:
            found = self._fetch(f"/apis/{group}" if group else "/api")
        except ApiError as error:
            if error.failure.kind in ("no-match", "not-found"):
                return ()
            raise
        if not group:
            return tuple(found.get("versions") or ())
        preferred = dig(found, "preferredVersion", "version", default="")
        listed = [v["version"] for v in found.get("versions") or []]
        return tuple(sorted(listed, key=lambda version: version != preferred))

    def forget(self, api_versions: Iterable[str] | None = None) -> None:
        """Read again when next asked: these group versions, or everything."""
        with self._guard:
            for api_version in list(self._known) if api_versions is None else api_versions:
                self._known.pop(api_version, None)

    def _of(self, api_version: str) -> dict[str, Resource]:
        with self._guard:
            known = self._known.get(api_version)
        if known is None:
            known = self._read(api_version)
            with self._guard:
                self._known[api_version] = known
        return known

    def _read(self, api_version: str) -> dict[str, Resource]:
        try:
            listed = self._fetch(path_prefix(api_version))
        except ApiError as error:
            if error.failure.kind in ("no-match", "not-found"):
                return {}
            raise
        return {
            item["kind"]: Resource(
                api_version,
                item["kind"],
                item["name"],
                bool(item["namespaced"]),
                tuple(item.get("verbs") or ()),
            )
            for item in listed.get("resources") or []
            if "/" not in item["name"]
        }


def _of_group(group: Mapping[str, Any]) -> Iterator[Resource]:
    """Kinds of the first, preferred version of an aggregated group.

    Source: k8s.io/api/apidiscovery/v2, APIGroupDiscovery; a stale version may lack its kinds.
    """
    name = dig(group, "metadata", "name", default="")
    for version in (group.get("versions") or [])[:1]:
        api_version = f"{name}/{version['version']}" if name else version["version"]
        for item in version.get("resources") or []:
            yield Resource(
                api_version,
                dig(item, "responseKind", "kind", default=""),
                item["resource"],
                item.get("scope") == "Namespaced",
                tuple(item.get("verbs") or ()),
            )
