"""``mcp-tui run show``: all that is known of one run, as text or as one document."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.cli.output import Column, Printer, cut
from mcp_tui.cli.runfiles import preview, tree
from mcp_tui.cli.runjobs import links
from mcp_tui.cli.runviews import Shown, document, plain, shown
from mcp_tui.cli.tracker import Tracker, open_tracker
from mcp_tui.domain import keys
from mcp_tui.domain.artifact import shown_uri
from mcp_tui.domain.direction import Direction, Directions
from mcp_tui.domain.history import History
from mcp_tui.domain.jobview import JobState
from mcp_tui.domain.lineage import JobLink
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.reltime import absolute, ago, duration
from mcp_tui.domain.run import DatasetInput, Metric, Run
from mcp_tui.domain.runfacts import number
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, ExitCode, McpTuiError, UsageError
from mcp_tui.sources.mlflow.client import MlflowClient
from mcp_tui.store.candidates import find
from mcp_tui.store.runs import RunTracker

_BEST: Final = 40
"""Metrics whose course is read for its best value."""
_POINTS: Final = 2_500
_AT_ONCE: Final = 4
_VALUE: Final = 100
_NOT_SHOWN: Final = ("mlflow.log-model.history", "mlflow.loggedArtifacts")


class MetricLine(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a run.

    Attributes:
        last: Its newest value.
        best: Its best, by direction; None where none is better than another, or it was not read.
        best_step: Where that was.
        about: The best is that of a sample.
    """

    last: Metric
    direction: Direction
    best: float | None = None
    best_step: int | None = None
    about: bool = False
    points: str = ""


async def show(args: argparse.Namespace) -> int:
    """Show a run; or its artifacts, or one of them."""
    if args.artifact and args.artifacts:
        raise UsageError(
            "shows all of them, and --artifact the head of one",
            where="--artifacts",
            hint="leave one of them out",
        )
    async with open_tracker(args) as tracker:
        run = (await find(tracker.client, args.run_id)).run
        if args.artifact:
            return await preview(tracker, run, args.artifact, args.output)
        if args.artifacts:
            return await tree(tracker, run, args.output)
        if args.output == "name":
            tracker.printer.line(run.run_id)
            return ExitCode.OK
        names, versions, metrics, (job, problem), files = await asyncio.gather(
            _experiment(tracker.client, run),
            _versions(tracker.client, run),
            _metrics(tracker, run),
            _job(tracker, run),
            _artifacts(tracker.client, run),
        )
        view = shown(run, RunTracker(), names, job)
        if args.output in ("json", "yaml"):
            tracker.printer.data(_document(view, metrics, versions), args.output)
            return ExitCode.OK
        _print(tracker, view, metrics, versions, files)
        if problem:
            tracker.printer.note(f"the job is as the run says: {problem}")
    return ExitCode.OK


# Read


async def _experiment(client: MlflowClient, run: Run) -> dict[str, str]:
    found_id = run.info.experiment_id
    try:
        return {found_id: clean_line((await client.get_experiment(found_id)).name)}
    except ApiError:
        return {}


async def _job(tracker: Tracker, run: Run) -> tuple[JobLink | None, str]:
    """The run's job, with what its pods and events tell of a failure."""
    found, problem = await links(tracker, [run], every=True)
    link = found.get(run.run_id)
    if link is None or link.view is None or tracker.connection is None:
        return link, problem
    if link.view.state in (JobState.FAILED, JobState.STALLED, JobState.WAITING):
        from mcp_tui.cli.jobs import look

        key = link.view.key
        with contextlib.suppress(McpTuiError):
            view = await look(tracker.connection, key.kind, key.namespace, key.name, key.uid)
            link = msgspec.structs.replace(link, view=view)
    return link, problem


async def _versions(client: MlflowClient, run: Run) -> tuple[ModelVersion, ...]:
    try:
        return await client.versions_of_run(run.run_id)
    except ApiError:
        return ()  # a server without a registry


async def _artifacts(client: MlflowClient, run: Run) -> str:
    try:
        files = (await client.list_artifacts(run.run_id)).files
    except McpTuiError as error:
        return f"cannot be listed: {error.line()}"
    if not files:
        return ""
    names = [f"{each.name}/" if each.is_dir else each.name for each in files]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{', '.join(names[:8])}{more}"


async def _metrics(tracker: Tracker, run: Run) -> list[MetricLine]:
    """Every metric, with its best value where its course could be read."""
    directions = tracker.config.metrics or Directions()
    logged = sorted(run.data.metrics, key=lambda m: (m.key.startswith("system/"), m.key))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def course(metric: Metric) -> History | None:
        async with slots:
            try:
                found = await tracker.client.histories([run.run_id], metric.key, max_points=_POINTS)
            except ApiError:
                return None
            return found.get(run.run_id)

    asked = [m for m in logged if directions.of(m.key) is not Direction.NEITHER][:_BEST]
    courses = dict(
        zip((m.key for m in asked), await asyncio.gather(*map(course, asked)), strict=True)
    )
    return [_line(metric, courses.get(metric.key), directions) for metric in logged]


def _line(metric: Metric, course: History | None, directions: Directions) -> MetricLine:
    direction = directions.of(metric.key)
    if course is None:
        return MetricLine(last=metric, direction=direction)
    points = [(v, s) for v, s in zip(course.values, course.steps, strict=True) if math.isfinite(v)]
    choose = max if direction is Direction.HIGHER else min
    value, step = choose(points, key=lambda p: p[0]) if points else (None, None)
    gaps = course.nan + course.infinite
    said = f"{course.said()}" if course.sampled or gaps or course.cut else ""
    return MetricLine(
        last=metric,
        direction=direction,
        best=value,
        best_step=step,
        about=course.sampled or course.cut,
        points=said,
    )


