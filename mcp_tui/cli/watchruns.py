"""``mcp-tui run ls --watch``: new runs by their start, and those that go on read again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from mcp_tui.cli.runjobs import links
from mcp_tui.cli.runviews import Shown, as_csv, columns, document, shown
from mcp_tui.cli.tracker import Tracker
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import McpTuiError
from mcp_tui.store.runs import RunTracker

EVERY: Final = 3.0
"""Seconds between looks: a search for 50 run ids costs the server 52 ms of CPU, one for what
began since 17 ms."""
EXPERIMENTS_EVERY: Final = 9.0
"""Seconds between looks for new experiments, where none is named."""

_LONGEST: Final = 30.0
_MOST: Final = 50
"""Runs that are followed at once, the newest of those that go on."""


async def watch(
    tracker: Tracker,
    views: Sequence[Shown],
    names: Mapping[str, str],
    filters: Sequence[str],
    output: str,
    *,
    named: bool,
) -> None:
    """Print a line for each run that begins, goes on or ends, until somebody interrupts.

    Args:
        names: Of the experiments, by id.
        named: Whether only these are meant; else those made meanwhile too.
    """
    names, listed = dict(names), time.monotonic()
    known = {view.run.run_id: view for view in views}
    since = max((view.run.info.start_time for view in views), default=0)
    # What is there already and was not shown, by the limit or the order, is no news.
    old = {run.run_id: run for run in await _begun(tracker, names, filters, since)}
    passed = set(old) - set(known)
    since = max((run.info.start_time for run in old.values()), default=since)
    facts, said, pause = RunTracker(), "", EVERY
    while True:
        await asyncio.sleep(pause)
        try:
            if not named and time.monotonic() - listed >= EXPERIMENTS_EVERY:
                listed = time.monotonic()
                # The newest made come first.
                made = (await tracker.client.search_experiments()).experiments
                names |= {each.experiment_id: clean_line(each.name) for each in made}
            begun, going = await asyncio.gather(
                _begun(tracker, names, filters, since), _going(tracker, known)
            )
            fresh = [r for r in begun if r.run_id not in known and r.run_id not in passed]
            fresh += going
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
            since = max(since, run.info.start_time)
            view = shown(run, facts, names, jobs.get(run.run_id))
            before = known.get(run.run_id)
            known[run.run_id] = view
            if before is None or _told(before) != _told(view):
                news.append(view)
        if news:
            _print(tracker, news, output, several=len(names) > 1)


async def _begun(
    tracker: Tracker, names: Mapping[str, str], filters: Sequence[str], since: int
) -> list[Run]:
    """Runs that began since, or a moment before it, the oldest first."""
    pages = await asyncio.gather(
        *(tracker.client.started_since(list(names), since, each) for each in filters)
    )
    found = {run.run_id: run for page in pages for run in page.runs}
    return sorted(found.values(), key=lambda run: run.info.start_time)


async def _going(tracker: Tracker, known: Mapping[str, Shown]) -> list[Run]:
    """The runs that went on when they were looked at last, read again."""
    runs = [view.run for view in known.values() if not view.run.is_over]
    runs.sort(key=lambda run: -run.info.start_time)
    found = await tracker.client.newest(
        [run.run_id for run in runs[:_MOST]], sorted({run.info.experiment_id for run in runs})
    )
    return list(found.values())


def _told(view: Shown) -> tuple[object, ...]:
    """What makes a line of its own when it changes; a NaN is equal to itself."""
    logged = tuple((m.key, str(m.value), m.step) for m in view.run.data.metrics)
    return view.mark, view.note, view.run.name, logged


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
        printer.table(
            news,
            columns(experiments=several, room=printer.room()),
            wide=output == "wide",
            header=False,
        )
