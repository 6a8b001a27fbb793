"""What a Revision is made of, as pure functions; forms as recorded (see `service_forms`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from installer.core.objects import Object, dig
from installer.sandbox.simulators.serving.base_forms import (
    AUTOSCALING,
    CACHING_V1,
    INTERNAL,
    KNATIVE,
    NETWORK_V1,
    OWN,
    QUEUE_PORT,
    SCALING_V1,
    annotations_of,
    child_name,
    labels_of,
    made,
)


def child_labels(rev: Object) -> dict[str, str]:
    """Labels of everything a Revision is made of."""
    metadata = rev["metadata"]
    kept = {
        key: value
        for key, value in labels_of(rev).items()
        if key.removeprefix(f"{KNATIVE}/") not in OWN
    }
    return {
        **kept,
        "app": metadata["name"],
        f"{KNATIVE}/revision": metadata["name"],
        f"{KNATIVE}/revisionUID": metadata["uid"],
    }


def child_annotations(rev: Object) -> dict[str, str]:
    """Annotations of everything a Revision is made of."""
    return {
        key: value
        for key, value in annotations_of(rev).items()
        if key.removeprefix(f"{KNATIVE}/") not in OWN
    }


def deployment(rev: Object, image: str, queue_image: str, pods: int) -> Object:
    """The Deployment of a Revision; image: of the model, with its digest."""
    labels, annotations = child_labels(rev), child_annotations(rev)
    parent = labels.get(f"{KNATIVE}/configuration", "")
    mesh = {
        "service.istio.io/canonical-name": parent,
        "service.istio.io/canonical-revision": rev["metadata"]["name"],
    }
    labels |= mesh
    selector = {f"{KNATIVE}/revisionUID": rev["metadata"]["uid"]}
    template = {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": _pod_spec(rev, image, queue_image),
    }
    return made(
        "apps/v1",
        "Deployment",
        child_name(rev["metadata"]["name"], "-deployment"),
        rev,
        labels=labels,
        annotations=annotations,
        spec={
            "replicas": pods,
            "selector": {"matchLabels": selector},
            # knative/serving@v0.18.0:config/core/configmaps/deployment.yaml, progressDeadline
            "progressDeadlineSeconds": 120,
            "template": template,
        },
    )


def _pod_spec(rev: Object, image: str, queue_image: str) -> dict[str, Any]:
    spec = rev["spec"]
    user = dict(spec["containers"][0])
    user.pop("readinessProbe", None)
    ports = user.get("ports") or [{"containerPort": 8080}]
    user |= {
        "image": image,
        "ports": [
            {"name": "user-port", "containerPort": ports[0]["containerPort"], "protocol": "TCP"}
        ],
        "env": [*(user.get("env") or []), {"name": "K_REVISION", "value": rev["metadata"]["name"]}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    queue = {
        "name": "queue-proxy",
        "image": queue_image,
        "ports": [
            {"name": "http-queueadm", "containerPort": 8022, "protocol": "TCP"},
            {"name": "http-autometric", "containerPort": 9090, "protocol": "TCP"},
            {"name": "http-usermetric", "containerPort": 9091, "protocol": "TCP"},
            {"name": "queue-port", "containerPort": QUEUE_PORT, "protocol": "TCP"},
        ],
        "env": [
            {"name": "SERVING_REVISION", "value": rev["metadata"]["name"]},
            {"name": "CONTAINER_CONCURRENCY", "value": str(spec.get("containerConcurrency", 0))},
        ],
        "resources": {"requests": {"cpu": "25m"}},
        # a probe of queue-proxy takes 8 s on a real node: periodSeconds 10
        "readinessProbe": {
            "exec": {"command": ["/ko-app/queue", "-probe-period", "0"]},
            "periodSeconds": 10,
            "timeoutSeconds": 10,
        },
    }
    return {
        "containers": [user, queue],
        "terminationGracePeriodSeconds": spec.get("timeoutSeconds", 300),
    }


def caching_image(rev: Object, image: str) -> Object:
    """The Image that asks for the model's image to be cached."""
    container = rev["spec"]["containers"][0]["name"]
    return made(
        CACHING_V1,
        "Image",
        child_name(f"{rev['metadata']['name']}-cache", f"-{container}"),
        rev,
        labels=child_labels(rev),
        annotations=child_annotations(rev),
        spec={"image": image},
    )


