"""``mcp-tui run curves``: metrics over time as a chart of text, or their points as data."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from mcp_tui.cli.output import Printer
from mcp_tui.cli.runviews import plain
from mcp_tui.cli.tracker import open_tracker
from mcp_tui.domain.chart.course import Course
from mcp_tui.domain.chart.curves import CurvePlotter
from mcp_tui.domain.chart.smooth import smoothed
from mcp_tui.domain.chart.view import CurveView
from mcp_tui.domain.compare import heads
from mcp_tui.domain.curvenames import first_metric
from mcp_tui.domain.eventlines import event_name, is_event
from mcp_tui.domain.history import History
from mcp_tui.domain.run import Run
from mcp_tui.domain.tabular import Cell, to_csv
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ExitCode, GoneError, UsageError
from mcp_tui.locales import utf8_locale
from mcp_tui.store.candidates import find
from mcp_tui.store.curves import CurveBook

_MOST: Final = 30
_SIZE: Final = re.compile(r"([0-9]{1,4})x([0-9]{1,4})")
_SMALLEST: Final = (20, 5)
_LARGEST: Final = (1_000, 400)
_STYLES: Final = ("34", "33", "32", "35", "36", "31")
_HEAD: Final = ("run_id", "run", "metric", "step", "time", "relative", "value", "smoothed")


async def curves(args: argparse.Namespace) -> int:
    """Draw metrics of runs, or print their points."""
    if len(args.runs) > _MOST:
        raise UsageError(f"{len(args.runs)} runs; at most {_MOST} can be drawn")
    size = _size(args.size) if args.size else None
    for option, given in (("--size", args.size), ("--log", args.log)):
        if given and args.output != "table":
            raise UsageError("only the chart has it", where=option, hint="leave it or -o out")
    async with open_tracker(args) as tracker:
        found = await asyncio.gather(
            *(find(tracker.client, each) for each in dict.fromkeys(args.runs))
        )
        runs = list({each.run.run_id: each.run for each in found}.values())
        book = CurveBook(tracker.client, runs)
        asked = [event_name(each) for each in args.metric]
        if book.of_events(asked):
            await book.events.read(book.runs)
        metrics = _metrics(runs, asked, book.metrics())
        await book.load(metrics, points=args.points)
        await book.count(metrics)
        lines = _lines(book, runs, metrics)
        printer = tracker.printer
        for note in book.events.notes:
            printer.note(note)
        if args.output == "json":
            printer.documents((_document(*line, args.smooth, args.by) for line in lines), "json")
        elif args.output == "csv":
            rows = (row for line in lines for row in _rows(*line, args.smooth, args.by))
            printer.lines(to_csv(_HEAD, rows).splitlines())
        else:
            _draw(printer, lines, metrics, args, size or _room(printer))
    return ExitCode.OK


def _metrics(runs: Sequence[Run], asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """The metrics to draw: those asked for, else the one that tells most.

    Raises:
        GoneError: None of the runs has one that is asked for.
    """
    if not asked:
        first = first_metric(runs)
        if not first:
            raise GoneError("nothing was logged to these runs yet")
        return [first]
    for each in asked:
        if each not in known:
            like = [name for name in known if is_event(name)] if is_event(each) else known
            listed = ", ".join(like[:8]) + (", ..." if len(like) > 8 else "")
            raise GoneError(
                f"no metric {clean_line(each, limit=80)!r} was logged",
                hint=f"there are: {listed}" if known else "nothing was logged yet",
            )
    return list(dict.fromkeys(asked))


Line = tuple[Run, str, History]


def _lines(book: CurveBook, runs: Sequence[Run], metrics: Sequence[str]) -> list[Line]:
    """Every metric of every run that has it."""
    return [
        (run, metric, history)
        for metric in metrics
        for run in runs
        if (history := book.history(run.run_id, metric)) is not None and len(history)
    ]


# Drawn


def _draw(
    printer: Printer,
    lines: Sequence[Line],
    metrics: Sequence[str],
    args: argparse.Namespace,
    size: tuple[int, int],
) -> None:
    runs = list({run.run_id: run for run, _, _ in lines}.values())
    labels = {head.run_id: head.label for head in heads(runs)}
    courses = []
    for run, metric, history in lines:
        label = clean_line(labels[run.run_id])
        parts = ([label] if len(runs) > 1 else []) + ([metric] if len(metrics) > 1 else [])
        courses.append(_course(run, metric, history, " ".join(parts) or label))
    view = CurveView(axis=args.by, scale="log" if args.log else "linear", smoothing=args.smooth)
    utf8 = utf8_locale() and "utf" in (printer.out.encoding or "").lower()
    picture = CurvePlotter().draw(
        courses,
        view,
        *size,
        pen="braille" if utf8 else "ascii",
        title=", ".join(clean_line(metric) for metric in metrics),
        marks=len(courses) > 1 and not printer.color,
        grid=printer.color,
    )
    for line in picture.lines:
        text = "".join(_painted(printer, run.text, run.role) for run in line)
        printer.line(text.rstrip())
    for run, metric, history in lines:
        said = history.said()
        if history.nan or history.infinite or history.sampled or history.cut:
            what = f"{labels[run.run_id]} {metric}" if len(lines) > 1 else metric
            printer.note(f"{clean_line(what)}: {said} points shown" if ";" not in said
                         else f"{clean_line(what)}: {said}")  # fmt: skip


def _painted(printer: Printer, text: str, role: str) -> str:
    if not printer.color or not text.strip():
        return text
    series = re.fullmatch(r"(s|raw)([0-9]+)", role)
    if series:
        code = _STYLES[int(series[2]) % len(_STYLES)]
        code = f"2;{code}" if series[1] == "raw" else code
        return f"\x1b[{code}m{text}\x1b[0m"
    return printer.styled(text, "bold" if role == "title" else "dim")


def _course(run: Run, metric: str, history: History, name: str) -> Course:
    return Course(
        f"{metric}\n{run.run_id}",
        name,
        history.steps,
        history.times,
        history.values,
        total=history.total,
        start=run.info.start_time / 1000 if run.info.start_time else None,
        about=history.sampled and (history.total is None or history.about),
    )


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    for given, least, most in zip(size, _SMALLEST, _LARGEST, strict=True):
        if not least <= given <= most:
            raise UsageError(
                f"{clean_line(text, limit=40)!r} is not a size",
                where="--size",
                hint="COLUMNSxLINES, such as 80x24; from 20x5 to 1000x400",
            )
    return size


def _room(printer: Printer) -> tuple[int, int]:
    """The terminal's size, less a line for the prompt; 80 by 24 where there is none."""
    try:
        size = os.get_terminal_size(printer.out.fileno())
    except (OSError, ValueError):
        return 80, 24
    least_wide, least_high = _SMALLEST
    return max(least_wide, size.columns or 80), max(least_high, min(40, (size.lines or 25) - 1))


