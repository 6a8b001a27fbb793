"""How a revision is scaled: each setting's effective value, and where it comes from. Pure.

Knative reads annotations of the revision, then ConfigMap config-autoscaler, then its own defaults
(knative/serving: pkg/apis/autoscaling/register.go, pkg/autoscaler/config). KFServing and KServe
write some of these annotations from fields of the InferenceService, and copy its own down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from installer.core.objects import Object, dig

PREFIX = "autoscaling.knative.dev/"
KPA = "kpa.autoscaling.knative.dev"
HPA = "hpa.autoscaling.knative.dev"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in effect. unit: of value, for reading. origin: where the value comes from."""

    name: str
    value: str
    unit: str
    origin: str

    @property
    def number(self) -> float:
        """The value as a number, 0 where it is none."""
        return number(self.value)


@dataclass(frozen=True, slots=True)
class Sources:
    """What settings are read from.

    service: the InferenceService. revision: None where there is none yet. config: data of
    config-autoscaler. defaults: of this version. predictor: spec of the component.
    """

    service: Object
    predictor: Mapping[str, Any]
    revision: Object | None
    config: Mapping[str, str]
    defaults: Mapping[str, str]
    version: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """annotations: their names below PREFIX, newest spelling first. field: of the component's spec
    in an InferenceService that its controller turns into the annotation. key: of the ConfigMap."""

    name: str
    annotations: tuple[str, ...] = ()
    field: str = ""
    key: str = ""
    unit: str = ""
    fallback: str = ""


_MOST = "pods (0: no limit)"
_RULES = (
    _Rule("class", ("class",), key="pod-autoscaler-class"),
    _Rule("metric", ("metric",), "scaleMetric"),
    _Rule("min scale", ("min-scale", "minScale"), "minReplicas", "min-scale", "pods", "0"),
    _Rule("max scale", ("max-scale", "maxScale"), "maxReplicas", "max-scale", _MOST, "0"),
    _Rule("initial scale", ("initial-scale", "initialScale"), key="initial-scale", unit="pods"),
    _Rule("window", ("window",), key="stable-window"),
    _Rule(
        "panic window",
        ("panic-window-percentage", "panicWindowPercentage"),
        key="panic-window-percentage",
        unit="% of the window",
    ),
    _Rule(
        "panic threshold",
        ("panic-threshold-percentage", "panicThresholdPercentage"),
        key="panic-threshold-percentage",
        unit="% of the pods there are",
    ),
    _Rule(
        "burst capacity",
        ("target-burst-capacity", "targetBurstCapacity"),
        key="target-burst-capacity",
        unit="requests",
    ),
    _Rule("scale to zero", key="enable-scale-to-zero"),
    _Rule("scale to zero grace", key="scale-to-zero-grace-period"),
    _Rule(
        "retention",
        ("scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod"),
        key="scale-to-zero-pod-retention-period",
    ),
    _Rule("scale down delay", ("scale-down-delay", "scaleDownDelay"), key="scale-down-delay"),
)
_TARGET = ("target",)
_UTILIZATION = ("target-utilization-percentage", "targetUtilizationPercentage")
_KNOWN = {name for rule in _RULES for name in rule.annotations} | {
    *_TARGET,
    *_UTILIZATION,
    "activation-scale",
    "metric-aggregation-algorithm",
}


def settings(sources: Sources) -> dict[str, Setting]:
    """Every setting of a revision, by name."""
    found = {rule.name: value for rule in _RULES if (value := _setting(sources, rule)) is not None}
    kind = found["class"].value if "class" in found else KPA
    if "metric" not in found:
        metric = "concurrency" if kind == KPA else "cpu"
        found["metric"] = Setting("metric", metric, "", f"Knative's default of class {kind}")
    found["container concurrency"] = _container_concurrency(sources)
    found["target"] = _target(sources, found)
    found["utilization"] = _utilization(sources)
    return found


def _setting(sources: Sources, rule: _Rule) -> Setting | None:
    annotated = _annotated(sources, rule.annotations, rule.field)
    if annotated is not None:
        return Setting(rule.name, annotated[0], rule.unit, annotated[1])
    found = _configured(sources, rule.key) if rule.key else None
    if found is not None:
        return Setting(rule.name, found[0], rule.unit, found[1])
    if rule.fallback:
        return Setting(rule.name, rule.fallback, rule.unit, _default(sources))
    return None


def _default(sources: Sources) -> str:
    return f"Knative's default of {sources.version or 'this version'}"


def _configured(sources: Sources, key: str) -> tuple[str, str] | None:
    if key in sources.config:
        return str(sources.config[key]), f"config-autoscaler: {key}"
    if key in sources.defaults:
        return str(sources.defaults[key]), _default(sources)
    return None


