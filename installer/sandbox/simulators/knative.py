"""Knative's webhook pods: their certificates, and the webhook configurations they complete.

Upstream ships the configurations without rules, path and caBundle; each webhook pod writes them
1.1 s after it started (recorded), its Secret first, then configurations and CRDs together.
"""

from __future__ import annotations

import base64
import copy
import re
from typing import Any

from installer.core.objects import Object
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.api import MERGE, Refused, path_of
from installer.sandbox.simulators.certificates import Keys, authority, issue
from installer.sandbox.simulators.identity import (
    encoded,
    knative_secret,
    secret_data,
    service_names,
)
from installer.sandbox.simulators.world import CONFIGURATIONS, World, ran

MANAGER = "webhook"
CERTIFICATES_AFTER = 1.1
CRDS = "customresourcedefinitions"
CONVERSION = "/resource-conversion"

GROUPS = (
    "autoscaling.internal.knative.dev",
    "networking.internal.knative.dev",
    "serving.knative.dev",
)
RESOURCES = (
    "metrics", "podautoscalers", "certificates", "ingresses", "serverlessservices",
    "configurations", "revisions", "routes", "services", "domainmappings",
)  # fmt: skip
"""What serving's webhook defaults and validates; 17 kinds and versions in 0.18, as recorded."""

DOMAIN_MAPPING = "domainmapping"
_EXCLUDE = {"key": "webhooks.knative.dev/exclude", "operator": "DoesNotExist"}
Rule = dict[str, Any]


