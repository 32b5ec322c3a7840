"""Kubernetes quantities, as far as a node needs them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)([A-Za-z]*)")
_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def parse_quantity(text: object) -> Decimal:
    """The value of a quantity such as ``500m``, ``64Gi`` or ``1e3``.

    Raises:
        ValueError: If it is not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[2] not in _SUFFIXES:
        raise ValueError(f"not a quantity: {str(text)!r}")
    return Decimal(match[1]) * _SUFFIXES[match[2]]


def limit_bytes(resources: object, name: str, kind: str = "limits") -> int | None:
    """A limit (or request) of a container's ``resources`` in whole bytes; None if there is none."""
    values = resources.get(kind) if isinstance(resources, dict) else None
    if not isinstance(values, dict) or name not in values:
        return None
    return int(parse_quantity(values[name]))