# As a document


def _document(
    view: Shown, metrics: Sequence[MetricLine], versions: Sequence[ModelVersion]
) -> Mapping[str, Any]:
    run = view.run
    tags = run.tags
    whole = dict(document(view))
    whole["metrics"] = {
        each.last.key: {
            "last": plain(each.last.number),
            "step": each.last.step,
            "at": each.last.timestamp / 1000,
            "direction": each.direction.value,
            "best": each.best,
            "best_step": each.best_step,
            "sampled": each.about,
        }
        for each in metrics
    }
    whole["data"] = [
        {
            "name": each.dataset.name,
            "digest": each.dataset.digest,
            "source_type": each.dataset.source_type,
            "source": each.dataset.source,
            "context": each.context,
        }
        for each in run.datasets
    ]
    whole["source"] = {
        "name": tags.get("mlflow.source.name", ""),
        "type": tags.get("mlflow.source.type", ""),
        "commit": tags.get(keys.TAG_COMMIT, ""),
        "branch": tags.get(keys.TAG_BRANCH, ""),
        "repository": tags.get(keys.TAG_REPO, ""),
    }
    whole["versions"] = [f"{each.name}/{each.version}" for each in versions]
    whole["models"] = [link.model_id for link in run.outputs.model_outputs]
    whole["artifacts"] = shown_uri(run.info.artifact_uri)
    return whole


# As text


def _print(
    tracker: Tracker,
    view: Shown,
    metrics: Sequence[MetricLine],
    versions: Sequence[ModelVersion],
    files: str,
) -> None:
    printer, run = tracker.printer, view.run
    for name, text in _facts(view, versions, files):
        if text:
            style = view.mark[2] if name == "state" else "attention" if name == "note" else ""
            printer.line(f"{name:<11} {printer.styled(clean_line(text), style)}")
    if run.datasets:
        printer.line()
        printer.table(run.datasets, _DATA)
    if run.data.params:
        printer.line()
        pairs = sorted((p.key, p.value) for p in run.data.params)
        _pairs(printer, "PARAMETER", pairs)
    if metrics:
        printer.line()
        printer.table(metrics, _METRICS)
    tags = [
        (p.key, p.value)
        for p in sorted(run.data.tags, key=lambda p: p.key)
        if not p.key.startswith(_NOT_SHOWN)
    ]
    if tags:
        printer.line()
        _pairs(printer, "TAG", tags)


def _facts(view: Shown, versions: Sequence[ModelVersion], files: str) -> list[tuple[str, str]]:
    run, info, tags, now = view.run, view.run.info, view.run.tags, time.time()
    started = info.start_time / 1000 if info.start_time else None
    ended = info.end_time / 1000 if info.end_time else None
    until = ended if ended is not None else now
    said = {True: "took", False: "for"}[run.is_over]
    lasted = f"{said} {duration(until - started)}" if started is not None else ""
    code = [tags.get(name, "") for name in (keys.TAG_REPO, keys.TAG_BRANCH, keys.TAG_COMMIT)]
    source = tags.get("mlflow.source.name", "")
    return [
        ("run", run.run_id),
        ("name", run.name),
        ("experiment", f"{view.experiment} ({info.experiment_id})"),
        ("state", view.mark[1]),
        ("note", view.note),
        ("by", run.user),
        ("started", f"{absolute(started)}, {ago(started, now)} ago" if started else ""),
        ("ended", f"{absolute(ended)}, {ago(ended, now)} ago" if ended else ""),
        ("", lasted),
        ("job", view.job.words() if view.job is not None else ""),
        ("why", view.job.view.why if view.job is not None and view.job.view is not None else ""),
        ("cause", one_line(tags.get(keys.TAG_CAUSE, "")) if not run.is_deleted else ""),
        ("source", source if source != tags.get(keys.TAG_REPO) else ""),
        ("code", " ".join(filter(None, code)) or "no git commit is known"),
        ("nested in", run.parent_run_id),
        ("versions", ", ".join(f"{v.name}/{v.version}" for v in versions)),
        ("models", ", ".join(link.model_id for link in run.outputs.model_outputs)),
        ("artifacts", files),
        ("about", one_line(tags.get("mlflow.note.content", ""))),
    ]


def _pairs(printer: Printer, title: str, pairs: Sequence[tuple[str, str]]) -> None:
    printer.table(
        pairs,
        [
            Column(title, lambda p: cut(clean_line(p[0]), 60)),
            Column("VALUE", lambda p: cut(clean_line(p[1]), _VALUE)),
        ],
    )


def _best(line: MetricLine) -> str:
    if line.best is None:
        return ""
    return f"{'about ' if line.about else ''}{number(line.best)} at {line.best_step:,}"


_METRICS: Sequence[Column[MetricLine]] = (
    Column("METRIC", lambda m: cut(clean_line(m.last.key), 60)),
    Column("LAST", lambda m: number(m.last.number)),
    Column("STEP", lambda m: f"{m.last.step:,}"),
    Column("BEST", _best),
    Column("BETTER", lambda m: "" if m.direction is Direction.NEITHER else m.direction.value),
    Column("POINTS", lambda m: m.points),
)
_DATA: Sequence[Column[DatasetInput]] = (
    Column("DATA", lambda d: cut(clean_line(d.dataset.name), 40)),
    Column("FOR", lambda d: clean_line(d.context)),
    Column("DIGEST", lambda d: clean_line(d.dataset.digest)),
    Column("SOURCE", lambda d: cut(clean_line(d.dataset.address), _VALUE)),
)
