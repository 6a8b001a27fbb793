"""The kinds of the serving plane in the cluster, and the few ways in which they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.api import MERGE, path_of
from installer.sandbox.simulators.cache import Cache
from installer.sandbox.simulators.serving import status as words
from installer.sandbox.simulators.serving.base_forms import (
    CACHING_V1,
    ISTIO_V1,
    NETWORK_V1,
    SCALING_V1,
    SERVING_V1,
    labels_of,
)
from installer.sandbox.simulators.serving.dialect import KSERVE, KUBEFLOW
from installer.sandbox.simulators.serving.raw_forms import INGRESS_V1, SCALER_V1
from installer.sandbox.simulators.world import World, now

_KINDS = {
    ("apps/v1", "Deployment"): "deployments",
    (SERVING_V1, "Service"): "services",
    (SERVING_V1, "Configuration"): "configurations",
    (SERVING_V1, "Revision"): "revisions",
    (SERVING_V1, "Route"): "routes",
    (SCALING_V1, "PodAutoscaler"): "podautoscalers",
    (SCALING_V1, "Metric"): "metrics",
    (NETWORK_V1, "ServerlessService"): "serverlessservices",
    (NETWORK_V1, "Ingress"): "ingresses",
    (CACHING_V1, "Image"): "images",
    (INGRESS_V1, "Ingress"): "ingresses",
    (SCALER_V1, "HorizontalPodAutoscaler"): "horizontalpodautoscalers",
    (ISTIO_V1, "VirtualService"): "virtualservices",
    (ISTIO_V1, "Gateway"): "gateways",
    (f"{KUBEFLOW}/v1beta1", "InferenceService"): "inferenceservices",
    (f"{KSERVE}/v1beta1", "InferenceService"): "inferenceservices",
}


class Objects:
    """Caches of every kind of the serving plane, and writes that remember their answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._caches = {
            (version, kind): world.cache(version, plural)
            for (version, kind), plural in _KINDS.items()
        }
        self._caches[("v1", "Service")] = world.services
        self._caches[("v1", "Endpoints")] = world.endpoints
        world.crds.subscribe(self._served)

    def _served(self, event: str, crd: Object) -> None:
        """Look at once for kinds whose CRD is new."""
        plural, _, group = crd["metadata"]["name"].partition(".")
        if event != "added":
            return
        for (version, kind), cache in self._caches.items():
            if version.partition("/")[0] == group and _KINDS.get((version, kind)) == plural:
                cache.poke()

    def of(self, api_version: str, kind: str) -> Cache:
        """The cache of a kind."""
        return self._caches[(api_version, kind)]

    def owned(self, api_version: str, kind: str, owner: Object) -> list[Object]:
        """Objects of a kind that `owner` controls, oldest first."""
        uid = owner["metadata"]["uid"]
        found = [
            obj
            for obj in self.of(api_version, kind).all()
            if any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or [])
        ]
        return sorted(found, key=lambda obj: str(obj["metadata"]["creationTimestamp"]))

    def pods(self, labels: Mapping[str, str], namespace: str) -> list[Object]:
        """Pods with these labels that are not on their way out."""
        return [
            pod
            for pod in self.world.pods.all()
            if pod["metadata"]["namespace"] == namespace
            and not pod["metadata"].get("deletionTimestamp")
            and labels.items() <= labels_of(pod).items()
        ]

    def ensure(self, body: Object, manager: str) -> Object:
        """The object as it is in the cluster, created when it is not there."""
        cache, path = self._place(body)
        metadata = body["metadata"]
        known = cache.get(metadata["namespace"], metadata["name"])
        if known is None:
            collection = path.rpartition("/")[0]
            known = self.world.api.create(collection, body, manager) or self.world.api.get(path)
            if known is None:
                return body  # deleted in between: the news of it brings us here again
            cache.put(known)
        return known

    def keep(self, body: Object, manager: str, *fields: str) -> Object:
        """Like `ensure`, and bring the fields of what is there to what they are to be."""
        known = self.ensure(body, manager)
        whole = {field: without_others(known.get(field), body[field]) for field in fields}
        differing = {
            field: value for field, value in whole.items() if not contains(known.get(field), value)
        }
        return self.merge(known, differing, manager) if differing else known

    def merge(self, obj: Object, patch: Mapping[str, Any], manager: str, part: str = "") -> Object:
        """Send a merge patch, of the object or of its part `/status`; gives the new object."""
        cache, path = self._place(obj)
        done = self.world.api.patch(path + part, dict(patch), manager, MERGE)
        cache.put(done)
        return done

    def tell(
        self,
        obj: Object,
        conditions: Sequence[words.Condition],
        manager: str,
        **rest: Any,
    ) -> Object:
        """Write conditions and other fields of the status where they differ."""
        before = dig(obj, "status", default={})
        wanted: dict[str, Any] = {
            "conditions": words.with_times(conditions, before.get("conditions") or [], now()),
            **rest,
        }
        if "observedGeneration" not in rest and obj["kind"] != "InferenceService":
            wanted["observedGeneration"] = obj["metadata"].get("generation", 1)
        if all(before.get(key) == value for key, value in wanted.items()):
            return obj
        return self.merge(obj, {"status": wanted}, manager, "/status")

    def finalize(self, obj: Object, finalizer: str, manager: str) -> None:
        """Let go of an object that is being deleted: take this finalizer, not those of others."""
        held = obj["metadata"].get("finalizers") or []
        if finalizer in held:
            others = [name for name in held if name != finalizer]
            self.merge(obj, {"metadata": {"finalizers": others or None}}, manager)

    def _place(self, obj: Object) -> tuple[Cache, str]:
        key = obj["apiVersion"], obj["kind"]
        plural = _KINDS.get(key) or {"Service": "services", "Endpoints": "endpoints"}[obj["kind"]]
        metadata = obj["metadata"]
        path = path_of(obj["apiVersion"], plural, metadata["namespace"], metadata["name"])
        return self._caches[key], path


def without_others(there: Any, wanted: Any) -> Any:
    """A field's value as a merge patch that also takes away labels and annotations of a template
    that are no longer wanted: controllers write a template as a whole."""
    metadata = dig(wanted, "template", "metadata")
    if metadata is None:
        return wanted
    said = {}
    for key in ("labels", "annotations"):
        gone = dict.fromkeys(dig(there, "template", "metadata", key, default={}))
        said[key] = {**gone, **metadata.get(key, {})}
    template = {**wanted["template"], "metadata": {**metadata, **said}}
    return {**wanted, "template": template}


def contains(there: Any, wanted: Any) -> bool:
    """Whether `there` has everything that `wanted` says; defaults besides do not matter."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            contains(there.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(map(contains, there, wanted))
        )
    return bool(there == wanted)


def addresses(endpoints: Object | None) -> list[Mapping[str, Any]]:
    """The ready addresses of an Endpoints object."""
    subsets: Iterable[Mapping[str, Any]] = (endpoints or {}).get("subsets") or []
    return [address for subset in subsets for address in subset.get("addresses") or []]
