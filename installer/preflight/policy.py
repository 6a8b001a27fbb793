"""What the cluster's own rules would refuse: Pod Security, quotas, policies, labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError, Failure
from installer.cluster.registrations import backend_of, entries
from installer.core.checks import Detail, failed, note, unknown, warning
from installer.core.objects import Object, Ref, dig, ref_of
from installer.plan.footprint import pod_spec_of
from installer.plan.wanted import Wanted
from installer.preflight.check import Check
from installer.preflight.existing_matching import Request, fails_closed, sees
from installer.preflight.existing_read import configurations, reachable, settled
from installer.preflight.existing_requests import requests_of
from installer.preflight.quotas import completed, constrained, demand_of, shortfalls, silent
from installer.preflight.world import World

_PARALLEL = 8
_SHOWN = 6
_PROBE = "kserve-installer-preflight-"
_REFUSED = ("denied", "forbidden", "quota", "invalid")
_NO_PREVIEW = ("dry-run-unsupported",)


def _pods(world: World) -> Iterator[Detail]:
    """The API server itself judges a pod of each workload that is to be made: a dry run passes
    Pod Security, LimitRange, quota and every policy engine."""
    existing = {dig(ns, "metadata", "name") for ns in world.namespaces}
    todo = [
        item
        for item in world.target.wanted
        if item.ref.namespace in existing
        and pod_spec_of(item.body)
        and world.target.decision(item) != "unchanged"
    ]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for details in pool.map(lambda item: list(_try_pod(world.cluster, item)), todo):
            yield from details


def _try_pod(cluster: Cluster, item: Wanted) -> Iterator[Detail]:
    failure = _dry_run(cluster, pod_of(item.body))
    if failure is not None and missing_account(failure):
        failure = _dry_run(cluster, pod_of(item.body, own_account=False))
    if failure is not None:
        yield from judged(item, failure)


def _dry_run(cluster: Cluster, pod: Object) -> Failure | None:
    try:
        cluster.create(pod, dry_run=True, retry=False)
    except ApiError as error:
        return error.failure
    return None


def pod_of(body: Object, *, own_account: bool = True) -> Object:
    """A pod as the workload's controller would make it; own_account: with its ServiceAccount,
    which is not there yet before the first install."""
    template = dig(body, "spec", "template", "metadata", default={})
    spec = dict(pod_spec_of(body) or {})
    if not own_account:
        spec = {key: value for key, value in spec.items() if key != "serviceAccountName"}
        spec.pop("serviceAccount", None)
    metadata = {key: template[key] for key in ("labels", "annotations") if template.get(key)}
    metadata |= {"generateName": _PROBE, "namespace": body["metadata"]["namespace"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def missing_account(failure: Failure) -> bool:
    """Whether only the pod's ServiceAccount is not there yet.

    Source: kubernetes, `plugin/pkg/admission/serviceaccount/admission.go`, Admit.
    """
    return (
        failure.code == 403
        and "service account" in failure.cause.replace("serviceaccount", "service account")
        and "not found" in failure.cause
    )


def judged(item: Wanted, failure: Failure) -> Iterator[Detail]:
    """What a refused dry run of a workload's pod means."""
    where = str(item.ref)
    if failure.kind in _NO_PREVIEW:
        yield note(f"pods of {where} cannot be previewed: {failure.cause}", where)
    elif failure.kind in _REFUSED and "cannot create resource" not in failure.cause:
        yield failed(
            f"a pod of {where} would be refused: {failure.cause}", _way_out(failure), where
        )
    else:
        yield unknown(f"could not try a pod of {where}: {failure.cause}", failure.remedy, where)


def _way_out(failure: Failure) -> str:
    if "violates PodSecurity" in failure.cause:
        return (
            "label the namespace pod-security.kubernetes.io/enforce=privileged (or baseline, "
            "where that is enough)"
        )
    if "pod security policy" in failure.cause.lower():
        return "bind the workload's ServiceAccount to a PodSecurityPolicy that allows it"
    return failure.remedy or "change the policy, or the workload with `deployments` in the settings"


def _quota(world: World) -> Iterator[Detail]:
    names = {item.ref.namespace for item in world.target.wanted if item.ref.namespace}
    for quota in world.listed("v1", "ResourceQuota"):
        namespace = quota["metadata"]["namespace"]
        if namespace in names:
            ranges = world.listed("v1", "LimitRange")
            ranges = [each for each in ranges if each["metadata"]["namespace"] == namespace]
            new, changed = (
                [
                    completed(item.body, ranges)
                    for item in world.target.wanted
                    if item.ref.namespace == namespace and world.target.decision(item) == decision
                ]
                for decision in ("create", "apply")
            )
            yield from quota_details(quota, new, changed)


def quota_details(
    quota: Object, new: Sequence[Object], changed: Sequence[Object]
) -> Iterator[Detail]:
    """What a quota would refuse of objects that are made, and of pods of those that change. Pure.

    new, changed: with the defaults of LimitRanges.
    """
    where = f"ResourceQuota {quota['metadata']['namespace']}/{quota['metadata']['name']}"
    for short in shortfalls(quota, demand_of(new)):
        yield failed(
            f"{where} allows {short.hard} of {short.resource}, {short.used} are used, and the "
            f"release needs {short.needed} more",
            f"raise {short.resource} of the quota",
            where,
        )
    missed = silent([*new, *changed], constrained(quota))
    if missed:
        resources = sorted({name for several in missed.values() for name in several})
        told = list(missed)[:_SHOWN]
        more = f" and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
        yield failed(
            f"{where} constrains {' and '.join(resources)}, which containers of "
            f"{', '.join(told)}{more} do not state: the API server would refuse their pods",
            f"create a LimitRange with defaults for them in namespace "
            f"{quota['metadata']['namespace']}, or set `resources` under `deployments` in the "
            "settings",
            where,
            workloads=dict(missed),
        )
    rolled = [body for body in changed if body["kind"] == "Deployment"]
    if rolled:
        yield note(
            f"{where} must leave room for one more pod of each Deployment that is changed "
            f"({len(rolled)}) while it is rolled out",
            where,
        )


