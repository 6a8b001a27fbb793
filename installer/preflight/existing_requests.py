"""The requests that an install will send, as admission webhooks would see them."""

from __future__ import annotations

from collections.abc import Sequence

from installer.core.objects import dig
from installer.preflight.existing_matching import Request
from installer.preflight.world import World

_CRD = "CustomResourceDefinition"


def requests_of(world: World) -> Sequence[Request]:
    """What the install is to send, and the pods that its workloads come to; found once."""
    found: Sequence[Request] = world.once("requests", lambda: _requests_of(world))
    return found


def _requests_of(world: World) -> list[Request]:
    plurals = {
        (item.body["spec"]["group"], item.body["spec"]["names"]["kind"]): item.body["spec"][
            "names"
        ]["plural"]
        for item in world.target.wanted
        if item.ref.kind == _CRD
    }
    spaces = {
        n["metadata"]["name"]: dig(n, "metadata", "labels", default={}) for n in world.namespaces
    }
    for item in world.target.wanted:
        if item.ref.kind == "Namespace":
            labels = dig(item.body, "metadata", "labels", default={})
            spaces[item.ref.name] = {**spaces.get(item.ref.name, {}), **labels}
    discovery = world.cluster.discovery()
    found = []
    for item in world.target.wanted:
        if world.target.decision(item) == "unchanged":
            continue
        ref = item.ref
        resource = discovery.find(ref.api_version, ref.kind)
        plural = resource.plural if resource else plurals.get((ref.group, ref.kind), "")
        around = spaces.get(ref.namespace, {}) if ref.namespace else None
        labels = dig(item.body, "metadata", "labels", default={})
        request = Request(
            ref.group, plural, ref.namespace, labels, around, str(ref), item.component, item.stage
        )
        found.append(request)
        template = dig(item.body, "spec", "template", "metadata")
        if template and ref.group == "apps":
            pod = dig(template, "labels", default={})
            about = f"pods of {ref}"
            found.append(Request("", "pods", ref.namespace, pod, around, about, item.component))
    return found
