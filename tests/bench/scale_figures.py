"""The promises about many jobs, each beside what it is held against in the same run."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mcp_tui.tui.run import SLOW_FPS
from tests.bench import churn, contexts, idle, k9s, replay, scale, weather
from tests.bench.behind import behind
from tests.bench.figure import Figure
from tests.bench.flood import Flood, follow
from tests.bench.replay import RATE, Replay
from tests.bench.rest import servers, settle
from tests.bench.scene import Scene, Size
from tests.bench.storm import Storm, Writer
from tests.bench.terminal import Terminal
from tests.bench.weather import Keys, Weather, endure

FRAME_MS = 50.0
"""From a key press to its frame."""

GROWN_MB = 20.0
MEMORY_MB: Final = 200
CHURN_MB = 5.0
BESIDE = 1.25
"""Starts differ by so much from one to the next."""

STORM_SECONDS = 30.0
SLOW_SECONDS = 20.0
FLOOD_SECONDS = 15.0
LINES = 20_000.0
MINUTE = 60.0
CUSTOM = 2_000
WRITTEN = 450.0
"""Events a second of the real server: as many as it can make beside the console on two
processors."""

WRITTEN_LEAST = 200.0
KEPT_UP = 0.95
"""Of a rate that is asked for, what there has to be of it: what is measured is no lesser storm."""
SLOW_LINE = 2_000.0
"""Bytes a second of a line that is all but dead."""

SLOW: Final = (
    (SLOW_LINE, SLOW_SECONDS, f"reads {SLOW_LINE / 1000:g} kB/s"),
    (0.0, MINUTE, "has stopped"),
)
"""Terminals that do not read as fast as they should: bytes a second, for how long, and in words."""


def figures(size: Size = scale.FULL, names: Sequence[str] = ()) -> Iterator[Figure]:
    """Measure all parts, or those named, on one filled cluster; each figure as it is known."""
    with scale.stage(size) as at:
        for name, part in PARTS:
            if not names or name in names:
                settle(at.ground)
                yield from part(at)


def bare_keys(rows: int, presses: int) -> Keys:
    """Keys in a bare Textual table of as many rows."""
    with Terminal([str(rows)], env={}, module="tests.bench.bare") as terminal:
        terminal.wait("rows", str(rows))
        time.sleep(1)
        keys = Keys()
        for press in range(presses):
            keys.press(terminal, "move", "\x1b[B" if press % 2 else "\x1b[6~")
            time.sleep(0.05)
        return keys


@functools.cache
def bare_key(rows: int) -> float:
    """Median milliseconds from a key to its frame there, while nothing else goes on."""
    return bare_keys(rows, 40).quantile(0.5)


_started = functools.cache(scale.starts)


@functools.cache
def _rested(at: scale.Stage) -> idle.Rest:
    return idle.of_console(at.ground, env=at.env, rows=at.size.jobs)


def _start(at: scale.Stage) -> Iterator[Figure]:
    other, ours = _started(at)
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
    yield Figure(f"memory with {jobs}", ours.resident / 1e6, MEMORY_MB, "MB", beside)


def _idle(at: scale.Stage) -> Iterator[Figure]:
    yield from _rest(_rested(at), f"{at.size.jobs:,} jobs")


def _custom(at: scale.Stage) -> Iterator[Figure]:
    scene = Scene(at.ground)
    scene.add_custom(CUSTOM)
    try:
        found = idle.of_console(at.ground, env=at.env, rows=at.size.jobs + CUSTOM)
    finally:
        scene.remove_custom()
    yield from _rest(found, f"{CUSTOM:,} RayJobs beside {at.size.jobs:,} jobs")


def _rest(found: idle.Rest, whose: str) -> Iterator[Figure]:
    beside = f"{whose}, nothing changing; {found.resident / 1e6:.0f} MB"
    kib = found.per_minute / 1024
    yield Figure(f"processor while idle, {whose}", found.processor * 100, 1, "% core", beside)
    yield Figure(f"bytes of the API server, {whose}", kib, 10, "KiB/min", beside)


def _keys(at: scale.Stage) -> Iterator[Figure]:
    with behind(servers(at.ground)):
        keys = scale.quiet_keys(at)
    for what, names in (
        ("filter", ("slash", "filter", "enter", "escape")),
        ("sort", ("sort",)),
    ):
        slowest = max(value for name in names for value in keys.times[name])
        beside = f"slowest of {sum(len(keys.times[n]) for n in names)}"
        yield _ms(at, f"key to frame, {what} of {at.size.jobs:,}", slowest, beside)


def _ms(at: scale.Stage, name: str, value: float, beside: str, bound: float = FRAME_MS) -> Figure:
    """A time, and how it stands to a key's in a bare Textual table of as many rows."""
    bare = bare_key(at.size.jobs)
    beside = f"bare {bare:.1f} ms; {beside}"
    return Figure(name, value, bound, "ms", beside, of_bare=value / bare)


