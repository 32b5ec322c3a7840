"""The promises about experiments and runs, on a real MLflow server that holds 100,000 of them.

``python -m tests.bench.runs_figures`` prints them, and with names behind it only these parts.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from mcp_tui.config import Endpoint
from mcp_tui.domain.chart.course import Course
from mcp_tui.domain.compare import compare
from mcp_tui.domain.history import History
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.runwatch import FIRST_PAGE
from tests.bench import runs_console, runs_live, scale_figures, tracking_client
from tests.bench.figure import Figure
from tests.bench.lag import Lag
from tests.bench.tracker import FULL, LONG_METRIC, Size, Tracker, serve

SOONER: Final = 6.0
WITHIN: Final = 2.0
LAG_MS: Final = 20.0
DRAWN_MS: Final = 300.0
COMPARED_MS: Final = 100.0
MEMORY_MB: Final = 250.0
ROUNDS: Final = 5
_SCREEN: Final = (200, 50)


@asynccontextmanager
async def client_of(at: Tracker, *, read_only: bool = True) -> AsyncIterator[MlflowClient]:
    """The console's client of a server."""
    caller = connect("mlflow", Endpoint(url=at.url), gate=Gate(read_only=read_only), env={})
    client = MlflowClient(caller, deadline=60)
    try:
        yield client
    finally:
        await client.aclose()


@dataclass(frozen=True)
class Reading:
    """Seconds, medians: MLflow's client for the first 1,000, ours for a page and as many.

    ``lag`` is the longest that the loop was held up in all rounds.
    """

    theirs: float
    first: float
    every: float
    lag: float


async def read(at: Tracker, search: Callable[[], float], rounds: int = ROUNDS) -> Reading:
    """Each some times, in turns, so that what slows the machine slows all."""
    theirs, first, every, lags = [], [], [], []
    ids = at.experiment_ids()
    async with client_of(at) as client:
        await client.version()
        for _ in range(rounds):
            theirs.append(await asyncio.to_thread(search))
            with Lag() as lag:
                began = time.perf_counter()
                runs = client.runs_in_order(ids, first=FIRST_PAGE)
                await runs.next_page()
                first.append(time.perf_counter() - began)
                while runs.read < tracking_client.RUNS:
                    await runs.next_page()
                every.append(time.perf_counter() - began)
            lags.append(lag.worst)
    of = statistics.median
    return Reading(theirs=of(theirs), first=of(first), every=of(every), lag=max(lags))


def _read(at: Tracker) -> Iterator[Figure]:
    with tracking_client.ready(at.url, at.experiment_ids()) as search:
        found = asyncio.run(read(at, search))
    runs = f"{at.size.runs:,} runs"
    whose = f"MlflowClient's first {tracking_client.RUNS:,} {found.theirs * 1000:.0f} ms"
    yield Figure(
        f"first {FIRST_PAGE} of {runs}, sooner",
        found.theirs / found.first,
        SOONER,
        "x",
        f"{found.first * 1000:.0f} ms; {whose}",
        at_least=True,
    )
    yield Figure(
        f"first {tracking_client.RUNS:,} of {runs}",
        found.every / found.theirs,
        WITHIN,
        "x",
        f"{found.every * 1000:.0f} ms; {whose}",
    )
    beside = f"at most, in {ROUNDS} readings of {tracking_client.RUNS:,}"
    yield _held_up("event loop held up by that", found.lag, tracking_client.RUNS, beside)


def _held_up(name: str, seconds: float, rows: int, beside: str) -> Figure:
    """How long a loop was, and how that stands to a key's frame in a bare table of as many rows."""
    bare = scale_figures.bare_key(rows)
    beside = f"bare {bare:.1f} ms; {beside}"
    return Figure(name, seconds * 1000, LAG_MS, "ms", beside, of_bare=seconds * 1000 / bare)


@dataclass(frozen=True)
class Drawing:
    """Seconds, medians: the server's answer, from there to the frame, a bare frame; what is said.

    ``counted`` is until the number of all points is known, too, the server's part included.
    """

    answer: float
    drawn: float
    counted: float
    bare: float
    said: str


async def draw(at: Tracker, rounds: int = ROUNDS) -> Drawing:
    """The long metric, from the server to the strips of a whole screen."""
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    from mcp_tui.tui.widgets.chart import Chart

    class Both(App[None]):
        def compose(self) -> ComposeResult:
            yield Static(id="bare")
            yield Chart(id="chart")

    run = at.size.run(at.size.runs - 1)
    app = Both()
    answers: list[float] = []
    taken: dict[str, list[float]] = {"answer": [], "drawn": [], "counted": [], "bare": []}
    said = ""
    async with client_of(at) as client, app.run_test(size=_SCREEN) as pilot:
        _note_answers(client, answers)
        bare, chart = app.query_one("#bare", Static), app.query_one(Chart)

        async def frame() -> None:
            await pilot.pause()
            app.screen._compositor.render_strips()

        def show(seen: History) -> None:
            course = Course("k", seen.key, seen.steps, seen.times, seen.values, total=seen.total)
            chart.show_curves([course])

        for turn in range(rounds):
            chart.display, bare.display = False, True
            await pilot.pause()
            text = "\n".join(f"{turn} {y} ".ljust(_SCREEN[0], "x") for y in range(_SCREEN[1]))
            began = time.perf_counter()
            bare.update(text)
            await frame()
            taken["bare"].append(time.perf_counter() - began)
            chart.display, bare.display = True, False
            chart.show_curves([])
            await pilot.pause()
            began = time.perf_counter()
            seen = (await client.histories([run], LONG_METRIC))[run]
            show(seen)
            await frame()
            taken["answer"].append(answers[-1] - began)
            taken["drawn"].append(time.perf_counter() - answers[-1])
            began = time.perf_counter()
            show(await client.counted(seen))
            await frame()
            taken["counted"].append(time.perf_counter() - began)
            said = "".join(run.text for run in chart.picture.lines[0]).strip()
    return Drawing(said=said, **{name: statistics.median(each) for name, each in taken.items()})


