"""Apply a plan: send exactly the writes that were shown, in order, and say what became of each.

A write is sent once. If no answer comes back, what it made is looked for (``look.py``), and only
then something is said. Once the outcome of one write stays unknown, nothing more is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp_tui.actions.journal import Journal
from mcp_tui.actions.ledger import Ledger
from mcp_tui.actions.look import Wire
from mcp_tui.actions.sending import Progress, clear_away, in_order, say, send_once, take_back
from mcp_tui.actions.template import fill, words
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target
from mcp_tui.errors import McpTuiError, RefusedError

__all__ = ["Ledger", "Progress", "apply", "apply_writes", "begin", "end"]

Prove = Callable[[Plan, Mapping[int, Target]], Awaitable[Mapping[int, Outcome]]]
Record = Callable[[Plan, Target, Outcome], Awaitable[None]]


async def apply_writes(plan: Plan, wire: Wire, ledger: Ledger, *, progress: Progress) -> None:
    """Send a plan's writes in order.

    One target that fails stops its own later writes only, and what was made for it is cleared
    away; one whose outcome stays unknown stops everything.

    Once the ledger says that it is interrupted, no target is begun, and one that the cluster was
    not changed for yet is taken back. What was tried before is not sent again.

    Args:
        plan: Checked and confirmed.
        wire: How writes leave.
        ledger: Told what became of each.
        progress: Told what is happening, a line each.
    """
    for write in plan.writes:
        index = write.target
        if index in ledger.outcomes or any(write is each for each in ledger.tried):
            continue
        if ledger.interrupted and not ledger.begun(index):
            await take_back(plan, wire, ledger, index)
            continue
        progress(words(fill(write.summary, ledger.values)))
        ledger.tried.append(write)
        try:
            answer = await send_once(plan, write, wire, ledger)
        except McpTuiError as error:
            left = ledger.sending is not None
            ledger.sending = None
            if write.optional:
                summary = words(fill(write.summary, ledger.values))
                ledger.warnings.append(f"{summary}: {error.line()}")
                continue
            ledger.fail(index, error, left=left)
            if ledger.outcomes[index].status is OutcomeStatus.UNKNOWN:
                _stop(ledger, after=index)
                return
            await clear_away(plan.compensate, plan, wire, ledger, index)
            continue
        ledger.sent(write, answer)


def _stop(ledger: Ledger, *, after: int) -> None:
    """Nothing more is sent after an outcome that stayed unknown."""
    unknown = ledger.targets[after]
    for write in ledger.plan.writes:
        index = write.target
        begun = any(w.target == index and not w.optional for w in ledger.done)
        if index in ledger.outcomes or begun:
            continue
        ledger.fail(
            index,
            RefusedError(f"not sent, as it is unknown what became of {unknown.name}"),
        )


async def apply(
    plan: Plan,
    wire: Wire,
    *,
    journal: Journal,
    prove: Prove,
    record: Record,
    user: str,
    progress: Progress,
    ledger: Ledger | None = None,
) -> tuple[tuple[Outcome, ...], tuple[str, ...]]:
    """Apply a plan from journal to proof.

    Args:
        plan: Checked and confirmed; refused when a check blocks it.
        wire: How writes leave.
        journal: Written before the first write leaves, and at the end.
        prove: Awaited once with the targets that got through; an :class:`Outcome` for each.
        record: Awaited a target: leaves a Kubernetes Event; its failure is only a warning.
        user: Who the cluster says we are.
        progress: Told what is happening.
        ledger: Told what became of each write, for a caller who wants to know when interrupted.

    Returns:
        One outcome a target, in order, and warnings, a line each.

    Raises:
        RefusedError: A check blocks the plan. Errors of single writes are outcomes, not raised.
        UsageError: The journal cannot be written; nothing was sent then.
    """
    if plan.blocked:
        raise RefusedError(plan.blocked[0].message, where=f"{plan.verb} {plan.context}")
    ledger = Ledger(plan) if ledger is None else ledger
    progress = _as_far_as_heard(progress)
    await begin(journal, plan, ledger.as_known, user)
    ended = False
    try:
        send = functools.partial(apply_writes, plan, wire, ledger, progress=progress)
        await in_order(send, plan, wire, ledger, progress)
        if ledger.live:
            until = words(fill(plan.until, ledger.values))
            progress(f"waiting until {until}" if until else "waiting for the effect")
            ledger.outcomes.update(await prove(plan, ledger.live))
        outcomes = tuple(ledger.outcomes[i] for i in range(len(ledger.targets)))
        ended = True
        ledger.warnings += await end(journal, plan, outcomes)
        ledger.warnings += await _record_all(plan, outcomes, record)
        return outcomes, tuple(ledger.warnings)
    except asyncio.CancelledError:
        # What is proven is told too: whoever interrupts its record is answered by nobody else.
        say(ledger, progress)
        raise
    finally:
        if not ended:
            await end(journal, plan, ledger.as_known())


def _as_far_as_heard(progress: Progress) -> Progress:
    """Progress that nobody can be told of, as a terminal is closed or a disk full, is not told: it
    must not stop half of a plan, or what ends one in order."""

    def told(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            progress(text)

    return told


async def _off_loop(work: Callable[..., None], *args: Any, **words: Any) -> None:
    """Do blocking work in a thread: another console may hold the journal's lock, and a disk may be
    slow. Whoever interrupts waits for it, so that the file is left whole."""
    doing = asyncio.ensure_future(asyncio.to_thread(work, *args, **words))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.gather(doing, return_exceptions=True)
        raise


async def begin(
    journal: Journal, plan: Plan, known: Callable[[], tuple[Outcome, ...]], user: str
) -> None:
    """Write down that an action begins; its end too, when it is interrupted meanwhile.

    Args:
        known: What it has come to when nothing of it was sent.

    Raises:
        UsageError: The journal cannot be written.
    """
    try:
        await _off_loop(journal.start, plan, at=time.time(), user=user, local_user=_local_user())
    except asyncio.CancelledError:
        await end(journal, plan, known())
        raise


async def end(journal: Journal, plan: Plan, outcomes: tuple[Outcome, ...]) -> list[str]:
    """Write down how it ended; by then a journal that fails is a warning."""
    try:
        await _off_loop(journal.end, plan, outcomes, at=time.time())
    except McpTuiError as error:
        return [f"how it ended is not in the journal: {error.what}"]
    return []


async def _record_all(plan: Plan, outcomes: tuple[Outcome, ...], record: Record) -> list[str]:
    """An Event on each object that was acted on for certain."""
    warnings: list[str] = []
    for outcome in outcomes:
        if outcome.status not in (OutcomeStatus.PROVEN, OutcomeStatus.UNPROVEN):
            continue
        try:
            await record(plan, outcome.target, outcome)
        except McpTuiError as error:
            what = "as an Event" if plan.move is None else "how it ended"
            warnings.append(f"not recorded {what}: {error.line()}")
    return warnings


def _local_user() -> str:
    """The user of this machine; empty where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
