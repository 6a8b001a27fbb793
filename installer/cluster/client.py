"""The one door to a Kubernetes API server.

Every request is bounded in time, judged by `errors`, and tried again while its failure passes.
Credentials, connections, requests and kinds: `connect`, `transport`, `session`, `discovery`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from threading import Lock
from typing import Any

from installer.cluster import watching
from installer.cluster.access import Access
from installer.cluster.connect import find_access
from installer.cluster.discovery import Discovery, Resource
from installer.cluster.errors import UNSERVED, ApiError, Failure
from installer.cluster.identity import FIRST_CONTACT, Identity, read_identity
from installer.cluster.large import care_for
from installer.cluster.session import Answer, Call, Session
from installer.cluster.watching import ObjectList, Page
from installer.core.cancel import Cancel
from installer.core.events import Emit, silent
from installer.core.masking import masked
from installer.core.objects import Object, Ref, ref_of
from installer.plan.drift import MANAGER

__all__ = ["LAST_WORDS", "Cluster", "Identity", "ObjectList", "Page"]

LAST_WORDS = 8.0
"""Seconds for everything that is still written after a run was stopped."""
_LAST_ANSWER = 4.0
"""Seconds for one answer to it."""
WATCH_GRACE = 10.0
"""Seconds beyond a watch's own timeout after which its connection is taken for dead."""
_APPLY = "application/apply-patch+yaml"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PATCHES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class Cluster:
    """One API server. Thread-safe.

    Methods raise ApiError (its `failure` says what and whether it passes), UsageError when
    credentials run out, and the reason of `cancel` once the run is stopped.
    """

    def __init__(
        self,
        access: Access,
        *,
        cancel: Cancel | None = None,
        emit: Emit = silent,
        request_timeout: float = 30.0,
        retry_for: float = 60.0,
    ) -> None:
        self.cancel = cancel or Cancel()
        self.emit = emit
        self.request_timeout = request_timeout
        self.retry_for = retry_for
        self._session = Session(access, self.cancel, emit)
        self._discovery = Discovery(self._fetch_kinds)
        self._last_words: Cluster | None = None
        self._one_large = Lock()

    @classmethod
    def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        cancel: Cancel | None = None,
        emit: Emit = silent,
        request_timeout: float = 30.0,
        retry_for: float = 60.0,
    ) -> Cluster:
        """Find credentials; the server itself is first asked by `identity`.

        request_timeout: seconds without a byte of answer after which a request failed.
        retry_for: seconds in which passing failures are tried again.
        """
        return cls(
            find_access(kubeconfig, context, cancel),
            cancel=cancel,
            emit=emit,
            request_timeout=request_timeout,
            retry_for=retry_for,
        )

    @property
    def context(self) -> str:
        """The kubeconfig's context, empty in a cluster."""
        return self._session.access.context

    @property
    def access(self) -> Access:
        """The credentials in use; for connections of another form than requests."""
        return self._session.access

    @property
    def namespace(self) -> str:
        """The context's namespace: where a name without one is looked for."""
        return self._session.access.namespace

    @property
    def server(self) -> str:
        """The API server's address, without passwords."""
        return masked(self._session.access.server)

    @property
    def writes(self) -> int:
        """Write requests sent so far, repeated ones included; dry runs and reviews are none."""
        return self._session.writes

    def uncancelled(self) -> Cluster:
        """The same server for what must still be said once the run is stopped, for a few seconds.

        What it writes counts as written by this one.
        """
        if not self.cancel.stopped:
            return self
        if self._last_words is None:
            self._last_words = self.under(Cancel(LAST_WORDS), patience=_LAST_ANSWER)
        return self._last_words

    def under(self, cancel: Cancel, *, patience: float) -> Cluster:
        """The same server, stopped by another token only; its writes count as written by this one.

        patience: seconds for an answer, and in which passing failures are tried again.
        """
        other = copy.copy(self)
        other._last_words = None
        other.cancel = cancel
        other.request_timeout = other.retry_for = patience
        other._session = self._session.with_cancel(cancel)
        other._discovery = self._discovery.with_fetch(other._fetch_kinds)
        return other

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
        if self._last_words is not None:
            self._last_words._session.close()

    def identity(self) -> Identity:
        """Ask the server who it is. Raises within about `FIRST_CONTACT` when it does not answer."""
        patience = min(FIRST_CONTACT, self.request_timeout, self.retry_for)
        return read_identity(self._session.access, self.request, patience, self.emit)

    # kinds

    def discovery(self) -> Discovery:
        """The kinds that are served, cached for this run."""
        return self._discovery

    def refresh_discovery(self) -> Discovery:
        """The same, read again when next asked."""
        self._discovery.forget()
        return self._discovery

    def _fetch_kinds(self, path: str, accept: str = "") -> Any:
        return self.request("GET", path, accept=accept, about="discovery")

    def resource(self, api_version: str, kind: str) -> Resource:
        """The served resource of a kind. Raises ApiError `no-match` when it is not served."""
        found = self._discovery.find(api_version, kind)
        if found is None:
            raise ApiError(
                Failure(
                    "no-match", False, f"this cluster does not serve {kind} {api_version}", UNSERVED
                ),
                f"{kind} {api_version}",
            )
        return found

    # requests

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The decoded body of `answer`."""
        return self.answer(method, path, **options).body

    def answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "",
        deadline: float | None = None,
        retry: bool = True,
        retry_for: float | None = None,
        about: str = "",
    ) -> Answer:
        """Send a request.

        deadline: seconds without a byte of answer, `request_timeout` unless given. Passing
        failures are tried again for `retry_for` seconds (the cluster's unless given), each with
        an event `retrying`; never with `retry=False`. A write whose answer was lost may have
        been done: trying it again can meet its own `already-exists`, `conflict` or `not-found`.
        """
        call = Call.of(
            method,
            path,
            query=query,
            body=body,
            content_type=content_type,
            accept=accept,
            wait=deadline or self.request_timeout,
            about=about,
        )
        window = self.retry_for if retry_for is None else retry_for
        return self._session.run(call, retry_for=window if retry else 0.0)

    # objects

    def _path(self, ref: Ref) -> str:
        return self.resource(ref.api_version, ref.kind).path(ref.namespace, ref.name)

    def get(self, ref: Ref) -> Object | None:
        """The object, None when there is none or its kind is not served."""
        try:
            found: Object = self.request("GET", self._path(ref), about=str(ref))
        except ApiError as error:
            if error.failure.kind in ("not-found", "no-match"):
                return None
            raise
        return found

    def _asking(
        self, api_version: str, kind: str, namespace: str, metadata_only: bool
    ) -> Callable[[Mapping[str, str]], Any]:
        path = self.resource(api_version, kind).path(namespace)
        accept = _METADATA_ONLY if metadata_only else ""
        return lambda query: self.request(
            "GET", path, query=query, accept=accept, about=f"list of {kind}"
        )

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> ObjectList:
        """All objects of a kind, in one namespace or all, read in pages of one snapshot.

        metadata_only: items have apiVersion, kind and metadata and nothing else.
        """
        fetch = self._asking(api_version, kind, namespace, metadata_only)
        items, version = watching.pages(fetch, watching.selecting(label_selector, field_selector))
        for item in items:
            item["apiVersion"], item["kind"] = api_version, kind
        return ObjectList(items, version)

    def pages(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        size: int = watching.PAGE,
        token: str = "",
        metadata_only: bool = False,
    ) -> Iterator[Page]:
        """All objects of a kind, a page at a time: for as many as do not fit into memory.

        size: objects per page. token: of a page of the same kind, to go on after it. Unlike `list`
        this is no snapshot where it takes longer than the server keeps one; see `watching.stream`.
        """
        fetch = self._asking(api_version, kind, namespace, metadata_only)
        for page in watching.stream(fetch, {}, size=size, token=token):
            for item in page.items:
                item["apiVersion"], item["kind"] = api_version, kind
            yield page

    def create(self, obj: Object, *, dry_run: bool = False, retry: bool = True) -> Object:
        """POST an object; `metadata.generateName` works, but a lost answer may leave one more."""
        ref = ref_of(obj)
        path = self.resource(ref.api_version, ref.kind).path(ref.namespace)
        query = _query(dry_run, fieldManager=MANAGER)
        made: Object = self.request(
            "POST", path, query=query, body=obj, retry=retry, about=str(ref)
        )
        return made

    def apply(self, obj: Object, **options: Any) -> Object:
        """Server-side apply; returns the object as stored. Options as of `apply_answer`."""
        applied: Object = self.apply_answer(obj, **options).body
        return applied

    def apply_answer(
        self,
        obj: Object,
        *,
        dry_run: bool = False,
        force: bool = False,
        manager: str = MANAGER,
        retry: bool = True,
    ) -> Answer:
        """Server-side apply; code 201 when it created. Kind `field-conflict` unless forced."""
        ref = ref_of(obj)
        query = _query(dry_run, fieldManager=manager, force=str(force).lower())
        care = care_for(obj)
        with self._one_large if care.alone else nullcontext():
            return self.answer(
                "PATCH",
                self._path(ref),
                query=query,
                body=obj,
                content_type=_APPLY,
                deadline=self.request_timeout * care.answer,
                retry=retry,
                retry_for=self.retry_for * care.retry,
                about=str(ref),
            )

    def replace(self, obj: Object, *, dry_run: bool = False) -> Object:
        """PUT an object; kind `conflict` when its resourceVersion is no longer the newest."""
        ref = ref_of(obj)
        query = _query(dry_run, fieldManager=MANAGER)
        stored: Object = self.request("PUT", self._path(ref), query=query, body=obj, about=str(ref))
        return stored

    def patch(
        self,
        ref: Ref,
        body: Any,
        *,
        type: str = "merge",
        subresource: str = "",
        manager: str = MANAGER,
        dry_run: bool = False,
    ) -> Object:
        """PATCH an object; type: merge, json or strategic."""
        path = self._path(ref)
        patched: Object = self.request(
            "PATCH",
            f"{path}/{subresource}" if subresource else path,
            query=_query(dry_run, fieldManager=manager),
            body=body,
            content_type=_PATCHES[type],
            about=str(ref),
        )
        return patched

    def delete(
        self,
        ref: Ref,
        *,
        propagation: str = "Background",
        uid: str | None = None,
        version: str | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Delete an object; False when it is not there.

        uid: only that very object; kind `conflict` when another took its place. version: only at
        this resourceVersion; `conflict` when it was written since. A Namespace that is being
        deleted already counts as deleted.
        """
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        options["propagationPolicy"] = propagation
        held = {"uid": uid, "resourceVersion": version}
        if uid or version:
            options["preconditions"] = {key: value for key, value in held.items() if value}
        try:
            self.request(
                "DELETE", self._path(ref), query=_query(dry_run), body=options, about=str(ref)
            )
        except ApiError as error:
            if error.failure.kind in ("not-found", "no-match"):
                return False
            if error.failure.kind == "terminating-namespace" and ref.kind == "Namespace":
                return True
            raise
        return True

    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        resource_version: str,
        field_selector: str = "",
        label_selector: str = "",
        timeout: float = 300.0,
    ) -> Iterator[tuple[str, Object]]:
        """(ADDED | MODIFIED | DELETED | BOOKMARK, object) after `resource_version`.

        Ends when the server ends it, at the latest after `timeout` seconds. Raises ApiError:
        `gone` when the version is too old, `unreachable` (transient) when the connection is lost.
        """
        query = {
            **watching.selecting(label_selector, field_selector),
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(timeout))),
        }
        call = Call.of(
            "GET",
            self.resource(api_version, kind).path(namespace),
            query=query,
            wait=timeout + WATCH_GRACE,
            about=f"watch of {kind}",
        )
        for event, found in watching.events(
            lambda: self._session.stream(call), self.cancel, call.about
        ):
            found["apiVersion"], found["kind"] = api_version, kind
            yield event, found


def _query(dry_run: bool, **parameters: str) -> dict[str, str]:
    return {**parameters, "dryRun": "All"} if dry_run else parameters
