"""What KServe makes of an InferenceService without Knative, as pure functions.

kserve/kserve@v0.15: pkg/controller/v1beta1/inferenceservice/reconcilers/ (deployment, service, hpa,
ingress/kube_ingress_reconciler.go). No recording of a real cluster has these: names, labels,
selectors and owners are read off the controller's source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.serving.base_forms import annotations_of, labels_of, made
from installer.sandbox.simulators.serving.dialect import Dialect, model_container, storage_uri

SCALER_V1 = "autoscaling/v1"
"""Served by every Kubernetes; KServe writes v2, which is another form of the same object."""
INGRESS_V1 = "networking.k8s.io/v1"

_MODES = ("RawDeployment", "Standard")
"""`Standard` since KServe 0.16, which reads `RawDeployment` as the same (pkg/constants)."""
_CPU = 80
"""DefaultCPUUtilization of pkg/constants, percent."""
_TEMPLATE = "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}"


def is_raw(isvc: Object, default_mode: str) -> bool:
    """Whether it does without Knative; default_mode: of ConfigMap inferenceservice-config."""
    return annotations_of(isvc).get("serving.kserve.io/deploymentMode", default_mode) in _MODES


def _labels(isvc: Object, dialect: Dialect) -> dict[str, str]:
    name = isvc["metadata"]["name"]
    own = {dialect.label: name, "component": "predictor"}
    return {**labels_of(isvc), **own, "app": f"isvc.{name}{dialect.suffix}"}


def deployment(isvc: Object, dialect: Dialect, predictors: Mapping[str, Any]) -> Object:
    """The predictor's Deployment."""
    name = isvc["metadata"]["name"] + dialect.suffix
    predictor = dig(isvc, "spec", "predictor", default={})
    container = model_container(predictor, isvc["metadata"]["name"], dialect, predictors)
    ports = container.setdefault("ports", [{"containerPort": 8080, "protocol": "TCP"}])
    probe = {"tcpSocket": {"port": ports[0]["containerPort"]}, "periodSeconds": 10}
    if not dig(container, "readinessProbe", "httpGet"):
        container["readinessProbe"] = probe
    labels = _labels(isvc, dialect)
    annotations = _kept(annotations_of(isvc))
    uri = storage_uri(predictor)
    if uri:
        annotations[dialect.source] = uri
    template = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": {"containers": [container]},
    }
    selector = {"matchLabels": {"app": labels["app"]}}
    spec = {"selector": selector, "template": template, "progressDeadlineSeconds": 600}
    kept = {"labels": labels, "annotations": annotations}
    return made("apps/v1", "Deployment", name, isvc, **kept, spec=spec)


def _kept(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations that are handed on: not those about the InferenceService as it was applied."""
    return {key: value for key, value in annotations.items() if not key.startswith("kubectl.")}


def service(isvc: Object, dialect: Dialect, deployed: Object) -> Object:
    """The Service before the pods of `deployed`."""
    name = isvc["metadata"]["name"] + dialect.suffix
    labels = _labels(isvc, dialect)
    container = dig(deployed, "spec", "template", "spec", "containers")[0]
    target = container["ports"][0]["containerPort"]
    port = {"name": name, "port": 80, "targetPort": target, "protocol": "TCP"}
    spec = {"selector": {"app": labels["app"]}, "ports": [port]}
    kept = {"labels": labels, "annotations": _kept(annotations_of(isvc))}
    return made("v1", "Service", name, isvc, **kept, spec=spec)


def autoscaler(isvc: Object, dialect: Dialect) -> Object:
    """The HorizontalPodAutoscaler of the Deployment; without scale to zero: it cannot."""
    name = isvc["metadata"]["name"] + dialect.suffix
    predictor = dig(isvc, "spec", "predictor", default={})
    least = max(1, int(predictor.get("minReplicas") or 1))
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": least,
        "maxReplicas": max(least, int(predictor.get("maxReplicas") or 0)),
        "targetCPUUtilizationPercentage": int(predictor.get("scaleTarget") or _CPU),
    }
    kept = {"labels": _labels(isvc, dialect), "annotations": _kept(annotations_of(isvc))}
    return made(SCALER_V1, "HorizontalPodAutoscaler", name, isvc, **kept, spec=spec)


def host(name: str, namespace: str, ingress: Mapping[str, Any]) -> str:
    """The public host of a name; ingress: the entry of ConfigMap inferenceservice-config."""
    text = str(ingress.get("domainTemplate") or _TEMPLATE)
    domain = str(ingress.get("ingressDomain") or "example.com")
    for key, value in (("Name", name), ("Namespace", namespace), ("IngressDomain", domain)):
        text = text.replace("{{ ." + key + " }}", value).replace("{{." + key + "}}", value)
    return text


def ingress(isvc: Object, dialect: Dialect, config: Mapping[str, Any]) -> Object:
    """The Kubernetes Ingress that leads the InferenceService's hosts to the predictor."""
    metadata = isvc["metadata"]
    predictor = metadata["name"] + dialect.suffix
    backend = {"service": {"name": predictor, "port": {"number": 80}}}
    rules = [
        {
            "host": host(name, metadata["namespace"], config),
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
        }
        for name in (metadata["name"], predictor)
    ]
    spec: dict[str, Any] = {"rules": rules}
    if config.get("ingressClassName"):
        spec["ingressClassName"] = config["ingressClassName"]
    kept = _kept(annotations_of(isvc))
    return made(INGRESS_V1, "Ingress", metadata["name"], isvc, annotations=kept, spec=spec)
