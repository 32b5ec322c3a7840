"""``mcp-tui run tag|rename|delete|restore``: what MLflow keeps of a run, changed by a plan."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from mcp_tui.cli.act import finish
from mcp_tui.cli.journal import say_unfinished
from mcp_tui.cli.models import registry
from mcp_tui.cli.session import open_session
from mcp_tui.domain.editwords import tag_edit
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.store.candidates import find


async def tag(args: argparse.Namespace) -> int:
    """Set and delete tags."""
    return await _edit(args, [args.run_id], [tag_edit(word) for word in args.tags])


async def rename(args: argparse.Namespace) -> int:
    """Give a run another name."""
    return await _edit(args, [args.run_id], [RunEdit(kind=EditKind.RENAME, value=args.name)])


async def delete(args: argparse.Namespace) -> int:
    """Put runs into the bin."""
    return await _edit(args, args.run_ids, [RunEdit(kind=EditKind.DELETE)])


async def restore(args: argparse.Namespace) -> int:
    """Take runs out of the bin."""
    return await _edit(args, args.run_ids, [RunEdit(kind=EditKind.RESTORE)])


async def _edit(args: argparse.Namespace, run_ids: Sequence[str], edits: Sequence[RunEdit]) -> int:
    for edit in edits:
        edit.checked()
    await say_unfinished(args)
    async with open_session(args) as session:
        client = registry(session)
        named = await asyncio.gather(*(find(client, each) for each in dict.fromkeys(run_ids)))
        engine = session.engine(args.timeout)
        plan = await engine.plan_run_edit([each.run.run_id for each in named], edits)
        return await finish(session, engine, plan, args)