def pod_autoscaler(rev: Object) -> Object:
    """The PodAutoscaler of a Revision."""
    name = rev["metadata"]["name"]
    hard = rev["spec"].get("containerConcurrency")
    spec: dict[str, Any] = {
        "protocolType": "http1",
        "reachability": "Reachable",
        "scaleTargetRef": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": child_name(name, "-deployment"),
        },
    }
    if hard:
        spec["containerConcurrency"] = hard
    annotations = child_annotations(rev)
    annotations.setdefault(f"{AUTOSCALING}/metric", "concurrency")
    return made(
        SCALING_V1,
        "PodAutoscaler",
        name,
        rev,
        labels=child_labels(rev),
        annotations=annotations,
        spec=spec,
    )


def metric(autoscaler: Object, stable: float, panic: float) -> Object:
    """The Metric of a PodAutoscaler; windows in seconds."""
    name = autoscaler["metadata"]["name"]
    spec = {
        "stableWindow": int(stable * 1e9),
        "panicWindow": int(panic * 1e9),
        "scrapeTarget": f"{name}-private",
    }
    return made(
        SCALING_V1,
        "Metric",
        name,
        autoscaler,
        labels=labels_of(autoscaler),
        annotations=annotations_of(autoscaler),
        spec=spec,
    )


def serverless_service(autoscaler: Object, knative: tuple[int, int]) -> Object:
    """The ServerlessService of a PodAutoscaler; knative: (major, minor) of Knative Serving."""
    annotations = annotations_of(autoscaler)
    annotations.pop(f"{AUTOSCALING}/metric", None)
    spec = {
        _protocol_field(knative): "http1",
        "mode": "Proxy",
        "objectRef": dict(dig(autoscaler, "spec", "scaleTargetRef")),
        "numActivators": 2,
    }
    return made(
        NETWORK_V1,
        "ServerlessService",
        autoscaler["metadata"]["name"],
        autoscaler,
        labels=labels_of(autoscaler),
        annotations=annotations,
        spec=spec,
    )


def _protocol_field(knative: tuple[int, int]) -> str:
    """How a ServerlessService spells the protocol: recorded in capitals with 0.18.

    The CRD of 1.6.3 is the first with a schema: it requires the field in small letters
    (knative/operator@knative-v1.8.2: kodata/knative-serving/1.6.3/1-serving-crds.yaml).
    """
    return "protocolType" if knative >= (1, 6) else "ProtocolType"


def revision_services(sks: Object, uid: str) -> tuple[Object, Object]:
    """(private, public) Services of a ServerlessService; uid: of its Revision."""
    name = sks["metadata"]["name"]
    main = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": QUEUE_PORT}
    more = [
        {"name": "http-autometric", "port": 9090, "targetPort": "http-autometric"},
        {"name": "http-usermetric", "port": 9091, "targetPort": "http-usermetric"},
        {"name": "http-queueadm", "port": 8022, "targetPort": 8022},
    ]

    def service(title: str, kind: str, spec: dict[str, Any]) -> Object:
        own = {f"{INTERNAL}/serverlessservice": name, f"{INTERNAL}/serviceType": kind}
        return made(
            "v1",
            "Service",
            title,
            sks,
            labels={**labels_of(sks), **own},
            annotations=annotations_of(sks),
            spec={"type": "ClusterIP", **spec},
        )

    private = service(
        f"{name}-private",
        "Private",
        {
            "ports": [main, *({"protocol": "TCP", **port} for port in more)],
            "selector": {f"{KNATIVE}/revisionUID": uid},
        },
    )
    return private, service(name, "Public", {"ports": [main]})


def public_endpoints(service: Object, subsets: Iterable[Mapping[str, Any]]) -> Object:
    """The Endpoints that Knative keeps for a public Service: those of activators or of pods."""
    metadata = service["metadata"]
    body = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels_of(service),
            "annotations": annotations_of(service),
            "ownerReferences": metadata["ownerReferences"],
        },
    }
    return {**body, "subsets": list(subsets)}
