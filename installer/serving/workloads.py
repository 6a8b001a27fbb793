"""The last stations: revision, Deployment, pod, and its containers. Pure.

Two things that conditions do not tell, as recorded with KFServing 0.5.1: a model that never
listens is never Ready=False, only the Deployment says ProgressDeadlineExceeded; and when an init
container fails, the Revision's message is empty. So pods are looked at whatever conditions say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.cluster.causes import remedy_for
from installer.cluster.pods import Fault, fault_of
from installer.core.objects import Object, Ref, conditions, dig, ref_of
from installer.serving.hops import Hop, HopKind, hop
from installer.serving.scene import Scene, age

QUEUE_PROXY = "queue-proxy"
KNATIVE = "serving.knative.dev"
_QUOTA = "exceeded quota"


def revision_hops(scene: Scene, namespace: str, name: str) -> list[Hop]:
    """A revision and everything behind it."""
    revision = scene.get(KNATIVE, "Revision", namespace, name)
    ref = Ref(f"{KNATIVE}/v1", "Revision", namespace, name)
    if revision is None:
        return [_unseen_or_missing(scene, ref, "revision")]
    made = scene.owned_by(revision, "Deployment")
    if made:
        behind = deployment_hops(scene, made[0], at_zero=is_at_zero(revision))
    else:
        behind = _without_deployment(scene, revision)
    return [_revision(revision, behind), *behind]


def is_at_zero(revision: Object) -> bool:
    """Whether it has been scaled to zero for want of requests."""
    active = conditions(revision).get("Active", {})
    return active.get("status") == "False" and active.get("reason") == "NoTraffic"


def _revision(revision: Object, behind: Sequence[Hop]) -> Hop:
    ref, ready = ref_of(revision), conditions(revision).get("Ready", {})
    if ready.get("status") == "True":
        return hop("revision", ref, "ok", "is ready")
    reason, message = str(ready.get("reason") or "NotReady"), _clause(ready.get("message"))
    if any(other.verdict in ("broken", "starting") for other in behind):
        said = message or f"is not ready ({reason}), without saying why"
        return hop("revision", ref, "follows", said, reason=reason)
    if ready.get("status") == "False":
        return hop(
            "revision", ref, "broken", message or reason, reason=reason, remedy=_remedy(reason)
        )
    return hop("revision", ref, "starting", message or f"is not ready yet: {reason}", reason=reason)


def _clause(text: object) -> str:
    return " ".join(str(text or "").split()).rstrip(".")


def _remedy(reason: str) -> str:
    if reason == "ContainerMissing":
        return (
            "the registry does not have this image, or does not let Knative ask for it: correct "
            "the image, or give the namespace's service account an imagePullSecret"
        )
    return "correct what the message names in the InferenceService"


def _without_deployment(scene: Scene, revision: Object) -> list[Hop]:
    ref = ref_of(revision)
    why = scene.cannot_see("Deployment", ref.namespace)
    if why:
        return [hop("deployment", f"Deployment of {ref}", "unknown", f"could not look: {why}")]
    ready = conditions(revision).get("Ready", {})
    if ready.get("status") == "False":
        return []  # the revision itself says why it was never made
    said = "is not made yet: the revision resolves its image first"
    return [hop("deployment", f"Deployment of {ref}", "starting", said, reason="NoDeployment")]


def deployment_hops(scene: Scene, deployment: Object, *, at_zero: bool = False) -> list[Hop]:
    """A Deployment, its newest pod, and that pod's containers."""
    ref = ref_of(deployment)
    wanted = int(dig(deployment, "spec", "replicas", default=1))
    ready = int(dig(deployment, "status", "readyReplicas", default=0))
    if not wanted:
        said = "at zero: the next request starts a pod, and waits for it meanwhile"
        if at_zero:
            return [hop("deployment", ref, "note", said, reason="NoTraffic")]
        said = "is scaled to zero, and its autoscaler does not say that it did it"
        remedy = "see that the autoscaler runs: `kserve-installer status`"
        return [hop("deployment", ref, "broken", said, reason="NoReplicas", remedy=remedy)]
    why = scene.cannot_see("Pod", ref.namespace)
    pods = [] if why else pods_of(scene, deployment)
    found = list(_pod_hops(scene, deployment, pods)) if pods else []
    if not pods:
        found = [_no_pods(scene, deployment, why)]
    elif ready >= wanted:
        found.insert(0, hop("deployment", ref, "ok", f"{ready} of {wanted} pods are ready"))
    else:
        found.insert(0, _deployment(deployment, ready, wanted))
    return found


