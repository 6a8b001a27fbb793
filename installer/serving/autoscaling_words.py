"""What a revision's settings mean together, in sentences. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from installer.serving.autoscaling import HPA, KPA, Setting, per_pod


def sentences(found: Mapping[str, Setting], mode: str) -> Iterator[str]:
    """What follows from the settings; mode: of its ServerlessService, empty when not known."""
    kind = found["class"].value
    if kind == HPA:
        yield "Class hpa needs Knative's optional autoscaler-hpa, and never scales to zero."
    if kind != KPA:
        return
    room = per_pod(found)
    if room > 0:
        target, used = found["target"], found["utilization"].value
        yield f"One pod is for {room:g} {target.unit}: {target.value} × {used} %."
    yield _lower_end(found)
    yield _upper_end(found)
    burst = _burst(found)
    if burst:
        yield burst + (f" Now: {_MODES.get(mode, mode)}." if mode else "")
    yield _panic(found)


_MODES = {"Proxy": "it is in the path", "Serve": "it is not in the path"}


def _value(found: Mapping[str, Setting], name: str, fallback: str = "") -> str:
    return found[name].value if name in found else fallback


def _lower_end(found: Mapping[str, Setting]) -> str:
    least = int(found["min scale"].number)
    if least:
        pods = "1 pod" if least == 1 else f"{least} pods"
        return f"It never has fewer than {pods}, so no request waits for a first one to start."
    if _value(found, "scale to zero", "true") != "true":
        return "Scaling to zero is switched off for the whole cluster: one pod always stays."
    text = f"Without requests for {_value(found, 'window', '60s')} it scales to zero"
    grace = _value(found, "scale to zero grace")
    if grace:
        text += f", up to {grace} later where the network takes that long"
    retention = _value(found, "retention")
    if retention and retention not in ("0", "0s"):
        text += f", and not before the last pod has stayed {retention} (retention)"
    return (
        f"{text}. The next request then waits in the activator until a pod has started: a client's "
        "time limit must allow for that."
    )


def _upper_end(found: Mapping[str, Setting]) -> str:
    most = int(found["max scale"].number)
    if most:
        return f"It never has more than {most} pods; what is beyond them waits or is refused."
    return "There is no upper limit but the room on the nodes (max scale 0)."


def _burst(found: Mapping[str, Setting]) -> str:
    if "burst capacity" not in found:
        return ""
    burst, target = found["burst capacity"].number, found["target"].number
    if burst < 0:
        return "The activator is always in the path (burst capacity -1)."
    if burst == 0:
        return "The activator is in the path only while there is no pod (burst capacity 0)."
    if target <= 0:
        return ""
    pods = math.ceil(burst / target)
    return (
        f"The activator stays in the path until the pods have room for {burst:g} more requests "
        f"than they serve: with this target {pods} idle pods."
    )


def _panic(found: Mapping[str, Setting]) -> str:
    share, threshold = found.get("panic window"), found.get("panic threshold")
    if share is None or threshold is None:
        return "How it reacts to bursts cannot be told."
    return (
        f"Where the last {share.number:g} % of the window want {threshold.number:g} % of the pods "
        f"there are, it scales up at once, and not down again until {_value(found, 'window')} "
        "have passed without that."
    )
