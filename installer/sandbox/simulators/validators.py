"""The webhooks of cert-manager, Istio and Knative: refusals that were recorded, and their like."""

from __future__ import annotations

import copy
import re
import zlib

from installer.core.objects import Object, dig
from installer.sandbox.simulators.admission import Admission, Denial

CHECKSUM = "knative.dev/example-checksum"
_DURATION = r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))*|0"
_DURATIONS = (
    "stable-window", "panic-window", "scale-to-zero-grace-period", "tick-interval",
    "scale-to-zero-pod-retention-period", "scale-down-delay",
)  # fmt: skip
_SUBJECTS = (
    "commonName", "dnsNames", "uris", "uriSANs", "emailAddresses", "emailSANs", "ipAddresses",
    "literalSubject", "otherNames",
)  # fmt: skip
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


def register(admission: Admission) -> None:
    """Answer for the paths of these webhooks."""
    admission.default("/mutate", certificate_defaults)
    admission.validate("/validate", certificate)
    admission.validate("/validate", istio)
    admission.validate("/config-validation", config_map)
    admission.validate("/resource-validation", knative_service)


def certificate_defaults(obj: Object) -> Object:
    """Recorded: an absent secretName becomes null on the way through cert-manager's webhook."""
    if not _is(obj, "cert-manager.io", "Certificate") or "secretName" in (obj.get("spec") or {}):
        return obj
    result = copy.deepcopy(obj)
    result.setdefault("spec", {})["secretName"] = None
    return result


def certificate(obj: Object) -> Denial | None:
    """A Certificate needs a Secret's name, an issuer and something to certify."""
    if not _is(obj, "cert-manager.io", "Certificate"):
        return None
    spec, problems = obj.get("spec") or {}, []
    if not spec.get("secretName"):
        problems.append("spec.secretName: Required value: must be specified")
    if not dig(spec, "issuerRef", "name"):
        problems.append("spec.issuerRef.name: Required value: must be specified")
    if not any(spec.get(name) for name in _SUBJECTS):
        problems.append(
            'spec: Invalid value: "": at least one of commonName, dnsNames, uris ipAddresses, or '
            "emailAddresses must be set"
        )
    if not problems:
        return None
    message = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    return Denial(message, code=406, reason="NotAcceptable")


def istio(obj: Object) -> Denial | None:
    """Gateways need hosts, virtual services hosts and destinations."""
    if not str(obj["apiVersion"]).startswith("networking.istio.io/"):
        return None
    spec, cause = obj.get("spec") or {}, ""
    if obj["kind"] == "Gateway":
        servers = spec.get("servers") or []
        if not servers:
            cause = "gateway must have at least one server"
        elif not all(server.get("hosts") for server in servers):
            cause = "server config must contain at least one host"
    if obj["kind"] == "VirtualService":
        routes = [r for part in ("http", "tls", "tcp") for r in spec.get(part) or []]
        targets = [target for route in routes for target in route.get("route") or []]
        if not spec.get("hosts"):
            cause = "virtual service must have at least one host"
        elif not routes:
            cause = "http, tcp or tls must be provided in virtual service"
        elif not all(dig(target, "destination", "host") for target in targets):
            cause = "empty domain name not allowed"
    return Denial(f"configuration is invalid: {cause}", code=400, reason="") if cause else None


def config_map(obj: Object) -> Denial | None:
    """Knative's configuration: the example must stay, known values must parse."""
    data, metadata = obj.get("data") or {}, obj["metadata"]
    told = (metadata.get("annotations") or {}).get(CHECKSUM)
    if "_example" in data and told and example_checksum(data["_example"]) != told:
        return _invalid(
            'the update modifies a key in "_example" which is probably not what you want. Instead, '
            'copy the respective setting to the top-level of the ConfigMap, directly below "data"'
        )
    if metadata.get("name") == "config-autoscaler":
        for key in _DURATIONS:
            if key in data and not re.fullmatch(_DURATION, data[key]):
                return _invalid(
                    f'failed to parse data: failed to parse "{key}": '
                    f'time: invalid duration "{data[key]}"'
                )
    if metadata.get("name") == "config-istio":
        for key, value in data.items():
            gateway = key.startswith(("gateway.", "local-gateway."))
            if gateway and not re.fullmatch(_SUBDOMAIN, value):
                return _invalid(
                    "invalid gateway format: [a DNS-1123 subdomain must consist of lower case "
                    "alphanumeric characters, '-' or '.', and must start and end with an "
                    "alphanumeric character (e.g. 'example.com', regex used for validation is "
                    f"'{_SUBDOMAIN}')]"
                )
    return None


def example_checksum(text: str) -> str:
    """Knative's checksum of an `_example`: CRC-32, each run of line ends written as `\\n`."""
    flat = re.sub("(?:\r?\n)+", r"\\n", text.strip())
    return f"{zlib.crc32(flat.encode()):08x}"


def knative_service(obj: Object) -> Denial | None:
    """A Service, Configuration or Revision needs containers with images."""
    if not str(obj["apiVersion"]).startswith("serving.knative.dev/"):
        return None
    path: tuple[str, ...] = ("spec",)
    pod = obj.get("spec") or {}
    if obj["kind"] in ("Service", "Configuration"):
        path, pod = ("spec", "template", "spec"), dig(obj, "spec", "template", "spec", default={})
    elif obj["kind"] != "Revision":
        return None
    place, found = ".".join(path), pod.get("containers") or []
    if not found and "container" not in pod:
        return _invalid(f"missing field(s): {place}.containers")
    for index, container in enumerate(found):
        if not container.get("image"):
            return _invalid(f"missing field(s): {place}.containers[{index}].image")
    return None


def _invalid(cause: str) -> Denial:
    return Denial(f"validation failed: {cause}", code=400, reason="BadRequest")


def _is(obj: Object, group: str, kind: str) -> bool:
    return str(obj["apiVersion"]).startswith(f"{group}/") and obj["kind"] == kind
