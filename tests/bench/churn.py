"""Memory while jobs come and go: a hundred creations and as many deletions a second.

A minute of it in every run, ten in the long form (:mod:`tests.soak`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.storm import Storm, Writer
from tests.bench.terminal import Terminal
from tests.bench.weather import ARGUMENTS, LATEST, SETTLE, ask, listed
from tests.cluster import Ground
from tests.soak import times

EVENTS: Final = 200.0
"""A second: half of them creations, half deletions."""

_BEAT: Final = 1.0


@dataclass(frozen=True)
class Churn:
    """A churn as the console lived through it.

    Attributes:
        storm: What there was of it.
        samples: Bytes of memory, once a second.
        same: Whether the console holds what the server does, once it is quiet.
        processor: Share of a core.
    """

    storm: Storm
    samples: tuple[int, ...]
    same: bool
    processor: float

    @property
    def grown(self) -> float:
        """Bytes: the last quarter against the second, when all that grows once has grown."""
        quarter = len(self.samples) // 4
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return statistics.median(last) - statistics.median(second)


def live_through(ground: Ground, *, env: Mapping[str, str], jobs: int) -> Churn:
    """Open the console and let jobs come and go."""
    seconds = times(60, 600)
    with (
        Writer(ground, jobs=jobs, rate=EVENTS, seconds=seconds, churn=True) as writer,
        Terminal(ARGUMENTS, env=env) as terminal,
    ):
        terminal.wait("rows", str(jobs))
        time.sleep(SETTLE)
        began, used = time.monotonic(), terminal.processor
        writer.begin()
        samples = []
        while writer.running:
            samples.append(terminal.resident)
            time.sleep(_BEAT)
        storm = writer.end()
        used = (terminal.processor - used) / (time.monotonic() - began)
        wanted, until = listed(ground), time.monotonic() + LATEST
        while not (same := ask(terminal)[0] == wanted) and time.monotonic() < until:
            time.sleep(1)
        return Churn(storm, tuple(samples), same, used)