def _deployment(deployment: Object, ready: int, wanted: int) -> Hop:
    ref, rollout = ref_of(deployment), conditions(deployment).get("Progressing", {})
    said = f"{ready} of {wanted} pods are ready"
    if rollout.get("reason") == "ProgressDeadlineExceeded":
        said += ", and its time to get them ready is over"
        return hop("deployment", ref, "follows", said, reason="ProgressDeadlineExceeded")
    return hop("deployment", ref, "note" if ready else "follows", said)


def _no_pods(scene: Scene, deployment: Object, unseen: str) -> Hop:
    ref, have = ref_of(deployment), conditions(deployment)
    refused = have.get("ReplicaFailure", {}) or _set_failure(scene, deployment)
    if refused.get("status") == "True":
        text = _clause(refused.get("message"))
        remedy = f"allow these pods in namespace {ref.namespace}"
        if _QUOTA in text:
            remedy = f"raise the ResourceQuota of namespace {ref.namespace}"
        said = f"its pods are refused: {text}"
        return hop("deployment", ref, "broken", said, reason="FailedCreate", remedy=remedy)
    if unseen:
        return _by_conditions(ref, have, unseen)
    return hop("deployment", ref, "starting", "its pods are not made yet", reason="NoPods")


def _by_conditions(ref: Ref, have: dict[str, dict[str, object]], unseen: str) -> Hop:
    said = f"pods could not be looked at: {unseen}"
    if have.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        said = f"its pods did not get ready in time; {said}"
        reason = "ProgressDeadlineExceeded"
        return hop("deployment", ref, "broken", said, reason=reason, remedy=_RIGHTS)
    if have.get("Available", {}).get("status") == "True":
        return hop("deployment", ref, "ok", "is available (its pods may not be listed)")
    return hop("deployment", ref, "unknown", said, reason="Forbidden", remedy=_RIGHTS)


_RIGHTS = "run this with the right to list pods in its namespace"


def _set_failure(scene: Scene, deployment: Object) -> dict[str, object]:
    for made in scene.owned_by(deployment, "ReplicaSet"):
        found = conditions(made).get("ReplicaFailure", {})
        if found.get("status") == "True":
            return found
    return {}


def pods_of(scene: Scene, deployment: Object) -> list[Object]:
    """Its pods, newest first, without those being deleted."""
    sets = scene.owned_by(deployment, "ReplicaSet")
    if not sets and scene.cannot_see("ReplicaSet", ref_of(deployment).namespace):
        wanted = dig(deployment, "spec", "selector", "matchLabels", default={})
        found = [
            pod
            for pod in scene.of_kind("Pod")
            if wanted.items() <= dig(pod, "metadata", "labels", default={}).items()
        ]
    else:
        found = [pod for made in sets for pod in scene.owned_by(made, "Pod")]
    alive = [pod for pod in found if not dig(pod, "metadata", "deletionTimestamp")]
    return sorted(alive, key=lambda pod: -_born(scene, pod))


def _born(scene: Scene, pod: Object) -> float:
    seconds = age(pod, scene.now)
    return -seconds if seconds is not None else 0.0


def _is_ready(pod: Object) -> bool:
    return conditions(pod).get("Ready", {}).get("status") == "True"