def _note_answers(client: MlflowClient, answers: list[float]) -> None:
    """Note when each answer was there, before anything is made of it."""
    call = client._caller.call

    async def noted(*args: Any, **options: Any) -> Any:
        reply = await call(*args, **options)
        answers.append(time.perf_counter())
        return reply

    client._caller.call = noted  # type: ignore[method-assign]  # of this one


def _curves(at: Tracker) -> Iterator[Figure]:
    found = asyncio.run(draw(at))
    beside = (
        f"the server took {found.answer:.2f} s; then until all are counted "
        f"{found.counted * 1000:.0f} ms: {found.said}"
    )
    yield Figure(
        f"a curve of {at.size.points:,} points, answer to frame",
        found.drawn * 1000,
        DRAWN_MS,
        "ms",
        beside,
        of_bare=found.drawn / found.bare,
    )
    missing = "" if f" of {at.size.points:,}" in found.said.replace("about ", "") else found.said
    yield Figure("points of it that nobody tells of", float(bool(missing)), 0, "", found.said)


def _compare(at: Tracker) -> Iterator[Figure]:
    async def wide() -> Sequence[Any]:
        ids = [at.size.run(at.size.runs + number) for number in range(at.size.wide)]
        async with client_of(at) as client:
            found = await client.newest(ids, [at.size.wide_experiment])
        return [found[each] for each in ids]

    runs = asyncio.run(wide())
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        compare(runs)
        taken.append(time.perf_counter() - began)
    found, width = runs_console.compare_runs(at), at.size.width
    what = f"{len(runs)} runs x {width} params, {width} metrics"
    bare = scale_figures.bare_key(width * 2)
    alone = statistics.median(taken) * 1000
    opened = statistics.median(found.opened)
    beside = (
        f"bare {bare:.1f} ms; the first time {found.opened[0] * 1000:.0f} ms; "
        f"what differs and is best {alone:.0f} ms of it"
    )
    for name, value, said in (
        (f"compare {what}, key to frame", opened, beside),
        ("all rows of that, key to frame", found.shown, f"bare {bare:.1f} ms; the slowest"),
    ):
        yield Figure(name, value * 1000, COMPARED_MS, "ms", said, of_bare=value * 1000 / bare)


def _live(at: Tracker) -> Iterator[Figure]:
    async def followed() -> runs_live.Live:
        async with client_of(at) as client, client_of(at, read_only=False) as writer:
            return await runs_live.follow(at, client, writer)

    found = asyncio.run(followed())
    beside = f"logged right after a look, {len(found.on_screen)} times"
    yield Figure("a metric of a run on screen, logged to row", max(found.on_screen), 2, "s", beside)
    beside = f"{len(found.others)} times"
    yield Figure("a metric of another run, logged to row", max(found.others), 15, "s", beside)
    beside = f"{runs_live.WATCHED} runs watched that go on, {at.size.runs:,} on the server"
    name = "the server's processor for being asked"
    yield Figure(name, found.processor * 100, 5, "% core", beside)


def _console(at: Tracker) -> Iterator[Figure]:
    newest = [at.size.experiment(at.size.runs - 1)]
    with tracking_client.ready(at.url, newest) as search:
        theirs = min(search() for _ in range(3))
    found = runs_console.open_runs(at)
    beside = f"{found.first * 1000:.0f} ms from the key to the frame; {theirs * 1000:.0f} ms"
    yield Figure(
        "an experiment opened in the console, sooner",
        theirs / found.first,
        SOONER,
        "x",
        f"{beside} until MlflowClient has {tracking_client.RUNS:,}",
        at_least=True,
    )
    beside = f"{found.rows:,} runs of {at.size.runs:,} gone down to"
    yield _held_up("the console held up by that", found.stall, found.rows, beside)
    yield Figure("memory of the console", found.resident / 1e6, MEMORY_MB, "MB", beside)


PARTS: Final[tuple[tuple[str, Callable[[Tracker], Iterator[Figure]]], ...]] = (
    ("read", _read),
    ("curves", _curves),
    ("compare", _compare),
    ("console", _console),
    # The last: for minutes behind it the ages of what it logged to change with every second, and a
    # console that shows them does not come to rest.
    ("live", _live),
)


def figures(size: Size = FULL, names: Sequence[str] = ()) -> Iterator[Figure]:
    """Measure all parts, or those named, on one server; each figure as it is known."""
    with serve(size) as at:
        for name, part in PARTS:
            if not names or name in names:
                yield from part(at)


if __name__ == "__main__":
    for figure in figures(names=sys.argv[1:]):
        print(figure.line(), flush=True)
