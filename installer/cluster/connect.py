"""How to reach the API server: which kubeconfig, which context, and what is written down there.

Certificates, tokens and files of either are read here; what has to be run to get credentials is in
`plugin_credentials`. No message contains a token or a key.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from installer.catalog.yaml_loader import LOADER
from installer.cluster.access import Access, unusable
from installer.cluster.plugin_credentials import in_cluster, with_plugin
from installer.core.cancel import Cancel
from installer.core.objects import dig

_DYNAMIC = ("exec", "auth-provider", "username")
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


def find_access(
    kubeconfig: str | None = None, context: str | None = None, cancel: Cancel | None = None
) -> Access:
    """The access that `--kubeconfig` and `--context`, the environment or the pod we run in give.

    Raises UsageError, kind `kubeconfig`, `context` or `credentials`, with what to do; and what
    `cancel` carries, once it stops a plugin that is waited for.
    """
    paths = _paths(kubeconfig)
    present = [path for path in paths if path.exists()]
    if kubeconfig and not present:
        raise unusable("there is no kubeconfig file here", object=kubeconfig)
    if not present:
        if os.environ.get(_IN_CLUSTER) and context is None:
            return in_cluster()
        looked = ", ".join(str(path) for path in paths)
        raise unusable(f"no kubeconfig found; looked in {looked}")
    return _from_kubeconfig(_Merged.read(present), context, cancel or Cancel())


def _paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig).expanduser()]
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in listed or ["~/.kube/config"]]


@dataclass(frozen=True, slots=True)
class _Merged:
    """Several kubeconfig files read as one: the first file that names something wins.

    clusters, users, contexts: name → (entry, folder that its relative paths start from).
    """

    paths: tuple[Path, ...]
    empty: bool
    current: str
    clusters: Mapping[str, tuple[Mapping[str, Any], Path]]
    users: Mapping[str, tuple[Mapping[str, Any], Path]]
    contexts: Mapping[str, tuple[Mapping[str, Any], Path]]

    @classmethod
    def read(cls, paths: list[Path]) -> _Merged:
        found = [(path, _document(path)) for path in paths]
        documents = [(path, document or {}) for path, document in found]
        empty = all(document is None for _, document in found)
        current = next((d["current-context"] for _, d in documents if d.get("current-context")), "")
        parts = {
            plural: _named(documents, plural, plural[:-1])
            for plural in ("clusters", "users", "contexts")
        }
        return cls(tuple(paths), empty, current, **parts)

    def __str__(self) -> str:
        return os.pathsep.join(str(path) for path in self.paths)


def _document(path: Path) -> Mapping[str, Any] | None:
    """The file's mapping; None when there is nothing in the file."""
    try:
        found = yaml.load(path.read_bytes(), Loader=LOADER)
    except OSError as error:
        reason = error.strerror or str(error)
        raise unusable(f"the kubeconfig cannot be read: {reason}", object=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise unusable(f"the kubeconfig is not valid YAML{where}", object=str(path)) from error
    if found is not None and not isinstance(found, Mapping):
        raise unusable("this is not a kubeconfig: no mapping at the top", object=str(path))
    return found


def _named(
    documents: list[tuple[Path, Mapping[str, Any]]], plural: str, singular: str
) -> dict[str, tuple[Mapping[str, Any], Path]]:
    found: dict[str, tuple[Mapping[str, Any], Path]] = {}
    for path, document in documents:
        entries = document.get(plural) or []
        if not isinstance(entries, list):
            raise unusable(f"{plural} in this kubeconfig is not a list", object=str(path))
        for entry in entries:
            name, value = dig(entry, "name"), dig(entry, singular, default={})
            if not isinstance(name, str) or not isinstance(value, Mapping):
                raise unusable(
                    f"an entry of {plural} has no name or no {singular}", object=str(path)
                )
            found.setdefault(name, (value, path.absolute().parent))
    return found


def _from_kubeconfig(merged: _Merged, context: str | None, cancel: Cancel) -> Access:
    name, entry = _chosen(merged, context)
    cluster_name, user_name = entry.get("cluster"), entry.get("user")
    if not cluster_name or cluster_name not in merged.clusters:
        raise unusable(
            f"context {name} names cluster {cluster_name!r}, which is not there", object=str(merged)
        )
    if user_name and user_name not in merged.users:
        raise unusable(
            f"context {name} names user {user_name!r}, which is not there", object=str(merged)
        )
    cluster, cluster_home = merged.clusters[cluster_name]
    user, user_home = merged.users[user_name] if user_name else ({}, cluster_home)
    server = str(cluster.get("server") or "")
    if not server.startswith(("https://", "http://")):
        raise unusable(
            f"cluster {cluster_name} has no server address that starts with https://",
            object=str(merged),
        )
    access = Access(
        context=name,
        server=server.rstrip("/"),
        ca=_pem(cluster, "certificate-authority", cluster_home),
        headers=_impersonation(user),
        verify=not cluster.get("insecure-skip-tls-verify"),
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
        namespace=str(entry.get("namespace") or "default"),
    )
    if any(user.get(key) for key in _DYNAMIC):
        return with_plugin(access, str(merged), str(user_name), user, user_home, cancel)
    return _with_written_credentials(access, user, user_home)


def _chosen(merged: _Merged, context: str | None) -> tuple[str, Mapping[str, Any]]:
    known = sorted(merged.contexts)
    if not known:
        what = "is empty" if merged.empty else "has no contexts, so it leads to no cluster"
        raise unusable(f"the kubeconfig {what}", object=str(merged))
    name = context or merged.current
    if not name:
        raise unusable(
            f"the kubeconfig has no current context; known are: {', '.join(known)}",
            object=str(merged),
            remedy="name one with --context",
            kind="context",
        )
    if name not in merged.contexts:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise unusable(
            f"there is no context {name!r}; known are: {', '.join(known)}",
            object=str(merged),
            remedy=f"{hint}Name one with --context" if close else "name one with --context",
            kind="context",
        )
    return name, merged.contexts[name][0]


def _pem(entry: Mapping[str, Any], key: str, home: Path) -> bytes:
    """PEM bytes of `KEY-data` (base64) or else of the file that `KEY` names."""
    data = entry.get(f"{key}-data")
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise unusable(f"{key}-data in the kubeconfig is not base64") from error
    return _file(entry.get(key), key, home)


def _file(name: Any, key: str, home: Path) -> bytes:
    if not name:
        return b""
    path = home / Path(str(name)).expanduser()
    try:
        return path.read_bytes()
    except OSError as error:
        raise unusable(
            f"the {key} that the kubeconfig names cannot be read: {error.strerror}",
            object=str(path),
            remedy="correct the path in the kubeconfig or log in again",
            kind="credentials",
        ) from error


def _impersonation(user: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Source: kubeconfig v1 (`as`, `as-uid`, `as-groups`, `as-user-extra`)."""
    if not user.get("as"):
        return ()
    headers = [("Impersonate-User", str(user["as"]))]
    headers += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or []]
    if user.get("as-uid"):
        headers.append(("Impersonate-Uid", str(user["as-uid"])))
    for key, values in (user.get("as-user-extra") or {}).items():
        headers += [(f"Impersonate-Extra-{key}", str(value)) for value in values]
    return tuple(headers)


def _with_written_credentials(access: Access, user: Mapping[str, Any], home: Path) -> Access:
    token_file = user.get("tokenFile")

    def read() -> Access:
        token = user.get("token") or ""
        if token_file:
            token = _file(token_file, "tokenFile", home).decode("ascii", "replace").strip()
        return replace(
            access,
            certificate=_pem(user, "client-certificate", home),
            key=_pem(user, "client-key", home),
            authorization=f"Bearer {token}" if token else "",
            renew=(lambda _: read()) if token_file else None,
        )

    return read()