def _annotated(sources: Sources, names: tuple[str, ...], field: str = "") -> tuple[str, str] | None:
    """An annotation of the revision, and who wrote it; of the InferenceService before there is
    a revision."""
    own = dig(sources.service, "metadata", "annotations", default={})
    revision = dig(sources.revision or {}, "metadata", "annotations", default={})
    for name in names:
        key = PREFIX + name
        if key in (revision if sources.revision is not None else own):
            value = str(revision.get(key, own.get(key)))
            return value, _writer(sources, name, own, field, value)
    if sources.revision is None and field in sources.predictor:
        return str(sources.predictor[field]), f"InferenceService: spec.predictor.{field}"
    return None


def _writer(sources: Sources, name: str, own: Mapping[str, str], field: str, value: str) -> str:
    if str(own.get(PREFIX + name)) == value:
        return f"annotation {PREFIX}{name} of the InferenceService"
    if field and field in sources.predictor:
        return f"InferenceService: spec.predictor.{field}"
    if field == "minReplicas" and value == "1":
        return "default of KFServing and KServe: minReplicas is 1 unless it is given"
    if name == "class" and value == KPA:
        return "set by KFServing and KServe"
    return f"annotation {PREFIX}{name} of the revision"


def _container_concurrency(sources: Sources) -> Setting:
    name, unit = "container concurrency", "requests a pod (0: no limit)"
    value = dig(sources.revision or {}, "spec", "containerConcurrency")
    if value is None:
        value = sources.predictor.get("containerConcurrency")
    if "containerConcurrency" in sources.predictor:
        origin = "InferenceService: spec.predictor.containerConcurrency"
        return Setting(name, str(value), unit, origin)
    return Setting(name, str(value or 0), unit, "default of Knative")


def _target(sources: Sources, found: Mapping[str, Setting]) -> Setting:
    """What one pod is meant for, before utilization (knative/serving:
    pkg/reconciler/autoscaling/resources/target.go)."""
    metric, limit = found["metric"].value, found["container concurrency"]
    unit = {"concurrency": "requests at a time", "rps": "requests a second"}.get(metric, metric)
    annotated = _annotated(sources, _TARGET, "scaleTarget")
    if annotated is not None:
        value, origin = annotated
        if metric == "concurrency" and 0 < limit.number < number(value):
            value, origin = limit.value, f"{limit.origin}, below the target {value}"
        return Setting("target", value, unit, origin)
    if metric == "concurrency" and limit.number:
        return Setting("target", limit.value, unit, limit.origin)
    key = "container-concurrency-target-default"
    if metric == "rps":
        key = "requests-per-second-target-default"
    value, origin = _configured(sources, key) or ("", _default(sources))
    if metric not in ("concurrency", "rps"):
        value, origin = "", "the HorizontalPodAutoscaler's"
    return Setting("target", value, unit, origin)


def _utilization(sources: Sources) -> Setting:
    unit = "% of the target"
    annotated = _annotated(sources, _UTILIZATION)
    key = "container-concurrency-target-percentage"
    value, origin = annotated or _configured(sources, key) or ("70", _default(sources))
    if 0 < number(value) <= 1:  # Knative takes such a value for a fraction
        value = f"{number(value) * 100:g}"
    return Setting("utilization", value, unit, origin)


def strange_annotations(service: Object) -> list[str]:
    """Annotations of the InferenceService that look like settings and are none."""
    own = dig(service, "metadata", "annotations", default={})
    return sorted(
        key for key in own if key.startswith(PREFIX) and key.removeprefix(PREFIX) not in _KNOWN
    )


@dataclass(frozen=True, slots=True)
class Expected:
    """What a load would lead to. pods: None where it cannot be told. why: the sum, or why not."""

    pods: int | None
    why: str


def per_pod(found: Mapping[str, Setting]) -> float:
    """What one pod is scaled for: target × utilization."""
    return found["target"].number * found["utilization"].number / 100


def expected_pods(found: Mapping[str, Setting], concurrency: float) -> Expected:
    """Pods for so many requests at the same time, all the time."""
    if found["class"].value != KPA:
        return Expected(None, f"class {found['class'].value} scales by {found['metric'].value}")
    if found["metric"].value != "concurrency":
        return Expected(
            None,
            f"the metric is {found['metric'].value}: pods follow requests a second, which depends "
            "on how long one takes",
        )
    room = per_pod(found)
    if room <= 0:
        return Expected(None, "the target is not known")
    pods = math.ceil(concurrency / room)
    target, used = found["target"].value, found["utilization"].value
    why = f"{concurrency:g} / ({target} × {used} %) = {concurrency / room:.2f}, so {pods}"
    least, most = int(found["min scale"].number), int(found["max scale"].number)
    if concurrency and pods < max(least, 1):
        pods, why = max(least, 1), f"{why}; at least {max(least, 1)}"
    if most and pods > most:
        pods, why = most, f"{why}; at most {most} (max scale)"
    return Expected(pods, why)


def number(text: str) -> float:
    """A number at the beginning of a text such as `70`, `10.0`; 0 where there is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0
