"""Which Secrets and ConfigMaps a pod cannot start without, as a kubelet would find them missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from installer.core.objects import Object, containers, dig

SECRET, CONFIG_MAP = "secret", "configmap"


@dataclass(frozen=True, slots=True)
class Needed:
    """One required source: `kind` (secret or configmap), its name, and what refers to it.

    volume is the volume's name; it is empty when an environment variable of `container` refers.
    """

    kind: str
    name: str
    volume: str = ""
    container: str = ""

    @property
    def text(self) -> str:
        """The kubelet's words for its absence."""
        missing = f'{self.kind} "{self.name}" not found'
        if not self.volume:
            return missing
        return f'MountVolume.SetUp failed for volume "{self.volume}" : {missing}'


def needed(pod: Object) -> Iterator[Needed]:
    """Everything required; what is marked optional is left out."""
    for volume in pod["spec"].get("volumes") or []:
        for source in [volume, *dig(volume, "projected", "sources", default=[])]:
            secret, config = source.get("secret"), source.get("configMap")
            name = (secret or {}).get("secretName") or (secret or {}).get("name")
            if secret and name and not secret.get("optional"):
                yield Needed(SECRET, name, volume=volume["name"])
            if config and config.get("name") and not config.get("optional"):
                yield Needed(CONFIG_MAP, config["name"], volume=volume["name"])
    for container in containers(pod["spec"]):
        references = [
            *(dig(e, "valueFrom", default={}) for e in container.get("env") or []),
            *(container.get("envFrom") or []),
        ]
        for reference in references:
            yield from _environment(reference, container["name"])


def _environment(reference: Object, container: str) -> Iterator[Needed]:
    for key, kind in (
        ("secretKeyRef", SECRET),
        ("secretRef", SECRET),
        ("configMapKeyRef", CONFIG_MAP),
        ("configMapRef", CONFIG_MAP),
    ):
        source = reference.get(key)
        if source and source.get("name") and not source.get("optional"):
            yield Needed(kind, source["name"], container=container)
