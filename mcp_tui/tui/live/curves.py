"""Curves of runs of one or several contexts, over what the store reads of each server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from mcp_tui.domain.chart.course import Axis, Course
from mcp_tui.domain.curvenames import first_metric, is_system, line_names, metrics_of, run_labels
from mcp_tui.domain.eventlines import is_event
from mcp_tui.domain.history import History
from mcp_tui.domain.run import Run, RunStatus
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import McpTuiError
from mcp_tui.store.curves import PACE, SHARE, CurveBook
from mcp_tui.tui.model_curves import CurveRun

MOST_LINES: Final = 50
"""More lines than these in one chart tell nothing."""

_FAILING: Final = 5.0
_STATES: Final[Mapping[str, str]] = {
    RunStatus.RUNNING: "running",
    RunStatus.SCHEDULED: "waiting",
    RunStatus.FINISHED: "done",
    RunStatus.FAILED: "failed",
    RunStatus.KILLED: "failed",
}


class LiveCurves:
    """Implements :class:`mcp_tui.tui.model_curves.Curves`.

    Args:
        books: By context.
        places: The context and the run's id of each run, in the order in which they were named.
    """

    def __init__(self, books: Mapping[str, CurveBook], places: Sequence[tuple[str, str]]) -> None:
        self._books = dict(books)
        self._places = tuple(places)
        self._courses: dict[tuple[str, str, str], tuple[History, str, Course]] = {}

    def _runs(self) -> list[Run]:
        return [self._books[context].runs[run_id] for context, run_id in self._places]

    @property
    def runs(self) -> tuple[CurveRun, ...]:
        """In the order in which they were named."""
        runs = self._runs()
        return tuple(
            CurveRun(
                key=f"{context}/{run_id}",
                label=label,
                state=_STATES.get(run.info.status, clean_line(run.info.status, limit=20).lower()),
                running=not run.is_over,
            )
            for (context, run_id), run, label in zip(
                self._places, runs, run_labels(runs), strict=True
            )
        )

    def metrics(self) -> tuple[str, ...]:
        """Every metric of any of them."""
        own = metrics_of(self._runs())
        events = {name for book in self._books.values() for name in book.metrics()} - set(own)
        at = next((n for n, name in enumerate(own) if is_system(name)), len(own))
        return (*own[:at], *sorted(events), *own[at:])

    def first(self) -> str:
        """The metric to begin with."""
        return first_metric(self._runs())

    def newest(self, metric: str) -> tuple[float | None, ...]:
        """Its newest value in each run."""
        found = []
        for (context, run_id), run in zip(self._places, self._runs(), strict=True):
            value = next((m.number for m in run.data.metrics if m.key == metric), None)
            if value is None and is_event(metric):
                value = self._books[context].events.last(run_id, metric)
            found.append(value)
        return tuple(found)

    def courses(self, metrics: Sequence[str]) -> tuple[Course, ...]:
        """The lines of these metrics, at most :data:`MOST_LINES`."""
        runs = self._runs()
        names = line_names(run_labels(runs), metrics)
        made: list[Course] = []
        for at, (context, run_id) in enumerate(self._places):
            for metric in metrics:
                history = self._books[context].history(run_id, metric)
                if history is None or not len(history) or len(made) >= MOST_LINES:
                    continue
                key = context, run_id, metric
                name = names[at, metric]
                known = self._courses.get(key)
                if known is None or known[0] is not history or known[1] != name:
                    start = runs[at].info.start_time / 1000 or None
                    known = (
                        history,
                        name,
                        course_of(history, line_key(metric, f"{context}/{run_id}"), name, start),
                    )
                    self._courses[key] = known
                made.append(known[2])
        return tuple(made)

    def said(self, metrics: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Each line's name, and what is known of its points."""
        names = line_names(run_labels(self._runs()), metrics)
        found = []
        for (at, metric), name in names.items():
            context, run_id = self._places[at]
            history = self._books[context].history(run_id, metric)
            if history is None:
                said = "not read yet"
            else:
                said = f"{history.said()} points" if len(history) else "not logged"
            found.append((name, said))
        return tuple(found)

    # -- fetching ---------------------------------------------------------------------------

    async def load(self, metrics: Sequence[str], points: int) -> None:
        """Fetch what of these is not there yet."""
        await asyncio.gather(*(b.load(metrics, points=points) for b in self._books.values()))

    async def count(self, metrics: Sequence[str]) -> bool:
        """Find out how many points there are."""
        return any(await asyncio.gather(*(b.count(metrics) for b in self._books.values())))

    async def look(
        self, metrics: Sequence[str], axis: Axis, window: tuple[float, float] | None
    ) -> bool:
        """Fetch the part in sight more closely."""
        spans: dict[str, dict[tuple[str, str], tuple[int, int]]] = {c: {} for c in self._books}
        for context, run_id in self._places if window is not None else ():
            for metric in metrics:
                history = self._books[context].history(run_id, metric)
                if history is None or window is None:
                    continue
                run = self._books[context].runs[run_id]
                steps = steps_in(history, axis, window, run.info.start_time / 1000)
                if steps is not None:
                    spans[context][run_id, metric] = steps
        looked = (book.look(spans[context]) for context, book in self._books.items())
        return any(await asyncio.gather(*looked))

    async def changes(self, metrics: Sequence[str]) -> AsyncIterator[str]:
        """Follow runs that run, and what of them could not be read when they ended."""
        fault = ""
        while any(book.goes_on(metrics) for book in self._books.values()):
            began = time.monotonic()
            told, changed = "", False
            try:
                followed = (book.follow(metrics) for book in self._books.values())
                changed = any(await asyncio.gather(*followed))
            except McpTuiError as error:
                told = error.line()
            if changed or told or fault:  # that it answers again is news
                yield told
            fault = told
            # A slow server is asked less often, and one that fails still less.
            took = time.monotonic() - began
            await asyncio.sleep(_FAILING if told else max(PACE, took * SHARE))

    async def refresh(self) -> None:
        """Forget what was fetched."""
        await asyncio.gather(*(book.refresh() for book in self._books.values()))

    async def read_events(self) -> str:
        """Read the event files of the runs."""
        books = tuple(self._books.values())
        read = (book.events.read(book.runs) for book in books)
        ends = await asyncio.gather(*read, return_exceptions=True)
        wrong = [end for end in ends if isinstance(end, BaseException)]
        if len(wrong) == len(books) or not all(isinstance(end, McpTuiError) for end in wrong):
            raise wrong[0]
        names = {name for book in books for name in book.events.names}
        files = sum(book.events.files for book in books)
        said = f"{len(names):,} scalars of {files:,} event file{'s' * (files != 1)}"
        notes = [note for book in books for note in book.events.notes]
        notes += [str(error) for error in wrong]
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        return f"{said}; {notes[0]}{more}" if notes else said


