"""Consoles keep out of each other's way by a Lease in the context's cluster, where they may.

MLflow has no compare-and-set. Whoever moves an alias takes a ``coordination.k8s.io`` Lease of the
model first and gives it back afterwards; one that was killed loses it when its time is over. Where
RBAC does not allow it, two consoles are told apart by the record alone (``domain/alias.py``), which
the checks of the plan say.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from mcp_tui.actions.template import pick
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Check, CheckStatus
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, McpTuiError, RefusedError, UnreachableError
from mcp_tui.sources.kubernetes.transport import KubeClient

GROUP: Final = "coordination.k8s.io"
NAMESPACE: Final = "default"
"""Where the Leases are: one place for all who share the cluster, wherever they work."""
SECONDS: Final = 120
"""How long one is held at most: longer than a move takes with all its waits."""
RELEASE: Final = 3.0
"""Seconds to give it back."""
LEASE: Final = "lease"
"""Name of the check."""


def lease_name(model: str) -> str:
    """The Lease of a model; its name may have any signs, a Lease's may not."""
    return f"mcp-tui-model-{hashlib.sha256(model.encode()).hexdigest()[:20]}"


def _path(name: str = "") -> str:
    root = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/leases"
    return f"{root}/{name}" if name else root


class _Held(msgspec.Struct, frozen=True):
    """A Lease as it was read, and the server's time then."""

    obj: Mapping[str, Any] | None
    now: float

    @property
    def holder(self) -> str:
        """Who holds it; empty when it is free, or its time is over."""
        if self.obj is None:
            return ""
        spec = self.obj.get("spec") or {}
        holder = clean_line(str(spec.get("holderIdentity") or ""), limit=200)
        return holder if holder and self.left > 0 else ""

    @property
    def left(self) -> float:
        """Seconds until it may be taken."""
        spec = (self.obj or {}).get("spec") or {}
        seconds = spec.get("leaseDurationSeconds")
        try:
            renewed = datetime.fromisoformat(str(spec.get("renewTime"))).timestamp()
        except (ValueError, OverflowError):
            return 0.0
        # One from the future is nobody's we know: it lasts no longer than it says from now on.
        length = float(seconds) if isinstance(seconds, int) else 0.0
        return min(renewed + length - self.now, length)


async def check(kube: KubeClient, model: str) -> Check:
    """Whether other consoles can be kept out, and whether one is at it now."""
    try:
        for verb in ("get", "create", "update"):
            answer = await kube.can_i(verb, GROUP, "leases", NAMESPACE)
            if not answer.allowed:
                said = (
                    f"you may not {verb} leases in {NAMESPACE}: another console is only found out"
                )
                return Check(name=LEASE, status=CheckStatus.WARNING, message=said)
        held = await _read(kube, lease_name(model))
    except McpTuiError as error:
        return Check(name=LEASE, status=CheckStatus.UNKNOWN, message=error.line())
    if held.holder:
        said = f"{held.holder} is at it, for {held.left:.0f} s at most"
        return Check(name=LEASE, status=CheckStatus.FAILED, message=said)
    said = f"other consoles are kept out by Lease {NAMESPACE}/{lease_name(model)} meanwhile"
    return Check(name=LEASE, status=CheckStatus.PASSED, message=said)


@contextlib.asynccontextmanager
async def held(
    kube: KubeClient, model: str, holder: str, progress: Callable[[str], None]
) -> AsyncIterator[None]:
    """Hold a model's Lease meanwhile; where that is not allowed, go on without, and say so.

    Raises:
        RefusedError: Another console holds it; nothing was done.
        McpTuiError: The API server cannot be asked.
    """
    name = lease_name(model)
    try:
        mine = await _take(kube, name, model, holder)
    except ApiError as error:
        if error.status not in (403, 404, 405):
            raise
        progress(f"warning: without a Lease: {error.line()}")
        yield
        return
    try:
        yield
    finally:
        giving = asyncio.ensure_future(_give_back(kube, name, mine))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(giving)
        if not giving.done():
            await asyncio.wait({giving}, timeout=RELEASE)


async def _read(kube: KubeClient, name: str) -> _Held:
    path = _path(name)
    try:
        reply = await kube.request("GET", path)
    except ApiError as error:
        if error.status == 404 and error.reason == "NotFound":
            return _Held(None, time.time())
        raise
    obj = kube.decoded(reply, dict[str, Any], kube.where("GET", path))
    return _Held(obj, _date(reply.headers))


def _date(headers: Mapping[str, str]) -> float:
    """The server's time: consoles' clocks differ, and a Lease is compared by one clock."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        return time.time()


async def _take(kube: KubeClient, name: str, model: str, holder: str) -> Mapping[str, Any]:
    found = await _read(kube, name)
    if found.holder:
        raise _refused(found)
    at = datetime.fromtimestamp(found.now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec: dict[str, Any] = {
        "holderIdentity": holder,
        "leaseDurationSeconds": SECONDS,
        "acquireTime": at,
        "renewTime": at,
    }
    meta: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {keys.MANAGED_BY: keys.MANAGER},
        "annotations": {"mcp-tui.io/model": clean_line(model, limit=1_000)},
    }
    method, path = "POST", _path()
    if found.obj is not None:
        method, path = "PUT", _path(name)
        meta["resourceVersion"] = pick(found.obj, "metadata.resourceVersion")
        before = (found.obj.get("spec") or {}).get("leaseTransitions")
        spec["leaseTransitions"] = (before if isinstance(before, int) else 0) + 1
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Lease", "metadata": meta, "spec": spec}
    try:
        made: Mapping[str, Any] = await kube.send(method, path, body, dict[str, Any])
        if _holds(made, holder):
            return made
        unknown: McpTuiError = UnreachableError(
            "the answer is no Lease", where=kube.where(method, path)
        )
    except McpTuiError as error:
        if isinstance(error, RefusedError) or getattr(error, "status", 409) in (403, 404, 405):
            raise
        unknown = error
    # Somebody was faster, or no answer came that makes sense: the Lease says who holds it.
    now = await _read(kube, name)
    if now.obj is not None and _holds(now.obj, holder):
        return now.obj
    raise _refused(now) if now.holder else unknown


def _holds(obj: Mapping[str, Any], holder: str) -> bool:
    return pick(obj, "spec.holderIdentity") == holder and bool(pick(obj, "metadata.name"))


def _refused(found: _Held) -> RefusedError:
    return RefusedError(
        f"another console is at it: {found.holder}; nothing was done",
        hint=f"look again when it is done (within {max(1, found.left):.0f} s)",
    )


async def _give_back(kube: KubeClient, name: str, mine: Mapping[str, Any]) -> None:
    """Set it free, if it is still ours; if that fails, its time ends by itself."""
    spec = {**(mine.get("spec") or {}), "holderIdentity": ""}
    spec.pop("renewTime", None)
    body = {**mine, "apiVersion": f"{GROUP}/v1", "kind": "Lease", "spec": spec}
    with contextlib.suppress(McpTuiError):
        await kube.request("PUT", _path(name), body=msgspec.json.encode(body), deadline=RELEASE)
