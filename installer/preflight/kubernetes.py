"""Is this a Kubernetes that the release runs on, and are its nodes in step with it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from installer.catalog.resolve import fits, nearest_fit, warnings
from installer.cluster.errors import ApiError
from installer.core.checks import Detail, Finding, failed, note, warning
from installer.core.kubernetes_version import KubernetesVersion
from installer.core.objects import dig
from installer.preflight.check import Check
from installer.preflight.world import World

_SHOWN = 5


def _reachable(world: World) -> Iterator[Detail]:
    identity = world.identity
    yield note(f"{identity.server} is Kubernetes {identity.git_version}", identity.server)


def unreachable(error: ApiError) -> Finding:
    """What the first check says of an API server that does not tell who it is."""
    check = CHECKS[0]
    detail = failed(error.message, error.remedy, error.object, kind=error.kind)
    return Finding(check.id, check.category, check.sentence, (detail,))


def _version(world: World) -> Iterator[Detail]:
    catalog, release = world.target.catalog, world.target.release
    version = world.identity.version
    other = nearest_fit(catalog, release, version)
    remedy = f"{other.name} is the nearest release that runs here" if other else ""
    external = [component.name for component in world.target.external]
    for reason in fits(catalog, release, version, external):
        yield failed(str(reason), remedy, nearest=other.name if other else "")
    for reason in warnings(catalog, release, version, external):
        yield warning(str(reason))


def _version_skew(world: World) -> Iterator[Detail]:
    kubelets = {
        str(dig(node, "metadata", "name")): str(
            dig(node, "status", "nodeInfo", "kubeletVersion", default="")
        )
        for node in world.nodes
    }
    yield from skew(world.identity.version, kubelets)


def older_allowed(server: KubernetesVersion) -> int:
    """How many minor versions a kubelet may be older than the API server.

    Source: https://kubernetes.io/releases/version-skew-policy/#kubelet: three, and two when the
    API server is older than 1.28 (kubelets before 1.25 only ever had two, which comes to the
    same: 1.28 less three is 1.25).
    """
    return 3 if server.series >= (1, 28) else 2


def skew(server: KubernetesVersion, kubelets: Mapping[str, str]) -> Iterator[Detail]:
    """Warnings for nodes that the version-skew policy does not allow; kubelets by node. Pure."""
    versions: dict[str, list[str]] = {}
    for node, version in sorted(kubelets.items()):
        versions.setdefault(version, []).append(node)
    oldest = (server.major, server.minor - older_allowed(server))
    for text, nodes in sorted(versions.items()):
        try:
            series = KubernetesVersion.parse(text).series
        except ValueError:
            what = f"report the kubelet version {text!r}" if text else "report no kubelet version"
            yield warning(f"{_named(nodes)} {what}, which cannot be compared", nodes=nodes)
            continue
        if series > server.series:
            why = f"newer than the API server ({server})"
            remedy = "upgrade the control plane first, or go back with these nodes"
        elif series < oldest:
            least = f"{oldest[0]}.{oldest[1]}"
            why = f"older than {least}, the oldest that an API server {server} may have"
            remedy = f"upgrade the kubelet of these nodes to {least} or newer"
        else:
            continue
        reason = f"{_named(nodes)} run kubelet {text}, {why}"
        yield warning(reason, remedy, kubelet=text, nodes=nodes)


def _named(nodes: list[str]) -> str:
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    return f"nodes {', '.join(nodes[:_SHOWN])}{more}" if nodes[1:] else f"node {nodes[0]}"


CHECKS = (
    Check(
        "kubernetes-reachable",
        "kubernetes",
        "the API server answers",
        _reachable,
        objects=False,
    ),
    Check(
        "kubernetes-version",
        "kubernetes",
        "the Kubernetes version is within every component's range",
        _version,
        objects=False,
    ),
    Check(
        "kubernetes-version-skew",
        "kubernetes",
        "the kubelets are within Kubernetes' version-skew policy",
        _version_skew,
        objects=False,
    ),
)
