"""``mcp-tui journal``: what this user's console has done, oldest first."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from mcp_tui.actions.journal import Action, Journal, is_running
from mcp_tui.actions.unfinished import advice, said
from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.settings import asked_namespace, configuration, named_contexts, one
from mcp_tui.errors import ExitCode


def _when(action: Action) -> str:
    try:
        return datetime.fromtimestamp(action.started.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a line that no console wrote hides no other
        return "-"


def _targets(action: Action) -> str:
    targets = (action.ended or action.started).targets
    first = f"{targets[0].namespace}/{targets[0].name}".lstrip("/") if targets else ""
    return first if len(targets) <= 1 else f"{first} and {len(targets) - 1} more"


def _message(action: Action) -> str:
    if action.ended is None:
        if is_running(action.started.process):
            return "goes on"
        return f"ended before its outcome was known; {advice(action)}"
    return "; ".join(o.message for o in action.ended.outcomes if o.message)


_COLUMNS: tuple[Column[Action], ...] = (
    Column("TIME", _when),
    Column("CONTEXT", lambda a: a.started.context),
    Column("TIER", lambda a: a.started.tier.value, wide=True),
    Column("VERB", lambda a: a.started.verb.value),
    Column("TARGET", _targets),
    Column("USER", lambda a: a.started.user),
    Column("LOCAL USER", lambda a: a.started.local_user, wide=True),
    Column("PLAN", lambda a: a.started.plan, wide=True),
    Column("OUTCOME", lambda a: a.result),
    Column("MESSAGE", _message),
)


def journal(args: argparse.Namespace) -> int:
    """Print the newest actions, of those of the contexts and the namespace that are named."""
    config = configuration(args)
    contexts, namespace = named_contexts(args), asked_namespace(args)
    namespace = "" if args.all_namespaces else namespace
    every = Journal(config.state_dir).actions()
    actions = [a for a in every if _matches(a, contexts, namespace)][-args.limit :]
    printer = Printer(color=False if config.no_color else None)
    if args.output in ("json", "yaml"):
        printer.data(
            [{"started": a.started, "ended": a.ended, "result": a.result} for a in actions],
            args.output,
        )
    elif args.output == "name":
        for action in actions:
            printer.line(action.started.plan)
    elif actions:
        printer.table(actions, _COLUMNS, wide=args.output == "wide")
    else:
        matching = " that matches" if every else ""
        printer.note(f"nothing yet{matching} in {Journal(config.state_dir).path}")
    if args.output in ("table", "wide"):
        # The table may be cut to the terminal's width: what to do is said whole.
        _note(Journal(config.state_dir), printer, contexts)
    return ExitCode.OK


def _matches(action: Action, contexts: Sequence[str], namespace: str) -> bool:
    if contexts and action.started.context not in contexts:
        return False
    return not namespace or any(
        target.namespace == namespace for target in (action.ended or action.started).targets
    )


async def say_unfinished(args: argparse.Namespace) -> None:
    """Say what did not end, in one line on stderr, before more is done there."""
    config = configuration(args)
    printer = Printer(color=False if config.no_color else None)
    await asyncio.to_thread(_note, Journal(config.state_dir), printer, (one(args).name,))


def _note(journal: Journal, printer: Printer, contexts: Sequence[str]) -> None:
    text = said(journal, now=time.time(), contexts=contexts)
    if text:
        printer.note(f"mcp-tui: {text}")