def line_key(metric: str, run: str) -> str:
    """What tells a line from all others; both can be read off it again."""
    return f"{metric}\n{run}"


def course_of(history: History, key: str, name: str, start: float | None) -> Course:
    """The line of a history."""
    return Course(
        key,
        name,
        history.steps,
        history.times,
        history.values,
        total=history.total,
        start=start,
        about=history.sampled and (history.total is None or history.about),
    )


def steps_in(
    history: History, axis: Axis, window: tuple[float, float], start: float
) -> tuple[int, int] | None:
    """The steps of a part of an axis: from the last known point before it to the first after."""
    if not len(history):
        return None
    low, high = window
    if axis == "step":
        first, last = history.steps[0], history.steps[-1]
        # One beyond each end, so that the lines go on to the edges.
        begin, end = max(first, int(low) - 1), min(last, int(high) + 1)
        return (begin, end) if begin <= end else None
    begun = start if axis == "relative" else 0.0
    places = [(time - begun, step) for time, step in zip(history.times, history.steps, strict=True)]
    inside = [step for place, step in places if low <= place <= high]
    before = max((p for p in places if p[0] < low), default=None)
    after = min((p for p in places if p[0] > high), default=None)
    around = [*inside, *(p[1] for p in (before, after) if p is not None)]
    return (min(around), max(around)) if around else None
