"""The promises about many jobs, each beside what it is held against in the same run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from tests.bench import idle, scale
from tests.bench.figure import Figure
from tests.bench.scene import Size
from tests.bench.terminal import Terminal

FRAME_MS = 50.0
"""From a key press to its frame."""

SLOW_LINE = 2_000.0
"""Bytes a second of a line that is all but dead."""


def figures(size: Size = scale.FULL) -> Iterator[Figure]:
    """Measure everything on one filled cluster, each figure as it is known."""
    with scale.stage(size) as at:
        yield from _start(at)
        yield from _idle(at)
        bare = bare_key(size.jobs)
        yield from _keys(at, bare)
        yield from _storms(at, bare)


def bare_key(rows: int, presses: int = 40) -> float:
    """Median milliseconds from a key to its frame in a bare Textual table of as many rows."""
    with Terminal([str(rows)], env={}, module="tests.bench.bare") as terminal:
        terminal.wait("rows", str(rows))
        time.sleep(1)
        keys = scale.Keys()
        for press in range(presses):
            keys.press(terminal, "move", "\x1b[B" if press % 2 else "\x1b[6~")
            time.sleep(0.05)
        return keys.quantile(0.5)


def _start(at: scale.Stage) -> Iterator[Figure]:
    other, ours = scale.list_by_kubectl(at), scale.start(at)
    beside = f"kubectl {other.seconds:.2f} s, {other.resident / 1e6:.0f} MB"
    jobs, whole = f"{at.size.jobs:,} jobs", other.seconds
    yield Figure(
        f"first rows of {jobs}",
        ours.first / whole,
        0.25,
        "x",
        f"{ours.first:.2f} s; {beside}",
    )
    yield Figure(
        f"all rows of {jobs}", ours.every / whole, 0.5, "x", f"{ours.every:.2f} s; {beside}"
    )
    beside = f"{at.size.pods:,} pods in the cluster; {beside}"
    yield Figure(f"memory with {jobs}", ours.resident / 1e6, 200, "MB", beside)


def _idle(at: scale.Stage) -> Iterator[Figure]:
    beside = f"{at.size.jobs:,} jobs, nothing changing"
    yield Figure("processor while idle", scale.idle(at) * 100, 1, "% core", beside)
    found = asyncio.run(idle.watch(at.ground, None))
    yield Figure("bytes of the API server, idle", found.per_minute / 1024, 10, "KiB/min", beside)


def _keys(at: scale.Stage, bare: float) -> Iterator[Figure]:
    keys = scale.quiet_keys(at)
    for what, names in (("filter", ("filter", "escape")), ("sort", ("sort",))):
        slowest = max(value for name in names for value in keys.times[name])
        beside = f"slowest of {sum(len(keys.times[n]) for n in names)}; {_times(slowest, bare)}"
        yield Figure(f"key to frame, {what} of {at.size.jobs:,}", slowest, FRAME_MS, "ms", beside)


def _times(value: float, bare: float) -> str:
    return f"{value / bare:.1f}x a bare Textual table's {bare:.1f} ms"


def _storms(at: scale.Stage, bare: float) -> Iterator[Figure]:
    told = scale.storm(at)
    p99 = told.keys.quantile(0.99)
    beside = f"{told.storm.rate:.0f} events/s; {len(told.keys.all)} keys; {_times(p99, bare)}"
    yield Figure("key to frame in a storm, P99", p99, FRAME_MS, "ms", beside)
    yield Figure("jobs that differ from a fresh list", float(not told.same), 0, "", beside)
    told = scale.storm(at, profile="ssh", size=(80, 24))
    beside = f"{told.storm.rate:.0f} events/s, 80x24, keys pressed meanwhile"
    yield Figure(
        "bytes to the terminal in a storm, ssh", told.size / told.seconds / 1000, 20, "kB/s", beside
    )
    told = scale.storm(at, keys=False, line=SLOW_LINE)
    beside = f"{told.storm.rate:.0f} events/s, a terminal that reads {SLOW_LINE / 1000:g} kB/s"
    yield Figure("event loop held up, slow line", told.stall, FRAME_MS, "ms", beside)
    yield Figure("memory grown, slow line", told.grown / 1e6, 20, "MB", beside)
