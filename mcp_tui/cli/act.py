"""``mcp-tui job cancel|suspend|resume|delete|retry``."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence

from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Seen, plan_cancel, plan_delete, plan_hold
from mcp_tui.actions.retry import Changes
from mcp_tui.cli.confirm import confirmed
from mcp_tui.cli.output import Printer
from mcp_tui.cli.session import Session, open_session
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan
from mcp_tui.errors import ExitCode, UsageError

Planner = Callable[[Engine, Sequence[Seen]], Plan]


async def cancel(args: argparse.Namespace) -> int:
    """Cancel running jobs."""
    return await _act(args, lambda e, seen: plan_cancel(e.scope, seen, now=time.time()))


async def suspend(args: argparse.Namespace) -> int:
    """Suspend jobs."""
    return await _act(args, lambda e, seen: plan_hold(e.scope, seen, suspend=True))


async def resume(args: argparse.Namespace) -> int:
    """Resume suspended jobs."""
    return await _act(args, lambda e, seen: plan_hold(e.scope, seen, suspend=False))


async def delete(args: argparse.Namespace) -> int:
    """Delete finished jobs."""
    return await _act(args, lambda e, seen: plan_delete(e.scope, seen))


async def retry(args: argparse.Namespace) -> int:
    """Submit a job again, with changes."""
    if args.deadline and args.deadline < 1:
        # Cut to whole seconds it would be 0, which is none.
        raise UsageError(
            "a deadline is 1s or more", where="--deadline", hint="0 removes it; nothing was done"
        )
    changes = Changes(
        memory=args.memory,
        cpu=args.cpu,
        deadline=None if args.deadline is None else int(args.deadline),
        retries=args.retries,
        env=_pairs(args.env),
    )
    async with open_session(args) as session:
        engine = session.engine(args.timeout)
        seen = await session.find(args.names[0], engine)
        plan = await engine.plan_retry(seen, changes, now=time.time(), with_run=not args.no_run)
        return await finish(session, engine, plan, args)


async def _act(args: argparse.Namespace, planner: Planner) -> int:
    async with open_session(args) as session:
        engine = session.engine(args.timeout)
        named = [await session.find(name, engine) for name in dict.fromkeys(args.names)]
        # ``a`` and ``Job/a`` are one job.
        seen = list({job.uid: job for job in named}.values())
        return await finish(session, engine, planner(engine, seen), args)


async def finish(session: Session, engine: Engine, plan: Plan, args: argparse.Namespace) -> int:
    """Check, confirm and apply a plan, and print what became of it."""
    plan = await engine.check(plan)
    done = await confirmed(plan, args, session.printer)
    if done is not None:
        return done
    try:
        outcomes = await engine.apply(plan, progress=session.printer.note)
    except asyncio.CancelledError:
        session.printer.note(
            f"interrupted: what was sent before of plan {plan.id[:8]} is in mcp-tui journal"
        )
        raise
    return report(outcomes, args, session.printer)


def report(outcomes: Sequence[Outcome], args: argparse.Namespace, printer: Printer) -> int:
    """Print outcomes; the exit code is that of the worst."""
    with printer.at_best():
        if args.output == "table":
            for outcome in outcomes:
                target = outcome.target
                where = f" in {target.namespace}" if target.namespace else ""
                printer.line(
                    f"{target.kind}/{target.name}{where}: {outcome.status.value}: {outcome.message}"
                )
        else:
            printer.data(list(outcomes), args.output)
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 when all are proven; else 4 when one is unknown, 3 when one was refused, 4 when a server
    could not be reached or one is unproven, 5 when somebody else deleted it."""
    if any(o.status is OutcomeStatus.UNKNOWN for o in outcomes):
        # What is refused for that reason comes after it: it did not happen, and this may have.
        return ExitCode.UNREACHABLE
    codes = {_code(o) for o in outcomes}
    for code in (ExitCode.REFUSED, ExitCode.UNREACHABLE, ExitCode.GONE):
        if code in codes:
            return code
    return ExitCode.OK


def _code(outcome: Outcome) -> ExitCode:
    if outcome.status is OutcomeStatus.PROVEN:
        return ExitCode.OK
    if outcome.exit_code in (ExitCode.GONE, ExitCode.UNREACHABLE):
        return ExitCode(outcome.exit_code)
    return ExitCode.REFUSED if outcome.status is OutcomeStatus.FAILED else ExitCode.UNREACHABLE


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            # It may be a secret, put where its name belongs.
            raise UsageError("one is not KEY=VALUE (not shown)", where="--env")
        pairs[key] = value
    return pairs
