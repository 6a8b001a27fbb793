"""Which gateways of Istio Knative uses, and the Services that lead to them: read from the cluster.

Each version of net-istio has its own: until 0.20 a cluster-local-gateway of its own, since then
a second port of the ingress gateway. What its ConfigMap `config-istio` sets counts; where it sets
nothing, the defaults of that very version are written in the ConfigMap's own `_example`
(knative-extensions/net-istio: config/config.yaml, pkg/reconciler/ingress/config/istio.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from installer.catalog.yaml_loader import LOADER
from installer.cluster.client import Cluster
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, dig

SYSTEM = "knative-serving"
"""The namespace of Knative Serving in every release of the catalog."""
CONFIG = Ref("v1", "ConfigMap", SYSTEM, "config-istio")


@dataclass(frozen=True, slots=True)
class GatewayUse:
    """A Gateway `NAMESPACE/NAME` and the Service whose pods serve it."""

    gateway: str
    service: Ref


@dataclass(frozen=True, slots=True)
class Gateways:
    """Gateways for requests from outside and from inside. origin: where that was read."""

    outside: tuple[GatewayUse, ...]
    inside: tuple[GatewayUse, ...]
    origin: str


def read_gateways(cluster: Cluster) -> Gateways:
    """The gateways that Knative uses here.

    Raises InstallerError, kind `no-gateway`, where the ConfigMap is not there or names none.
    """
    config = cluster.get(CONFIG)
    if config is None:
        raise InstallerError(
            "net-istio is not installed: there is nothing that says which gateway serves Knative",
            kind="no-gateway",
            object=str(CONFIG),
            remedy="`kserve-installer releases` lists what can be installed",
        )
    found = gateways_of(config)
    if not found.outside:
        raise InstallerError(
            "no gateway for requests from outside is configured",
            kind="no-gateway",
            object=str(CONFIG),
            remedy="set external-gateways in it, or take its changes back",
        )
    return found


def gateways_of(config: Object) -> Gateways:
    """What `config-istio` says. Pure."""
    data: Mapping[str, Any] = dig(config, "data", default={})
    example = _loaded(data.get("_example"))
    outside, inside = _set(data, "external-gateways", "gateway."), _inside(data)
    origin = "as set" if outside or inside else "as this version of net-istio has it by default"
    return Gateways(
        outside or _set(example, "external-gateways", "gateway."),
        inside or _inside(example),
        f"ConfigMap {SYSTEM}/config-istio, {origin}",
    )


def _inside(data: Mapping[str, Any]) -> tuple[GatewayUse, ...]:
    return _set(data, "local-gateways", "local-gateway.")


def _set(data: Mapping[str, Any], listed: str, prefix: str) -> tuple[GatewayUse, ...]:
    """Both forms: a list of {name, namespace, service}, and keys `PREFIX[NAMESPACE.]NAME`."""
    entries = data.get(listed)
    rows = _loaded(entries, list) if isinstance(entries, str) else entries or []
    found = [
        GatewayUse(f"{row.get('namespace') or SYSTEM}/{row.get('name')}", service)
        for row in rows
        if isinstance(row, Mapping) and (service := service_of(str(row.get("service") or "")))
    ]
    if found:
        return tuple(found)
    for key, value in data.items():
        service = service_of(str(value))
        if key.startswith(prefix) and service is not None:
            namespace, _, name = key.removeprefix(prefix).rpartition(".")
            found.append(GatewayUse(f"{namespace or SYSTEM}/{name}", service))
    return tuple(found)


def service_of(host: str) -> Ref | None:
    """The Service that a name of cluster DNS means; None for what is none (`mesh`)."""
    name, dot, rest = host.strip().partition(".")
    namespace = rest.partition(".")[0]
    return Ref("v1", "Service", namespace, name) if dot and namespace else None


def _loaded(text: Any, kind: type = dict) -> Any:
    """A YAML text of the wanted kind, else an empty one: users edit it."""
    try:
        found = yaml.load(str(text or ""), Loader=LOADER)
    except yaml.YAMLError:
        return kind()
    return found if isinstance(found, kind) else kind()
