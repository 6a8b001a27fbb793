"""InferenceService → Knative Service → Configuration, Revision, Route, as pure functions.

Names, labels, annotations and owners are those recorded on a real cluster (KFServing 0.5.1,
Knative Serving 0.18.0, net-istio 0.18.0); a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.serving.base_forms import (
    AUTOSCALING,
    CLUSTER,
    ISTIO_V1,
    KNATIVE,
    SERVING_V1,
    annotations_of,
    labels_of,
    made,
)
from installer.sandbox.simulators.serving.dialect import Dialect, model_container, storage_uri

FINALIZER = f"routes.{KNATIVE}"


def knative_service(isvc: Object, dialect: Dialect, predictors: Mapping[str, Any]) -> Object:
    """The predictor's Knative Service."""
    name = isvc["metadata"]["name"]
    predictor = dig(isvc, "spec", "predictor", default={})
    annotations = {
        key: value
        for key, value in annotations_of(isvc).items()
        if key.startswith(f"{AUTOSCALING}/") or not key.startswith(("kubectl.", "serving."))
    }
    annotations.setdefault(f"{AUTOSCALING}/class", f"kpa.{AUTOSCALING}")
    least = predictor.get("minReplicas")
    annotations.setdefault(f"{AUTOSCALING}/minScale", str(1 if least is None else least))
    if predictor.get("maxReplicas"):
        annotations.setdefault(f"{AUTOSCALING}/maxScale", str(predictor["maxReplicas"]))
    uri = storage_uri(predictor)
    if uri:
        annotations[dialect.source] = uri
    labels = {**labels_of(isvc), dialect.label: name, "component": "predictor"}
    spec = {
        "containerConcurrency": int(predictor.get("containerConcurrency") or 0),
        "containers": [model_container(predictor, name, dialect, predictors)],
        "timeoutSeconds": int(predictor.get("timeout") or 300),
    }
    return made(
        SERVING_V1,
        "Service",
        name + dialect.suffix,
        isvc,
        labels=labels,
        annotations={
            f"{KNATIVE}/creator": dialect.creator,
            f"{KNATIVE}/lastModifier": dialect.creator,
        },
        spec={
            "template": {"metadata": {"annotations": annotations, "labels": labels}, "spec": spec},
            "traffic": [{"latestRevision": True, "percent": 100}],
        },
    )


def top_service(isvc: Object, gateway: str) -> Object:
    """The Service under the InferenceService's own name; gateway: its local gateway's address."""
    spec = {"type": "ExternalName", "externalName": gateway, "sessionAffinity": "None"}
    return made("v1", "Service", isvc["metadata"]["name"], isvc, spec=spec)


def top_virtual_service(
    isvc: Object, dialect: Dialect, ingress: Mapping[str, str], domain: str
) -> Object:
    """The VirtualService that leads the InferenceService's hosts to the predictor.

    ingress: the entry `ingress` of ConfigMap inferenceservice-config. domain: `CLUSTER` for hosts
    that pods alone can use.
    """
    name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    public, local = ingress["ingressGateway"], ingress["localGateway"]
    host = f"{name}.{namespace}"
    inside = rf"^{name}\.{namespace}(\.svc(\.cluster\.local)?)?(?::\d{{1,5}})?$"
    outside = rf"^{name}\.{namespace}\.{domain}(?::\d{{1,5}})?$".replace(".", r"\.")
    outside = outside.replace(r"\\.", r"\.")
    destination = {"host": ingress["localGatewayService"], "port": {"number": 80}}
    ways = [{"authority": {"regex": inside}, "gateways": [local]}]
    if domain != CLUSTER:
        ways.append({"authority": {"regex": outside}, "gateways": [public]})
    spec = {
        "gateways": sorted({gateway for way in ways for gateway in way["gateways"]}),
        "hosts": list(dict.fromkeys([f"{host}.{CLUSTER}", f"{host}.{domain}"])),
        "http": [
            {
                "match": ways,
                "route": [
                    {
                        "destination": destination,
                        "headers": {
                            "request": {
                                "set": {"Host": f"{name}{dialect.suffix}.{namespace}.{CLUSTER}"}
                            }
                        },
                        "weight": 100,
                    }
                ],
            }
        ],
    }
    return made(ISTIO_V1, "VirtualService", name, isvc, spec=spec)


def configuration(service: Object) -> Object:
    """The Configuration of a Knative Service."""
    name = service["metadata"]["name"]
    template = dig(service, "spec", "template")
    labels = {**labels_of(service), f"{KNATIVE}/route": name, f"{KNATIVE}/service": name}
    annotations = {**annotations_of(service), f"{KNATIVE}/routes": name}
    return made(
        SERVING_V1,
        "Configuration",
        name,
        service,
        labels=labels,
        annotations=annotations,
        spec={"template": template},
    )


def revision(config: Object, suffix: str, generation: int, stamp: str) -> Object:
    """A Revision of a Configuration; suffix: the five letters that the API server would choose."""
    name = config["metadata"]["name"]
    template = dig(config, "spec", "template")
    creator = annotations_of(config).get(f"{KNATIVE}/creator", "")
    body = made(
        SERVING_V1,
        "Revision",
        f"{name}-{suffix}",
        config,
        labels={
            **labels_of(template),
            f"{KNATIVE}/configuration": name,
            f"{KNATIVE}/configurationGeneration": str(generation),
            f"{KNATIVE}/route": name,
            f"{KNATIVE}/routingState": "active",
            f"{KNATIVE}/service": name,
        },
        annotations={
            **annotations_of(template),
            f"{KNATIVE}/creator": creator,
            f"{KNATIVE}/routes": name,
            f"{KNATIVE}/routingStateModified": stamp,
        },
        spec=dict(template["spec"]),
    )
    body["metadata"]["generateName"] = f"{name}-"
    return body


def route(service: Object) -> Object:
    """The Route of a Knative Service."""
    name = service["metadata"]["name"]
    traffic = [{"configurationName": name, "latestRevision": True, "percent": 100}]
    body = made(
        SERVING_V1,
        "Route",
        name,
        service,
        labels={**labels_of(service), f"{KNATIVE}/service": name},
        annotations=annotations_of(service),
        spec={"traffic": traffic},
    )
    body["metadata"]["finalizers"] = [FINALIZER]
    return body
