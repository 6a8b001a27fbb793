"""`trace`: what an InferenceService made, and the way of a request through it, judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.core.objects import dig
from installer.operations.asking import NOT_HERE, Asking, Door, Elsewhere, by_some_way, entries
from installer.serving import inference_service, path
from installer.serving.ask import Reply
from installer.serving.gateways import Gateways
from installer.serving.hops import Hop, Path, Verdict, hop
from installer.serving.inference_service import InferenceService
from installer.serving.reading import read_scene
from installer.serving.replies import meaning
from installer.serving.scene import Scene
from installer.serving.tree import Node, tree_of

_GATEWAY_HOPS = ("gateway", "gateway-pods", "listener")


@dataclass(frozen=True, slots=True)
class TraceReport:
    """What became of a trace.

    gateways: None where nothing says which they are. unseen: what could not be looked at, a
    sentence each. curl: lines that send a prediction; empty where there is no way in.
    """

    service: InferenceService
    tree: Node
    outside: Path
    inside: Path
    gateways: Gateways | None
    unseen: tuple[str, ...]
    curl: tuple[str, ...]
    context: str

    @property
    def first_broken(self) -> Hop | None:
        """The link to blame, of requests from outside first."""
        return self.outside.first_broken or self.inside.first_broken

    @property
    def settled(self) -> bool:
        """True when nothing is broken, starting or unknown on either path."""
        return self.outside.first_unwell is None and self.inside.first_unwell is None

    def to_dict(self) -> dict[str, Any]:
        """The `-o json` form."""
        broken = self.first_broken
        return {
            "context": self.context,
            "inference_service": self.service.ref.to_dict(),
            "url": dig(self.service.obj, "status", "url", default=""),
            "tree": self.tree.to_dict(),
            "paths": [self.outside.to_dict(), self.inside.to_dict()],
            "first_broken": broken.to_dict() if broken else None,
            "unseen": list(self.unseen),
            "curl": list(self.curl),
        }


def trace(
    cluster: Cluster, text: str, asking: Asking, cancel: Cancel, *, send: bool = True
) -> TraceReport:
    """Trace `[NAMESPACE/]NAME`. Writes nothing; send: whether a real request is made too.

    The request asks the model for its state, which every protocol has, and wakes what is scaled
    to zero. Raises what `inference_service.find` raises.
    """
    service = inference_service.find(cluster, text)
    scene = read_scene(cluster, service)
    outside, curl = _outside(cluster, scene, asking, cancel, send)
    return TraceReport(
        service,
        tree_of(scene),
        outside,
        path.inside(scene),
        scene.gateways,
        tuple(_unseen(scene)),
        tuple(curl),
        cluster.context,
    )


def _unseen(scene: Scene) -> Sequence[str]:
    return [
        f"{kind} in namespace {namespace}: {why}" if namespace else f"{kind}: {why}"
        for (kind, namespace), why in sorted(scene.unseen.items())
    ]


def _outside(
    cluster: Cluster, scene: Scene, asking: Asking, cancel: Cancel, send: bool
) -> tuple[Path, list[str]]:
    """The path from outside, with the way in and a real request."""
    judged = path.outside(scene, asking.scheme)
    if not send or scene.gateways is None:
        return judged, []
    service = scene.service

    def work(opened: Door, last: bool) -> tuple[Path, list[str]]:
        found = _with_entry(judged, _entered(opened))
        if not service.host:
            return found, []
        asked = _asked(opened, scene, found)
        blamed = asked[0]
        if blamed.verdict == "broken" and blamed.reason in NOT_HERE and not last:
            raise Elsewhere(blamed.says)
        curl = opened.curl(service.host, service.predict_path, "@input.json")
        return found.with_hops(*asked), curl

    try:
        return by_some_way(cluster, entries(cluster, service, asking), asking, cancel, work)
    except ApiError:
        raise
    except InstallerError as error:
        if error.kind not in ("no-ingress", "no-gateway"):
            raise
        return _with_entry(judged, _no_way_in(judged, error)), []


def _with_entry(judged: Path, entry: Hop) -> Path:
    first, *others = judged.hops
    return replace(judged, hops=(first, entry, *others))


def _entered(opened: Door) -> Hop:
    entry = opened.entry
    ways = {
        "lb": f"the load balancer's address {entry.address} accepts connections",
        "nodeport": f"node port {entry.address} accepts connections",
        "port-forward": f"a port-forward to pod {entry.pod}, port {entry.pod_port}, works",
    }
    said = ways[entry.via]
    if entry.reasons:
        said += f" ({'; '.join(entry.reasons)})"
    return hop("entry", entry.service, "ok", said)


def _no_way_in(judged: Path, error: InstallerError) -> Hop:
    """Where the gateway itself is at fault, that is to blame for there being no way in."""
    gateway = any(h.verdict == "broken" and h.kind in _GATEWAY_HOPS[:2] for h in judged.hops[:3])
    verdict: Verdict = "follows" if gateway else "broken"
    return Hop("entry", error.object, verdict, error.message, "NoIngress", error.remedy)


def _asked(opened: Door, scene: Scene, judged: Path) -> list[Hop]:
    """A real request, and where it gets no answer one to the component's own host as well."""
    service = scene.service
    if service.protocol == "grpc":
        said = "is not asked: it speaks gRPC (HTTP/2) only; grpcurl can ask it"
        return [hop("request", service.host, "note", said, reason="Grpc")]
    reply = opened.send(service.host, service.state_path)
    found = [_request_hop(service.host, reply, judged)]
    if found[0].reason not in ("NoRoute", "NoUpstream"):
        return found
    for host in _component_hosts(service):
        other = opened.send(host, service.state_path)
        if meaning(other, host).origin == "model":
            said = f"{host} answers {other.status}: the break is before that, at the public route"
            found.append(hop("request", host, "note", said, reason="ComponentAnswers"))
    return found


def _component_hosts(service: InferenceService) -> list[str]:
    components: dict[str, Any] = dig(service.obj, "status", "components", default={})
    urls = [str(dig(part, "url", default="")) for part in components.values()]
    return [url.partition("://")[2] for url in urls if url]


def _request_hop(host: str, reply: Reply, judged: Path) -> Hop:
    meant = meaning(reply, host)
    took = f" after {reply.seconds * 1000:.0f} ms"
    if meant.origin == "model":
        said = (
            f"the model {meant.says}{took}" if meant.ok else f"the model is reached: {meant.says}"
        )
        return Hop("request", host, "ok", said, meant.reason)
    verdict: Verdict = "follows" if judged.first_unwell is not None else "broken"
    return Hop("request", host, verdict, meant.says, meant.reason, meant.remedy)
