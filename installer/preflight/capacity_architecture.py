"""Do the nodes' processors run the images of the release?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from installer.catalog.platforms import load_platforms
from installer.core.checks import Detail, failed, note, warning
from installer.core.objects import Object, Ref, dig
from installer.plan import scheduling
from installer.plan.footprint import pod_spec_of
from installer.plan.settings import WORKLOADS
from installer.preflight.check import Check
from installer.preflight.settings_offer import offered
from installer.preflight.world import World


def _architectures(world: World) -> Iterator[Detail]:
    known = load_platforms()
    images = []
    for part in world.target.parts:
        component = part.component
        for item in part.wanted:
            spec = pod_spec_of(item.body)
            if spec is None:
                continue
            for image in _images(spec):
                built = known.architectures(component.name, component.version, image)
                images.append((item.ref, spec, image, built))
    yield from architecture_details(images, world.nodes)


def _images(spec: Mapping[str, Any]) -> list[str]:
    both = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return list(dict.fromkeys(str(c["image"]) for c in both if c.get("image")))


def architecture_of(node: Object) -> str:
    """Processor of a node, such as amd64."""
    told = dig(node, "status", "nodeInfo", "architecture", default="")
    return str(told or dig(node, "metadata", "labels", "kubernetes.io/arch", default=""))


def architecture_details(
    images: Iterable[tuple[Ref, Mapping[str, Any], str, Sequence[str]]], nodes: Sequence[Object]
) -> Iterator[Detail]:
    """Workloads that nodes could not run. images: (workload, pod spec, image, built for). Pure.

    Built for is empty where it is not known.
    """
    rooms = [(scheduling.room_of(node), architecture_of(node)) for node in nodes]
    unknown: set[str] = set()
    selectors: dict[str, Any] = {}
    mixed: list[tuple[str, str]] = []
    impossible: dict[tuple[str, str], dict[str, str]] = {}
    for ref, spec, image, built in images:
        here = {arch for room, arch in rooms if not scheduling.mismatch(spec, room)}
        if not built:
            if here - {"amd64"}:
                unknown.add(image)
        elif here and not here & set(built):
            pair = (", ".join(built), ", ".join(sorted(here)))
            impossible.setdefault(pair, {})[str(ref)] = image
        elif here - set(built):
            mixed.append((str(ref), image))
            if ref.kind in WORKLOADS:
                selector = {"kubernetes.io/arch": built[0]}
                selectors[f"{ref.namespace}/{ref.name}"] = {"nodeSelector": selector}
    for (built_for, found), by_workload in impossible.items():
        yield failed(
            f"{', '.join(by_workload)} cannot run: images are built for {built_for} only, and the "
            f"nodes that they may use are {found}",
            f"add a node with {built_for}, or build the images for {found}",
            next(iter(by_workload)),
            images=sorted(set(by_workload.values())),
        )
    if mixed:
        yield _mixed(mixed, selectors)
    if unknown:
        names = ", ".join(sorted(unknown))
        yield note(f"whether these images are built for every node is not known: {names}")
    kinds = sorted({arch for _, arch in rooms if arch})
    yield note(f"nodes are {', '.join(kinds) or 'of unknown processors'}")


def _mixed(mixed: Sequence[tuple[str, str]], selectors: Mapping[str, Any]) -> Detail:
    names = ", ".join(dict.fromkeys(ref for ref, _ in mixed))
    remedy = "keep them off with a nodeSelector"
    return warning(
        f"{names}: nodes that their images are not built for would take their pods, "
        "which end with `exec format error`",
        offered(remedy, {"deployments": dict(selectors)}) if selectors else remedy,
        images=sorted({image for _, image in mixed}),
    )


ARCHITECTURE_CHECK = Check(
    "capacity-architecture",
    "capacity",
    "the images are built for the nodes' processors",
    _architectures,
)
