"""``mcp-tui run ls`` and ``run experiments``: runs as the server orders them, read in pages."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.cli.output import Column
from mcp_tui.cli.runjobs import links
from mcp_tui.cli.runviews import Shown, as_csv, columns, document, shown
from mcp_tui.cli.tracker import Tracker, open_tracker
from mcp_tui.cli.watchruns import watch
from mcp_tui.domain.artifact import shown_uri
from mcp_tui.domain.direction import Direction, Directions
from mcp_tui.domain.experiment import Activity, activity, newest_activity
from mcp_tui.domain.reltime import age
from mcp_tui.domain.run import Experiment, Run
from mcp_tui.domain.runfilter import ENTITIES, NUMERIC_ATTRIBUTES, parse, quoted_name
from mcp_tui.domain.runorder import NEWEST_FIRST
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, ExitCode, GoneError, UsageError
from mcp_tui.sources.mlflow import PAGE, View
from mcp_tui.sources.mlflow.client import MlflowClient
from mcp_tui.store.runs import RunTracker

VIEWS: Final[Mapping[str, View]] = {
    "active": "ACTIVE_ONLY",
    "deleted": "DELETED_ONLY",
    "all": "ALL",
}
MOST_EXPERIMENTS: Final = 1_000
_AT_ONCE: Final = 4


async def ls(args: argparse.Namespace) -> int:
    """List runs; with ``--watch`` go on with a line a change."""
    filters = parse(args.filter)
    if args.watch and args.view != "active":
        raise UsageError("--watch follows active runs", hint="leave --view out")
    if args.watch and args.output == "csv":
        raise UsageError("--watch knows no CSV: its columns are not known before", hint="-o json")
    async with open_tracker(args) as tracker:
        order = _order(args.sort, tracker.config.metrics or Directions())
        # A deleted run may be an experiment's that is there, and the other way round.
        of = VIEWS["active" if args.view == "active" else "all"]
        experiments, more_experiments = await chosen(tracker.client, args.experiment, of)
        names = {each.experiment_id: clean_line(each.name) for each in experiments}
        search = tracker.client.runs_in_order(
            list(names), filters, order_by=order, view=VIEWS[args.view],
            page=min(PAGE, args.limit + 1),
        )  # fmt: skip
        runs: list[Run] = []
        # One more than is shown tells whether there are more: the server has no count.
        while len(runs) <= args.limit and (page := await search.next_page()):
            runs += page
        more, runs = len(runs) > args.limit, runs[: args.limit]
        jobs, problem = await links(tracker, runs)
        facts = RunTracker()
        views = [shown(run, facts, names, jobs.get(run.run_id)) for run in runs]
        _print(tracker, views, args, several=len(names) > 1)
        table = args.output in ("table", "wide")
        if table:
            _say_count(tracker, len(views), more, args)
        if more_experiments:
            tracker.printer.note(f"only of the {len(names):,} experiments changed last")
        if problem and table:
            tracker.printer.note(f"jobs are as the runs say: {problem}")
        if args.watch:
            named = bool(args.experiment)
            await watch(tracker, views, names, filters, args.output, named=named)
    return ExitCode.OK


def _print(tracker: Tracker, views: Sequence[Shown], args: argparse.Namespace, *,
           several: bool) -> None:  # fmt: skip
    printer, output = tracker.printer, args.output
    if output in ("json", "yaml"):
        printer.documents(map(document, views), output)
    elif output == "name":
        printer.lines(view.run.run_id for view in views)
    elif output == "csv":
        printer.lines(as_csv(views).splitlines())
    elif views:
        printer.table(
            views, columns(experiments=several, room=printer.room()), wide=output == "wide"
        )


def _say_count(tracker: Tracker, count: int, more: bool, args: argparse.Namespace) -> None:
    if not count:
        matching = " that match" if args.filter else ""
        view = f" {args.view}" if args.view == "deleted" else ""
        tracker.printer.note(f"no{view} runs{matching}")
    elif more:
        tracker.printer.note(f"{count:,}+ runs: --limit reads more than {args.limit:,}")


def _order(sort: str, directions: Directions) -> tuple[str, ...]:
    """MLflow's clause for what is sorted by: the best first, where a metric has a best.

    Raises:
        UsageError: That cannot be sorted by.
    """
    text = sort.strip()
    if not text:
        return NEWEST_FIRST
    words = text.split()
    way = words.pop().upper() if len(words) > 1 and words[-1].upper() in ("ASC", "DESC") else ""
    text = " ".join(words)
    if text.startswith("-"):
        text, way = text[1:], "DESC"
    kind, dot, name = text.partition(".")
    entity = ENTITIES.get(kind) if dot else "attribute"
    name = (name if dot else text).strip('`"')
    if entity in (None, "dataset") or not name:
        raise UsageError(
            f"runs cannot be sorted by {clean_line(text, limit=80)!r}",
            where="--sort",
            hint="metrics.NAME, params.NAME, tags.NAME, start_time, end_time, status, run_name",
        )
    if not way:
        falls = name in NUMERIC_ATTRIBUTES if entity == "attribute" else (
            entity == "metric" and directions.of(name) is not Direction.LOWER
        )  # fmt: skip
        way = "DESC" if falls else "ASC"
    return (f"{entity}s.{quoted_name(name)} {way}",)


async def chosen(
    client: MlflowClient, named: Sequence[str], view: View = "ACTIVE_ONLY", *, most: int = 0
) -> tuple[list[Experiment], bool]:
    """The experiments of some names or ids; all of them where none is named.

    Args:
        client: Whose.
        named: By name, or by id.
        view: Which of all; those that are named need not be of it.
        most: The most that are read where none is named.

    Returns:
        Them, and whether there are more.

    Raises:
        GoneError: One of those named is not there.
    """
    if named:
        found = await asyncio.gather(*(_one(client, each) for each in dict.fromkeys(named)))
        return list({each.experiment_id: each for each in found}.values()), False
    most = most or MOST_EXPERIMENTS
    listed: list[Experiment] = []
    token = ""
    while len(listed) < most:
        page = await client.search_experiments(
            page_token=token,
            order_by=["last_update_time DESC"],
            view=view,
        )
        listed += page.experiments
        if page.next_page_token in ("", token):
            return listed[:most], len(listed) > most
        token = page.next_page_token
    return listed[:most], True


async def _one(client: MlflowClient, named: str) -> Experiment:
    found = await client.get_experiment_by_name(named)
    if found is None and named.isascii() and named.isdigit():
        try:
            found = await client.get_experiment(named)
        except ApiError as error:
            if error.status != 404:
                raise
    if found is None:
        raise GoneError(
            f"there is no experiment {clean_line(named, limit=100)!r}",
            where=client.where,
            hint="mcp-tui run experiments lists them",
        )
    return found


class Read(msgspec.Struct, frozen=True):
    """An experiment, and what was read of its runs."""

    experiment: Experiment
    seen: Activity


async def experiments(args: argparse.Namespace) -> int:
    """List experiments, with what was read of their runs."""
    async with open_tracker(args) as tracker:
        listed, more = await chosen(
            tracker.client, args.experiment, VIEWS[args.view], most=args.limit
        )
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(each: Experiment) -> Read:
            async with slots:
                return Read(each, await _activity(tracker.client, each, args.read))

        found = list(await asyncio.gather(*map(one, listed)))
        found.sort(key=lambda each: -newest_activity(each.experiment, each.seen))
        printer, output = tracker.printer, args.output
        if output in ("json", "yaml"):
            printer.documents(map(_experiment, found), output)
        elif output == "name":
            printer.lines(clean_line(each.experiment.name) for each in found)
        elif found:
            printer.table(found, _EXPERIMENTS, wide=output == "wide")
        if output in ("table", "wide"):
            if not found:
                printer.note("no experiments")
            elif more:
                printer.note(f"{len(found):,}+ experiments: --limit reads more")
    return ExitCode.OK


async def _activity(client: MlflowClient, experiment: Experiment, most: int) -> Activity:
    """What the newest runs of an experiment show."""
    # A page that is full says that there is another, which may be empty: one more tells.
    search = client.runs_in_order([experiment.experiment_id], page=min(PAGE, most + 1))
    runs: list[Run] = []
    while len(runs) <= most and (page := await search.next_page()):
        runs += page
    return activity(runs[:most], more=len(runs) > most)


def _experiment(read: Read) -> Mapping[str, Any]:
    found, seen = read.experiment, read.seen
    newest = newest_activity(found, seen)
    return {
        "experiment_id": found.experiment_id,
        "name": found.name,
        "deleted": found.is_deleted,
        "runs": seen.runs,
        "more": seen.more,
        "running": seen.running,
        "failed": seen.failed,
        "newest": newest / 1000 if newest else None,
        "created": found.creation_time / 1000 if found.creation_time else None,
        "artifacts": shown_uri(found.artifact_location),
        "tags": {pair.key: pair.value for pair in found.tags},
    }


def _some(count: int, more: bool) -> str:
    return f"{count:,}{'+' if more and count else ''}" if count else ""


def _newest(read: Read) -> str:
    moment = newest_activity(read.experiment, read.seen)
    return age(time.time() - moment / 1000) if moment else "-"


_EXPERIMENTS: Sequence[Column[Read]] = (
    Column("NAME", lambda r: clean_line(r.experiment.name)),
    Column("ID", lambda r: r.experiment.experiment_id),
    Column("RUNS", lambda r: r.seen.count()),
    Column("RUNNING", lambda r: _some(r.seen.running, r.seen.more), style=lambda _: "running"),
    Column("FAILED", lambda r: _some(r.seen.failed, r.seen.more), style=lambda _: "failed"),
    Column("NEWEST", _newest),
    Column("STAGE", lambda r: "deleted" if r.experiment.is_deleted else "", style=lambda _: "dim"),
    Column("ARTIFACTS", lambda r: shown_uri(r.experiment.artifact_location), wide=True),
)
