"""Limits on local storage: emptyDir sizes and containers' ephemeral-storage, measured like du."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcp_tui.demo.kubelet.quantity import limit_bytes, parse_quantity
from mcp_tui.demo.kubelet.volumes import used_bytes

Json = dict[str, Any]


def storage_limited(spec: Json) -> bool:
    """Whether anything of the pod has a limit on local storage."""
    return any(
        (v.get("emptyDir") or {}).get("sizeLimit") for v in spec.get("volumes") or []
    ) or any(_limit(c) for c in spec["containers"])


def _limit(container: Json) -> int | None:
    return limit_bytes(container.get("resources"), "ephemeral-storage")


def _text(container: Json) -> str:
    return str(container["resources"]["limits"]["ephemeral-storage"])


def storage_fault(spec: Json, directory: Path) -> str | None:
    """What is over its limit, in the words of a kubelet's eviction; None if nothing is.

    Blocking: walks the pod's directories; for a worker thread.
    """
    total = 0
    for volume in spec.get("volumes") or []:
        if "emptyDir" not in volume:
            continue
        used = used_bytes(directory / "volumes" / volume["name"])
        total += used
        size = (volume["emptyDir"] or {}).get("sizeLimit")
        if size and used > parse_quantity(size):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{size}". '
    shares = {}
    for container in spec["containers"]:
        name = container["name"]
        shares[name] = used_bytes(directory / "containers" / name) + used_bytes(
            directory / "logs" / name
        )
    limits = {c["name"]: _limit(c) for c in spec["containers"]}
    if all(limits.values()):
        allowed = sum(limit or 0 for limit in limits.values())
        if total + sum(shares.values()) > allowed:
            named = _text(spec["containers"][0]) if len(limits) == 1 else str(allowed)
            return (
                f"Pod ephemeral local storage usage exceeds the total limit of containers {named}. "
            )
    for container in spec["containers"]:
        limit = limits[container["name"]]
        if limit and shares[container["name"]] > limit:
            return (
                f"Container {container['name']} exceeded its local ephemeral storage limit"
                f' "{_text(container)}". '
            )
    return None
