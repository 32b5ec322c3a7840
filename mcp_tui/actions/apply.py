"""Apply a plan: send exactly the writes that were shown, in order, and say what became of each.

A write is sent once. If no answer comes back, what it made is looked for (``look.py``), and only
then something is said. Once the outcome of one write stays unknown, nothing more is sent.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from mcp_tui.actions.journal import Journal
from mcp_tui.actions.look import Wire, recheck, settle, why_refused
from mcp_tui.actions.template import fill, pick, unfilled, words
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Write
from mcp_tui.errors import ApiError, ExitCode, McpTuiError, RefusedError, UnknownOutcomeError

Progress = Callable[[str], None]
Prove = Callable[[Plan, Mapping[int, Target]], Awaitable[Mapping[int, Outcome]]]
Record = Callable[[Plan, Target, Outcome], Awaitable[None]]


class Ledger:
    """What a plan's writes have come to so far.

    Attributes:
        outcomes: One a target that did not get through, by its index.
        targets: The targets as they are now: a created one has its name and uid.
        values: What the writes yielded, such as ``run_id``.
        warnings: Optional writes that failed, in words.
        sending: The write that is on its way, or None.
        done: The writes that got through.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.outcomes: dict[int, Outcome] = {}
        self.targets = list(plan.targets)
        self.values: dict[str, str] = {}
        self.warnings: list[str] = []
        self.sending: Write | None = None
        self.done: list[Write] = []

    def sent(self, write: Write) -> None:
        """A write got through."""
        self.done.append(write)

    def fail(self, index: int, error: McpTuiError) -> None:
        """A target did not get through."""
        unknown = isinstance(error, UnknownOutcomeError)
        self.outcomes[index] = Outcome(
            target=self.targets[index],
            status=OutcomeStatus.UNKNOWN if unknown else OutcomeStatus.FAILED,
            message=error.line(),
            exit_code=int(error.exit_code),
        )

    @property
    def live(self) -> dict[int, Target]:
        """The targets that got through so far."""
        return {i: t for i, t in enumerate(self.targets) if i not in self.outcomes}

    def interrupted(self) -> tuple[Outcome, ...]:
        """The outcomes of a plan that was interrupted here: what is known, no more."""
        return tuple(
            self.outcomes.get(i) or self._interrupted(i, target)
            for i, target in enumerate(self.targets)
        )

    def _interrupted(self, index: int, target: Target) -> Outcome:
        done = [w for w in self.done if w.target == index]
        needed = [w for w in self.plan.writes if w.target == index and not w.optional]
        said = f"; done before: {'; '.join(words(w.summary) for w in done)}" if done else ""
        code = int(ExitCode.INTERRUPTED)
        if self.sending is not None and self.sending.target == index:
            what = words(self.sending.summary)
            status, text = OutcomeStatus.UNKNOWN, f"interrupted while this was on its way: {what}"
        elif all(w in done for w in needed):
            status, text = OutcomeStatus.UNPROVEN, "accepted; interrupted before it was proven"
            said = ""
        elif done:
            status, text = OutcomeStatus.UNKNOWN, "interrupted half-way"
        else:
            status, text = OutcomeStatus.FAILED, "interrupted before anything of it was sent"
        return Outcome(target=target, status=status, message=text + said, exit_code=code)


async def apply_writes(plan: Plan, wire: Wire, ledger: Ledger, *, progress: Progress) -> None:
    """Send a plan's writes in order.

    One target that fails stops its own later writes only, and what was made for it is cleared
    away; one whose outcome stays unknown stops everything.

    Args:
        plan: Checked and confirmed.
        wire: How writes leave.
        ledger: Told what became of each.
        progress: Told what is happening, a line each.
    """
    for write in plan.writes:
        index = write.target
        if index in ledger.outcomes:
            continue
        progress(words(fill(write.summary, ledger.values)))
        try:
            answer = await _send_once(plan, write, wire, ledger)
        except McpTuiError as error:
            ledger.sending = None
            if write.optional:
                summary = words(fill(write.summary, ledger.values))
                ledger.warnings.append(f"{summary}: {error.line()}")
                continue
            ledger.fail(index, error)
            if ledger.outcomes[index].status is OutcomeStatus.UNKNOWN:
                _stop(ledger, after=index)
                return
            await _compensate(plan, wire, ledger, index)
            continue
        ledger.sent(write)
        for name, path in write.yields:
            ledger.values[name] = pick(answer, path)
        if "uid" in dict(write.yields):
            ledger.targets[index] = msgspec.structs.replace(
                ledger.targets[index],
                name=pick(answer, "metadata.name") or ledger.targets[index].name,
                uid=pick(answer, "metadata.uid"),
            )


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


async def _send_once(plan: Plan, write: Write, wire: Wire, ledger: Ledger) -> dict[str, Any]:
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
        raise await why_refused(write, wire, path, body, error) from None
    ledger.sending = None
    return answer


async def _compensate(plan: Plan, wire: Wire, ledger: Ledger, index: int) -> None:
    """Clear away what a failed target left half-made; what cannot be is said, not raised."""
    for write in plan.compensate:
        path, body = fill(write.path, ledger.values), fill(write.body, ledger.values)
        if write.target != index or unfilled(path) or unfilled(body):
            continue  # The write that would have yielded it never got through.
        try:
            await _send_once(plan, write, wire, ledger)
        except McpTuiError as error:
            ledger.warnings.append(f"{words(write.summary)}: {error.line()}")
            ledger.sending = None


async def apply(
    plan: Plan,
    wire: Wire,
    *,
    journal: Journal,
    prove: Prove,
    record: Record,
    user: str,
    progress: Progress,
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

    Returns:
        One outcome a target, in order, and warnings, a line each.

    Raises:
        RefusedError: A check blocks the plan. Errors of single writes are outcomes, not raised.
        UsageError: The journal cannot be written; nothing was sent then.
    """
    if plan.blocked:
        raise RefusedError(plan.blocked[0].message, where=f"{plan.verb} {plan.context}")
    # In a thread: another console may hold the lock, and a disk may be slow.
    await asyncio.to_thread(
        journal.start, plan, at=time.time(), user=user, local_user=_local_user()
    )
    ledger = Ledger(plan)
    ended = False
    try:
        await apply_writes(plan, wire, ledger, progress=progress)
        if ledger.live:
            progress(f"waiting until {plan.until}" if plan.until else "waiting for the effect")
            ledger.outcomes.update(await prove(plan, ledger.live))
        outcomes = tuple(ledger.outcomes[i] for i in range(len(ledger.targets)))
        ended = True
        ledger.warnings += await _end(journal, plan, outcomes)
        ledger.warnings += await _record_all(plan, outcomes, record)
        return outcomes, tuple(ledger.warnings)
    finally:
        if not ended:
            await _end(journal, plan, ledger.interrupted())


async def _end(journal: Journal, plan: Plan, outcomes: tuple[Outcome, ...]) -> list[str]:
    """Write down how it ended; by then a journal that fails is a warning."""
    try:
        await asyncio.to_thread(journal.end, plan, outcomes, at=time.time())
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
            warnings.append(f"not recorded as an Event: {error.line()}")
    return warnings


def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
