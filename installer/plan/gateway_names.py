"""The local gateway's old name in what users have configured, and its new one. Pure.

net-istio 0.18 made knative-local-gateway beside cluster-local-gateway, and 0.20 has only that one
(knative-extensions/net-istio#237 and #411); the Service of the old one in istio-system is of the
Istio that KFServing 0.5 brings. Whatever goes on naming the old one leads nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from installer.catalog.versions import version_of

NET_ISTIO = "net-istio"
CONFIG_ISTIO, INFERENCE = "config-istio", "inferenceservice-config"
_OLD, _NEW = "cluster-local-gateway", "knative-local-gateway"
_RENAMED_IN = (0, 20, 0)
OLD_KEY = f"local-gateway.knative-serving.{_OLD}"
NEW_KEY = f"local-gateway.knative-serving.{_NEW}"
"""The entry of config-istio (knative/docs#3206)."""
_VALUES = {
    f"{_OLD}.knative-serving": f"knative-serving/{_NEW}",
    f"knative-serving/{_OLD}": f"knative-serving/{_NEW}",
    f"{_OLD}.istio-system.svc.cluster.local": f"{_NEW}.istio-system.svc.cluster.local",
}


def is_gone(versions: Mapping[str, str]) -> bool:
    """Whether these versions have the new gateway alone."""
    return NET_ISTIO in versions and version_of(versions[NET_ISTIO]) >= _RENAMED_IN


def moved_entries(data: Mapping[str, str]) -> dict[str, str | None]:
    """What changes in the data of config-istio: None for a key that goes. A Service of the users'
    own behind the gateway stays."""
    if OLD_KEY not in data:
        return {}
    value = data[OLD_KEY]
    return {OLD_KEY: None, NEW_KEY: data.get(NEW_KEY, _VALUES.get(value, value))}


def renamed(config_map: str, text: Any) -> Any:
    """A value of that ConfigMap with the gateway's new name where a field is its old one."""
    if config_map != INFERENCE or not isinstance(text, str) or _OLD not in text:
        return text
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(fields, dict):
        return text
    found = {k: _VALUES.get(v, v) if isinstance(v, str) else v for k, v in fields.items()}
    return text if found == fields else json.dumps(found, indent=4)
