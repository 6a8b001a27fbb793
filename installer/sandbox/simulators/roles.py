"""Which real controller a pod would run, told from its images and environment."""

from __future__ import annotations

import re

from installer.core.objects import Object, dig

CAINJECTOR = "cainjector"
CERT_MANAGER = "cert-manager"
CERT_MANAGER_WEBHOOK = "cert-manager-webhook"
ISTIOD = "istiod"
KNATIVE_WEBHOOK = "knative-webhook"
KNATIVE_CONTROLLER = "knative-controller"
KNATIVE_AUTOSCALER = "knative-autoscaler"
ACTIVATOR = "knative-activator"
NET_ISTIO = "net-istio-controller"
KFSERVING = "kfserving-controller"

_BY_IMAGE = (
    (re.compile(r"cert-manager-cainjector"), CAINJECTOR),
    (re.compile(r"cert-manager-webhook"), CERT_MANAGER_WEBHOOK),
    (re.compile(r"cert-manager-controller"), CERT_MANAGER),
    (re.compile(r"/pilot[:@-]"), ISTIOD),
    (re.compile(r"knative.*/cmd/[a-z-]*webhook\b"), KNATIVE_WEBHOOK),
    (re.compile(r"knative.*/serving/cmd/controller\b"), KNATIVE_CONTROLLER),
    (re.compile(r"knative.*/serving/cmd/autoscaler[:@]"), KNATIVE_AUTOSCALER),
    (re.compile(r"knative.*/serving/cmd/activator\b"), ACTIVATOR),
    (re.compile(r"knative.*/net-istio/cmd/controller\b"), NET_ISTIO),
    (re.compile(r"/(kfserving|kserve|llmisvc|kserve-localmodel)-controller[:@]"), KFSERVING),
)


def role_of(pod: Object) -> str:
    """The name of the imitated controller, empty for any other pod."""
    for container in dig(pod, "spec", "containers", default=[]):
        for pattern, role in _BY_IMAGE:
            if pattern.search(container.get("image", "")):
                return role
    return ""


def image_version(pod: Object, part: str) -> tuple[int, int]:
    """(major, minor) of the tag of the image that contains `part`; (99, 0) when it has none."""
    for container in dig(pod, "spec", "containers", default=[]):
        image = container.get("image", "")
        if part in image:
            match = re.search(r":v?(\d+)\.(\d+)", image)
            if match:
                return int(match[1]), int(match[2])
    return 99, 0
