"""``mcp-tui job shell|forward``: into a job's container, and to its ports."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import NoReturn

from mcp_tui.actions import shell as inside
from mcp_tui.actions import terminal
from mcp_tui.actions.engine import Engine
from mcp_tui.cli.confirm import confirmed
from mcp_tui.cli.output import Printer
from mcp_tui.cli.session import open_session
from mcp_tui.domain.plan import Confirmation, Plan
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import RefusedError
from mcp_tui.sources.kubernetes.exec import open_exec
from mcp_tui.sources.kubernetes.portforward import watched_forward


async def shell(args: argparse.Namespace) -> int:
    """Run a command, or a shell, in a container; the exit code is the command's."""
    async with open_session(args) as session:
        engine = session.engine()
        seen = await session.find(args.name, engine)
        place = await inside.find_place(engine.kube, seen, pod=args.pod, container=args.container)
        plan = inside.plan_shell(engine.scope, seen, place, args.words)
        done = await _agreed(engine, plan, place, args, session.printer)
        if done is not None:
            return done
        return await _run(engine, plan, place, args.words, session.printer)


async def _run(
    engine: Engine, plan: Plan, place: inside.Place, words: list[str], printer: Printer
) -> int:
    tty = terminal.is_terminal(sys.stdin.fileno(), sys.stdout.fileno())
    async with (
        inside.recorded(engine, plan) as record,
        open_exec(
            engine.kube,
            place.namespace,
            place.pod,
            words or inside.SHELL,
            container=place.container,
            tty=tty,
        ) as session,
    ):
        # Beside the command, which is not kept waiting for it.
        announcing = asyncio.create_task(record.announce(place.words))
        try:
            code = await terminal.attach(
                session,
                tty=tty,
                stdin=sys.stdin.fileno(),
                stdout=sys.stdout.fileno(),
                stderr=sys.stderr.fileno(),
            )
        finally:
            warning = await announcing
        record.ended(f"exit code {code} in {place.words}")
    if session.message and code in (126, 127):
        printer.note(f"mcp-tui: {session.message}")
    for problem in (*filter(None, [warning]), *record.warnings):
        printer.note(f"warning: {problem}")
    return code


async def forward(args: argparse.Namespace) -> int:
    """Forward a local port to a job's pod until interrupted, or until the pod is gone."""
    local, remote = inside.ports(args.ports)
    async with open_session(args) as session:
        engine, printer = session.engine(), session.printer
        seen = await session.find(args.name, engine)
        place = await inside.find_place(engine.kube, seen, pod=args.pod, any_container=True)
        plan = inside.plan_forward(engine.scope, seen, place, local, remote)
        done = await _agreed(engine, plan, place, args, printer)
        if done is None:
            await _forward(engine, plan, place, (local, remote), printer)
        return done


async def _forward(
    engine: Engine, plan: Plan, place: inside.Place, ports: tuple[int, int], printer: Printer
) -> NoReturn:
    local, remote = ports
    async with (
        inside.recorded(engine, plan) as record,
        watched_forward(
            engine.kube,
            place.namespace,
            place.pod,
            remote,
            uid=place.uid,
            local_port=local,
            on_error=printer.note,
        ) as forwarded,
    ):
        printer.line(f"127.0.0.1:{forwarded.port} leads to port {remote} of {place.words}")
        printer.note("ctrl-c ends it")
        # Ended by the user, as it is meant to be, unless the pod goes first.
        record.ended(f"port {remote} of {place.words}, until ended")
        warning = await record.announce(f"port {remote} of {place.words}")
        if warning:
            printer.note(f"warning: {warning}")
        await forwarded.over()


async def _agreed(
    engine: Engine, plan: Plan, place: inside.Place, args: argparse.Namespace, printer: Printer
) -> int | None:
    """Check and confirm; None to go on. Where nothing is asked nor confirmed, nothing is shown
    either."""
    plan = await inside.check(engine, plan, place)
    if plan.blocked:
        where = f"{plan.verb.value} {clean_line(plan.context)}"
        raise RefusedError(plan.blocked[0].message, where=where)
    if plan.confirmation is not Confirmation.NONE or args.dry_run or args.confirm:
        return await confirmed(plan, args, printer)
    return None
