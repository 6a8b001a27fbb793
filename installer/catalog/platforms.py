"""What is known of Kubernetes distributions: versions/platforms.yaml as values.

Facts about other products, kept apart from the code that applies them. The file is the packaged
one whatever catalog is used: it describes the world, not releases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from installer.catalog.load import PLATFORMS, packaged_facts
from installer.catalog.versions import order


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One sign of a platform. Exactly one of label, provider_id, kubelet and group is set.

    label: of a node, with any value where `value` is empty. provider_id: its beginning.
    kubelet: part of a kubelet's version. group: an API group that is served.
    """

    origin: str
    label: str = ""
    value: str = ""
    provider_id: str = ""
    kubelet: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is otherwise on a platform. needs: only where the release has this component."""

    about: str
    text: str
    origin: str
    verdict: Literal["note", "warning"] = "note"
    remedy: str = ""
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPorts:
    """Ports that the control plane may not reach.

    when: `no-external-address` where that holds for clusters whose nodes have none, `unknown`
    where the cluster does not show it. open: ports that are reachable always. remedy may hold
    `{ports}`.
    """

    when: Literal["no-external-address", "unknown"]
    open: tuple[int, ...]
    text: str
    remedy: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One distribution.

    port_holder, free_ports: who has ports 80 and 443 of the nodes by default, and how that is
    undone.
    """

    name: str
    title: str
    marks: tuple[Mark, ...]
    load_balancer: Literal["cloud", "host-ports", ""] = ""
    differs: tuple[Difference, ...] = ()
    webhook_ports: WebhookPorts | None = None
    port_holder: str = ""
    free_ports: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """What gives Services of type LoadBalancer an address.

    pool_kind, pool_version: the kind of which one object at least must exist.
    """

    name: str
    title: str
    origin: str
    group: str = ""
    namespace: str = ""
    provider_id: str = ""
    pool_kind: str = ""
    pool_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """What brings nodes for pods that do not fit. config_map: `namespace/name`."""

    name: str
    title: str
    origin: str
    config_map: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """What images of a component are built for, from version `since` on and below another."""

    component: str
    architectures: tuple[str, ...]
    origin: str
    repositories: tuple[str, ...] = ()
    since: str = ""
    below: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platforms:
    """The whole file."""

    platforms: tuple[Platform, ...]
    load_balancers: tuple[LoadBalancer, ...]
    autoscalers: tuple[Autoscaler, ...]
    images: tuple[Images, ...]

    def architectures(self, component: str, version: str, image: str) -> tuple[str, ...]:
        """What an image is built for; empty when that is not known."""
        for each in self.images:
            if each.component == component and _within(each, version) and _names(each, image):
                return each.architectures
        return ()


def _within(images: Images, version: str) -> bool:
    if images.since and order(version) < order(images.since):
        return False
    return not images.below or order(version) < order(images.below)


def _names(images: Images, image: str) -> bool:
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    path = f"{head}{slash}{last.partition(':')[0]}"
    return not images.repositories or path.endswith(images.repositories)


def recognised(
    platforms: Sequence[Platform],
    labels: Sequence[Mapping[str, str]],
    provider_ids: Sequence[str],
    kubelets: Sequence[str],
    groups: Sequence[str],
) -> list[tuple[Platform, str]]:
    """The platforms whose marks are there, and each with the first mark seen, in words. Pure.

    labels, provider_ids, kubelets: of the nodes; groups: API groups served.
    """
    found = []
    for platform in platforms:
        seen = (_seen(mark, labels, provider_ids, kubelets, groups) for mark in platform.marks)
        first = next((words for words in seen if words), "")
        if first:
            found.append((platform, first))
    return found


def _seen(
    mark: Mark,
    labels: Sequence[Mapping[str, str]],
    provider_ids: Sequence[str],
    kubelets: Sequence[str],
    groups: Sequence[str],
) -> str:
    if mark.label:
        for each in labels:
            value = each.get(mark.label)
            if value is not None and mark.value in ("", value):
                return f"node label {mark.label}={value}"
    elif mark.provider_id:
        for text in provider_ids:
            if text.startswith(mark.provider_id):
                return f"node providerID {text}"
    elif mark.kubelet:
        for text in kubelets:
            if mark.kubelet in text:
                return f"kubelet {text}"
    elif mark.group in groups:
        return f"API group {mark.group}"
    return ""


@cache
def load_platforms() -> Platforms:
    """Read the packaged file. Raises InvalidInput with every problem."""
    return packaged_facts(Platforms, PLATFORMS, "the catalog's list of platforms")
