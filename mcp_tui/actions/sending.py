"""One write of a plan sent, once, and what a plan left half-made cleared away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from mcp_tui.actions.aliaslook import MODEL_VERSION, MODELS
from mcp_tui.actions.ledger import NOTHING_SENT, Ledger, changes
from mcp_tui.actions.look import Wire, look, made_before, recheck, settle, why_refused
from mcp_tui.actions.runs import MLFLOW
from mcp_tui.actions.template import fill, pick, unfilled, words
from mcp_tui.domain import keys
from mcp_tui.domain.alias import intent_key
from mcp_tui.domain.plan import OutcomeStatus, Plan, Write
from mcp_tui.domain.text import clean_line, word
from mcp_tui.errors import ApiError, McpTuiError, UnknownOutcomeError

Progress = Callable[[str], None]

GRACE: Final = 3.0
"""Seconds that a write which is on its way has to be answered once somebody interrupts."""
LAST_LOOK: Final = 3.0
"""Seconds to look for what an unanswered write did then, and again to end a run."""
_NO_ANSWER: Final = "MLflow did not answer"


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
) -> None:
    """Clear away what a target left half-made; what cannot be is said, not raised.

    A job that cannot be taken away goes on, and so does its run.
    """
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
    """End what was made for a target whose change was not made; how it is left, in words."""
    before, trouble = len(ledger.warnings), ""
    try:
        async with asyncio.timeout(LAST_LOOK):
            await clear_away(plan.interrupted, plan, wire, ledger, index)
    except TimeoutError:
        ledger.sending, trouble = None, _NO_ANSWER
    if len(ledger.warnings) > before:
        trouble = ledger.warnings[before].partition(": ")[2] or _NO_ANSWER
    return _left(plan, ledger, trouble)


def _left(plan: Plan, ledger: Ledger, trouble: str) -> str:
    """How a run is left whose job was not made, or a model whose alias was not moved.

    Args:
        trouble: Why what was begun could not be ended; empty when it was, or there is nothing.
    """
    if any(t.kind == MODEL_VERSION for t in plan.targets):
        said = "interrupted before the alias was moved" if plan.move else "interrupted"
        made = ledger.values.get("version")
        said += f"; version {clean_line(made)} was made and stays" if made else ""
        return f"{said}; its intent stays on record: {trouble}" if trouble else said
    said = "interrupted before the job was made"
    if "run_id" not in ledger.values:
        return said
    how = f"is still open: {trouble}" if trouble else "was marked KILLED"
    return f"{said}; run {clean_line(ledger.values['run_id'])} {how}"


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
        try:
            progress("interrupted: ending what is begun")
            await asyncio.wait({task}, timeout=GRACE)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if await _cut_off_at_last(plan, wire, ledger):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_LOOK):
                        await send()
        raise


async def _cut_off_at_last(plan: Plan, wire: Wire, ledger: Ledger) -> bool:
    """:func:`_cut_off`; whoever interrupts that too is still told what came of it."""
    try:
        return await _cut_off(plan, wire, ledger)
    except asyncio.CancelledError:
        if ledger.sending in (*plan.interrupted, *plan.compensate):
            await _ending_cut_off(plan, ledger.sending, wire, ledger)
        raise


async def _cut_off(plan: Plan, wire: Wire, ledger: Ledger) -> bool:
    """Look, briefly, for what a write did that was given up on its way; end what it left.

    Returns:
        Whether the cluster was changed by it, so that what belongs to it is still to be sent.
    """
    write = ledger.sending
    if write is not None and write in (*plan.interrupted, *plan.compensate):
        await _ending_cut_off(plan, write, wire, ledger)
        return False
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
    still = "" if found is not None else _may_be_made(plan, write, ledger)
    if still:
        said = ledger.as_known()[index].message
        ledger.take_back(index, f"{said}; {still}", OutcomeStatus.UNKNOWN)
        ledger.sending = None
    elif write.system == "mlflow":
        ledger.sending = None
        ledger.take_back(index, await _ended(plan, wire, ledger, index))
    elif looked and "run_id" in ledger.values:
        # The server says that no job of this plan is there; it may still arrive.
        text = "interrupted while the job was on its way: not there"
        ledger.take_back(index, f"{text}; how its run ended is unknown", OutcomeStatus.UNKNOWN)
        said = await _ended(plan, wire, ledger, index)
        ledger.sending = None
        text += said.removeprefix("interrupted before the job was made")
        ledger.take_back(index, text, OutcomeStatus.UNKNOWN)
    return False


async def _ending_cut_off(plan: Plan, write: Write, wire: Wire, ledger: Ledger) -> None:
    """Look, briefly, for what a write did that was to end what is begun, and was given up on its
    way itself, as somebody interrupted twice; it is not sent again."""
    _, found = await _look_once(plan, write, wire, ledger)
    ledger.sending = None
    if write.target not in ledger.outcomes:
        trouble = "" if found is not None else _NO_ANSWER
        ledger.take_back(write.target, _left(plan, ledger, trouble))
    elif found is None and write.system == "kubernetes":
        ledger.left(write.target)


def _may_be_made(plan: Plan, write: Write, ledger: Ledger) -> str:
    """What MLflow may still make of a write that it did not answer, and how to find it."""
    body = fill(write.body, ledger.values)
    of = f"mcp-tui --context {word(plan.context)}"
    match write.path.removeprefix(MLFLOW) if write.system == "mlflow" else "":
        case "/runs/create":
            mine = word(f'tags."{keys.TAG_PLAN_ID}" = "{plan.id}"')
            experiment = word(str(body.get("experiment_id", "")))
            return f"the run may still be made: {of} run ls -e {experiment} --filter {mine}"
        case "/experiments/create":
            return f"the experiment may still be made, and is empty then: {of} run experiments"
        case "/registered-models/create" | "/model-versions/create":
            what = "model" if write.path.startswith(MODELS) else "version"
            return f"the {what} may still be made: {of} model show {word(str(body.get('name')))}"
    return ""


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
