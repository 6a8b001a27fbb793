"""Knative's controllers for one Revision: from its image to pods behind Services."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from installer.core.objects import Object, conditions, dig
from installer.sandbox.simulators.roles import ACTIVATOR, KNATIVE_AUTOSCALER
from installer.sandbox.simulators.serving import revision_forms as forms
from installer.sandbox.simulators.serving import status as words
from installer.sandbox.simulators.serving.base_forms import KNATIVE, QUEUE_PORT
from installer.sandbox.simulators.serving.scaling import MANAGER as AUTOSCALER
from installer.sandbox.simulators.serving.scaling import Scaling
from installer.sandbox.simulators.serving.settings import Settings
from installer.sandbox.simulators.serving.status import Outcome
from installer.sandbox.simulators.serving.world import Objects, addresses
from installer.sandbox.simulators.world import seconds_since

MANAGER = "controller"
DIGESTS = 6.2
"""Seconds that looking up an image's digest took when recorded."""

INSTANT_PROGRESS_SECONDS = 4
"""progressDeadlineSeconds where delays are zero: long enough for simulated pods, short enough to
wait for."""

QUEUE = "queue-proxy"


class Revisions:
    """Makes of each Revision what Knative's controllers make of it."""

    def __init__(self, objects: Objects, settings: Settings, scaling: Scaling) -> None:
        self._objects = objects
        self._world = objects.world
        self._settings = settings
        self._scaling = scaling

    def reconcile(self, revision: Object) -> tuple[Outcome, float | None]:
        """One step; gives how far the Revision is, and after how long to look again."""
        container = revision["spec"]["containers"][0]
        image = container["image"]
        wait = self._world.delay(DIGESTS) - seconds_since(revision["metadata"]["creationTimestamp"])
        resolving = self._settings.resolves(image)
        if resolving and wait > 0:
            return self._told(revision, Outcome("resolving"), None), wait
        rule = self._world.script.current().image_rule(image)
        if resolving and rule and rule.fail == "no-such-tag":
            missing = Outcome("missing", "ContainerMissing", _no(image))
            return self._told(revision, missing, None), None
        digest = resolved(image) if resolving else image
        pods = max(1, self._scaling.of(revision).decision.pods)
        body = forms.deployment(revision, digest, self._settings.queue_image, pods)
        if self._world.instant:
            body["spec"]["progressDeadlineSeconds"] = INSTANT_PROGRESS_SECONDS
        deployment = self._with_queue(self._objects.ensure(body, MANAGER))
        self._objects.ensure(forms.caching_image(revision, digest), MANAGER)
        autoscaler = self._objects.ensure(forms.pod_autoscaler(revision), MANAGER)
        active = conditions(self._autoscale(revision, autoscaler)).get("Active")
        outcome = self._outcome(revision, deployment, container["name"])
        entry = {"name": container["name"], "imageDigest": digest}
        more = {
            "containerStatuses": [entry],
            "imageDigest": digest,
            "serviceName": revision["metadata"]["name"],
        }
        return self._told(revision, outcome, active, **more), None

    def _with_queue(self, deployment: Object) -> Object:
        """The Deployment with the queue-proxy of the Knative that runs: another one has every pod
        replaced (knative/serving#11092)."""
        image = self._settings.queue_image
        containers = dig(deployment, "spec", "template", "spec", "containers", default=[])
        wanted = [{**c, "image": image} if c["name"] == QUEUE else c for c in containers]
        if wanted == containers:
            return deployment
        spec = {"template": {"spec": {"containers": wanted}}}
        return self._objects.merge(deployment, {"spec": spec}, MANAGER)

    def _told(
        self,
        revision: Object,
        outcome: Outcome,
        active: Mapping[str, Any] | None,
        **more: Any,
    ) -> Outcome:
        self._objects.tell(revision, words.of_revision(outcome, active), MANAGER, **more)
        return outcome

    def _outcome(self, revision: Object, deployment: Object, container: str) -> Outcome:
        labels = {f"{KNATIVE}/revisionUID": revision["metadata"]["uid"]}
        pods = self._objects.pods(labels, revision["metadata"]["namespace"])
        was_ready = conditions(revision).get("Ready", {}).get("status") == "True"
        if was_ready and not pods:
            return Outcome("ready")  # scaled to zero
        return words.outcome_of(deployment, pods, container)

    def _autoscale(self, revision: Object, autoscaler: Object) -> Object:
        if self._world.paused(KNATIVE_AUTOSCALER) or not self._world.running(KNATIVE_AUTOSCALER):
            return autoscaler
        scaled = self._scaling.of(revision)
        spec = scaled.model.spec
        decision = scaled.decision
        body = forms.serverless_service(autoscaler, self._settings.knative)
        sks = self._objects.ensure(body, AUTOSCALER)
        windows = spec.stable_window, spec.panic_window
        metric = self._objects.ensure(forms.metric(autoscaler, *windows), AUTOSCALER)
        self._objects.tell(metric, [words.condition("Ready", True)], AUTOSCALER)
        mode = "Proxy" if decision.proxied else "Serve"
        # all of it, as the new autoscaler after an upgrade: Knative 1.6 spells a field anew
        wanted = {**body["spec"], "mode": mode, "numActivators": decision.activators}
        if any(dig(sks, "spec", key) != value for key, value in wanted.items()):
            sks = self._objects.merge(sks, {"spec": wanted}, AUTOSCALER)
        ready = self._serve(revision, sks, proxied=mode == "Proxy")
        found = words.of_autoscaler(
            ready_pods=ready,
            wanted=decision.pods,
            initialized=scaled.initialized or ready > 0,
            private_ready=ready > 0,
            idle=scaled.idle,
        )
        numbers = self._scaling.report(autoscaler, scaled, ready)
        return self._objects.tell(autoscaler, found, AUTOSCALER, **numbers)

    def _serve(self, revision: Object, sks: Object, *, proxied: bool) -> int:
        """Keep the Services of a ServerlessService; gives how many pods are ready."""
        uid = revision["metadata"]["uid"]
        bodies = forms.revision_services(sks, uid)
        private, public = (self._objects.ensure(body, MANAGER) for body in bodies)
        place = private["metadata"]["namespace"], private["metadata"]["name"]
        ready = addresses(self._world.endpoints.get(*place))
        behind = self._activators() if proxied or not ready else ready
        port = {"name": "http", "port": QUEUE_PORT, "protocol": "TCP"}
        subsets = [{"addresses": behind, "ports": [port]}] if behind else []
        body = forms.public_endpoints(public, subsets)
        known = self._objects.ensure(body, MANAGER)
        if _ips(known) != _ips(body):
            self._objects.merge(known, {"subsets": subsets}, MANAGER)
        found = words.of_serverless_service(bool(ready), proxied)
        names = {"serviceName": place[1].removesuffix("-private"), "privateServiceName": place[1]}
        self._objects.tell(sks, found, MANAGER, **names)
        return len(ready)

    def _activators(self) -> list[Mapping[str, Any]]:
        return [
            {
                "ip": dig(pod, "status", "podIP"),
                "nodeName": dig(pod, "spec", "nodeName"),
                "targetRef": {
                    "kind": "Pod",
                    "namespace": pod["metadata"]["namespace"],
                    "name": pod["metadata"]["name"],
                    "uid": pod["metadata"]["uid"],
                },
            }
            for pod in self._world.running(ACTIVATOR)
            if conditions(pod).get("Ready", {}).get("status") == "True"
        ]


def _ips(endpoints: Object) -> list[str]:
    return sorted(str(address["ip"]) for address in addresses(endpoints))


def resolved(image: str) -> str:
    """An image with a made-up digest, and the registry that Docker's short names mean."""
    tagged = ":" in image.rpartition("/")[2]
    repository = image.rpartition(":")[0] if tagged else image
    first = repository.split("/")[0]
    if "." not in first and ":" not in first:
        short = repository if "/" in repository else f"library/{repository}"
        repository = f"index.docker.io/{short}"
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _no(image: str) -> str:
    repository, _, tag = image.rpartition(":")
    where = f"https://index.docker.io/v2/{repository}/manifests/{tag}"
    return (
        f'Unable to fetch image "{image}": failed to resolve image to digest: HEAD {where}: '
        "unsupported status code 404"
    )
