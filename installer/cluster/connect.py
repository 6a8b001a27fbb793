"""How to reach the API server: kubeconfig and in-cluster credentials.

Credentials that are simply written down (certificates, tokens, files of either) are read here.
Whatever has to run something to get them (exec plugins, identity providers, the rotating token
of a pod) goes through the `kubernetes` package, imported only then: it costs more than a whole
run that finds nothing to do. No message contains a token, a key or a plugin's output.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from installer.core.errors import UsageError
from installer.core.objects import dig

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DYNAMIC = ("exec", "auth-provider", "username")
_REMEDY_FILE = "give the right file with --kubeconfig or in KUBECONFIG"
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True, slots=True)
class Access:
    """Everything needed to open connections to one API server.

    context: its name, `in-cluster` in a pod. namespace: where names without one are looked for.
    ca, certificate, key: PEM bytes, empty when not given. authorization: the header's value, empty
    when the client certificate speaks. headers: impersonation. renew: the same access with fresh
    credentials, None when these never change.
    """

    context: str
    server: str
    ca: bytes = field(default=b"", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    authorization: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    verify: bool = True
    server_name: str = ""
    proxy: str = ""
    namespace: str = "default"
    renew: Callable[[], Access] | None = None

    def why_unauthorized(self, said: str) -> str:
        """Why the server answered 401, as far as our own credentials tell."""
        expired = _expiry(self.certificate)
        if expired is not None and expired < datetime.now(UTC):
            return f"the client certificate of context {self.context} expired on {expired:%Y-%m-%d}"
        if not self.authorization and not self.certificate:
            return f"context {self.context} has no credentials, and the server wants some ({said})"
        return f"the server does not accept the credentials of context {self.context} ({said})"


def find_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """The access that `--kubeconfig` and `--context`, the environment or the pod we run in give.

    Raises UsageError, kind `kubeconfig`, `context` or `credentials`, with what to do.
    """
    paths = _paths(kubeconfig)
    present = [path for path in paths if path.exists()]
    if kubeconfig and not present:
        raise _usage("there is no kubeconfig file here", object=kubeconfig)
    if not present:
        if os.environ.get(_IN_CLUSTER) and context is None:
            return _in_cluster()
        looked = ", ".join(str(path) for path in paths)
        raise _usage(f"no kubeconfig found; looked in {looked}")
    return _from_kubeconfig(_Merged.read(present), context)


def _paths(kubeconfig: str | None) -> list[Path]:
    if kubeconfig:
        return [Path(kubeconfig).expanduser()]
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in listed or ["~/.kube/config"]]


def _usage(
    message: str, *, object: str = "", remedy: str = _REMEDY_FILE, kind: str = "kubeconfig"
) -> UsageError:
    return UsageError(message, kind=kind, object=object, remedy=remedy)


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
        found = yaml.load(path.read_bytes(), Loader=_LOADER)
    except OSError as error:
        reason = error.strerror or str(error)
        raise _usage(f"the kubeconfig cannot be read: {reason}", object=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise _usage(f"the kubeconfig is not valid YAML{where}", object=str(path)) from error
    if found is not None and not isinstance(found, Mapping):
        raise _usage("this is not a kubeconfig: no mapping at the top", object=str(path))
    return found


def _named(
    documents: list[tuple[Path, Mapping[str, Any]]], plural: str, singular: str
) -> dict[str, tuple[Mapping[str, Any], Path]]:
    found: dict[str, tuple[Mapping[str, Any], Path]] = {}
    for path, document in documents:
        entries = document.get(plural) or []
        if not isinstance(entries, list):
            raise _usage(f"{plural} in this kubeconfig is not a list", object=str(path))
        for entry in entries:
            name, value = dig(entry, "name"), dig(entry, singular, default={})
            if not isinstance(name, str) or not isinstance(value, Mapping):
                raise _usage(f"an entry of {plural} has no name or no {singular}", object=str(path))
            found.setdefault(name, (value, path.absolute().parent))
    return found


def _from_kubeconfig(merged: _Merged, context: str | None) -> Access:
    name, entry = _chosen(merged, context)
    cluster_name, user_name = entry.get("cluster"), entry.get("user")
    if not cluster_name or cluster_name not in merged.clusters:
        raise _usage(
            f"context {name} names cluster {cluster_name!r}, which is not there", object=str(merged)
        )
    if user_name and user_name not in merged.users:
        raise _usage(
            f"context {name} names user {user_name!r}, which is not there", object=str(merged)
        )
    cluster, cluster_home = merged.clusters[cluster_name]
    user, user_home = merged.users[user_name] if user_name else ({}, cluster_home)
    server = str(cluster.get("server") or "")
    if not server.startswith(("https://", "http://")):
        raise _usage(
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
        return _with_plugin(access, merged, str(user_name), user, user_home)
    return _with_written_credentials(access, user, user_home)


def _chosen(merged: _Merged, context: str | None) -> tuple[str, Mapping[str, Any]]:
    known = sorted(merged.contexts)
    if not known:
        what = "is empty" if merged.empty else "has no contexts, so it leads to no cluster"
        raise _usage(f"the kubeconfig {what}", object=str(merged))
    name = context or merged.current
    if not name:
        raise _usage(
            f"the kubeconfig has no current context; known are: {', '.join(known)}",
            object=str(merged),
            remedy="name one with --context",
            kind="context",
        )
    if name not in merged.contexts:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise _usage(
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
            raise _usage(f"{key}-data in the kubeconfig is not base64") from error
    return _file(entry.get(key), key, home)


def _file(name: Any, key: str, home: Path) -> bytes:
    if not name:
        return b""
    path = home / Path(str(name)).expanduser()
    try:
        return path.read_bytes()
    except OSError as error:
        raise _usage(
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
            renew=read if token_file else None,
        )

    return read()


def _with_plugin(
    access: Access, merged: _Merged, user_name: str, user: Mapping[str, Any], home: Path
) -> Access:
    """Credentials that `kubernetes` gets by running a plugin or asking an identity provider."""
    command = dig(user, "exec", "command")
    if command:
        _require_plugin(str(command), user, user_name, home)

    def load() -> Access:
        from kubernetes.client.configuration import Configuration
        from kubernetes.config.kube_config import load_kube_config

        configuration = Configuration()
        with _logged() as said:
            try:
                load_kube_config(str(merged), access.context, configuration)  # type: ignore[no-untyped-call]
            except Exception as error:  # whatever a plugin's reader raises ends here
                said.append(f"{error}")
        found = _credentials_of(configuration, access)
        if not found.authorization and not found.certificate:
            reason = _one_line(said[-1]) if said else "it gave neither token nor certificate"
            raise _usage(
                f"no credentials for user {user_name}: {reason}",
                object=str(command or "kubeconfig"),
                remedy="log in again with your cluster's own tool, then try again",
                kind="credentials",
            )
        return replace(found, renew=load)

    return load()


def _require_plugin(command: str, user: Mapping[str, Any], user_name: str, home: Path) -> None:
    """A command with a path is relative to the kubeconfig's folder; else PATH is searched."""
    path = home / command if os.sep in command else command  # an absolute command stays
    if shutil.which(path) is None:
        raise _usage(
            f"user {user_name} needs the credential plugin {command}, which is not installed",
            object=command,
            remedy=_one_line(str(dig(user, "exec", "installHint", default="")))
            or "install it and put it on PATH",
            kind="credentials",
        )


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What is logged meanwhile: `kubernetes` logs a plugin's failure and goes on without."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    root, handler = logging.getLogger(), Keep(logging.ERROR)
    root.addHandler(handler)
    try:
        yield said
    finally:
        root.removeHandler(handler)


def _credentials_of(configuration: Any, access: Access) -> Access:
    """`access` with what a kubernetes Configuration learnt."""
    return replace(
        access,
        authorization=configuration.api_key.get("BearerToken") or "",
        certificate=Path(configuration.cert_file).read_bytes() if configuration.cert_file else b"",
        key=Path(configuration.key_file).read_bytes() if configuration.key_file else b"",
    )


def _in_cluster() -> Access:
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise _usage(
            f"no kubeconfig found, and this pod has no usable service account: {error}",
            remedy="mount a service account's token, or give --kubeconfig",
        ) from error
    base = Access(
        context="in-cluster",
        server=configuration.host,
        ca=Path(configuration.ssl_ca_cert or "").read_bytes(),
        renew=_in_cluster,
    )
    return _credentials_of(configuration, base)


def _expiry(certificate: bytes) -> datetime | None:
    """notAfter of the first certificate; None without one. cryptography costs 0.1 s: only here."""
    if not certificate:
        return None
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
