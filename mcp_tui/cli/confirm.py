"""Shows a plan and asks for its confirmation; without a terminal, ``--confirm`` must have given
it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import termios

from mcp_tui.actions.checks import MLFLOW, REACHABLE
from mcp_tui.actions.show import as_data, as_text
from mcp_tui.actions.template import pick
from mcp_tui.cli.output import Printer
from mcp_tui.domain.keys import PARENT
from mcp_tui.domain.plan import Confirmation, Plan, Verb
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.text import word as quoted
from mcp_tui.errors import ExitCode, RefusedError, UnreachableError


async def confirmed(plan: Plan, args: argparse.Namespace, printer: Printer) -> ExitCode | None:
    """Show a checked plan and have it confirmed.

    Returns:
        None to go on, or the exit code of a dry run.

    Raises:
        RefusedError: A check blocks it, or it was not confirmed.
        UnreachableError: What blocks it is a server that cannot be reached.
    """
    if args.dry_run and args.output != "table":
        printer.data(as_data(plan), args.output)
    else:
        # On stderr, unless it is the result: what is confirmed has been shown, whatever is printed.
        for line in as_text(plan, diffs=args.dry_run):
            (printer.line if args.dry_run else printer.note)(line)
    if plan.blocked:
        first = plan.blocked[0]
        if first.name == MLFLOW:
            raise UnreachableError(first.message, hint="--no-run goes on without an MLflow run")
        if first.name == REACHABLE:
            raise UnreachableError(first.message)
        raise RefusedError(first.message, where=f"{plan.verb.value} in {plan.context}")
    if args.dry_run:
        printer.note("dry run: nothing was changed")
        return ExitCode.OK
    if args.confirm or plan.confirmation is not Confirmation.NONE:
        await _ask(plan, args)
    return None


async def _ask(plan: Plan, args: argparse.Namespace) -> None:
    word = plan.typed_word
    short = plan.targets[0].name if len(plan.targets) == 1 else word
    accepted = {word} if plan.confirmation is Confirmation.TYPED else {word, short}
    if plan.verb is Verb.RETRY:
        # The new name is made with the plan, so a script can only know the old one.
        parents = (pick(w.body, "metadata.annotations") and w.body["metadata"] for w in plan.writes)
        accepted |= {f"{plan.context}/{m['annotations'].get(PARENT)}" for m in parents if m}
    if plan.edits and len(plan.targets) == 1:
        # A run's name may be anybody's: a script knows its id.
        accepted.add(f"{plan.context}/{plan.targets[0].uid}")
    # Given where nothing is asked for, it still says what is meant.
    if args.confirm:
        if args.confirm not in accepted:
            raise RefusedError(
                f"--confirm {clean_line(args.confirm)!r} is not {word!r}",
                hint="nothing was done",
            )
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(
            f"{plan.verb.value} asks for a confirmation, and there is no terminal",
            hint=f"give --confirm {quoted(word)}; nothing was done",
        )
    if plan.confirmation is Confirmation.TYPED:
        prompt = f"type {word} to go on: "
    else:
        prompt, accepted = "go on? type yes: ", {"yes", "y", word}
    if (await _read_line(prompt)).strip() not in accepted:
        raise RefusedError("not confirmed", hint="nothing was done")


async def _read_line(prompt: str) -> str:
    """A line from the terminal; what was typed or pasted before the prompt does not count."""
    fd = sys.stdin.fileno()
    termios.tcflush(fd, termios.TCIFLUSH)
    sys.stderr.write(clean_line(prompt))
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    line: asyncio.Future[bytes] = loop.create_future()

    def readable() -> None:
        if not line.done():
            line.set_result(os.read(fd, 4096))

    loop.add_reader(fd, readable)
    try:
        return (await line).decode(errors="replace")
    finally:
        loop.remove_reader(fd)
