"""What Helm keeps of its releases in a cluster, and making it forget one.

Source: helm/helm, pkg/storage/driver: each revision of a release is a Secret, or a ConfigMap with
HELM_DRIVER=configmap, with labels owner, name, status and version; key `release` holds base64 of
gzip of JSON, in which `manifest` is the text that was applied, and each of `hooks` has one of its
own (pkg/release/v1/hook.go). Releases kept in an SQL database cannot be seen from here.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from installer.catalog.parse import parse
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.errors import InvalidInput
from installer.core.objects import Object, ObjectId, Ref, dig, ref_of

_KINDS = ("Secret", "ConfigMap")
_GZIP = b"\x1f\x8b\x08"
_LARGEST = 64 * 1024 * 1024
"""Bytes of a record once unpacked; Helm's own are below 1 MiB packed, as Secrets are."""


class Unreadable(ValueError):
    """A record that is not what Helm writes; the text is a clause."""


@dataclass(frozen=True, slots=True, order=True)
class Revision:
    """One revision of a release. status: a word of Helm's, such as deployed or pending-upgrade."""

    number: int
    status: str
    ref: Ref

    @property
    def pending(self) -> bool:
        """True while Helm works on it, or where a Helm that did was killed."""
        return self.status.startswith("pending-") or self.status == "uninstalling"


def revisions(
    cluster: Cluster, namespace: str = "", name: str = ""
) -> dict[tuple[str, str], list[Revision]]:
    """Revisions of each release, or of one, oldest first, by (namespace, name); metadata only."""
    selector = f"owner=helm,name={name}" if name else "owner=helm"
    found: dict[tuple[str, str], list[Revision]] = {}
    for kind in _KINDS:
        page = cluster.list("v1", kind, namespace, label_selector=selector, metadata_only=True)
        for item in page.items:
            labels = dig(item, "metadata", "labels", default={})
            place, number = str(dig(item, "metadata", "namespace")), str(labels.get("version"))
            ref = Ref("v1", kind, place, str(dig(item, "metadata", "name")))
            revision = Revision(
                int(number) if number.isdigit() else 0, str(labels.get("status") or ""), ref
            )
            found.setdefault((place, str(labels.get("name") or "")), []).append(revision)
    return {key: sorted(items) for key, items in found.items()}


def applied(history: Sequence[Revision]) -> Revision | None:
    """The revision whose objects are in the cluster: the newest deployed one, else the newest."""
    deployed = [revision for revision in history if revision.status == "deployed"]
    return next(iter([*reversed(deployed), *reversed(history)]), None)


def others_of(cluster: Cluster, revision: Revision, known: Collection[ObjectId]) -> list[Ref]:
    """What else than the known objects a revision and its hooks have brought, and is there, or may
    not be seen: a chart has kinds that no right of ours is about. Raises Unreadable."""
    record = cluster.get(revision.ref)
    if record is None:
        return []
    refs = [ref_of(obj) for obj in manifest_of(record, hooks=True)]
    placed = [_placed(cluster, ref, revision.ref.namespace) for ref in refs]
    return [ref for ref in placed if ref.identity not in known and _may_be_there(cluster, ref)]


def _may_be_there(cluster: Cluster, ref: Ref) -> bool:
    try:
        return cluster.get(ref) is not None
    except ApiError as error:
        if error.failure.kind != "forbidden":
            raise
        return True


def manifest_of(record: Object, *, hooks: bool = False) -> list[Object]:
    """The objects of a record that have names, as they were applied; hooks: and those of its hooks.
    Raises Unreadable. Pure."""
    text = str(dig(record, "data", "release", default=""))
    try:
        if record.get("kind") == "Secret":
            text = base64.b64decode(text, validate=True).decode()
        data = base64.b64decode(text, validate=True)
        if data.startswith(_GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise Unreadable(f"it unpacks to more than {_LARGEST} bytes")
        release = json.loads(data)
        texts = [release["manifest"]]
        if hooks:
            texts += [hook["manifest"] for hook in release.get("hooks") or []]
        every = [obj for text in texts for obj in parse(text.encode(), "of the release")]
        return [obj for obj in every if dig(obj, "metadata", "name")]
    except (binascii.Error, zlib.error, OSError, EOFError, UnicodeDecodeError) as error:
        raise Unreadable(f"it is not base64 of gzip ({type(error).__name__})") from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("it holds no release of Helm 3") from error
    except InvalidInput as error:
        raise Unreadable("its manifest is no Kubernetes objects") from error


def forget(cluster: Cluster, history: Sequence[Revision]) -> None:
    """Delete every revision of a release, so that Helm knows nothing of it. history: all of them.

    Oldest first: what is left by a run that was killed is still the release as it is now.
    """
    for revision in history:
        cluster.delete(revision.ref)


def _placed(cluster: Cluster, ref: Ref, namespace: str) -> Ref:
    """With the release's namespace where a manifest leaves it to Helm."""
    if ref.namespace:
        return ref
    resource = cluster.discovery().find(ref.api_version, ref.kind)
    if resource is None or not resource.namespaced:
        return ref
    return Ref(ref.api_version, ref.kind, namespace, ref.name)
