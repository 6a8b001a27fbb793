"""Which distribution of Kubernetes this is, and what that means for the release."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from installer.catalog.platforms import Platform, load_platforms, recognised
from installer.core.checks import Detail, note, warning
from installer.core.objects import Object, dig
from installer.preflight.check import Check
from installer.preflight.world import World


def platforms_of(world: World) -> list[tuple[Platform, str]]:
    """The platforms recognised, each with the mark seen; read once."""
    found: list[tuple[Platform, str]] = world.once("platforms", lambda: _recognised(world))
    return found


def serves(world: World, group: str) -> bool:
    """Whether an API group is served, in any version."""
    found: bool = world.once(
        ("group", group), lambda: bool(world.cluster.discovery().versions(group))
    )
    return found


def _recognised(world: World) -> list[tuple[Platform, str]]:
    known = load_platforms().platforms
    asked = {mark.group for platform in known for mark in platform.marks if mark.group}
    groups = [group for group in sorted(asked) if serves(world, group)]
    return recognised(
        known,
        [dig(node, "metadata", "labels", default={}) for node in world.nodes],
        provider_ids(world.nodes),
        [
            str(dig(node, "status", "nodeInfo", "kubeletVersion", default=""))
            for node in world.nodes
        ],
        groups,
    )


def provider_ids(nodes: Iterable[Object]) -> list[str]:
    """spec.providerID of the nodes that have one."""
    found = (str(dig(node, "spec", "providerID", default="")) for node in nodes)
    return [text for text in found if text]


def _platform(world: World) -> Iterator[Detail]:
    components = {component.name for component in world.target.components}
    yield from platform_details(platforms_of(world), components)


def platform_details(
    found: Sequence[tuple[Platform, str]], components: Collection[str]
) -> Iterator[Detail]:
    """What is known of the platforms recognised; components: names in the release. Pure."""
    if not found:
        yield note("no distribution that the catalog knows was recognised")
    for platform, seen in found:
        yield note(f"this is {platform.title} ({seen})", platform=platform.name)
        for each in platform.differs:
            if each.needs and each.needs not in components:
                continue
            reason = f"on {platform.title} {each.text}"
            if each.verdict == "warning":
                yield warning(reason, each.remedy, platform=platform.name, about=each.about)
            else:
                yield note(reason, platform=platform.name, about=each.about)


CHECKS = (
    Check(
        "kubernetes-platform",
        "kubernetes",
        "nothing about this Kubernetes distribution needs a hand first",
        _platform,
        objects=False,
    ),
)
