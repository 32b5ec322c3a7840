"""``mcp-tui model promote|rollback``: an alias moved with a plan, a confirmation and a record."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

from mcp_tui.actions.engine import Engine
from mcp_tui.actions.evidence import Evidence
from mcp_tui.actions.models import CHAMPION, Wanted
from mcp_tui.actions.promoting import ARTIFACT, wanted_copy, wanted_of_run
from mcp_tui.actions.weighing import Weighing, weigh
from mcp_tui.cli.act import report
from mcp_tui.cli.confirm import confirmed
from mcp_tui.cli.journal import say_unfinished
from mcp_tui.cli.models import registry, split
from mcp_tui.cli.session import Session, open_session
from mcp_tui.domain.plan import Plan
from mcp_tui.domain.text import word
from mcp_tui.errors import RefusedError, UsageError
from mcp_tui.store.candidates import find

_ASKS = 3
"""How often a plan is made anew when somebody else moves the alias meanwhile."""


async def promote(args: argparse.Namespace) -> int:
    """Move an alias to a version; register or copy it first where that is asked for."""
    name, version = split(args.name)
    if bool(version) == bool(args.of_run):
        raise UsageError(
            "name a version (NAME/VERSION), or with --run the model that a run is registered as"
        )
    if args.to and args.of_run:
        raise UsageError("--to copies a version; --run makes one")
    if args.artifact and not args.of_run:
        raise UsageError("only --run registers what is in a run", where="--artifact")
    if args.no_alias and args.alias != CHAMPION:
        raise UsageError("--no-alias moves none", where="--alias", hint="leave one of them out")
    alias = "" if args.no_alias else args.alias
    await say_unfinished(args)
    async with open_session(args) as session:
        engine = session.engine(args.timeout)
        registry(session)

        async def planned() -> Plan:
            wanted = await _wanted(session, engine, name, version, args)
            return await engine.plan_promotion(
                args.to or name,
                wanted,
                now=time.time(),
                alias=alias,
                why=args.why,
                override=args.override,
                evidence=await _evidence(session, engine, args.to or name, wanted, alias),
            )

        return await _finish(session, engine, planned, args)


async def rollback(args: argparse.Namespace) -> int:
    """Take an alias back to where it was before, by its record."""
    name, version = split(args.name)
    if version:
        raise UsageError("a rollback names the model alone", hint="--to names a version on purpose")
    await say_unfinished(args)
    async with open_session(args) as session:
        engine = session.engine(args.timeout)
        registry(session)

        async def planned() -> Plan:
            return await engine.plan_taking_back(
                name, now=time.time(), alias=args.alias, to=args.to, why=args.why
            )

        return await _finish(session, engine, planned, args)


async def _wanted(
    session: Session, engine: Engine, name: str, version: str, args: argparse.Namespace
) -> Wanted:
    if args.of_run:
        run = (await find(registry(session), args.of_run)).run
        return await wanted_of_run(engine, run.run_id, args.artifact or ARTIFACT)
    if args.to and args.to != name:
        return await wanted_copy(engine, name, version)
    return Wanted(version=version)


async def _evidence(
    session: Session, engine: Engine, model: str, wanted: Wanted, alias: str
) -> Evidence:
    """What speaks for it: the gates of the context, and what its run says it was made of."""
    by = Weighing(alias=alias, gates=session.chosen.config.gates, directions=session.config.metrics)
    return await weigh(registry(session), engine, model, wanted, by)


async def _finish(
    session: Session,
    engine: Engine,
    planned: Callable[[], Awaitable[Plan]],
    args: argparse.Namespace,
) -> int:
    """Check, confirm and apply; asked again when the alias is moved between plan and yes."""
    for ask in range(_ASKS):
        plan = await engine.check(await planned())
        done = await confirmed(plan, args, session.printer)
        if done is not None:
            return done
        try:
            await engine.still_as_planned(plan)
        except RefusedError as error:
            # Who gave the word on the command line meant what was there then.
            if args.confirm or ask == _ASKS - 1:
                raise
            session.printer.note(f"mcp-tui: {error.line()}")
            continue
        try:
            outcomes = await engine.apply(plan, progress=session.printer.note)
        except asyncio.CancelledError:
            name = word(plan.targets[0].name)
            session.printer.note(f"interrupted: mcp-tui model history {name} tells what was done")
            raise
        return report(outcomes, args, session.printer)
    raise AssertionError("unreachable")
