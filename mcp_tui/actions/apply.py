"""Apply a plan: send exactly the writes that were shown, in order, and say what became of each.

A write is sent once. If no answer comes back, what it made is looked for by the plan's id (a
create), or the object itself is looked at (a patch or a delete), and only then something is said.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from mcp_tui.actions.journal import Journal
from mcp_tui.actions.template import fill, pick
from mcp_tui.domain.keys import PLAN_ID
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Write
from mcp_tui.errors import ApiError, McpTuiError, RefusedError, UnknownOutcomeError


class Wire(Protocol):
    """How a write leaves: one method a system, answers as plain data."""

    async def kubernetes(
        self, method: str, path: str, body: Any, content_type: str
    ) -> dict[str, Any]:
        """Send one call to the API server; raises McpTuiError."""

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Send one call to MLflow; raises McpTuiError."""

    async def find_run(self, plan_id: str, experiment_id: str) -> str:
        """The id of the run that carries a plan's id; empty when there is none."""


Progress = Callable[[str], None]


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan's writes came to, before its effect was looked for.

    Attributes:
        outcomes: One a target that did not get through; the others await their proof.
        targets: The targets as they are now: a created one has its name and uid.
        values: What the writes yielded, such as ``run_id``.
        warnings: Optional writes that failed, in words.
    """

    outcomes: dict[int, Outcome]
    targets: tuple[Target, ...]
    values: dict[str, str]
    warnings: tuple[str, ...] = ()


async def apply_writes(plan: Plan, wire: Wire, *, progress: Progress) -> Applied:
    """Send a plan's writes in order.

    Args:
        plan: Checked and confirmed; refused when a check blocks it.
        wire: How writes leave.
        progress: Told what is happening, a line each.

    Raises:
        RefusedError: A check blocks the plan. Errors of single writes are outcomes, not raised.
    """
    if plan.blocked:
        raise RefusedError(plan.blocked[0].message, where=f"{plan.verb} {plan.context}")
    failed: dict[int, Outcome] = {}
    targets = list(plan.targets)
    values: dict[str, str] = {}
    warnings: list[str] = []
    for write in plan.writes:
        target = targets[write.target]
        if write.target in failed:
            continue
        progress(fill(write.summary, values))
        try:
            answer = await _send_once(plan, write, wire, values)
        except McpTuiError as error:
            if write.optional:
                warnings.append(f"{write.summary}: {error.line()}")
                continue
            unknown = isinstance(error, UnknownOutcomeError)
            failed[write.target] = Outcome(
                target=target,
                status=OutcomeStatus.UNKNOWN if unknown else OutcomeStatus.FAILED,
                message=error.line(),
            )
            continue
        for name, path in write.yields:
            values[name] = pick(answer, path)
        if "uid" in dict(write.yields):
            targets[write.target] = msgspec.structs.replace(
                target,
                name=pick(answer, "metadata.name") or target.name,
                uid=pick(answer, "metadata.uid") or target.uid,
            )
    return Applied(outcomes=failed, targets=tuple(targets), values=values, warnings=tuple(warnings))


async def _send_once(
    plan: Plan, write: Write, wire: Wire, values: dict[str, str]
) -> dict[str, Any]:
    path = fill(write.path, values)
    body = fill(write.body, values)
    try:
        if write.system == "mlflow":
            return await wire.mlflow(write.method, path, body)
        return await wire.kubernetes(write.method, path, body, write.content_type)
    except UnknownOutcomeError as unknown:
        return await _settle(plan, write, wire, path, body, unknown)


async def _compensate(
    plan: Plan, wire: Wire, failed: dict[int, Outcome], values: dict[str, str]
) -> list[str]:
    """Clear away what a failed target left half-made; what cannot be is said, not raised."""
    warnings: list[str] = []
    for write in plan.compensate:
        outcome = failed.get(write.target)
        if outcome is None or outcome.status is not OutcomeStatus.FAILED:
            continue
        path, body = fill(write.path, values), fill(write.body, values)
        if "{{" in path or (isinstance(body, dict) and "{{" in str(body.get("run_id", ""))):
            continue  # The write that would have yielded it never got through.
        try:
            await _send_once(plan, write, wire, values)
        except McpTuiError as error:
            warnings.append(f"{write.summary}: {error.line()}")
    return warnings


async def _settle(
    plan: Plan,
    write: Write,
    wire: Wire,
    path: str,
    body: Any,
    unknown: UnknownOutcomeError,
) -> dict[str, Any]:
    """Look for what a write without an answer did. Raises the unknown outcome if it stays so."""
    for pause in (0.0, 1.0, 3.0):
        await asyncio.sleep(pause)
        try:
            found = await _look(plan, write, wire, path, body)
        except McpTuiError:
            continue
        if found is not None:
            return found
    raise unknown


async def _look(
    plan: Plan, write: Write, wire: Wire, path: str, body: Any
) -> dict[str, Any] | None:
    if write.system == "mlflow":
        if not path.endswith("/runs/create"):
            return None
        run_id = await wire.find_run(plan.id, str(body.get("experiment_id", "")))
        info = {"run_id": run_id, "experiment_id": body.get("experiment_id", "")}
        return {"run": {"info": info}} if run_id else None
    bare = path.partition("?")[0]
    if write.method == "POST":
        selector = quote(f"{PLAN_ID}={plan.id}", safe="")
        listed = await wire.kubernetes("GET", f"{bare}?labelSelector={selector}", None, "")
        items = listed.get("items") or []
        return dict(items[0]) if items else None
    uid = plan.targets[write.target].uid
    try:
        found = await wire.kubernetes("GET", bare, None, "")
    except ApiError as error:
        if error.status == 404 and write.method == "DELETE":
            return {}
        raise
    same = pick(found, "metadata.uid") == uid
    if write.method == "DELETE":
        gone = not same or bool(pick(found, "metadata.deletionTimestamp"))
        return found if gone else None
    return found if same and _patched(found, body) else None


def _patched(found: dict[str, Any], patch: Any) -> bool:
    """Whether every value a JSON Patch sets stands in the object."""
    if not isinstance(patch, list):
        return False
    for step in patch:
        if step.get("op") not in ("add", "replace"):
            continue
        at: Any = found
        for part in str(step["path"]).strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            at = at.get(key) if isinstance(at, dict) else None
        if at != step.get("value"):
            return False
    return True


async def apply(
    plan: Plan,
    wire: Wire,
    *,
    journal: Journal,
    prove: Callable[[Plan, Target], Any],
    record: Callable[[Plan, Target, Outcome], Any],
    user: str,
    progress: Progress,
) -> tuple[tuple[Outcome, ...], Applied]:
    """Apply a plan from journal to proof.

    Args:
        prove: Awaited a target: watches for the effect; returns an :class:`Outcome`.
        record: Awaited a target: leaves a Kubernetes Event; its failure is only a warning.
        user: Who the cluster says we are.
        progress: Told what is happening.

    Returns:
        One outcome a target, in order, and what the writes came to.

    Raises:
        RefusedError: A check blocks the plan.
        UsageError: The journal cannot be written; nothing was sent then.
    """
    if plan.blocked:
        raise RefusedError(plan.blocked[0].message, where=f"{plan.verb} {plan.context}")
    journal.start(plan, at=time.time(), user=user, local_user=_local_user())
    outcomes: list[Outcome] = []
    try:
        applied = await apply_writes(plan, wire, progress=progress)
        live = [i for i in range(len(applied.targets)) if i not in applied.outcomes]
        if live:
            progress(f"waiting until {plan.until}" if plan.until else "waiting for the effect")
        proofs = await asyncio.gather(*(prove(plan, applied.targets[i]) for i in live))
        proven = dict(zip(live, proofs, strict=True))
        outcomes = [applied.outcomes.get(i) or proven[i] for i in range(len(applied.targets))]
        warnings = list(applied.warnings)
        for outcome in outcomes:
            if outcome.status is OutcomeStatus.FAILED:
                continue
            try:
                await record(plan, outcome.target, outcome)
            except McpTuiError as error:
                warnings.append(f"not recorded as an Event: {error.line()}")
        return tuple(outcomes), msgspec.structs.replace(applied, warnings=tuple(warnings))
    finally:
        if not outcomes:
            outcomes = [
                Outcome(
                    target=t,
                    status=OutcomeStatus.UNKNOWN,
                    message="interrupted before its outcome was known",
                )
                for t in plan.targets
            ]
        journal.end(plan, tuple(outcomes), at=time.time())


def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
