"""Metrics of some runs of one server: read once, counted, looked at more closely, kept up to date.

What is on screen is asked for and nothing else. A run that is over is not asked again; of those
that run, one search tells whether anything was logged, and only what was is read, from the last
known step on.
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
        self._seen: dict[Line, Metric | None] = {}
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
            self._whole.clear()
            self._counted.clear()
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(metric: str) -> None:
            wanted = [r for r in self.runs if (r, metric) not in self._whole]
            if wanted:
                async with limit:
                    await self._read(wanted, metric)

        names = list(dict.fromkeys(metrics))
        events = self.of_events(names)
        await asyncio.gather(
            *(one(metric) for metric in names if metric not in events),
            *([self._load_events(events)] if events else []),
        )

    async def _load_events(self, names: Sequence[str]) -> None:
        """Take scalars from the event files, which are read first where they were not yet."""
        await self.events.read(self.runs)
        for run_id in self.runs:
            for name in names:
                if (run_id, name) not in self._whole:
                    self._keep((run_id, name), self.events.whole(run_id, name, self._points))

    async def _read(self, run_ids: Sequence[str], metric: str) -> None:
        newest = {run_id: self._newest(run_id, metric) for run_id in run_ids}
        found = await self._client.histories(run_ids, metric, max_points=self._points)
        for run_id in run_ids:
            line = run_id, metric
            self._seen[line] = newest[run_id]
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

    async def follow(self, metrics: Sequence[str]) -> bool:
        """Look once whether runs that run logged more, and read it; whether anything changed."""
        running = self.running
        if not running:
            return False
        experiments = {self.runs[run_id].info.experiment_id for run_id in running}
        newest = await self._client.newest(running, sorted(experiments))
        changed = any(self.runs[run_id] != run for run_id, run in newest.items())
        self.runs |= newest
        events = self.of_events(metrics)  # files that are uploaded when the run is over
        for metric in (each for each in metrics if each not in events):
            behind = [
                run_id
                for run_id in newest
                if (run_id, metric) in self._whole
                and self._newest(run_id, metric) != self._seen.get((run_id, metric))
            ]
            if behind:
                await self._go_on(behind, metric)
        return changed

    async def _go_on(self, run_ids: Sequence[str], metric: str) -> None:
        """Read what was logged since, in one call where it is not too much."""
        newest = {run_id: self._newest(run_id, metric) for run_id in run_ids}
        begun = [r for r in run_ids if self._whole[r, metric].last_step is not None]
        anew = [r for r in run_ids if r not in begun]
        if begun:
            since = {r: self._whole[r, metric].last_step or 0 for r in begun}
            steps = min(since.values()), _LAST_STEP
            found = await self._client.histories(begun, metric, steps=steps, max_points=POINTS)
            for run_id in begun:
                tail = found.get(run_id) or History(run_id=run_id, key=metric)
                if tail.sampled and len(begun) > 1:
                    tail = await self._client.tail(run_id, metric, since[run_id])
                if tail.sampled or tail.cut:
                    anew.append(run_id)
                    continue
                tail = later(tail, since[run_id])
                whole = extended(self._whole[run_id, metric], tail, most=MOST_POINTS)
                self._seen[run_id, metric] = newest[run_id]
                self._keep((run_id, metric), whole)
        if anew:
            self._counted -= {(run_id, metric) for run_id in anew}
            await self._read(anew, metric)

    async def refresh(self) -> None:
        """Forget what was read: the next load reads all anew, and runs are read as they are now."""
        experiments = {run.info.experiment_id for run in self.runs.values()}
        newest = await self._client.newest(list(self.runs), sorted(experiments))
        self.runs |= newest
        self._whole.clear()
        self._counted.clear()
        self.events.forget()