def _written(at: scale.Stage) -> Iterator[Figure]:
    """What the real server can make of writes to it."""

    def writer() -> Writer:
        return Writer(at.ground, jobs=at.size.jobs, rate=WRITTEN, seconds=STORM_SECONDS)

    with behind(servers(at.ground)):
        with writer() as storm:
            storm.begin()
            bare = bare_keys(at.size.jobs, 200)
            storm.end()
        with writer() as storm:
            told = endure(
                storm, env=at.env, jobs=at.size.jobs, expected=lambda: weather.listed(at.ground)
            )
    # The servers' work slows down what runs beside it: that of a bare Textual table as well.
    slow = bare.quantile(0.99)
    name = "key to frame in a storm, P99, as the server can"
    p99 = told.keys.quantile(0.99)
    beside = f"a bare table's in such a storm {slow:.1f} ms; {told.line()}"
    yield Figure(name, p99, FRAME_MS, "ms", beside, of_bare=p99 / slow)
    yield _rate(told.storm, WRITTEN_LEAST, "events", "written to the server")
    yield _differs(told, "as the server can")
    Scene(at.ground).put_jobs(at.size.jobs)


def _rate(storm: Storm, least: float, what: str, whence: str) -> Figure:
    """How fast it stormed, which the promises about storms rest on."""
    beside = f"{storm.events:,} in {storm.seconds:.1f} s"
    return Figure(f"{what} a second, {whence}", storm.rate, least, "/s", beside, at_least=True)


def _given(at: scale.Stage) -> Iterator[Figure]:
    """The full rate, and what a slow line makes of it."""
    # The servers still deal with what was written to them, for the recording and before.
    with replay.recording(at.ground, jobs=at.size.jobs) as path, behind(servers(at.ground)):
        yield from _stormed(at, _replayed(at, path, STORM_SECONDS), "a recording")
        told = _replayed(at, path, MINUTE, profile="ssh", size=weather.SMALL_SIZE)
        yield from _over_ssh(at, told)
        for line, seconds, words in SLOW:
            told = _replayed(at, path, seconds, keys=False, line=line)
            beside = f"{told.storm.rate:.0f} events/s, the terminal {words}"
            yield _ms(at, f"event loop held up, {words}", told.stall, beside)
            yield Figure(f"memory grown, {words}", told.grown / 1e6, GROWN_MB, "MB", beside)
            yield _rate(told.storm, KEPT_UP * RATE, "events", words)
            yield _differs(told, words)
        with Replay(at.ground, path, seconds=FLOOD_SECONDS, lines=LINES) as source:
            flood = follow(source, env=_through(at, source), jobs=at.size.jobs)
        yield from _flooded(at, flood)


def _replayed(at: scale.Stage, path: Path, seconds: float, **options: Any) -> Weather:
    with Replay(at.ground, path, seconds=seconds) as source:
        return endure(
            source,
            env=_through(at, source),
            jobs=at.size.jobs,
            expected=lambda: weather.listed(at.ground, source.last),
            **options,
        )


def replayed(at: scale.Stage, seconds: float) -> Weather:
    """Keys in a storm of the full rate, of a recording of its own."""
    with replay.recording(at.ground, jobs=at.size.jobs) as path:
        return _replayed(at, path, seconds)


def _flooded(at: scale.Stage, told: Flood) -> Iterator[Figure]:
    p99, end = told.keys.quantile(0.99), told.end
    rate = f"{told.sent.rate:,.0f} lines/s for {told.sent.seconds:.0f} s"
    slowest = ", ".join(f"{name} {value:.1f}" for name, value in told.keys.slowest().items())
    beside = f"{rate}; {len(told.keys.all)} keys ({slowest})"
    yield _ms(at, "key to frame in a flood of log, P99", p99, beside)
    beside = f"{rate}; {told.processor * 100:.0f} % of a core, loop held up {told.stall:.0f} ms"
    yield Figure("newest log line is behind", max(told.ages), 2, "s", beside)
    beside = (
        f"of {told.sent.events:,}: {end.kept:,} kept, {end.dropped:,} older dropped, "
        f"{end.left:,} left out"
    )
    yield _rate(told.sent, KEPT_UP * LINES, "log lines", "one pod")
    yield Figure("log lines not told of", end.unsaid, 0, "lines", beside)
    yield Figure("newest lines lost", told.sent.events - end.newest, 0, "lines", beside)


def _through(at: scale.Stage, source: Replay) -> dict[str, str]:
    return {**at.env, "KUBECONFIG": str(source.kubeconfig)}


