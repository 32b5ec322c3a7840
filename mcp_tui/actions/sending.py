"""One write of a plan sent, once, and what a plan left half-made cleared away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from mcp_tui.actions.aliaslook import MODEL_VERSION
from mcp_tui.actions.ledger import NOTHING_SENT, Ledger, changes
from mcp_tui.actions.look import Wire, look, made_before, recheck, settle, why_refused
from mcp_tui.actions.template import fill, pick, unfilled, words
from mcp_tui.domain.alias import intent_key
from mcp_tui.domain.plan import OutcomeStatus, Plan, Write
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, McpTuiError, UnknownOutcomeError

Progress = Callable[[str], None]

GRACE: Final = 3.0
"""Seconds that a write which is on its way has to be answered once somebody interrupts."""
LAST_LOOK: Final = 3.0
"""Seconds to look for what an unanswered write did then, and again to end a run."""


async def send_once(plan: Plan, write: Write, wire: Wire, ledger: Ledger) -> dict[str, Any]:
    """Send one write, once; if no answer comes back, look for what it did.

    Raises:
        UnknownOutcomeError: Looking did not settle it.
        McpTuiError: It was refused, or nothing was sent.
    """
    path = fill(write.path, ledger.values)
    body = fill(write.body, ledger.values)
    await recheck(plan, write, wire, path, body)
    ledger.sending = write
    try:
        if write.system == "mlflow":
            answer = await wire.mlflow(write.method, path, body)
        else:
            answer = await wire.kubernetes(write.method, path, body, write.content_type)
        lost = [name for name, where in write.yields if not pick(answer, where)]
        if lost:
            raise UnknownOutcomeError(f"the answer to {words(write.summary)} holds no {lost[0]}")
    except UnknownOutcomeError as unknown:
        answer = await settle(plan, write, wire, path, body, unknown)
    except ApiError as error:
        made = await made_before(plan, write, wire, path, body, error)
        if made is None:
            raise await why_refused(write, wire, path, body, error) from None
        answer = made
    ledger.sending = None
    return answer


async def clear_away(
    writes: Sequence[Write], plan: Plan, wire: Wire, ledger: Ledger, index: int
) -> list[str]:
    """Clear away what a target left half-made; what cannot be is said, not raised.

    A job that cannot be taken away goes on, and so does its run.

    Returns:
        The summaries of what was done.
    """
    done: list[str] = []
    for write in writes:
        path, body = fill(write.path, ledger.values), fill(write.body, ledger.values)
        if write.target != index or unfilled(path) or unfilled(body):
            continue  # The write that would have yielded it never got through.
        if plan.move is not None and not _intended(plan, ledger):
            continue  # There is no intent that an end would belong to.
        try:
            await send_once(plan, write, wire, ledger)
        except McpTuiError as error:
            ledger.warnings.append(f"{words(write.summary)}: {error.line()}")
            ledger.sending = None
            if write.system == "kubernetes":
                ledger.left(index)
                break
        else:
            done.append(words(fill(write.summary, ledger.values)))
    return done


def _intended(plan: Plan, ledger: Ledger) -> bool:
    """Whether the intent of an alias' move is on record, or may be."""
    known = ledger.tried if ledger.interrupted else ledger.done
    key = intent_key(plan.id)
    return any(isinstance(w.body, Mapping) and w.body.get("key") == key for w in known)


async def take_back(plan: Plan, wire: Wire, ledger: Ledger, index: int) -> None:
    """End what was made for a target before the cluster was changed for it: its run is KILLED."""
    if not any(w.target == index for w in ledger.done):
        ledger.take_back(index, NOTHING_SENT)
        return
    ledger.take_back(index, await _ended(plan, wire, ledger, index))


async def _ended(plan: Plan, wire: Wire, ledger: Ledger, index: int) -> str:
    """How the run of a job that was not made ended, in words; or how an alias was left."""
    if any(t.kind == MODEL_VERSION for t in plan.targets):
        return await _left(plan, wire, ledger, index)
    said = "interrupted before the job was made"
    if "run_id" not in ledger.values:
        return said
    run = clean_line(ledger.values["run_id"])
    before = len(ledger.warnings)
    try:
        async with asyncio.timeout(LAST_LOOK):
            done = await clear_away(plan.interrupted, plan, wire, ledger, index)
    except TimeoutError:
        ledger.sending, done = None, []
    if done:
        return f"{said}; run {run} was marked KILLED"
    why = ledger.warnings[before].partition(": ")[2] if len(ledger.warnings) > before else ""
    return f"{said}; run {run} is still open: {why or 'MLflow did not answer'}"


