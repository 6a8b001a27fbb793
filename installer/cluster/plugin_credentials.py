"""Credentials that something has to be run or asked for: exec plugins, identity providers, pods.

The `kubernetes` package does that, imported only then: it costs more than a whole run that finds
nothing to do. No message contains what a plugin prints on standard output.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from installer.cluster.access import Access, unusable
from installer.core.cancel import Cancel
from installer.core.objects import dig

T = TypeVar("T")
_POLL = 0.1


def with_plugin(
    access: Access,
    kubeconfig: str,
    user_name: str,
    user: Mapping[str, Any],
    home: Path,
    cancel: Cancel,
) -> Access:
    """Credentials that `kubernetes` gets by running a plugin or asking an identity provider.

    kubeconfig: the files, as KUBECONFIG has them. user: that user's entry, whose relative paths
    start from `home`. Raises UsageError, kind `credentials`, and what `cancel` carries.
    """
    command = dig(user, "exec", "command")
    if command:
        _require_plugin(str(command), user, user_name, home)

    def load() -> Access:
        from kubernetes.client.configuration import Configuration
        from kubernetes.config.kube_config import load_kube_config

        configuration = Configuration()
        with _logged() as said:
            try:
                load_kube_config(kubeconfig, access.context, configuration)  # type: ignore[no-untyped-call]
            except Exception as error:  # whatever a plugin's reader raises ends here
                said.append(f"{error}")
        found = _credentials_of(configuration, access)
        if not found.authorization and not found.certificate:
            reason = _one_line(said[-1]) if said else "it gave neither token nor certificate"
            raise unusable(
                f"no credentials for user {user_name}: {reason}",
                object=str(command or "kubeconfig"),
                remedy="log in again with your cluster's own tool, then try again",
                kind="credentials",
            )
        return found

    def renew(cancel: Cancel) -> Access:
        return replace(_awaited(load, cancel, f"waiting for {asked}"), renew=renew)

    asked = f"the credential plugin {command}" if command else f"credentials of user {user_name}"
    return renew(cancel)


def _awaited(work: Callable[[], T], cancel: Cancel, doing: str) -> T:
    """What `work` returns or raises. It runs in a thread of its own that is left behind once the
    run is stopped: a plugin may wait for a person, an identity provider may not answer, and
    `kubernetes` sets neither a limit."""
    cancel.check(doing)
    done = threading.Event()
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # raised where it is waited for
            failure.append(error)
        done.set()

    threading.Thread(target=run, name="credentials", daemon=True).start()
    while not done.wait(_POLL):
        cancel.check(doing)
    if failure:
        raise failure[0]
    return result[0]


def _require_plugin(command: str, user: Mapping[str, Any], user_name: str, home: Path) -> None:
    """A command with a path is relative to the kubeconfig's folder; else PATH is searched."""
    path = home / command if os.sep in command else command  # an absolute command stays
    if shutil.which(path) is None:
        raise unusable(
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


def in_cluster() -> Access:
    """The access of the pod that we run in. Raises UsageError where it has none."""
    from kubernetes.client.configuration import Configuration
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import load_incluster_config

    configuration = Configuration()
    try:
        load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise unusable(
            f"no kubeconfig found, and this pod has no usable service account: {error}",
            remedy="mount a service account's token, or give --kubeconfig",
        ) from error
    base = Access(
        context="in-cluster",
        server=configuration.host,
        ca=Path(configuration.ssl_ca_cert or "").read_bytes(),
        renew=lambda _: in_cluster(),
    )
    return _credentials_of(configuration, base)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
