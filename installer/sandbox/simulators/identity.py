"""With which certificate a webhook pod would serve: the one its controller keeps in a Secret."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Mapping

from installer.core.objects import Object, dig
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.certificates import Pair, issue, new_ecdsa
from installer.sandbox.simulators.mounts import SECRET, needed
from installer.sandbox.simulators.world import World


def secret_data(secret: Object | None, key: str) -> bytes:
    """The decoded value of a Secret's key, empty when there is none."""
    return base64.b64decode(dig(secret, "data", key, default="") or "")


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """The values as a Secret's data holds them."""
    return {key: base64.b64encode(value).decode() for key, value in data.items()}


def service_names(namespace: str, service: str) -> list[str]:
    """The DNS names of a Service, as controllers put them into certificates."""
    return [
        f"{service}.{namespace}.svc",
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc.cluster.local",
    ]


def dynamic_secret(pod: Object) -> tuple[str, str]:
    """(namespace, name) of the Secret in which cert-manager's webhook keeps its own authority."""
    namespace, name = pod["metadata"]["namespace"], "cert-manager-webhook-ca"
    for container in pod["spec"]["containers"]:
        for argument in container.get("args") or []:
            match = re.fullmatch(r"--dynamic-serving-ca-secret-(namespace|name)=(.*)", argument)
            if match and match[1] == "name":
                name = match[2]
            elif match and "$(" not in match[2]:
                namespace = match[2]
    return namespace, name


def knative_secret(service: str) -> str:
    """The Secret of a Knative webhook, by the name of its Service."""
    return f"{service}-certs"


class Identities:
    """Finds, and where needed signs, the certificate a Service's pods serve with."""

    def __init__(self, world: World):
        self._world = world
        self._lock = threading.Lock()
        self._issued: dict[str, Pair] = {}

    def of(self, namespace: str, service: str, pod: Object) -> Pair | None:
        """The certificate, or None while the pod could not serve yet (no Secret, empty Secret)."""
        role = roles.role_of(pod)
        secrets = self._world.secrets
        if role == roles.CERT_MANAGER_WEBHOOK:
            secret = secrets.get(*dynamic_secret(pod))
            ca = Pair(secret_data(secret, "tls.crt"), secret_data(secret, "tls.key"))
            return self._signed(ca, namespace, service)
        if role == roles.ISTIOD:
            secret = secrets.get(pod["metadata"]["namespace"], "istio-ca-secret")
            ca = Pair(secret_data(secret, "ca-cert.pem"), secret_data(secret, "ca-key.pem"))
            return self._signed(ca, namespace, service)
        if role == roles.KNATIVE_WEBHOOK:
            secret = secrets.get(namespace, knative_secret(service))
            served = Pair(
                secret_data(secret, "server-cert.pem"), secret_data(secret, "server-key.pem")
            )
            return served if served.certificate and served.key else None
        return self._mounted(namespace, service, pod)

    def _mounted(self, namespace: str, service: str, pod: Object) -> Pair | None:
        found = False
        for need in needed(pod):
            if need.kind == SECRET and need.volume:
                secret = self._world.secrets.get(pod["metadata"]["namespace"], need.name)
                served = Pair(secret_data(secret, "tls.crt"), secret_data(secret, "tls.key"))
                found = found or "tls.crt" in dig(secret, "data", default={})
                if served.certificate and served.key:
                    return served
        if found:
            return None
        context = self._world.context
        ca = Pair(context.ca_cert.read_bytes(), context.ca_key.read_bytes())
        return self._signed(ca, namespace, service)

    def _signed(self, ca: Pair, namespace: str, service: str) -> Pair | None:
        if not ca.certificate or not ca.key:
            return None
        key = hashlib.sha256(ca.certificate + f"{namespace}/{service}".encode()).hexdigest()
        with self._lock:
            if key not in self._issued:
                self._issued[key] = issue(ca, new_ecdsa(), service_names(namespace, service))
            return self._issued[key]
