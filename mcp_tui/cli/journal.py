"""``mcp-tui journal``: what this user's console has done, oldest first."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from mcp_tui.actions.journal import Action, Journal
from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.settings import configuration
from mcp_tui.errors import ExitCode


def _when(action: Action) -> str:
    return datetime.fromtimestamp(action.started.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _targets(action: Action) -> str:
    targets = (action.ended or action.started).targets
    first = f"{targets[0].namespace}/{targets[0].name}" if targets else ""
    return first if len(targets) <= 1 else f"{first} and {len(targets) - 1} more"


def _message(action: Action) -> str:
    if action.ended is None:
        return "ended before its outcome was known; look at the object itself"
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
    """Print the newest actions."""
    config = configuration(args)
    actions = Journal(config.state_dir).actions()
    actions = actions[-args.limit :] if args.limit else []
    if args.context:
        wanted = set(args.context.split(","))
        actions = [a for a in actions if a.started.context in wanted]
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
        printer.note(f"nothing yet in {Journal(config.state_dir).path}")
    return ExitCode.OK