def _foreign_webhooks(world: World) -> Iterator[Detail]:
    """Webhooks of others that are asked about our objects and refuse what they cannot see."""
    mine = settled(world) | {item.ref.identity for item in world.target.wanted}
    for configuration in configurations(world):
        ref = ref_of(configuration)
        strict = [e for e in entries(configuration) if fails_closed(e) and _served(world, e)]
        if ref.identity not in mine:
            yield from in_the_way(ref, strict, requests_of(world))


def _served(world: World, entry: Mapping[str, Any]) -> bool:
    """Whether something may answer; what cannot is told by the check existing-webhooks."""
    backend = backend_of(entry.get("clientConfig") or {})
    return backend is None or not reachable(world, backend.namespace, backend.name)


def in_the_way(
    ref: Ref, strict: Sequence[Mapping[str, Any]], requests: Sequence[Request]
) -> Iterator[Detail]:
    """What webhooks that fail closed mean for these requests; one detail, or none. Pure."""
    asking = [entry for entry in strict if any(sees(entry, request) for request in requests)]
    if not asking:
        return
    seen = [request for request in requests if any(sees(entry, request) for entry in asking)]
    names = [str(entry.get("name")) for entry in asking]
    count = "one request" if len(seen) == 1 else f"{len(seen)} requests"
    yield warning(
        f"{ref} ({', '.join(names)}) is asked about {count} of the install, first about "
        f"{seen[0].about}: it refuses them where it does not answer",
        "keep what answers for it running meanwhile, or have its namespaceSelector leave the "
        "release's namespaces out",
        str(ref),
        webhooks=names,
        requests=[request.about for request in seen],
    )


_ENGINES = (
    # group of its CRDs, name. Source: open-policy-agent/gatekeeper and kyverno/kyverno, their CRDs
    ("templates.gatekeeper.sh", "Gatekeeper"),
    ("constraints.gatekeeper.sh", "Gatekeeper constraints"),
    ("kyverno.io", "Kyverno"),
)


def _engines(world: World) -> Iterator[Detail]:
    discovery = world.cluster.discovery()
    for group, name in _ENGINES:
        if discovery.versions(group):
            yield warning(
                f"{name} is here: its policies are asked for every object, and those that are "
                "only audited, or match what controllers make later, do not show in a dry run",
                "exempt the release's namespaces where a policy would refuse them",
                group,
            )
    if discovery.find("policy/v1beta1", "PodSecurityPolicy") is not None:
        count = len(world.listed("policy/v1beta1", "PodSecurityPolicy", metadata_only=True))
        if count:
            yield warning(
                f"{count} PodSecurityPolicies are here; where their admission plugin is on, the "
                "release's service accounts need one that they may use",
                "bind system:serviceaccounts:NAMESPACE of each namespace of the release to one",
                "PodSecurityPolicy",
            )


_INJECTION = "istio-injection"
_CONTROL_PLANE = "control-plane"
_SYSTEM = ("kube-", "openshift", "istio", "knative", "cert-manager", "kfserving", "kserve")


def _labels(world: World) -> Iterator[Detail]:
    ours = {item.ref.name for item in world.target.wanted if item.ref.kind == "Namespace"}
    for namespace in world.namespaces:
        name = namespace["metadata"]["name"]
        yield from label_details(
            name, dig(namespace, "metadata", "labels", default={}), ours=name in ours
        )


def label_details(name: str, labels: Object, *, ours: bool) -> Iterator[Detail]:
    """What a namespace's labels switch on or off. ours: it is one of the release's.

    Sources: the pod mutator in the manifests of KFServing 0.5 to KServe 0.16 selects namespaces
    without the label `control-plane`; istiod's injector those with `istio-injection: enabled`.
    """
    where = f"Namespace {name}"
    if ours and labels.get(_INJECTION) == "enabled":
        yield warning(
            f"{where} is labelled {_INJECTION}=enabled: sidecars would be put into the release's "
            "own controllers",
            f"kubectl label namespace {name} {_INJECTION}-",
            where,
        )
    if not ours and _CONTROL_PLANE in labels and not name.startswith(_SYSTEM):
        yield warning(
            f"{where} has the label {_CONTROL_PLANE}: InferenceServices in it get no storage "
            "initializer, because the webhook passes over such namespaces",
            f"kubectl label namespace {name} {_CONTROL_PLANE}-",
            where,
        )


def _check(
    id: str, sentence: str, look: Callable[[World], Iterator[Detail]], *, objects: bool = True
) -> Check:
    return Check(id, "policy", sentence, look, objects)


CHECKS = (
    _check("policy-pods", "the cluster's policies let the release's pods run", _pods),
    _check("policy-quota", "quotas have room for the release", _quota),
    _check(
        "policy-webhooks",
        "no webhook of others stands before the release's objects",
        _foreign_webhooks,
    ),
    _check("policy-engines", "no policy engine is known to interfere", _engines, objects=False),
    _check("policy-labels", "labels of namespaces switch nothing off that serving needs", _labels),
)