def _stormed(at: scale.Stage, told: Weather, whence: str) -> Iterator[Figure]:
    p99 = told.keys.quantile(0.99)
    yield _ms(at, f"key to frame in a storm, P99, {whence}", p99, told.line())
    yield _rate(told.storm, KEPT_UP * RATE, "events", whence)
    yield _differs(told, whence)


def _differs(told: Weather, whence: str) -> Figure:
    beside = f"{told.storm.events:,} events, looked at {told.late:.0f} s later"
    return Figure(f"last state differs, {whence}", float(not told.same), 0, "", beside)


def _over_ssh(at: scale.Stage, told: Weather) -> Iterator[Figure]:
    rate = f"{told.storm.rate:.0f} events/s at 80x24, keys pressed meanwhile"
    kept = told.size / told.seconds / 1000
    yield Figure("to the terminal in a storm, ssh", kept, 20, "kB/s", rate)
    # A lone Esc is told from the start of a sequence by waiting, which is no work of ours.
    keys = Keys({name: times for name, times in told.keys.times.items() if name != "escape"})
    p99 = keys.quantile(0.99)
    bound = FRAME_MS + 1000 / float(SLOW_FPS)
    beside = f"without Esc; {told.line()}"
    yield _ms(at, "key to frame in a storm, P99, ssh", p99, beside, bound)
    yield _rate(told.storm, KEPT_UP * RATE, "events", "ssh")


def _several(at: scale.Stage) -> Iterator[Figure]:
    jobs = at.size.jobs
    with contexts.kubeconfig(at.ground) as path:
        one = contexts.open_on(contexts.NAMES[:1], path, env=at.env, rows=jobs)
        hung = {
            words: contexts.open_on(names, path, env=at.env, rows=jobs)
            for words, names in contexts.HUNG.items()
        }
        three = contexts.open_on(contexts.NAMES, path, env=at.env, rows=jobs * 3)
    words = f"{three.processor:.1f} s; one of {jobs:,} jobs {one.processor:.1f} s"
    name = "processor until settled, three clusters"
    yield Figure(name, three.processor / one.processor, 3, "x one", words)
    words = f"{three.resident / 1e6:.0f} MB; one {one.resident / 1e6:.0f} MB"
    yield Figure("memory, three clusters", three.resident / one.resident, 3, "x one", words)
    for which, cost in hung.items():
        words = f"{cost.first:.2f} s; alone {one.first:.2f} s"
        name = f"first rows beside {which}"
        yield Figure(name, cost.first / one.first, BESIDE, "x alone", words)


def _churn(at: scale.Stage) -> Iterator[Figure]:
    told = churn.live_through(at.ground, env=at.env, jobs=at.size.jobs)
    beside = (
        f"the last quarter of {told.storm.seconds:.0f} s against the second; "
        f"{told.storm.rate / 2:.0f} creations and deletions/s, "
        f"{told.processor * 100:.0f} % of a core"
    )
    yield Figure("memory grown while jobs come and go", told.grown / 1e6, CHURN_MB, "MB", beside)
    most, beside = max(told.samples) / 1e6, f"in {told.storm.seconds:.0f} s"
    yield Figure("most memory while jobs come and go", most, MEMORY_MB, "MB", beside)
    yield _rate(told.storm, KEPT_UP * churn.EVENTS, "creations and deletions", "churn")
    differs = float(not told.same)
    yield Figure("last state differs, churn", differs, 0, "", f"{told.storm.events:,} events")


def _k9s(at: scale.Stage) -> Iterator[Figure]:
    """Beside k9s, where it was built."""
    if not k9s.built():
        print(f"     k9s is not beside it: {k9s.HOW}", flush=True)
        return
    theirs, (_, ours), rest = k9s.look(at.ground), _started(at), _rested(at)
    jobs = f"{at.size.jobs:,} jobs"
    words = f"{ours.first:.2f} s; k9s {theirs.first:.2f} s; {jobs}"
    yield Figure("first rows beside k9s", ours.first / theirs.first, 1, "x k9s", words)
    words = f"{ours.resident / 1e6:.0f} MB; k9s {theirs.resident / 1e6:.0f} MB; {jobs}"
    yield Figure("memory beside k9s", ours.resident / theirs.resident, 1, "x k9s", words)
    words = f"{rest.processor * 100:.2f} % of a core; k9s {theirs.processor * 100:.2f} %; {jobs}"
    yield Figure("idle beside k9s", rest.processor / theirs.processor, 1, "x k9s", words)


PARTS: Final[tuple[tuple[str, Callable[[scale.Stage], Iterator[Figure]]], ...]] = (
    ("start", _start),
    ("idle", _idle),
    ("k9s", _k9s),
    ("custom", _custom),
    ("keys", _keys),
    ("storm", _written),
    ("replay", _given),
    ("contexts", _several),
    ("churn", _churn),
)
