"""Metrics of some runs of one server: read once, counted, looked at more closely, kept up to date.

What is on screen is asked for and nothing else. A run that is over is not asked again; of those
that run, one search tells whether anything was logged, and only what was is read, from the last
known step on. When a run ends its lines are read anew, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mcp_tui.domain.curvenames import is_system, metrics_of
from mcp_tui.domain.eventlines import is_event
from mcp_tui.domain.history import History, extended, later, with_part
from mcp_tui.domain.run import Metric, Run
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.eventlines import EventLines, asked

POINTS: Final = 320
"""Points of a line unless more fit the screen."""

MOST_POINTS: Final = 2_000
"""The most that are kept of one line: what was logged live is thinned beyond."""

COUNTED: Final = 12
"""Lines whose points are counted: each takes some calls."""

PACE: Final = 1.0
"""Seconds between two looks at runs that run."""

SHARE: Final = 10.0
"""A look is followed by a rest this many times as long as it took."""

_AT_ONCE: Final = 4
_LAST_STEP: Final = 2**63 - 1

Line = tuple[str, str]
"""A run's id and a metric."""


class CurveBook:
    """Histories of one server's runs.

    Args:
        client: The server.
        runs: As they were read, with their newest metrics.
    """

    def __init__(self, client: MlflowClient, runs: Sequence[Run]) -> None:
        self._client = client
        self.runs: dict[str, Run] = {run.run_id: run for run in runs}
        self.events = EventLines(client)
        self._whole: dict[Line, History] = {}
        self._parts: dict[Line, tuple[tuple[int, int], History]] = {}
        self._joined: dict[Line, History] = {}
        self._stale: set[Line] = set()
        # The newest point that was told of a line when it was read, and whether its run was over.
        self._seen: dict[Line, tuple[Metric | None, bool]] = {}
        self._counted: set[Line] = set()
        self._points = POINTS

    # -- what is known ----------------------------------------------------------------------

    def history(self, run_id: str, metric: str) -> History | None:
        """What is known of a line, the closer look at a part included; None before it came."""
        return self._joined.get((run_id, metric))

    @property
    def running(self) -> tuple[str, ...]:
        """Runs that may log more."""
        return tuple(run_id for run_id, run in self.runs.items() if not run.is_over)

    def of_events(self, metrics: Iterable[str]) -> list[str]:
        """Which of these are scalars of event files."""
        names = [name for name in metrics if is_event(name)]
        return asked(names, metrics_of(self.runs.values())) if names else []

    def metrics(self) -> tuple[str, ...]:
        """Every metric of any of them, with the scalars of event files that were read."""
        own = metrics_of(self.runs.values())
        events = sorted(self.events.names - frozenset(own))
        at = next((n for n, name in enumerate(own) if is_system(name)), len(own))
        return (*own[:at], *events, *own[at:])

    def _has(self, run_id: str, metric: str) -> bool:
        return any(each.key == metric for each in self.runs[run_id].data.metrics)

    # -- reading ----------------------------------------------------------------------------

    async def load(self, metrics: Iterable[str], *, points: int = POINTS) -> None:
        """Read what of these metrics is not known yet.

        Args:
            metrics: By name.
            points: For each run; more than last time reads all of them anew.
        """
        if points > self._points:
            self._points = points
            self._forget()
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(metric: str) -> None:
            wanted = [run_id for run_id in self.runs if self._is_due((run_id, metric))]
            if wanted:
                async with limit:
                    await self._read(wanted, metric, self._points)

        names = list(dict.fromkeys(metrics))
        events = self.of_events(names)
        await asyncio.gather(
            *(one(metric) for metric in names if metric not in events),
            *([self._load_events(events)] if events else []),
        )

    def _is_due(self, line: Line) -> bool:
        return line not in self._whole or line in self._stale

    def _forget(self) -> None:
        """What is known stays until it was read anew: it is drawn and followed meanwhile."""
        self._stale |= set(self._whole)
        self._counted.clear()

    async def _load_events(self, names: Sequence[str]) -> None:
        """Take scalars from the event files, which are read first where they were not yet."""
        await self.events.read(self.runs)
        for run_id in self.runs:
            for name in names:
                if self._is_due((run_id, name)):
                    self._stale.discard((run_id, name))
                    self._keep((run_id, name), self.events.whole(run_id, name, self._points))

    async def _read(self, run_ids: Sequence[str], metric: str, points: int) -> None:
        told = {r: (self._newest(r, metric), self.runs[r].is_over) for r in run_ids}
        found = await self._client.histories(run_ids, metric, max_points=points)
        for run_id in run_ids:
            line = run_id, metric
            self._seen[line] = told[run_id]
            self._stale.discard(line)
            self._keep(line, found.get(run_id) or History(run_id=run_id, key=metric))

    def _newest(self, run_id: str, metric: str) -> Metric | None:
        return next((m for m in self.runs[run_id].data.metrics if m.key == metric), None)

    def _keep(self, line: Line, history: History) -> None:
        self._whole[line] = history
        part = self._parts.get(line)
        self._joined[line] = history if part is None else with_part(history, part[1], part[0])

    async def count(self, metrics: Iterable[str]) -> bool:
        """Estimate how many points sampled lines have; whether any was."""
        names = list(metrics)
        mine = set(names) - set(self.of_events(names))  # of event files it is known
        wanted = [
            line
            for line, history in self._whole.items()
            if line[1] in mine and history.sampled and line not in self._counted
        ][:COUNTED]
        self._counted.update(wanted)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(line: Line) -> bool:
            async with limit:
                before = self._whole[line]
                found = await self._client.counted(before)
            if found is before or self._whole[line] is not before:
                return False
            self._keep(line, found)
            return True

        return any(await asyncio.gather(*(one(line) for line in wanted)))

    async def look(self, spans: Mapping[Line, tuple[int, int]]) -> bool:
        """Read parts of lines more closely; whether anything came.

        Args:
            spans: The first and the last step of each line that is looked at; the part that was
                looked at before is let go of, in these and in all others.
        """
        for line in [line for line in self._parts if line not in spans]:
            del self._parts[line]
            self._joined[line] = self._whole[line]
        groups: dict[tuple[str, tuple[int, int]], list[str]] = {}
        events, came = set(self.of_events(metric for _, metric in spans)), False
        for (run_id, metric), steps in spans.items():
            whole = self._whole.get((run_id, metric))
            known = self._parts.get((run_id, metric))
            if whole is None or not whole.sampled or whole.last_step is None:
                continue
            # What is logged from now on is behind the last step, and is no part of this look.
            steps = steps[0], min(steps[1], whole.last_step)
            if known is not None and known[0] == steps:
                continue
            if metric in events:
                part = self.events.part(run_id, metric, steps, self._points)
                self._parts[run_id, metric] = steps, part
                self._keep((run_id, metric), whole)
                came = True
            else:
                groups.setdefault((metric, steps), []).append(run_id)
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(metric: str, steps: tuple[int, int], run_ids: list[str]) -> None:
            async with limit:
                found = await self._client.histories(
                    run_ids, metric, steps=steps, max_points=self._points
                )
            for run_id in run_ids:
                line = run_id, metric
                part = found.get(run_id) or History(run_id=run_id, key=metric)
                self._parts[line] = steps, part
                self._keep(line, self._whole[line])

        await asyncio.gather(*(one(metric, steps, ids) for (metric, steps), ids in groups.items()))
        return came or bool(groups)

    # -- following --------------------------------------------------------------------------

    def goes_on(self, metrics: Sequence[str]) -> bool:
        """Whether there is, or may be, more of these metrics than is known."""
        return bool(self.running or self._behind(metrics))

    def _behind(self, metrics: Sequence[str]) -> dict[str, list[str]]:
        """By metric, the runs of lines of which there is more: also what could not be read."""
        events = self.of_events(metrics)  # files that are uploaded when the run is over
        found = {
            metric: [run_id for run_id in self.runs if self._lacks(run_id, metric)]
            for metric in metrics
            if metric not in events
        }
        return {metric: run_ids for metric, run_ids in found.items() if run_ids}

    def _lacks(self, run_id: str, metric: str) -> bool:
        """Whether there is more of a line that was read, or may be as its run ended since."""
        if (run_id, metric) not in self._whole:
            return False
        newest, over = self._seen.get((run_id, metric), (None, False))
        if self.runs[run_id].is_over:
            return not over
        return self._newest(run_id, metric) != newest

    async def follow(self, metrics: Sequence[str]) -> bool:
        """Look once whether runs that run logged more, and read it; whether anything changed.

        A search tells a metric's point of the largest step. So what a run that was resumed from a
        checkpoint logs below that is not seen until it logs that step again or its run ends: then
        the line is read anew.
        """
        changed = False
        running = self.running
        if running:
            experiments = {self.runs[run_id].info.experiment_id for run_id in running}
            newest = await self._client.newest(running, sorted(experiments))
            changed = any(self.runs[run_id] != run for run_id, run in newest.items())
            self.runs |= newest
        behind = self._behind(metrics)
        for metric, run_ids in behind.items():
            await self._go_on(run_ids, metric)
        return changed or bool(behind)

    async def _go_on(self, run_ids: Sequence[str], metric: str) -> None:
        """Read what was logged since, in one call where it is not too much."""
        newest = {run_id: self._newest(run_id, metric) for run_id in run_ids}
        known = {run_id: self._whole[run_id, metric] for run_id in run_ids}
        begun = [r for r in run_ids if len(known[r]) and not self.runs[r].is_over]
        anew = [r for r in run_ids if r not in begun]
        if begun:
            since = {r: known[r].steps[-1] for r in begun}
            steps = min(since.values()), _LAST_STEP
            found = await self._client.histories(begun, metric, steps=steps, max_points=POINTS)
            for run_id in begun:
                tail = found.get(run_id) or History(run_id=run_id, key=metric)
                if tail.sampled and len(begun) > 1:
                    tail = await self._client.tail(run_id, metric, since[run_id])
                tail = later(tail, since[run_id])
                if tail.sampled or tail.cut or _went_back(known[run_id], tail):
                    anew.append(run_id)
                    continue
                whole = extended(self._whole[run_id, metric], tail, most=MOST_POINTS)
                self._seen[run_id, metric] = newest[run_id], False
                self._keep((run_id, metric), whole)
        if anew:
            self._counted -= {(run_id, metric) for run_id in anew}
            # As closely as it is known by now: what was followed is not made coarser.
            longest = max(len(known[run_id]) for run_id in anew) + POINTS
            await self._read(anew, metric, max(self._points, min(MOST_POINTS, longest)))

    async def refresh(self) -> None:
        """Have the next load read all anew; runs are read as they are now."""
        experiments = {run.info.experiment_id for run in self.runs.values()}
        newest = await self._client.newest(list(self.runs), sorted(experiments))
        self.runs |= newest
        self._forget()
        self._parts.clear()
        self.events.forget()


def _went_back(known: History, tail: History) -> bool:
    """Whether a tail shows that steps before it were logged again, as from a checkpoint.

    The last known step was, and later than within the time that a step takes.
    """
    again = dict(zip(tail.steps, tail.times, strict=True)).get(known.steps[-1])
    span = known.steps[-1] - known.steps[0]
    if again is None or not span:
        return False
    pace = (known.times[-1] - known.times[0]) / span
    return again - known.times[-1] > max(pace, 0.0)
