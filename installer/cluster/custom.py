"""Readiness of custom resources: which condition says it, and which of its answers are final.

Where a row comes from: Knative's API conventions (`Ready` True, Unknown while working, False when
failed), recordings of KFServing 0.5.1, cert-manager's API reference (reasons of `Ready`), Gateway
API (`Programmed`; `Accepted` for a GatewayClass). Kinds without a row but with conditions are
judged by `Ready`, else `Available`, as kstatus does; kinds without a status are ready when they
exist (Istio's configuration, serving runtimes).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from installer.cluster.verdicts import READY, Readiness, Rule, failed, progressing, said
from installer.core.objects import Object, conditions, dig
from installer.plan.serving_kinds import GROUPS


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """Judges by one condition, which must be there.

    final: reasons with which False is a failure; None: any False is one.
    """

    condition: str = "Ready"
    final: Collection[str] | None = ()

    def __call__(self, obj: Object) -> Readiness:
        """The verdict; fails closed: no condition, not ready."""
        condition = conditions(obj).get(self.condition)
        if condition is None:
            return progressing("NoCondition", f"its controller has not set {self.condition} yet")
        stale = condition.get("observedGeneration")
        generation = dig(obj, "metadata", "generation")
        if isinstance(stale, int) and isinstance(generation, int) and stale < generation:
            return progressing("NotObserved", "its controller has not seen the last change yet")
        if condition.get("status") == "True":
            return READY
        reason, message = said(condition, f"Not{self.condition}")
        if condition.get("status") == "False" and (self.final is None or reason in self.final):
            return failed(reason, message)
        return progressing(reason, message)


def _exists(_obj: Object) -> Readiness:
    return READY


def _when_reported(obj: Object) -> Readiness:
    """For kinds that an optional controller handles: Knative ships a Certificate that nobody
    looks at unless internal encryption and its certificate controller are installed."""
    return _READY_CONDITION(obj) if conditions(obj) else READY


def _inference_service(obj: Object) -> Readiness:
    verdict = ConditionRule(final=_MODEL_FAILURES)(obj)
    if verdict.state == "failed" and not verdict.message:
        verdict = failed(verdict.reason, _deepest_message(obj))
    transition = dig(obj, "status", "modelStatus", "transitionStatus")
    if verdict.state == "progressing" and transition in ("InvalidSpec", "BlockedByFailedLoad"):
        info = dig(obj, "status", "modelStatus", "lastFailureInfo", default={})
        return failed(str(info.get("reason") or transition), str(info.get("message") or ""))
    return verdict


def _deepest_message(obj: Object) -> str:
    """The longest message of any condition that is False: the top one is often empty."""
    texts = [
        str(c.get("message") or "") for c in conditions(obj).values() if c.get("status") == "False"
    ]
    return max(texts, key=len, default="")


# Recorded with KFServing 0.5.1: False stays False with these until something is changed.
_MODEL_FAILURES = ("RevisionFailed", "RevisionMissing", "ConfigurationFailed")
_ISSUANCE_FAILURES = ("Failed", "Denied", "InvalidRequest")

_KNATIVE = ConditionRule(final=None)
_READY_CONDITION = ConditionRule()

_ROWS: dict[tuple[str, str], Rule] = {
    ("serving.knative.dev", "Service"): _KNATIVE,
    ("serving.knative.dev", "Configuration"): _KNATIVE,
    ("serving.knative.dev", "Revision"): _KNATIVE,
    ("serving.knative.dev", "Route"): _KNATIVE,
    ("serving.knative.dev", "DomainMapping"): ConditionRule(),
    ("networking.internal.knative.dev", "Ingress"): ConditionRule(),
    ("networking.internal.knative.dev", "Certificate"): _when_reported,
    # the kubelets' image cache object: its status is empty wherever no caching controller runs
    ("caching.internal.knative.dev", "Image"): _exists,
    ("cert-manager.io", "Certificate"): ConditionRule(final=_ISSUANCE_FAILURES),
    ("cert-manager.io", "CertificateRequest"): ConditionRule(final=_ISSUANCE_FAILURES),
    ("cert-manager.io", "Issuer"): ConditionRule(),
    ("cert-manager.io", "ClusterIssuer"): ConditionRule(),
    ("gateway.networking.k8s.io", "Gateway"): ConditionRule("Programmed", ("Invalid",)),
    ("gateway.networking.k8s.io", "GatewayClass"): ConditionRule("Accepted", ("Unsupported",)),
    **{
        (group, kind): rule
        for group in GROUPS
        for kind, rule in (
            ("InferenceService", _inference_service),
            ("TrainedModel", ConditionRule()),
            ("InferenceGraph", ConditionRule()),
            ("LLMInferenceService", ConditionRule()),
            ("ServingRuntime", _exists),
            ("ClusterServingRuntime", _exists),
        )
    },
}


def custom_rule(group: str, kind: str) -> Rule:
    """The rule for a kind that is not Kubernetes' own."""
    return _ROWS.get((group, kind), _unknown_kind)


def _unknown_kind(obj: Object) -> Readiness:
    have = conditions(obj)
    if have.get("Stalled", {}).get("status") == "True":
        return failed(*said(have["Stalled"], "Stalled"))
    if have.get("Reconciling", {}).get("status") == "True":
        return progressing(*said(have["Reconciling"], "Reconciling"))
    for condition in ("Ready", "Available"):
        if condition in have:
            return ConditionRule(condition)(obj)
    return READY
