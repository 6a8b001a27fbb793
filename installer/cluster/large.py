"""CRDs so large that the API server takes them one at a time, and slowly.

The API server ends every write after 34 seconds (k8s.io/apiserver: requestTimeoutUpperBound), and
merging one of KServe's CRDs keeps a processor busy for long: several at once on a small control
plane all come to nothing, again and again. Measured on two processors that had seven times their
work: each of the three that KServe 0.16 brings (350 to 390 kB) ended with 504, twice, where
that of 0.15 (384 kB), by itself, was stored after 28 seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from installer.core.objects import Object

_LARGE = 200_000
"""Bytes of a CRD from which on it is: those of InferenceServices have 224 kB and more since 0.9."""


@dataclass(frozen=True, slots=True)
class Care:
    """How an object is written. alone: no other of its size at the same time. answer, retry: by
    how much longer its answer is waited for, and passing failures are tried again."""

    alone: bool = False
    answer: float = 1.0
    retry: float = 1.0


_USUAL = Care()
_ONE_AT_A_TIME = Care(alone=True, answer=1.3, retry=3.0)  # so that the server's own word is heard


def care_for(obj: Object) -> Care:
    """What writing the object takes."""
    if obj["kind"] == "CustomResourceDefinition" and len(json.dumps(obj)) > _LARGE:
        return _ONE_AT_A_TIME
    return _USUAL
