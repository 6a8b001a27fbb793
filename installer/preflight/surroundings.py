"""What the release takes for granted around it: storage, cluster DNS, clocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from installer.cluster.errors import ApiError
from installer.core.checks import Detail, failed, note, unknown, warning
from installer.core.objects import Object, Ref, dig
from installer.preflight.check import Check
from installer.preflight.world import World

DEFAULT_DOMAIN = "cluster.local"
_DEFAULT_CLASS = (
    # Source: kubernetes.io, "Change the default StorageClass"; the second is its old name
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def _storage(world: World) -> Iterator[Detail]:
    claims = list(claims_of([item.body for item in world.target.wanted]))
    if not claims:
        yield note("nothing in the release asks for a volume")
        return
    classes = world.listed("storage.k8s.io/v1", "StorageClass")
    yield from storage_details(claims, classes)


def claims_of(bodies: Iterable[Object]) -> Iterator[tuple[str, str | None]]:
    """(object, storage class or None for the default) of each volume that is asked for."""
    for body in bodies:
        where = f"{body['kind']} {body['metadata'].get('namespace', '')}/{body['metadata']['name']}"
        if body["kind"] == "PersistentVolumeClaim":
            yield where, dig(body, "spec", "storageClassName")
        for template in dig(body, "spec", "volumeClaimTemplates", default=[]):
            yield where, dig(template, "spec", "storageClassName")


def storage_details(
    claims: Sequence[tuple[str, str | None]], classes: Sequence[Object]
) -> Iterator[Detail]:
    """Claims that no StorageClass would serve."""
    names = {dig(c, "metadata", "name") for c in classes}
    default = any(
        dig(c, "metadata", "annotations", key) == "true" for c in classes for key in _DEFAULT_CLASS
    )
    for where, wanted in claims:
        if wanted is None and not default:
            yield failed(
                f"{where} needs a volume of the default StorageClass, and there is none",
                "mark one with the annotation storageclass.kubernetes.io/is-default-class=true",
                where,
            )
        elif wanted and wanted not in names:
            yield failed(
                f"{where} needs StorageClass {wanted}, which is not here",
                "create it, or name another with `patches` in the settings",
                where,
            )


_KUBEADM = Ref("v1", "ConfigMap", "kube-system", "kubeadm-config")
_COREDNS = Ref("v1", "ConfigMap", "kube-system", "coredns")


def _domain(world: World) -> Iterator[Detail]:
    corefile = dig(world.get(_COREDNS), "data", "Corefile", default="")
    configuration = dig(world.get(_KUBEADM), "data", "ClusterConfiguration", default="")
    domain = domain_of(corefile, configuration) or domain_of_issuer(_issuer(world))
    if not domain:
        yield unknown(
            "could not see the cluster's DNS domain: neither ConfigMap kube-system/coredns nor "
            "kube-system/kubeadm-config nor the issuer of service account tokens tells",
            f"make sure that it is {DEFAULT_DOMAIN}, or see the section on this check",
        )
        return
    if domain == DEFAULT_DOMAIN:
        yield note(f"the cluster's DNS domain is {domain}")
        return
    naming = sorted(
        str(item.ref)
        for item in world.target.wanted
        if f".svc.{DEFAULT_DOMAIN}" in json.dumps(item.body)
    )
    yield warning(
        f"the cluster's DNS domain is {domain}, and {len(naming)} objects of the release name "
        f"hosts under svc.{DEFAULT_DOMAIN}: {', '.join(naming[:5])}"
        + (", …" if len(naming) > 5 else ""),
        f"change these names to svc.{domain} with `patches` in the settings",
        domain,
        domain=domain,
        objects=naming,
    )


def _issuer(world: World) -> str:
    """Who signs service account tokens; empty where that may not be read."""
    try:
        found = world.cluster.request("GET", "/.well-known/openid-configuration", about="issuer")
    except ApiError:
        return ""
    return str(dig(found, "issuer", default=""))


def domain_of_issuer(issuer: str) -> str:
    """The domain where the issuer is the API server's own name in the cluster, as kubeadm makes it.

    Source: kubernetes, `cmd/kubeadm/app/phases/controlplane/manifests.go`,
    service-account-issuer.
    """
    _, found, domain = issuer.partition("https://kubernetes.default.svc.")
    return domain.strip("/") if found else ""


_KUBERNETES_PLUGIN = re.compile(r"^\s*kubernetes\s+([^{\n]+)", re.M)
_DNS_DOMAIN = re.compile(r"^\s*dnsDomain:\s*[\"']?([\w.-]+)", re.M)


def domain_of(corefile: str, kubeadm: str) -> str:
    """The cluster's domain from CoreDNS's plugin `kubernetes`, else from kubeadm's configuration;
    empty when neither tells.

    Sources: coredns.io/plugins/kubernetes (its zones); kubeadm's ClusterConfiguration, networking.
    """
    match = _KUBERNETES_PLUGIN.search(corefile)
    for zone in match[1].split() if match else ():
        if not zone.endswith((".arpa", ".arpa.")):
            return zone.rstrip(".")
    found = _DNS_DOMAIN.search(kubeadm)
    return found[1] if found else ""


MAX_SKEW = 60.0
"""Seconds by which clocks may differ: certificates that cert-manager issues hold from the moment
of issue on, and a node that lives in the past refuses them."""
_HEARTBEAT = 40.0
"""Seconds after which a node's Lease counts as not renewed: kube-controller-manager,
`--node-monitor-grace-period` (40 s until Kubernetes 1.31, 50 s since)."""


def _clocks(world: World) -> Iterator[Detail]:
    ready = {
        dig(node, "metadata", "name")
        for node in world.nodes
        for condition in dig(node, "status", "conditions", default=[])
        if condition.get("type") == "Ready" and condition.get("status") == "True"
    }
    leases = world.listed("coordination.k8s.io/v1", "Lease", "kube-node-lease")
    asked = datetime.now(UTC)
    answer = world.cluster.answer("GET", "/version", about="the API server's clock")
    yield from clock_details(answer.date, asked, leases, ready)


def clock_details(
    server: datetime | None,
    here: datetime,
    leases: Sequence[Mapping[str, Any]],
    ready: set[str],
) -> Iterator[Detail]:
    """Clocks that differ from the API server's. server, here: the time now by its clock and ours;
    ready: nodes whose kubelet is heard, so that their Lease must be fresh."""
    if server is None:
        yield unknown("could not see the API server's time: its answer has no Date", "")
        return
    ahead = (here - server).total_seconds()
    if abs(ahead) > MAX_SKEW:
        word = "ahead of" if ahead > 0 else "behind"
        yield warning(
            f"the clock of this machine is {abs(ahead):.0f} s {word} the API server's",
            "set it by NTP",
            "this machine",
        )
    for lease in leases:
        name = str(dig(lease, "metadata", "name"))
        renewed = _time(dig(lease, "spec", "renewTime"))
        if renewed is None or name not in ready:
            continue
        off = (renewed - server).total_seconds()
        if off > MAX_SKEW:
            yield _skewed(name, off, "ahead of")
        elif off < -(_HEARTBEAT + MAX_SKEW):
            yield _skewed(name, -off, "behind")


def _skewed(node: str, seconds: float, word: str) -> Detail:
    return warning(
        f"by its Lease the clock of Node {node} is {seconds:.0f} s {word} the API server's",
        "set the clocks of all nodes by NTP",
        f"Node {node}",
    )


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


CHECKS = (
    Check("storage-class", "storage", "a StorageClass serves every volume asked for", _storage),
    Check("dns-domain", "dns", f"the cluster's DNS domain is {DEFAULT_DOMAIN}", _domain),
    Check("time-skew", "time", "clocks agree", _clocks, objects=False),
)
