"""``mcp-tui approve`` and ``mcp-tui approvals``: who said yes to a model version, and may."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

from mcp_tui.actions.approving import NOT_ENFORCED, Judged
from mcp_tui.cli.act import finish
from mcp_tui.cli.journal import say_unfinished
from mcp_tui.cli.models import registry, split
from mcp_tui.cli.output import Printer
from mcp_tui.cli.session import open_session
from mcp_tui.domain.approval import Mode
from mcp_tui.domain.approval_rules import Standing
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, ExitCode, GoneError, UsageError

_STYLES: Mapping[Standing, str] = {
    Standing.GIVEN: "done",
    Standing.MISSING: "waiting",
    Standing.EXPIRED: "attention",
    Standing.INVALID: "failed",
}


async def approve(args: argparse.Namespace) -> int:
    """Put an approval of a version on record."""
    name, version = split(args.name)
    if not version:
        raise UsageError("an approval is for one version", hint="name it: MODEL/VERSION")
    await say_unfinished(args)
    async with open_session(args) as session:
        registry(session)
        engine = session.engine(args.timeout)
        plan = await engine.plan_approval(name, version, args.level, args.reason, now=time.time())
        return await finish(session, engine, plan, args)


async def approvals(args: argparse.Namespace) -> int:
    """Show how approvals stand; 1 where a version that is named lacks one."""
    name, version = split(args.name)
    async with open_session(args) as session:
        registry(session)
        engine = session.engine()
        seen = (await engine.see_model(name)).existing(session.chosen.name)
        chosen = [seen.version(version)] if version else list(seen.versions[: args.limit])
        found: list[tuple[ModelVersion, Judged | str]] = []
        for each in chosen:
            if each is None:
                raise GoneError(f"{clean_line(name)} has no version {version}",
                                where=session.chosen.name)  # fmt: skip
            try:
                found.append((each, await engine.approvals(name, each.version)))
            except (ApiError, UsageError, GoneError) as error:
                if version:
                    raise
                found.append((each, error.what))
        printer = session.printer
        if args.output in ("json", "yaml"):
            printer.documents((_document(v, told) for v, told in found), args.output)
        elif args.output == "name":
            printer.lines(clean_line(f"{v.name}/{v.version}") for v, _ in found)
        else:
            for each, told in found:
                _print(each, told, printer, wide=args.output == "wide")
            printer.note(f"note: {NOT_ENFORCED}")
    complete = all(not isinstance(told, str) and told.approvals.complete for _, told in found)
    return ExitCode.OK if complete or not version else ExitCode.GATE_FAILED


def _print(version: ModelVersion, told: Judged | str, printer: Printer, *, wide: bool) -> None:
    head = clean_line(f"{version.name} version {version.version}")
    if isinstance(told, str):
        printer.line(f"{head}: cannot be told: {told}")
        return
    found = told.approvals
    if found.rule.mode is not Mode.LEVELS:
        printer.line(f"{head}: {'; '.join((found.text(), *found.told))}")
        return
    printer.line(f"{head}: {found.text()} for {told.subject.digest[:19]}...")
    for each in found.levels:
        printer.line("  " + printer.styled(each.text(), _STYLES[each.standing]))
    if wide:
        printer.line(f"  for {told.subject.digest}")
        printer.line(f"  made by {', '.join(sorted(told.authors)) or 'nobody knows'}")


def _document(version: ModelVersion, told: Judged | str) -> Mapping[str, Any]:
    head = {"model": version.name, "version": version.version}
    if isinstance(told, str):
        return {**head, "error": told}
    found = told.approvals
    return {
        **head,
        "subject": told.subject.digest,
        "authors": sorted(told.authors),
        "mode": found.rule.mode.value,
        "own": found.rule.own,
        "given": found.given,
        "complete": found.complete,
        "levels": [
            {
                "name": each.level.name,
                "people": each.level.people,
                "groups": each.level.groups,
                "standing": each.standing.value,
                "reason": each.reason,
                "approval": each.approval,
            }
            for each in found.levels
        ],
        "told": found.told,
    }
