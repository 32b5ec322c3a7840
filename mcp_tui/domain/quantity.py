"""Kubernetes quantities: ``500m``, ``64Gi``, ``1e3``, exact.

The grammar is that of the API's ``resource.Quantity``: a signed decimal number and one suffix out
of n, u, m, k, M, G, T, P, E (powers of 1000), Ki to Ei (powers of 1024), or a decimal exponent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

ZERO: Final = Decimal(0)

_GRAMMAR: Final = re.compile(
    r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))"
    r"(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?"
)
_DECIMAL: Final = {
    name: Decimal(1000) ** power for name, power in zip("num", (-3, -2, -1), strict=True)
} | {name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", start=1)}
_BINARY: Final = {f"{name}i": Decimal(1024) ** n for n, name in enumerate("KMGTPE", start=1)}
_FACTORS: Final = _DECIMAL | _BINARY


# The same few quantities stand in thousands of manifests.
@lru_cache(maxsize=4096)
def parse(quantity: str | int | float) -> Decimal | None:
    """The value in base units (cores, bytes, devices); None for what is no quantity."""
    found = _GRAMMAR.fullmatch(str(quantity))
    if found is None:
        return None
    number, suffix, exponent = found.groups()
    value = Decimal(number)
    if suffix:
        return value * _FACTORS[suffix]
    return value.scaleb(int(exponent)) if exponent else value


def total(quantities: Iterable[str | int | float]) -> Decimal:
    """The sum; what is no quantity counts as nothing."""
    return sum((parse(quantity) or ZERO for quantity in quantities), ZERO)


def add(into: dict[str, Decimal], more: Mapping[str, Decimal], times: int = 1) -> None:
    """Add resources by name, in place."""
    for name, value in more.items():
        into[name] = into.get(name, ZERO) + value * times


@lru_cache(maxsize=1024)
def is_accelerator(resource: str) -> bool:
    """Whether a resource is a device: any name with a domain outside Kubernetes' own.

    ``nvidia.com/gpu``, ``google.com/tpu`` and ``amd.com/gpu`` are; ``hugepages-2Mi``,
    ``ephemeral-storage`` and ``kubernetes.io/batch-cpu`` are not, nor are network devices that
    training pods ask for beside their accelerators, nor a share of a device such as its memory.
    """
    domain, slash, name = resource.partition("/")
    return bool(
        slash
        and domain != "rdma"
        and not domain.endswith("kubernetes.io")
        and not _NETWORK.search(name)
        and not _SHARE.search(name)
    )


# EFA, InfiniBand and other RDMA devices, virtual functions of network cards, FUSE and KVM.
_NETWORK: Final = re.compile(r"^(?:efa|ib|fuse|kvm)\b|rdma|hca|sriov|netdevice|nic$|vf$")


# Megabytes of a device, per cents of its cores, a rank: as HAMi (nvidia.com/gpumem), Volcano
# (vgpu-memory), Alibaba (gpu-mem) and Tencent (vcuda-core) name them. A neuroncore is a device.
_SHARE: Final = re.compile(
    r"mem(?:ory)?(?:[-.](?:percentage|ratio))?$|(?:percentage|ratio)$|^priority$"
    r"|(?:gpu|dcu|gcu|cuda|(?:^|[-.])v)[-.]?cores?$"
)


# Cells are written anew with every frame, out of the same few figures.
@lru_cache(maxsize=4096)
def format_cpu(cores: Decimal | float) -> str:
    """Cores for a cell: ``8``, ``1.5``, ``250m``."""
    value = Decimal(str(cores))
    if value and abs(value) < 1:
        return f"{round(value * 1000)}m"
    return _short(value)


@lru_cache(maxsize=4096)
def format_bytes(size: Decimal | float) -> str:
    """Bytes for a cell in powers of 1024, three digits: ``64Gi``, ``1.5Gi``, ``512Ki``, ``12``."""
    value = Decimal(str(size))
    for name, factor in reversed(_BINARY.items()):
        # 1023.6Mi reads 1Gi, not 1024Mi.
        if abs(value) >= factor * Decimal("0.9995"):
            return _short(value / factor) + name
    return _short(value)


def format_count(count: Decimal | float) -> str:
    """Devices for a cell: ``8``, ``0.5``."""
    return _short(Decimal(str(count)))


def _short(value: Decimal) -> str:
    """At most three digits that matter, never an exponent, no zeros at the end."""
    if not value.is_finite():
        return "-"
    whole = len(str(abs(int(value))))
    text = f"{value:.{max(0, 3 - whole)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
