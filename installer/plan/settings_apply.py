"""Settings into objects: objects in, changed copies out. Pure; inputs are never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from installer.core.errors import Problem
from installer.core.objects import Object, dig, ref_of
from installer.plan.settings import (
    WORKLOADS,
    DeploymentSettings,
    Gateway,
    Patch,
    PatchTarget,
    Resources,
    Settings,
    invalid,
    offer,
)

_SHOWN = 3


def apply_settings(
    settings: Settings, component: str, objects: Sequence[Object], matched: set[int]
) -> list[Object]:
    """See `Settings.apply`."""
    work = _Work(settings, component, objects, matched)
    for index, target in enumerate(settings.targets()):
        work.step(index, target.key)
    work.labels()
    if work.problems:
        raise invalid(work.problems)
    return work.objects


class _Work:
    """One component's objects while settings are put in; copies an object when it changes."""

    def __init__(
        self, settings: Settings, component: str, objects: Sequence[Object], matched: set[int]
    ):
        self.settings = settings
        self.component = component
        self.objects = list(objects)
        self.problems: list[Problem] = []
        self._matched = matched
        self._copied: set[int] = set()

    def step(self, index: int, key: str) -> None:
        """Put in the setting with this target index and key."""
        kind, _, rest = key.partition(".")
        settings = self.settings
        if kind == "gateway" and settings.gateway is not None:
            change = self._gateway(settings.gateway)
            self._each(index, _is("Service", "istio-ingressgateway", "istio-system"), change)
        elif kind == "domain":
            self._each(index, _is("ConfigMap", "config-domain", "knative-serving"), self._domain)
        elif kind == "deployments":
            namespace, _, name = rest.partition("/")
            change = self._deployment(key, settings.deployments[rest])
            for workload in WORKLOADS:
                self._each(index, _is(workload, name, namespace), change)
        elif kind == "inferenceservice":
            self._each(index, _is("ConfigMap", "inferenceservice-config"), self._config)
        else:
            number = int(kind.removeprefix("patches[").removesuffix("]"))
            self._patch(index, key, settings.patches[number])

    def _each(
        self, index: int, wanted: Callable[[Object], bool], change: Callable[[Object], None]
    ) -> None:
        for position, obj in enumerate(self.objects):
            if wanted(obj):
                self._matched.add(index)
                change(self._own(position))

    def _own(self, position: int) -> Object:
        """The object at this position as a copy that may be changed."""
        if position not in self._copied:
            self.objects[position] = deepcopy(self.objects[position])
            self._copied.add(position)
        return self.objects[position]

    def _wrong(self, key: str, found: str, expected: str) -> None:
        self.problems.append(self.settings.problem(key, found, expected))

    def _gateway(self, gateway: Gateway) -> Callable[[Object], None]:
        def change(obj: Object) -> None:
            spec = obj["spec"]
            if gateway.type:
                spec["type"] = gateway.type
            if gateway.external_traffic_policy:
                spec["externalTrafficPolicy"] = gateway.external_traffic_policy
            if gateway.annotations:
                metadata = obj["metadata"]
                metadata["annotations"] = {
                    **(metadata.get("annotations") or {}),
                    **gateway.annotations,
                }
            ports = {str(port.get("name")): port for port in spec.get("ports") or []}
            if spec.get("type") == "ClusterIP":
                spec.pop("externalTrafficPolicy", None)
                for port in ports.values():
                    port.pop("nodePort", None)
            for name, number in gateway.node_ports.items():
                if name in ports:
                    ports[name]["nodePort"] = number
                else:
                    self._unknown("gateway", f"port {name!r} in nodePorts", name, ports, obj)

        return change

    def _domain(self, obj: Object) -> None:
        # An empty value makes it the default domain; Knative's own default lives in `_example`.
        obj["data"] = {**(obj.get("data") or {}), self.settings.domain: ""}

    def _deployment(self, key: str, wanted: DeploymentSettings) -> Callable[[Object], None]:
        def change(obj: Object) -> None:
            if wanted.replicas is not None:
                self._replicas(obj, wanted.replicas)
            pod_spec = obj["spec"]["template"]["spec"]
            if wanted.node_selector:
                pod_spec["nodeSelector"] = {
                    **(pod_spec.get("nodeSelector") or {}),
                    **wanted.node_selector,
                }
            if wanted.tolerations:
                added = [deepcopy(dict(item)) for item in wanted.tolerations]
                kept = [t for t in pod_spec.get("tolerations") or [] if t not in added]
                pod_spec["tolerations"] = kept + added
            self._resources(key, wanted, pod_spec.get("containers") or [], obj)

        return change

    def _replicas(self, obj: Object, count: int) -> None:
        """On the autoscaler where one rules the Deployment: it would undo the number at once."""
        ref = ref_of(obj)
        scalers = [
            position
            for position, other in enumerate(self.objects)
            if other.get("kind") == "HorizontalPodAutoscaler"
            and ref_of(other).namespace == ref.namespace
            and dig(other, "spec", "scaleTargetRef", "kind") == ref.kind
            and dig(other, "spec", "scaleTargetRef", "name") == ref.name
        ]
        if not scalers:
            obj["spec"]["replicas"] = count
        for position in scalers:
            spec = self._own(position)["spec"]
            spec["minReplicas"] = count
            spec["maxReplicas"] = max(count, int(spec.get("maxReplicas") or 1))

    def _resources(
        self,
        key: str,
        wanted: DeploymentSettings,
        containers: Sequence[dict[str, Any]],
        obj: Object,
    ) -> None:
        by_name = {str(container.get("name")): container for container in containers}
        if wanted.resources is not None:
            if len(containers) == 1:
                _merge_resources(containers[0], wanted.resources)
            else:
                found = f"{ref_of(obj)} has {len(containers)} containers"
                expected = f"`containers` with one of {', '.join(sorted(by_name))}"
                self._wrong(key, found, f"{expected}, instead of `resources`")
        for name, resources in wanted.containers.items():
            if name in by_name:
                _merge_resources(by_name[name], resources)
            else:
                self._unknown(key, f"container {name!r}", name, by_name, obj)

    def _config(self, obj: Object) -> None:
        data = obj.get("data") or {}
        offered = [name for name in data if not name.startswith("_")]
        for name, value in self.settings.inferenceservice.items():
            key = f"inferenceservice.{name}"
            if name not in offered:
                self._unknown(key, f"key {name!r}", name, offered, obj)
            elif isinstance(value, str):
                data[name] = value
            else:
                self._merge_json(key, data, name, value)

    def _merge_json(
        self, key: str, data: dict[str, str], name: str, value: Mapping[str, Any]
    ) -> None:
        try:
            old = json.loads(data[name])
        except ValueError:
            self._wrong(key, "the value to merge into is not JSON", "a string that replaces it")
            return
        new = merged(old, value)
        if new != old:
            data[name] = json.dumps(new, indent=4, ensure_ascii=False)

    def _unknown(self, key: str, what: str, word: str, offered: Iterable[str], obj: Object) -> None:
        self._wrong(key, f"{ref_of(obj)} has no {what}", offer(word, sorted(offered)))

    def labels(self) -> None:
        """Put the extra labels on every object's metadata; selectors and pods stay."""
        extra = self.settings.labels
        if not extra:
            return
        clashes: dict[str, list[str]] = {}
        for position, obj in enumerate(self.objects):
            metadata = obj.get("metadata") or {}
            present = metadata.get("labels") or {}
            for name in (n for n in extra if present.get(n, extra[n]) != extra[n]):
                clashes.setdefault(name, []).append(str(ref_of(obj)))
            # Not a deep copy: most objects change in nothing else.
            labelled = {**metadata, "labels": {**present, **extra}}
            self.objects[position] = {**obj, "metadata": labelled}
        for name, owners in clashes.items():
            more = f" and {len(owners) - _SHOWN} more" if len(owners) > _SHOWN else ""
            found = f"label {name} has another value on {', '.join(owners[:_SHOWN])}{more}"
            self._wrong("labels", found, f"a label that {self.component} does not use itself")

    def _patch(self, index: int, key: str, patch: Patch) -> None:
        for position, obj in enumerate(self.objects):
            if _targeted(patch.target, obj):
                self._matched.add(index)
                changed = self._patched(key, patch, obj)
                if changed is not None:
                    self.objects[position] = changed
                    self._copied.add(position)

    def _patched(self, key: str, patch: Patch, obj: Object) -> Object | None:
        import jsonpatch
        from jsonpointer import JsonPointerException

        result: Any = deepcopy(obj)
        for number, operation in enumerate(patch.patch):
            try:
                result = jsonpatch.apply_patch(result, [deepcopy(dict(operation))])
            except (jsonpatch.JsonPatchException, JsonPointerException, TypeError):
                # Without the library's message: it quotes the object, which may be a Secret.
                step = f"operation {number} ({operation.get('op')} {operation.get('path')})"
                self._wrong(key, f"{step} does not fit {ref_of(obj)}", "a path that is there")
                return None
        if not isinstance(result, dict) or ref_of(result) != ref_of(obj):
            expected = "a patch that leaves apiVersion, kind, name and namespace alone"
            self._wrong(key, f"the patch makes another object of {ref_of(obj)}", expected)
            return None
        return result


def merged(base: Any, change: Any) -> Any:
    """RFC 7396: mappings merge, null removes, anything else replaces; makes a new value."""
    if not isinstance(change, Mapping):
        return deepcopy(change)
    result = dict(base) if isinstance(base, Mapping) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _merge_resources(container: dict[str, Any], resources: Resources) -> None:
    present = container.get("resources") or {}
    for side, wanted in (("requests", resources.requests), ("limits", resources.limits)):
        if wanted:
            present = {**present, side: {**(present.get(side) or {}), **wanted}}
    container["resources"] = present


def _is(kind: str, name: str, namespace: str | None = None) -> Callable[[Object], bool]:
    def wanted(obj: Object) -> bool:
        metadata = obj.get("metadata") or {}
        return (
            obj.get("kind") == kind
            and metadata.get("name") == name
            and (namespace is None or metadata.get("namespace") == namespace)
        )

    return wanted


def _targeted(target: PatchTarget, obj: Object) -> bool:
    if not _is(target.kind, target.name, target.namespace or None)(obj):
        return False
    return target.group is None or ref_of(obj).group == target.group