async def _left(plan: Plan, wire: Wire, ledger: Ledger, index: int) -> str:
    """How a promotion is left that was interrupted before the alias was moved."""
    said = "interrupted before the alias was moved" if plan.move else "interrupted"
    made = ledger.values.get("version")
    said += f"; version {clean_line(made)} was made and stays" if made else ""
    before = len(ledger.warnings)
    try:
        async with asyncio.timeout(LAST_LOOK):
            await clear_away(plan.interrupted, plan, wire, ledger, index)
    except TimeoutError:
        ledger.sending = None
        return f"{said}; its intent stays on record: MLflow did not answer"
    if len(ledger.warnings) > before:
        said += f"; its intent stays on record: {ledger.warnings[before].partition(': ')[2]}"
    return said


async def in_order(
    send: Callable[[], Coroutine[Any, Any, None]],
    plan: Plan,
    wire: Wire,
    ledger: Ledger,
    progress: Progress,
) -> None:
    """Send writes; when interrupted, end what is begun in order, within a few seconds.

    A write that is on its way gets :data:`GRACE` to be answered. A job that was made by then is
    given what belongs to it (its Service, its run's tags) and goes on; what was made for one that
    was not is ended.

    Args:
        send: Sends what was not tried yet.

    Raises:
        CancelledError: It was interrupted; the ledger holds what is known by then.
    """
    task = asyncio.create_task(send())
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        ledger.interrupted = True
        progress("interrupted: ending what is begun")
        try:
            await asyncio.wait({task}, timeout=GRACE)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if await _cut_off(plan, wire, ledger):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_LOOK):
                        await send()
        raise


async def _cut_off(plan: Plan, wire: Wire, ledger: Ledger) -> bool:
    """Look, briefly, for what a write did that was given up on its way; end what it left.

    Returns:
        Whether the cluster was changed by it, so that what belongs to it is still to be sent.
    """
    write = ledger.sending
    if write is None or ledger.begun(write.target) or write.target in ledger.outcomes:
        return False
    index = write.target
    looked, found = await _look_once(plan, write, wire, ledger)
    if found is not None:
        ledger.sending = None
        ledger.sent(write, found)
        if ledger.begun(index):
            return True
    if write.system == "mlflow" and changes(write):
        return False  # It may still arrive: nobody can say that it was not done.
    if write.system == "mlflow":
        ledger.sending = None
        ledger.take_back(index, await _ended(plan, wire, ledger, index))
    elif looked and "run_id" in ledger.values:
        # The server says that no job of this plan is there; it may still arrive.
        said = await _ended(plan, wire, ledger, index)
        ledger.sending = None
        text = said.replace("before the job was made", "while the job was on its way: not there", 1)
        ledger.take_back(index, text, OutcomeStatus.UNKNOWN)
    return False


async def _look_once(
    plan: Plan, write: Write, wire: Wire, ledger: Ledger
) -> tuple[bool, dict[str, Any] | None]:
    """Whether it could be looked for, and what it made."""
    path, body = fill(write.path, ledger.values), fill(write.body, ledger.values)
    try:
        async with asyncio.timeout(LAST_LOOK):
            return True, await look(plan, write, wire, path, body)
    except (McpTuiError, TimeoutError):
        return False, None


def say(ledger: Ledger, progress: Progress) -> None:
    """Tell what an interrupted plan came to: a line for each target that anything was done for."""
    quiet = 0
    for outcome in ledger.as_known():
        if outcome.message == NOTHING_SENT and len(ledger.targets) > 1:
            quiet += 1
            continue
        progress(f"{clean_line(outcome.target.name)}: {outcome.message}")
    if quiet:
        progress(f"{quiet} more: {NOTHING_SENT}")
