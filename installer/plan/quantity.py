"""Kubernetes quantities as numbers. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([numkKMGTPE]i?)?)")
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}


def quantity(value: object) -> Decimal:
    """`500m` is 0.5, `1Gi` 1073741824, `2e3` 2000; ValueError with the text otherwise.

    Source: apimachinery, `pkg/api/resource/quantity.go`.
    """
    text = str(value).strip()
    match = _FORM.fullmatch(text)
    suffix = match[3] or "" if match else ""
    if not match or suffix not in _SUFFIXES or match[1].count(".") > 1 or match[1] == ".":
        raise ValueError(f"{text!r} is not a quantity such as 500m or 1Gi")
    return Decimal(match[1]).scaleb(int(match[2] or 0)) * _SUFFIXES[suffix]
