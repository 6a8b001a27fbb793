"""KServe's controller for InferenceServices without Knative: Deployment, Service, HPA, Ingress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, conditions, dig
from installer.sandbox.simulators.serving import raw_forms as forms
from installer.sandbox.simulators.serving import status as words
from installer.sandbox.simulators.serving.base_forms import CLUSTER, annotations_of
from installer.sandbox.simulators.serving.dialect import KSERVE, Dialect
from installer.sandbox.simulators.serving.settings import Settings
from installer.sandbox.simulators.serving.world import Objects

_REVISION = "deployment.kubernetes.io/revision"


class RawDeployments:
    """Makes of each InferenceService what serves it with Kubernetes alone."""

    def __init__(self, objects: Objects, settings: Settings) -> None:
        self._objects = objects
        self._settings = settings

    def wants(self, isvc: Object, dialect: Dialect) -> bool:
        """Whether the InferenceService, or its controller's default, asks for this."""
        default = self._settings.inference(dialect, "deploy").get("defaultDeploymentMode", "")
        return dialect.group == KSERVE and forms.is_raw(isvc, str(default))

    def reconcile(self, isvc: Object, dialect: Dialect) -> bool:
        """Bring everything one step further; True when the InferenceService became ready."""
        predictors = self._settings.inference(dialect, "predictors")
        config = self._settings.inference(dialect, "ingress")
        body = forms.deployment(isvc, dialect, predictors)
        deployed = self._objects.keep(body, dialect.manager, "spec")
        self._objects.keep(forms.service(isvc, dialect, body), dialect.manager, "spec")
        self._objects.keep(forms.autoscaler(isvc, dialect), dialect.manager, "spec")
        available = conditions(deployed).get("Available", {})
        ready = available.get("status") == "True"
        if ready and not config.get("disableIngressCreation"):
            self._objects.keep(forms.ingress(isvc, dialect, config), dialect.manager, "spec")
        was = conditions(isvc).get("Ready", {}).get("status") == "True"
        found = words.of_raw(available)
        more = _status(isvc, dialect, config, deployed, ready=ready)
        self._objects.tell(isvc, found, dialect.manager, **more)
        return ready and not was


def _status(
    isvc: Object, dialect: Dialect, config: Mapping[str, Any], deployed: Object, *, ready: bool
) -> dict[str, Any]:
    """The status beside its conditions."""
    name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    predictor: dict[str, Any] = {}
    if annotations_of(deployed).get(_REVISION):
        predictor["latestCreatedRevision"] = annotations_of(deployed)[_REVISION]
    more: dict[str, Any] = {}
    if ready:
        own = forms.host(name + dialect.suffix, namespace, config)
        predictor["url"] = f"http://{own}"
        scheme = config.get("urlScheme") or "http"
        more["url"] = f"{scheme}://{forms.host(name, namespace, config)}"
        inside = f"{name}{dialect.suffix}.{namespace}.{CLUSTER}"
        more["address"] = {"url": f"{scheme}://{inside}"}
    if dig(deployed, "status", "observedGeneration"):
        more["observedGeneration"] = deployed["status"]["observedGeneration"]
    return {"components": {"predictor": predictor}, **more}
