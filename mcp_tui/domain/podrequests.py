"""What pods ask for, as the scheduler counts it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

from mcp_tui.domain import quantity
from mcp_tui.domain.kube import PodSpec, Resources

_Items = tuple[tuple[str, str | int | float], ...]


def pod_requests(spec: PodSpec) -> dict[str, Decimal]:
    """What one pod asks for, as the scheduler counts it.

    Init containers run one after another before the others, so that the largest counts where it
    is larger than all others together; those that restart always are sidecars and run beside.
    A limit without a request is a request. What the pod asks for as a whole stands for what its
    containers do, of each resource that it names.
    """
    asked = _containers_requests(spec)
    shared = spec.resources
    for name, value in {**shared.limits, **shared.requests}.items():
        parsed = quantity.parse(value)
        # A limit alone bounds the containers, and is a request where none of them asks.
        if parsed is not None and (name in shared.requests or name not in asked):
            asked[name] = parsed
    return asked


def _containers_requests(spec: PodSpec) -> dict[str, Decimal]:
    beside: dict[str, Decimal] = {}
    largest: dict[str, Decimal] = {}
    for init in spec.init_containers:
        needs = container_requests(init.resources)
        if init.restart_policy == "Always":
            quantity.add(beside, needs)
            needs = {}
        for name in needs.keys() | beside.keys():
            value = needs.get(name, quantity.ZERO) + beside.get(name, quantity.ZERO)
            largest[name] = max(largest.get(name, quantity.ZERO), value)
    for container in spec.containers:
        quantity.add(beside, container_requests(container.resources))
    if not largest:
        return beside
    return {
        name: max(beside.get(name, quantity.ZERO), largest.get(name, quantity.ZERO))
        for name in beside.keys() | largest.keys()
    }


def container_requests(resources: Resources) -> dict[str, Decimal]:
    """What one container asks for, or what asks as one does."""
    if not (resources.limits or resources.requests):
        return {}
    merged = {**resources.limits, **resources.requests}
    parsed = ((name, quantity.parse(value)) for name, value in merged.items())
    return {name: value for name, value in parsed if value is not None}


def requests_of(spec: PodSpec, count: int) -> Mapping[str, Decimal]:
    """What ``count`` pods ask for; the same few requests stand in thousands of jobs."""
    shared = spec.resources
    if spec.init_containers or len(spec.containers) != 1 or shared.requests or shared.limits:
        return times(pod_requests(spec), count)
    resources = spec.containers[0].resources
    return _asked(tuple(resources.limits.items()), tuple(resources.requests.items()), count)


@lru_cache(maxsize=1024)
def _asked(limits: _Items, requests: _Items, count: int) -> Mapping[str, Decimal]:
    """What pods of one container ask for; shared, so that nobody may change it."""
    asked = container_requests(Resources(limits=dict(limits), requests=dict(requests)))
    return MappingProxyType(times(asked, count))


def times(resources: Mapping[str, Decimal], count: int) -> dict[str, Decimal]:
    """So many times the same."""
    return {name: value * count for name, value in resources.items()}