class KnativeWebhooks:
    """Every Knative webhook pod, told apart by the Service that selects it."""

    def __init__(self, world: World, keys: Keys):
        self._world = world
        self._keys = keys
        self._rules: dict[str, list[Rule]] = {}
        self._converted: dict[str, str] = {}
        causes = [world.pods, world.secrets, world.services, world.mutating, world.validating]
        world.crds.subscribe(self._crd)
        world.reconcile(roles.KNATIVE_WEBHOOK, self._reconcile, *causes, world.crds)

    def _crd(self, _: str, crd: Object) -> None:
        if crd["metadata"]["name"].endswith(".knative.dev"):
            self._rules.clear()

    def _reconcile(self) -> float | None:
        again: list[float] = []
        for pod in self._world.running(roles.KNATIVE_WEBHOOK):
            waited = ran(pod)
            if waited < self._world.delay(CERTIFICATES_AFTER):
                again.append(self._world.delay(CERTIFICATES_AFTER) - waited)
                continue
            for service in self._world.services_of(pod):
                bundle = self._secret(service)
                if bundle:
                    self._complete(pod, service, bundle)
                    self._convert(service, bundle)
        return min(again, default=None)

    def _secret(self, service: Object) -> str:
        """Fill the Secret when it is empty; returns the caBundle, empty without a Secret."""
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        secret = self._world.secrets.get(namespace, knative_secret(name))
        if secret is None:
            return ""
        if not secret_data(secret, "server-cert.pem"):
            names = service_names(namespace, name)
            ca = authority(self._keys.rsa(), name=names[0], organisation="knative.dev")
            pair = issue(ca, self._keys.rsa(), names)
            data = encoded(
                {
                    "ca-cert.pem": ca.certificate,
                    "server-cert.pem": pair.certificate,
                    "server-key.pem": pair.key,
                }
            )
            path = path_of("v1", "secrets", namespace, secret["metadata"]["name"])
            secret = self._world.api.patch(path, {"data": data}, MANAGER, MERGE)
            self._world.secrets.put(secret)
        return base64.b64encode(secret_data(secret, "ca-cert.pem")).decode()

    def _complete(self, pod: Object, service: Object, bundle: str) -> None:
        for plural, configuration in self._world.configurations_of([service]):
            body = copy.deepcopy(configuration)
            for hook in body["webhooks"]:
                if hook["name"] == body["metadata"]["name"]:
                    self._fill(hook, plural, service, bundle)
            self._own(body, pod)
            if body != configuration:
                self._world.replace_configuration(plural, body, MANAGER)

    def _fill(self, hook: Object, plural: str, service: Object, bundle: str) -> None:
        hook["clientConfig"]["caBundle"] = bundle
        if hook["name"].startswith("config."):
            hook["clientConfig"]["service"]["path"] = "/config-validation"
            hook["rules"] = [
                _rule("", "v1", ["configmaps/*"], ["CREATE", "UPDATE"], scope="Namespaced")
            ]
            return
        mutating = plural == CONFIGURATIONS[0]
        hook["clientConfig"]["service"]["path"] = (
            "/defaulting" if mutating else "/resource-validation"
        )
        verbs = ["CREATE", "UPDATE"] if mutating else ["CREATE", "UPDATE", "DELETE"]
        hook["rules"] = [
            _rule(group, version, [plural, f"{plural}/status"], verbs)
            for group, version, plural in self._handled(hook["name"], service)
        ]
        selector = hook.setdefault("namespaceSelector", {})
        expressions = selector.setdefault("matchExpressions", [])
        if _EXCLUDE not in expressions:
            expressions.append(dict(_EXCLUDE))

    def _handled(self, name: str, service: Object) -> list[tuple[str, str, str]]:
        """(group, version, plural) that a webhook handles, in the order it writes them."""
        if ".istio." in name:
            # net-istio looks at Deployments of revisions only (the manifest's objectSelector).
            return [("apps", "v1", "deployments")]
        own = service["metadata"]["name"].startswith(DOMAIN_MAPPING)
        apart = any(
            s["metadata"]["name"].startswith(DOMAIN_MAPPING)
            and s["metadata"]["namespace"] == service["metadata"]["namespace"]
            for s in self._world.services.all()
        )
        found = []
        for group in GROUPS:
            for version, plural in self._served(group):
                mapping = plural == "domainmappings"
                if plural in RESOURCES and (mapping == own if apart else True):
                    found.append((group, version, plural))
        return sorted(found)

    def _served(self, group: str) -> list[tuple[str, str]]:
        """(version, plural) served of a group, by discovery; remembered until a CRD changes."""
        known = self._rules.get(group)
        if known is None:
            known = []
            for version in self._versions(group):
                path = f"/apis/{group}/{version}"
                for resource in self._world.api.request("GET", path)["resources"]:
                    if "/" not in resource["name"]:
                        known.append({"version": version, "plural": resource["name"]})
            self._rules[group] = known
        return [(entry["version"], entry["plural"]) for entry in known]

    def _versions(self, group: str) -> list[str]:
        try:
            answer = self._world.api.request("GET", f"/apis/{group}")
        except Refused as error:
            if error.code == 404:
                return []
            raise
        return [entry["version"] for entry in answer["versions"]]

    def _own(self, body: Object, pod: Object) -> None:
        """From 0.20 on the configurations are owned by the namespace, so that they go with it."""
        if _knative_version(body) < (0, 20):
            return
        namespace = self._world.namespaces.get("", pod["metadata"]["namespace"])
        if namespace:
            body["metadata"]["ownerReferences"] = [
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "name": namespace["metadata"]["name"],
                    "uid": namespace["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]

    def _convert(self, service: Object, bundle: str) -> None:
        """Serving's CRDs that convert through this Service (up to 0.21) get bundle and path."""
        metadata = service["metadata"]
        for crd in self._world.crds.all():
            name = crd["metadata"]["name"]
            seen = f"{crd['metadata']['uid']}/{crd['metadata'].get('generation')}/{bundle[-64:]}"
            if not name.endswith(".serving.knative.dev") or self._converted.get(name) == seen:
                continue
            path = path_of("apiextensions.k8s.io/v1", CRDS, name=name)
            config = "/spec/conversion/webhook/clientConfig"
            own = {
                f"{config}/service/namespace": metadata["namespace"],
                f"{config}/service/name": metadata["name"],
            }
            wanted = {f"{config}/caBundle": bundle, f"{config}/service/path": CONVERSION}
            done = self._world.api.patch_if(path, own, wanted, MANAGER)
            if done:
                seen = f"{crd['metadata']['uid']}/{done['metadata']['generation']}/{bundle[-64:]}"
            self._converted[name] = seen


def _rule(
    group: str, version: str, resources: list[str], operations: list[str], scope: str = "*"
) -> Rule:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": operations,
        "resources": resources,
        "scope": scope,
    }


def _knative_version(configuration: Object) -> tuple[int, int]:
    labels = configuration["metadata"].get("labels") or {}
    for key in ("serving.knative.dev/release", "app.kubernetes.io/version"):
        match = re.match(r"v?(\d+)\.(\d+)", labels.get(key, ""))
        if match:
            return int(match[1]), int(match[2])
    return 0, 0
