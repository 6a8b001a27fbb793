"""Which versions run, read from the images of running pods and the catalog's image lists. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from installer.catalog.model import Catalog
from installer.core.objects import Object, containers, dig

Release = tuple[str, str]
"""(component, version)."""


@dataclass(frozen=True, slots=True)
class Running:
    """An image that runs. known: the components and versions of the catalog that have it."""

    image: str
    known: frozenset[Release]


def image_key(image: str) -> str:
    """What identifies an image wherever it is mirrored: its digest, else last name and tag."""
    name, _, digest = image.partition("@")
    if digest:
        return digest
    last = name.rpartition("/")[2]
    return last if ":" in last else f"{last}:latest"


def index_of(catalog: Catalog) -> Mapping[str, frozenset[Release]]:
    """Which component versions have an image, by `image_key`."""
    found: dict[str, set[Release]] = {}
    for release, component in catalog.components.items():
        for image in component.images:
            found.setdefault(image_key(image), set()).add(release)
    return {key: frozenset(releases) for key, releases in found.items()}


def running(pods: Iterable[Object], index: Mapping[str, frozenset[Release]]) -> list[Running]:
    """The images of pods that are not ending, each once."""
    images = {
        str(container["image"])
        for pod in pods
        if dig(pod, "status", "phase") == "Running"
        and not dig(pod, "metadata", "deletionTimestamp")
        for container in containers(dig(pod, "spec", default={}))
        if container.get("image")
    }
    return [Running(image, index.get(image_key(image), frozenset())) for image in sorted(images)]


def of_workload(pods: Iterable[Object], workload: Object) -> list[Object]:
    """The pods that a Deployment, StatefulSet or DaemonSet selects."""
    wanted: dict[str, str] = dig(workload, "spec", "selector", "matchLabels", default={})
    place = dig(workload, "metadata", "namespace")
    return [
        pod
        for pod in pods
        if dig(pod, "metadata", "namespace") == place
        and wanted
        and wanted.items() <= dig(pod, "metadata", "labels", default={}).items()
    ]


def disagreements(component: str, version: str, found: Iterable[Running]) -> list[str]:
    """How what runs of a component disagrees with the version in the ledger, a clause each."""
    said = []
    for item in found:
        if not item.known or (component, version) in item.known:
            continue
        others = sorted(v for name, v in item.known if name == component)
        what = f"{component} {', '.join(others)}" if others else _names(item.known)
        said.append(f"image {item.image} is that of {what}, and {version} was installed")
    return said


def _names(known: Iterable[Release]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(known))
