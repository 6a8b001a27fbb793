"""cert-manager's cainjector: copies certificate authorities into whatever asks for them.

Recorded: it works about 3 s after its pod runs (leader election); the CRDs follow the webhook
configurations within half a second, a CRD that appears later gets its bundle 5.5 s late.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterable, Iterator

from installer.core.objects import Object, dig
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.api import MERGE, Refused, path_of
from installer.sandbox.simulators.certmanager import CertManagerKinds
from installer.sandbox.simulators.identity import secret_data
from installer.sandbox.simulators.world import CONFIGURATIONS, World, ran, seconds_since

MANAGER = "cainjector"
CRDS, API_SERVICES = "customresourcedefinitions", "apiservices"
_FROM_CERTIFICATE = "cert-manager.io/inject-ca-from"
_FROM_SECRET = "cert-manager.io/inject-ca-from-secret"
_FROM_SERVER = "cert-manager.io/inject-apiserver-ca"
_DIRECT = "cert-manager.io/allow-direct-injection"

LEADER, CRD_LAG = 3.0, 5.5


class CaInjector:
    """Compares every annotated object with what it should hold, kinds side by side."""

    def __init__(self, world: World, kinds: CertManagerKinds):
        self._world = world
        self._kinds = kinds
        self._api_services = world.cache("apiregistration.k8s.io/v1", API_SERVICES)
        self._injected: dict[str, str] = {}
        sources = [world.secrets, world.pods, kinds.certificates]
        for part, job, target in (
            (CONFIGURATIONS[0], self._mutating, world.mutating),
            (CONFIGURATIONS[1], self._validating, world.validating),
            (API_SERVICES, self._services, self._api_services),
            (CRDS, self._definitions, world.crds),
        ):
            world.reconcile(MANAGER, job, target, *sources, part=part)

    def _leads_in(self) -> float | None:
        """Seconds until the injector works; None without one."""
        pods = self._world.running(roles.CAINJECTOR)
        if not pods:
            return None
        return max(0.0, self._world.delay(LEADER) - ran(pods[0]))

    def _mutating(self) -> float | None:
        return self._configurations(CONFIGURATIONS[0], self._world.mutating.all())

    def _validating(self) -> float | None:
        return self._configurations(CONFIGURATIONS[1], self._world.validating.all())

    def _configurations(self, plural: str, objects: list[Object]) -> float | None:
        wait = self._leads_in()
        if wait == 0.0:
            for obj, bundle in self._wanted(objects):
                self._inject_configuration(plural, obj, bundle)
        return wait or None

    def _services(self) -> float | None:
        wait = self._leads_in()
        if wait == 0.0:
            for obj, bundle in self._wanted(self._api_services.all()):
                if dig(obj, "spec", "caBundle", default="") != bundle:
                    path = path_of(obj["apiVersion"], API_SERVICES, name=obj["metadata"]["name"])
                    patch = {"spec": {"caBundle": bundle or None}}
                    self._world.api.patch(path, patch, MANAGER, MERGE)
        return wait or None

    def _definitions(self) -> float | None:
        wait = self._leads_in()
        if wait != 0.0:
            return wait
        again: list[float] = []
        for obj, bundle in self._wanted(self._world.crds.all()):
            age = seconds_since(obj["metadata"].get("creationTimestamp", ""))
            left = self._world.delay(CRD_LAG) - age
            if left > 0:
                again.append(left)
            elif bundle:
                self._inject_definition(obj, bundle)
        return min(again, default=None)

    def _wanted(self, objects: Iterable[Object]) -> Iterator[tuple[Object, str]]:
        for obj in objects:
            bundle = self._bundle(obj["metadata"].get("annotations") or {})
            if bundle is not None and not obj["metadata"].get("deletionTimestamp"):
                yield obj, base64.b64encode(bundle).decode()

    def _bundle(self, annotations: dict[str, str]) -> bytes | None:
        """The authority asked for; empty while a certificate is being issued, None when unknown."""
        secrets = self._world.secrets
        if _FROM_CERTIFICATE in annotations:
            namespace, _, name = annotations[_FROM_CERTIFICATE].partition("/")
            certificate = self._kinds.certificates.get(namespace, name)
            secret = secrets.get(namespace, dig(certificate, "spec", "secretName", default=""))
            owner = dig(secret, "metadata", "annotations", "cert-manager.io/certificate-name")
            return secret_data(secret, "ca.crt") if secret and owner == name else None
        if _FROM_SECRET in annotations:
            namespace, _, name = annotations[_FROM_SECRET].partition("/")
            secret = secrets.get(namespace, name)
            allowed = dig(secret, "metadata", "annotations", _DIRECT) == "true"
            return secret_data(secret, "ca.crt") if secret and allowed else None
        if annotations.get(_FROM_SERVER) == "true":
            return self._world.context.ca_cert.read_bytes()
        return None

    def _inject_configuration(self, plural: str, obj: Object, bundle: str) -> None:
        hooks = obj.get("webhooks") or []
        if all((h["clientConfig"].get("caBundle") or "") == bundle for h in hooks):
            return
        body = copy.deepcopy(obj)
        for hook in body["webhooks"]:
            hook["clientConfig"].pop("caBundle", None)
            if bundle:
                hook["clientConfig"]["caBundle"] = bundle
        self._world.replace_configuration(plural, body, MANAGER)

    def _inject_definition(self, obj: Object, bundle: str) -> None:
        # Only metadata is cached of CRDs: each is written once per generation and bundle.
        metadata = obj["metadata"]
        seen = f"{metadata['uid']}/{metadata.get('generation')}/{bundle}"
        if self._injected.get(metadata["name"]) == seen:
            return
        old = self._old()
        version = "apiextensions.k8s.io/v1beta1" if old else "apiextensions.k8s.io/v1"
        path = path_of(version, CRDS, name=metadata["name"])
        place = "webhookClientConfig" if old else "webhook/clientConfig"
        done = self._world.api.patch_if(
            path,
            {"/spec/conversion/strategy": "Webhook"},
            {f"/spec/conversion/{place}/caBundle": bundle},
            MANAGER,
        )
        if done:
            seen = f"{metadata['uid']}/{done['metadata']['generation']}/{bundle}"
        self._injected[metadata["name"]] = seen

    def _old(self) -> bool:
        """Before 1.0 the injector writes CRDs at v1beta1, which the recorded field names show."""
        pods = self._world.running(roles.CAINJECTOR)
        if not pods or roles.image_version(pods[0], "cainjector") >= (1, 0):
            return False
        try:
            self._world.api.request("GET", "/apis/apiextensions.k8s.io/v1beta1")
        except Refused:
            return False
        return True
