"""A pod that writes 20,000 log lines a second, and a console that follows it.

The replay's process is the kubelet's side: it gives numbered lines at exactly that rate, each with
the time at which it was sent. What the console kept, left out and says it left out is counted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.replay import Replay
from tests.bench.storm import Storm
from tests.bench.terminal import Terminal
from tests.bench.weather import ARGUMENTS, SETTLE, Keys, told

JOB: Final = "train-000007"
"""One that runs, as all its pods do."""

_KEYS: Final = (
    ("up", "k"),
    ("down", "j"),
    ("page", "\x1b[5~"),
    ("top", "g"),
    ("follow", "G"),
    ("times", "T"),
)


@dataclass(frozen=True)
class Log:
    """What the console says of a log that it follows.

    Attributes:
        newest: Number of the newest line.
        given: Lines that came to the view.
        notices: Lines of its own among them, each saying how many were left out.
        left: Lines that it says were left out before.
        kept: Lines that it holds.
        dropped: Lines that it says it dropped.
        age: Seconds since the newest was sent.
    """

    newest: int
    given: int
    notices: int
    left: int
    kept: int
    dropped: int
    age: float

    @property
    def unsaid(self) -> int:
        """Lines that are neither there nor told of."""
        before = self.newest - self.given - self.left
        return abs(before) + abs(self.kept + self.dropped - self.given - self.notices)


@dataclass(frozen=True)
class Flood:
    """A flood as the console lived through it.

    Attributes:
        sent: Lines that were sent.
        keys: That were pressed meanwhile.
        ages: Seconds by which the view was behind, at some moments of it.
        end: What it says when all is over.
        stall: Milliseconds that the event loop was held up at most.
        processor: Share of a core.
    """

    sent: Storm
    keys: Keys
    ages: tuple[float, ...]
    end: Log
    stall: float
    processor: float


def follow(source: Replay, *, env: Mapping[str, str], jobs: int) -> Flood:
    """Open the log of a job, let it flood, and press keys meanwhile."""
    more = {"MCP_TUI_BENCH_STALLS": "1", "MCP_TUI_BENCH_LOGS": "1"}
    keys, ages, draw = Keys(), [], random.Random(5)
    with Terminal(ARGUMENTS, env={**env, **more}) as terminal:
        terminal.wait("rows", str(jobs))
        time.sleep(SETTLE)
        for key in ("/", *JOB, "\r", "l"):
            terminal.key(key)
        time.sleep(3)
        told(terminal)
        began, used = time.monotonic(), terminal.processor
        source.begin()
        while source.running:
            for name, key in (*draw.sample(_KEYS, len(_KEYS)), ("follow", "G")):
                keys.press(terminal, name, key)
                time.sleep(0.1)
            if log := _log(told(terminal)):
                ages.append(log.age)
        sent = source.end()
        used = (terminal.processor - used) / (time.monotonic() - began)
        time.sleep(3)
        news = told(terminal)
        end = _log(news)
        if end is None:
            raise RuntimeError("the console shows no log")
        # Asked once it was over, its newest line is as old as that.
        return Flood(sent, keys, tuple(ages[:-1]), end, float(news["stall"]), used)


def _log(news: Mapping[str, str]) -> Log | None:
    if "log" not in news:
        return None
    *counts, age = news["log"].split()
    newest, given, notices, left, kept, dropped = map(int, counts)
    return Log(newest, given, notices, left, kept, dropped, float(age))
