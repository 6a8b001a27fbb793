"""cert-manager's cainjector: copies certificate authorities into whatever asks for them.

Recorded: it works about 3 s after its pod runs (leader election); the CRDs follow the webhook
configurations within half a second, a CRD that appears later gets its bundle 5.5 s late.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator

from installer.core.objects import Object, dig
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.api import MERGE, Refused, path_of
from installer.sandbox.simulators.cache import Cache
from installer.sandbox.simulators.certmanager import CertManagerKinds
from installer.sandbox.simulators.identity import secret_data
from installer.sandbox.simulators.world import CONFIGURATIONS, World, seconds_since

MANAGER = "cainjector"
CRDS = "customresourcedefinitions"
_FROM_CERTIFICATE = "cert-manager.io/inject-ca-from"
_FROM_SECRET = "cert-manager.io/inject-ca-from-secret"
_FROM_SERVER = "cert-manager.io/inject-apiserver-ca"
_DIRECT = "cert-manager.io/allow-direct-injection"

LEADER, CRD_LAG = 3.0, 5.5


class CaInjector:
    """Level-triggered: compares every annotated object with what it should hold."""

    def __init__(self, world: World, kinds: CertManagerKinds):
        self._world = world
        self._kinds = kinds
        self._api_services = world.cache("apiregistration.k8s.io/v1", "apiservices")
        self._injected: dict[str, bytes] = {}
        causes = [
            world.mutating, world.validating, world.crds, self._api_services,
            world.secrets, world.pods, kinds.certificates,
        ]  # fmt: skip
        world.reconcile(MANAGER, self._reconcile, *causes)

    def _reconcile(self) -> float | None:
        pods = self._world.running(roles.CAINJECTOR)
        if not pods:
            return None
        waited = seconds_since(dig(pods[0], "status", "startTime", default=""))
        if waited < self._world.delay(LEADER):
            return self._world.delay(LEADER) - waited
        again: float | None = None
        for plural, obj, bundle in self._wanted():
            if plural == CRDS:
                age = seconds_since(obj["metadata"].get("creationTimestamp", ""))
                if age < self._world.delay(CRD_LAG):
                    again = self._world.delay(CRD_LAG) - age
                    continue
                self._inject_crd(obj, bundle, pods[0])
            elif plural == "apiservices":
                self._inject_api_service(obj, bundle)
            else:
                self._inject_configuration(plural, obj, bundle)
        return again

    def _wanted(self) -> Iterator[tuple[str, Object, bytes]]:
        caches: tuple[tuple[str, Cache], ...] = (
            (CONFIGURATIONS[0], self._world.mutating),
            (CONFIGURATIONS[1], self._world.validating),
            ("apiservices", self._api_services),
            (CRDS, self._world.crds),
        )
        for plural, cache in caches:
            for obj in cache.all():
                bundle = self._bundle(obj["metadata"].get("annotations") or {})
                if bundle is not None and not obj["metadata"].get("deletionTimestamp"):
                    yield plural, obj, bundle

    def _bundle(self, annotations: dict[str, str]) -> bytes | None:
        """The authority asked for, empty while a certificate is being issued; None when unknown."""
        secrets = self._world.secrets
        if _FROM_CERTIFICATE in annotations:
            namespace, _, name = annotations[_FROM_CERTIFICATE].partition("/")
            certificate = self._kinds.certificates.get(namespace, name)
            secret = secrets.get(namespace, dig(certificate, "spec", "secretName", default=""))
            owner = dig(secret, "metadata", "annotations", "cert-manager.io/certificate-name")
            return secret_data(secret, "ca.crt") if secret and owner == name else None
        if _FROM_SECRET in annotations:
            secret = secrets.get(*annotations[_FROM_SECRET].split("/", 1))
            allowed = dig(secret, "metadata", "annotations", _DIRECT) == "true"
            return secret_data(secret, "ca.crt") if secret and allowed else None
        if annotations.get(_FROM_SERVER) == "true":
            return self._world.context.ca_cert.read_bytes()
        return None

    def _inject_configuration(self, plural: str, obj: Object, bundle: bytes) -> None:
        value = _encoded(bundle)
        hooks = obj.get("webhooks") or []
        if all((h["clientConfig"].get("caBundle") or "") == value for h in hooks):
            return
        body = copy.deepcopy(obj)
        for hook in body["webhooks"]:
            hook["clientConfig"].pop("caBundle", None)
            if value:
                hook["clientConfig"]["caBundle"] = value
        self._world.replace_configuration(plural, body, MANAGER)

    def _inject_api_service(self, obj: Object, bundle: bytes) -> None:
        if (dig(obj, "spec", "caBundle", default="")) != _encoded(bundle):
            path = path_of("apiregistration.k8s.io/v1", "apiservices", name=obj["metadata"]["name"])
            patch = {"spec": {"caBundle": _encoded(bundle) or None}}
            self._world.api.patch(path, patch, MANAGER, MERGE)

    def _inject_crd(self, obj: Object, bundle: bytes, pod: Object) -> None:
        # Only metadata is cached of CRDs: each one is read once per generation and bundle.
        name, generation = obj["metadata"]["name"], obj["metadata"].get("generation", 0)
        seen = bundle + f"{obj['metadata']['uid']}/{generation}".encode()
        if self._injected.get(name) == seen:
            return
        old = roles.image_version(pod, "cainjector") < (1, 0) and self._beta_served()
        version = "apiextensions.k8s.io/v1beta1" if old else "apiextensions.k8s.io/v1"
        path = path_of(version, CRDS, name=name)
        found = self._world.api.get(path)
        conversion = dig(found, "spec", "conversion", default={})
        if conversion.get("strategy") == "Webhook":
            config = conversion.get("webhookClientConfig") or dig(
                conversion, "webhook", "clientConfig", default={}
            )
            if (config.get("caBundle") or "") != _encoded(bundle):
                inner = {"caBundle": _encoded(bundle) or None}
                change = (
                    {"webhookClientConfig": inner} if old else {"webhook": {"clientConfig": inner}}
                )
                done = self._world.api.patch(path, {"spec": {"conversion": change}}, MANAGER, MERGE)
                seen = (
                    bundle + f"{obj['metadata']['uid']}/{done['metadata']['generation']}".encode()
                )
        self._injected[name] = seen

    def _beta_served(self) -> bool:
        try:
            self._world.api.request("GET", "/apis/apiextensions.k8s.io/v1beta1")
        except Refused:
            return False
        return True


def _encoded(bundle: bytes) -> str:
    return base64.b64encode(bundle).decode()
