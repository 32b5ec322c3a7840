"""Scalars of the event files of some runs of one server: read when they are asked for, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from mcp_tui.domain.eventlines import is_event, sampled, within
from mcp_tui.domain.history import History
from mcp_tui.errors import GoneError, McpTuiError, UsageError
from mcp_tui.sources.eventfiles import EventScalars, read_events
from mcp_tui.sources.mlflow import MlflowClient

MOST_RUNS: Final = 10
"""Runs whose event files are read together: each may bring 128 MiB."""

_AT_ONCE: Final = 2


class EventLines:
    """What is known of the event files of some runs.

    Args:
        client: Their server.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._read: dict[str, EventScalars] = {}
        self._stale: set[str] = set()
        self.notes: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Scalars of any of the runs."""
        return frozenset(name for each in self._read.values() for name in each.lines)

    @property
    def files(self) -> int:
        """How many event files there are."""
        return sum(each.files for each in self._read.values())

    async def read(self, run_ids: Iterable[str]) -> None:
        """Read the event files of runs that are not read yet.

        What is wrong with some of them is in :attr:`notes`.

        Raises:
            McpTuiError: None of the runs has any that could be read; why.
        """
        every = tuple(run_ids)
        wanted = [r for r in every[:MOST_RUNS] if r not in self._read or r in self._stale]
        limit = asyncio.Semaphore(_AT_ONCE)
        wrong: list[McpTuiError] = []

        async def one(run_id: str) -> None:
            async with limit:
                try:
                    self._read[run_id] = await read_events(self._client, run_id)
                    self._stale.discard(run_id)
                except McpTuiError as error:
                    wrong.append(error)

        await asyncio.gather(*(one(run_id) for run_id in wanted))
        notes = [note for each in self._read.values() for note in each.notes]
        if not self.names:
            if wrong:
                raise wrong[0]
            if notes:
                raise UsageError(notes[0])
            if self.files:
                raise GoneError("the event files hold no scalars")
            raise GoneError("there are no event files among the artifacts")
        notes += [error.line() for error in wrong]
        if len(every) > MOST_RUNS:
            notes.append(f"event files of the first {MOST_RUNS} of {len(every)} runs are read")
        self.notes = tuple(notes)

    def is_read(self, run_id: str) -> bool:
        """Whether its files were read, and need not be again."""
        return run_id in self._read and run_id not in self._stale

    def forget(self) -> None:
        """Read again when asked the next time; what is known stays until then."""
        self._stale.update(self._read)

    def whole(self, run_id: str, name: str, points: int) -> History:
        """A scalar of a run; empty where it has none."""
        found = self._line(run_id, name)
        return found if len(found) <= points else sampled(found, points)

    def part(self, run_id: str, name: str, steps: tuple[int, int], points: int) -> History:
        """A part of it more closely."""
        return within(self._line(run_id, name), steps, points)

    def last(self, run_id: str, name: str) -> float | None:
        """Its newest value."""
        values = self._line(run_id, name).values
        return values[-1] if values else None

    def _line(self, run_id: str, name: str) -> History:
        known = self._read.get(run_id)
        found = known.lines.get(name) if known is not None else None
        return found or History(run_id=run_id, key=name)


def asked(metrics: Iterable[str], logged: Iterable[str]) -> list[str]:
    """Which of some names are scalars of event files: what MLflow itself has is MLflow's."""
    own = frozenset(logged)
    return [name for name in metrics if is_event(name) and name not in own]
