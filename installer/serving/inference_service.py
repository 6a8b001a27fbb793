"""One InferenceService, found by name in whichever API group and version the cluster serves."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.errors import InstallerError, UsageError
from installer.core.objects import Object, Ref, dig, ref_of

KIND = "InferenceService"
API_VERSIONS = (
    "serving.kserve.io/v1beta1",
    "serving.kubeflow.org/v1beta1",
    "serving.kubeflow.org/v1alpha2",
)
"""Newest first (CRDs of KFServing 0.5.0-rc0 to 0.6.1 and of KServe 0.7.0 to 0.20.0). While a
KFServing is being replaced by a KServe both groups are served."""

Protocol = Literal["v1", "v2", "grpc"]
_V2_FRAMEWORKS = ("triton",)
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class InferenceService:
    """An InferenceService as the cluster shows it.

    host, scheme: of `status.url`, empty until its controller has set it. internal_host: of
    `status.address.url`, by which pods reach it, empty likewise. model: the name in predict paths.
    """

    ref: Ref
    obj: Object = field(repr=False)
    host: str
    scheme: str
    internal_host: str
    model: str
    protocol: Protocol

    @property
    def predict_path(self) -> str:
        """Where predictions are asked for: `/v1/models/NAME:predict`, `/v2/models/NAME/infer`."""
        if self.protocol == "v2":
            return f"/v2/models/{self.model}/infer"
        return f"/v1/models/{self.model}:predict"

    @property
    def state_path(self) -> str:
        """Where a model says whether it is loaded: a request that does no harm."""
        if self.protocol == "v2":
            return f"/v2/models/{self.model}/ready"
        return f"/v1/models/{self.model}"

    @property
    def name(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.ref.namespace}/{self.ref.name}"


def of_object(obj: Object) -> InferenceService:
    """What an InferenceService object says of itself. Pure.

    Hosts are read from its status, never made from a template: each version has another one.
    """
    ref = ref_of(obj)
    url = urlsplit(str(dig(obj, "status", "url", default="")))
    inside = urlsplit(str(dig(obj, "status", "address", "url", default="")))
    return InferenceService(
        ref,
        obj,
        host=url.netloc,
        scheme=url.scheme or "http",
        internal_host=inside.netloc,
        model=_model(obj, inside.path),
        protocol=_protocol(obj),
    )


def predictor_of(obj: Object) -> Object:
    """spec.predictor, or what v1alpha2 has in its place."""
    found: Object = dig(obj, "spec", "predictor", default=None) or dig(
        obj, "spec", "default", "predictor", default={}
    )
    return found


def _model(obj: Object, path: str) -> str:
    """The name in `status.address.url` (KFServing 0.5), else `--model_name`, else its own."""
    head, _, rest = path.rpartition("/models/")
    if head and rest:
        return rest.partition(":")[0].partition("/")[0]
    containers = predictor_of(obj).get("containers") or [{}]
    words = [*(containers[0].get("command") or []), *(containers[0].get("args") or [])]
    for index, word in enumerate(map(str, words)):
        flag, equals, value = word.partition("=")
        if flag in ("--model_name", "--model-name"):
            if equals:
                return value
            if index + 1 < len(words):
                return str(words[index + 1])
    return ref_of(obj).name


def _protocol(obj: Object) -> Protocol:
    for framework, spec in predictor_of(obj).items():
        if not isinstance(spec, dict):
            continue
        said = str(spec.get("protocolVersion") or "")
        if said.startswith("grpc"):
            return "grpc"
        if any(port.get("name") == "h2c" for port in spec.get("ports") or []):
            return "grpc"
        if said == "v2" or (not said and framework in _V2_FRAMEWORKS):
            return "v2"
    for container in predictor_of(obj).get("containers") or []:
        if any(port.get("name") == "h2c" for port in container.get("ports") or []):
            return "grpc"  # Knative's name for HTTP/2 without TLS
    return "v1"


def parse_name(text: str, namespace: str = "default") -> tuple[str, str]:
    """(namespace, name) of `[NAMESPACE/]NAME`. Raises UsageError."""
    place, slash, name = text.rpartition("/")
    if not name or "/" in place or (slash and not place):
        raise UsageError(
            f"{text!r} is not the name of an {KIND}: expected [NAMESPACE/]NAME", kind="usage"
        )
    return place or namespace, name


def served_versions(cluster: Cluster) -> list[str]:
    """The API versions of InferenceService that the cluster serves, newest first."""
    discovery = cluster.discovery()
    discovery.prefetch(API_VERSIONS)
    return [version for version in API_VERSIONS if discovery.find(version, KIND) is not None]


def find(cluster: Cluster, text: str) -> InferenceService:
    """The InferenceService `[NAMESPACE/]NAME`.

    Raises InstallerError, kind `no-serving` where the kind is not served at all, `not-found` with
    the nearest names where there is none; UsageError for what is no name.
    """
    namespace, name = parse_name(text, cluster.namespace)
    versions = served_versions(cluster)
    if not versions:
        raise InstallerError(
            "this cluster serves no InferenceServices: neither KFServing nor KServe is installed",
            kind="no-serving",
            object=f"{KIND} {namespace}/{name}",
            remedy="`kserve-installer releases` lists what can be installed",
        )
    seen = set()
    for version in versions:
        group = version.partition("/")[0]
        if group in seen:
            continue  # the API server converts: another version of a group has the same objects
        seen.add(group)
        found = cluster.get(Ref(version, KIND, namespace, name))
        if found is not None:
            return of_object(found)
    raise _missing(cluster, versions, namespace, name)


def _missing(cluster: Cluster, versions: list[str], namespace: str, name: str) -> InstallerError:
    known = _known(cluster, versions)
    elsewhere = sorted(place for place, other in known if other == name)
    here = [other for place, other in known if place == namespace]
    near = difflib.get_close_matches(name, here, _NEAREST)
    if elsewhere:
        remedy = f"it is in another namespace: {', '.join(f'{p}/{name}' for p in elsewhere)}"
    elif near:
        remedy = f"did you mean {', '.join(near)}?"
    elif here:
        remedy = f"namespace {namespace} has {', '.join(sorted(here)[:10])}"
    else:
        remedy = f"namespace {namespace} has none; name one as NAMESPACE/NAME"
    return InstallerError(
        f"there is no {KIND} {name} in namespace {namespace}",
        kind="not-found",
        object=f"{KIND} {namespace}/{name}",
        remedy=remedy,
    )


def _known(cluster: Cluster, versions: list[str]) -> list[tuple[str, str]]:
    """(namespace, name) of every InferenceService; none where they may not be listed."""
    found: set[tuple[str, str]] = set()
    for version in versions:
        try:
            items = cluster.list(version, KIND, metadata_only=True).items
        except ApiError:
            continue
        found |= {(ref.namespace, ref.name) for ref in map(ref_of, items)}
    return sorted(found)
