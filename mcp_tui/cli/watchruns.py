"""``mcp-tui run ls --watch``: new runs by their start, and those that go on read again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from mcp_tui.cli.runjobs import links
from mcp_tui.cli.runviews import Shown, as_csv, columns, document, shown
from mcp_tui.cli.tracker import Tracker
from mcp_tui.domain.run import Run
from mcp_tui.errors import McpTuiError
from mcp_tui.store.runs import RunTracker

EVERY: Final = 3.0
"""Seconds between looks: a search for 50 run ids costs the server 52 ms of CPU, one for what
began since 17 ms."""
_LONGEST: Final = 30.0
_MOST: Final = 50
"""Runs that are followed at once, the newest of those that go on."""


async def watch(
    tracker: Tracker,
    views: Sequence[Shown],
    names: Mapping[str, str],
    filters: Sequence[str],
    output: str,
) -> None:
    """Print a line for each run that begins, goes on or ends, until somebody interrupts."""
    known = {view.run.run_id: view for view in views}
    facts, said, pause = RunTracker(), "", EVERY
    while True:
        await asyncio.sleep(pause)
        try:
            fresh = await _look(tracker, known, names, filters)
            jobs, _ = await links(tracker, fresh)
        except McpTuiError as error:
            # It goes on: what was shown is as it was.
            pause = min(_LONGEST, pause * 2)
            if error.line() != said:
                said = error.line()
                tracker.printer.note(f"mcp-tui: {said}")
            continue
        if said:
            said, pause = "", EVERY
            tracker.printer.note("MLflow answers again")
        news = []
        for run in fresh:
            view = shown(run, facts, names, jobs.get(run.run_id))
            before = known.get(run.run_id)
            known[run.run_id] = view
            if before is None or _told(before) != _told(view):
                news.append(view)
        if news:
            _print(tracker, news, output, several=len(names) > 1)


def _told(view: Shown) -> tuple[object, ...]:
    """What makes a line of its own when it changes; a NaN is equal to itself."""
    logged = tuple((m.key, str(m.value), m.step) for m in view.run.data.metrics)
    return view.mark, view.note, view.run.name, logged


async def _look(
    tracker: Tracker, known: Mapping[str, Shown], names: Mapping[str, str], filters: Sequence[str]
) -> list[Run]:
    since = max((view.run.info.start_time for view in known.values()), default=0)
    going = sorted(
        (v for v in known.values() if not v.run.is_over),
        key=lambda v: -v.run.info.start_time,
    )[:_MOST]
    pages, newest = await asyncio.gather(
        asyncio.gather(
            *(tracker.client.started_since(list(names), since, each) for each in filters)
        ),
        tracker.client.newest(
            [v.run.run_id for v in going], sorted({v.run.info.experiment_id for v in going})
        ),
    )
    found = {run.run_id: run for page in pages for run in reversed(page.runs)}
    # What was known before is read again for as long as it goes on, and no longer.
    old = {run_id for run_id in found if run_id in known}
    return [*(run for run_id, run in found.items() if run_id not in old), *newest.values()]


def _print(tracker: Tracker, news: Sequence[Shown], output: str, *, several: bool) -> None:
    printer = tracker.printer
    if output == "json":
        for view in news:
            printer.line(msgspec.json.encode(document(view)).decode())
    elif output == "yaml":
        printer.documents(map(document, news), output)
    elif output == "name":
        printer.lines(view.run.run_id for view in news)
    elif output == "csv":
        printer.lines(as_csv(news).splitlines()[1:])
    else:
        printer.table(news, columns(experiments=several), wide=output == "wide", header=False)
