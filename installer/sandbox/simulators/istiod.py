"""istiod: its certificate authority, the bundles of its webhooks, and the root in every namespace.

Recorded for 1.6.2: Secret 0.5 s after the start, the injector's bundle 0.5 s later, the validating
one a second after that; failurePolicy turns from Ignore to Fail once istiod's endpoint is ready.
"""

from __future__ import annotations

import base64
import copy

from installer.core.objects import Object, dig
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.api import MERGE, Refused, path_of
from installer.sandbox.simulators.certificates import Keys, authority
from installer.sandbox.simulators.identity import encoded, secret_data
from installer.sandbox.simulators.world import CONFIGURATIONS, World, ran

MANAGER = "pilot-discovery"
SECRET = "istio-ca-secret"
ROOT = "istio-ca-root-cert"
_AFTER = {"secret": 0.5, CONFIGURATIONS[0]: 1.1, CONFIGURATIONS[1]: 2.1}


class Istiod:
    """Level-triggered on pods, Secrets, configurations, endpoints and namespaces."""

    def __init__(self, world: World, keys: Keys):
        self._world = world
        self._keys = keys
        self._roots: dict[str, str] = {}
        causes = [
            world.pods, world.secrets, world.services, world.endpoints,
            world.mutating, world.validating, world.namespaces, world.config_maps,
        ]  # fmt: skip
        world.reconcile(roles.ISTIOD, self._reconcile, *causes)

    def _reconcile(self) -> float | None:
        pods = self._world.running(roles.ISTIOD)
        if not pods:
            return None
        pod = pods[0]
        age = ran(pod)
        left = {name: self._world.delay(after) - age for name, after in _AFTER.items()}
        if left["secret"] <= 0:
            root = self._authority(pod["metadata"]["namespace"])
            self._spread(root)
            for plural, configuration in self._world.configurations_of(
                self._world.services_of(pod)
            ):
                if left[plural] <= 0:
                    self._fill(plural, configuration, root)
        return min((wait for wait in left.values() if wait > 0), default=None)

    def _authority(self, namespace: str) -> bytes:
        secret = self._world.secrets.get(namespace, SECRET)
        if secret is None:
            ca = authority(self._keys.rsa(), organisation="cluster.local")
            data = {"ca-cert.pem": ca.certificate, "ca-key.pem": ca.key}
            data |= {"cert-chain.pem": b"", "key.pem": b"", "root-cert.pem": b""}
            body: Object = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET, "namespace": namespace},
                "type": "istio.io/ca-root",
                "data": encoded(data),
            }
            path = path_of("v1", "secrets", namespace)
            secret = self._world.api.create(path, body, MANAGER)
            if secret is None:
                secret = self._world.api.get(path_of("v1", "secrets", namespace, SECRET)) or body
            self._world.secrets.put(secret)
        return secret_data(secret, "ca-cert.pem")

    def _spread(self, root: bytes) -> None:
        text = root.decode()
        for namespace in self._world.namespaces.all():
            name = namespace["metadata"]["name"]
            leaving = namespace["metadata"].get("deletionTimestamp")
            there = self._world.config_maps.get(name, ROOT)
            if leaving or (there and self._roots.get(name) in (None, text)):
                self._roots.setdefault(name, text)
                continue
            body: Object = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": ROOT,
                    "namespace": name,
                    "labels": {"istio.io/config": "true"},
                },
                "data": {"root-cert.pem": text},
            }
            try:
                if self._world.api.create(path_of("v1", "configmaps", name), body, MANAGER) is None:
                    path = path_of("v1", "configmaps", name, ROOT)
                    self._world.api.patch(path, {"data": body["data"]}, MANAGER, MERGE)
            except Refused as error:
                if error.code not in (403, 404):
                    raise
                continue  # the namespace is being deleted
            self._roots[name] = text

    def _fill(self, plural: str, configuration: Object, root: bytes) -> None:
        bundle = base64.b64encode(root).decode()
        body = copy.deepcopy(configuration)
        for hook in body["webhooks"]:
            hook["clientConfig"]["caBundle"] = bundle
            if plural == CONFIGURATIONS[1] and self._answers(hook):
                hook["failurePolicy"] = "Fail"
        if body != configuration:
            self._world.replace_configuration(plural, body, MANAGER)

    def _answers(self, hook: Object) -> bool:
        service = hook["clientConfig"]["service"]
        endpoints = self._world.endpoints.get(service["namespace"], service["name"])
        return any(s.get("addresses") for s in dig(endpoints, "subsets", default=[]))