# As data


def _points(
    run: Run, metric: str, history: History, smooth: float, by: str
) -> Iterator[tuple[int, float, float, float, float | None]]:
    """Step, time, time since the run began, value, and smoothed value of each point."""
    course = _course(run, metric, history, metric)
    began = run.info.start_time / 1000 if run.info.start_time else next(iter(history.times), 0.0)
    order = sorted(
        range(len(history)), key=lambda n: history.steps[n] if by == "step" else history.times[n]
    )
    values = smoothed(type(course.values)("d", (history.values[n] for n in order)), smooth)
    for at, n in enumerate(order):
        time = history.times[n]
        yield (
            history.steps[n],
            time,
            time - began,
            history.values[n],
            values[at] if smooth else None,
        )


def _document(run: Run, metric: str, history: History, smooth: float, by: str) -> Mapping[str, Any]:
    points = [
        {
            "step": step,
            "time": plain(time),
            "relative": plain(relative),
            "value": plain(value),
            **({} if even is None else {"smoothed": plain(even)}),
        }
        for step, time, relative, value, even in _points(run, metric, history, smooth, by)
    ]
    return {
        "run_id": run.run_id,
        "run": run.name,
        "metric": metric,
        "shown": len(history),
        "total": history.total,
        "about": history.about,
        "sampled": history.sampled,
        "nan": history.nan,
        "infinite": history.infinite,
        "said": history.said(),
        "points": points,
    }


def _rows(run: Run, metric: str, history: History, smooth: float, by: str) -> Iterator[list[Cell]]:
    for step, time, relative, value, even in _points(run, metric, history, smooth, by):
        yield [
            run.run_id,
            run.name,
            metric,
            step,
            None if math.isnan(time) else time,
            None if math.isnan(relative) else relative,
            plain(value),
            None if even is None else plain(even),
        ]