def _pod_hops(scene: Scene, deployment: Object, pods: Sequence[Object]) -> Iterator[Hop]:
    """The hops of a ready pod, else of the newest one."""
    ready = [pod for pod in pods if _is_ready(pod)]
    if not ready:
        yield from _unready(scene, deployment, pods[0])
        return
    pod = ready[0]
    node = dig(pod, "spec", "nodeName", default="")
    yield hop("pod", ref_of(pod), "ok", f"runs on node {node}" if node else "is ready")
    if _containers(pod, QUEUE_PROXY):
        yield hop("queue-proxy", ref_of(pod), "ok", f"container {QUEUE_PROXY} is ready")
    model = _model_container(pod)
    yield hop("model", ref_of(pod), "ok", f"container {model} is ready")
    for other in pods:
        fault = None if _is_ready(other) else fault_of(other)
        if fault is not None:
            yield Hop("pod", str(ref_of(other)), "warning", fault.message, fault.reason)


def _containers(pod: Object, name: str) -> list[Object]:
    return [c for c in dig(pod, "spec", "containers", default=[]) if c.get("name") == name]


def _model_container(pod: Object) -> str:
    names = [str(c.get("name")) for c in dig(pod, "spec", "containers", default=[])]
    return next((name for name in names if name != QUEUE_PROXY), "")


def _unready(scene: Scene, deployment: Object, pod: Object) -> Iterator[Hop]:
    ref, fault = ref_of(pod), fault_of(pod)
    if fault is not None:
        yield from _faulty(pod, fault)
        return
    statuses = {s.get("name"): s for s in dig(pod, "status", "containerStatuses", default=[])}
    model = _model_container(pod)
    running = dig(statuses.get(model), "state", "running") is not None
    if not running:
        waiting = dig(statuses.get(model), "state", "waiting", "reason", default="Pending")
        yield hop("pod", ref, "starting", f"container {model} is starting", reason=str(waiting))
        return
    yield hop("pod", ref, "ok", "its containers run")
    yield _never_listens(scene, deployment, pod, model)


def _never_listens(scene: Scene, deployment: Object, pod: Object, model: str) -> Hop:
    """Containers run and the pod is not ready: the model does not answer its probe."""
    ref, rollout = ref_of(pod), conditions(deployment).get("Progressing", {})
    ports = _containers(pod, model)[0].get("ports") or [{}]
    where = f" on port {ports[0]['containerPort']}" if ports[0].get("containerPort") else ""
    seconds = age(pod, scene.now)
    said = f"container {model} runs and does not answer its readiness probe{where}"
    if seconds is not None:
        said += f", {seconds:.0f} s after its pod was made"
    late = rollout.get("reason") == "ProgressDeadlineExceeded"
    remedy = f"read what it does: kubectl logs -n {ref.namespace} {ref.name} -c {model}"
    reason = "ProgressDeadlineExceeded" if late else "NotListening"
    return hop("model", ref, "broken" if late else "starting", said, reason=reason, remedy=remedy)


def _faulty(pod: Object, fault: Fault) -> Iterator[Hop]:
    ref = ref_of(pod)
    inits = [c.get("name") for c in dig(pod, "spec", "initContainers", default=[])]
    kind: HopKind = "pod"
    if fault.container in inits:
        kind = "model-download"
    elif fault.container == QUEUE_PROXY:
        kind = "queue-proxy"
    elif fault.container:
        kind = "model"
    if kind != "pod":
        node = dig(pod, "spec", "nodeName", default="a node")
        yield hop("pod", ref, "ok", f"is scheduled on {node}")
    remedy = remedy_for(ref, fault, ref.name)
    if kind == "model-download":
        remedy = f"see that the model exists and may be read; {remedy}"
    yield Hop(kind, str(ref), "broken", fault.message, fault.reason, remedy)


def _unseen_or_missing(scene: Scene, ref: Ref, kind: HopKind) -> Hop:
    why = scene.cannot_see(ref.kind, ref.namespace)
    if why:
        return hop(kind, ref, "unknown", f"could not look: {why}")
    remedy = "the controllers make it again when the InferenceService is changed or recreated"
    return hop(kind, ref, "broken", "does not exist", reason="NotFound", remedy=remedy)
