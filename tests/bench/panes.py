"""Every view of the console: from a key to its frame there, and the bytes of one changed cell.

The console runs in a process of its own on a pseudo-terminal, over rows in memory, and goes from
view to view by the keys that lead there; in each, keys are pressed as a user presses them, and then
one cell of each thing that it knows is changed. ``python -m tests.bench.panes`` prints all views,
or those named.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.bench.figure import Figure
from tests.bench.scale_figures import FRAME_MS, bare_key
from tests.bench.terminal import Terminal
from tests.hostile.screen import sent
from tests.joined.panes import PANES, Pane

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console
    from tests.tui.fake import FakeBackend

ROWS: Final = 1_000
CELL_BYTES: Final = 1024
PRESSES: Final = 12
LISTS: Final = ("jobs", "jobs-wide", "runs", "runs-of", "models")
"""Views that show a cell that is changed: no bytes there would mean that nothing was measured."""

CHARTS: Final = ("CurvesScreen",)
CHART_MS: Final = 100.0
"""Each key there draws a screen of dots anew: the promise is that of :mod:`tests.bench.curves`."""

_QUIET: Final = 0.15
_DEADLINE: Final = 30.0
CHANGE: Final = signal.SIGUSR2
NEXT: Final = signal.SIGRTMIN


@dataclass(frozen=True)
class Found:
    """What one view costs.

    Attributes:
        pane: Which.
        keys: Milliseconds from each key to its frame.
        size: Bytes for one changed cell.
    """

    pane: Pane
    keys: tuple[float, ...]
    size: int


def pressed(pane: Pane) -> tuple[str, str]:
    """Two keys that undo each other: behind both of them the view is as it was."""
    if pane.asks == "leave":
        return "n", "q"
    return ("a", "\x7f") if pane.asks else (sent("down"), sent("up"))


def measure(panes: Sequence[Pane] = PANES, *, rows: int = ROWS) -> Iterator[Found]:
    """Each view, one after the other."""
    with tempfile.TemporaryDirectory(prefix="mcp-tui-bench-") as directory:
        env = {"MCP_TUI_BENCH_ROWS": str(rows), "XDG_STATE_HOME": directory}
        sizes = dict.fromkeys(pane.size for pane in panes)
        for size in sizes:
            these = [pane for pane in panes if pane.size == size]
            names = [pane.id for pane in these]
            with Terminal(names, env=env, size=size, module=__spec__.name) as terminal:
                for pane in these:
                    yield _look(terminal, pane)


def _look(terminal: Terminal, pane: Pane) -> Found:
    terminal.wait("at", pane.id)
    _rest(terminal)
    taken = []
    for turn in range(PRESSES):
        began = terminal.press(pressed(pane)[turn % 2])
        taken.append((terminal.wait("key", since=began, deadline=_DEADLINE).at - began) * 1000)
        _rest(terminal, 0.05)
    _rest(terminal)
    before, now = terminal.size, time.monotonic()
    os.kill(terminal.pid, CHANGE)
    still = terminal.wait("changed", since=now, deadline=_DEADLINE).value
    _rest(terminal)
    # The mark of it came through the terminal too.
    size = terminal.size - before - len(f"\x1b]7770;changed={still}\x07")
    if still != pane.id:
        raise RuntimeError(f"{pane.id}: the keys have led away from it")
    os.kill(terminal.pid, NEXT)
    return Found(pane, tuple(taken), size)


def _rest(terminal: Terminal, seconds: float = _QUIET) -> None:
    """Wait until nothing has been written for a moment."""
    until = time.monotonic() + _DEADLINE
    while time.monotonic() < until:
        size = terminal.size
        time.sleep(seconds)
        if terminal.size == size:
            return
    raise TimeoutError("the console does not come to rest")


def figures(panes: Sequence[Pane] = PANES) -> Iterator[Figure]:
    """As ``make bench`` prints them."""
    found = list(measure(panes))
    for name, bound, charts in (("view", FRAME_MS, False), ("chart", CHART_MS, True)):
        these = [one for one in found if (one.pane.screen in CHARTS) == charts]
        yield from _keys(these, f"key to frame in every {name}", bound)
    most, words = _most({one.pane.id: one.size for one in found}, "{} {:,}")
    yield Figure("one changed cell in every view, the most", most, CELL_BYTES, "bytes", words)
    unseen = [one.pane.id for one in found if one.pane.id in LISTS and not one.size]
    beside = ", ".join(unseen) or f"{', '.join(LISTS)} show it"
    yield Figure("lists that show no changed cell", len(unseen), 0, "", beside)


def _keys(found: Sequence[Found], name: str, bound: float) -> Iterator[Figure]:
    if not found:  # It is by name that some are measured.
        return
    bare, every = bare_key(ROWS), sorted(key for one in found for key in one.keys)
    p99 = every[min(len(every) - 1, int(0.99 * len(every)))]
    beside = f"bare {bare:.1f} ms; {len(every)} keys in {len(found)}"
    yield Figure(f"{name}, P99", p99, bound, "ms", beside, of_bare=p99 / bare)
    slowest, words = _most({one.pane.id: statistics.median(one.keys) for one in found}, "{} {:.1f}")
    beside = f"bare {bare:.1f} ms; medians: {words}"
    yield Figure(f"{name}, the slowest", slowest, bound, "ms", beside, of_bare=slowest / bare)


def _most(values: dict[str, Any], form: str) -> tuple[Any, str]:
    """The most of all, and a few in words."""
    first = sorted(values, key=values.__getitem__, reverse=True)[:4]
    return values[first[0]], ", ".join(form.format(name, values[name]) for name in first)


# -- the console -------------------------------------------------------------------------------


def _child(names: Sequence[str]) -> None:
    """One console after the other on this process's terminal, each led to one view."""
    from mcp_tui.tui.model import ConsoleOptions
    from mcp_tui.tui.run import prepare
    from tests.bench.probe import _mark_console

    options = prepare(ConsoleOptions(contexts=("dev",), ascii=False), os.environ)
    _mark_console()
    from mcp_tui.tui.run import make_console
    from tests.tui.fake import JOBS, FakeBackend, many

    panes = {pane.id: pane for pane in PANES}
    made = False
    for name in names:
        backend = FakeBackend((*JOBS, *many(int(os.environ["MCP_TUI_BENCH_ROWS"]))))
        if made:
            from mcp_tui.tui.app import Console

            app = Console(_giving(backend), options)
        else:
            app, made = make_console(backend, options), True
        asyncio.run(_stay(app, backend, panes[name]))


def _giving(backend: FakeBackend) -> Callable[[], FakeBackend]:
    return lambda: backend


async def _stay(app: Console, backend: FakeBackend, pane: Pane) -> None:
    """Be in a view until told to go."""
    from mcp_tui.domain.plan import Confirmation
    from tests.hostile.reach import reach, shows
    from tests.tui.fake_terminals import offer
    from tests.tui.harness import screen_text, until

    offer(backend, Confirmation.TYPED if pane.prod else Confirmation.NONE)
    loop, turns = asyncio.get_running_loop(), iter(range(1, 1000))

    def change() -> None:
        _change(backend, next(turns))
        # Pictures of it are painted at the next beats.
        there = pane.id if shows(app, pane) else "elsewhere"
        loop.call_later(_QUIET, app._write, f"changed={there}")  # type: ignore[attr-defined]  # marked

    async def lead(pilot: Any) -> None:
        await until(pilot, lambda: app.ready and "STATE" in screen_text(app))
        await asyncio.sleep(_QUIET)  # It has been resized and drawn again, too.
        await reach(app, pilot, pane)
        app.mark("at", pane.id)  # type: ignore[attr-defined]  # it is marked

    loop.add_signal_handler(CHANGE, change)
    loop.add_signal_handler(NEXT, app.exit)
    await app.run_async(auto_pilot=lead)


def _change(backend: FakeBackend, turn: int) -> None:
    """One cell of a job, of an experiment, of a run and of a model."""
    from msgspec.structs import replace

    first = next(iter(backend.model.jobs.values()))
    backend.model.change(first.name, why=f"step {turn} loss 0.1")
    runs = backend.runs
    known, *others = runs.kept
    rows = [replace(known, count=(known.count or 0) + turn), *others]
    runs.experiments.take("dev", {row.experiment_id: row for row in rows})
    if runs.level == "runs":
        runs.change(1, status="RUNNING", ago=1_860, f1=turn / 1000, val_loss=0.412, lr="0.001")
    models = backend.models
    next(iter(models.models.values())).served["1"] = f"turn {turn}"
    models.put()
    backend.on_change()


if __name__ == "__main__":
    if sys.stdin.isatty() and "MCP_TUI_BENCH_ROWS" in os.environ:
        _child(sys.argv[1:])
    else:
        for figure in figures([pane for pane in PANES if pane.id in sys.argv[1:]] or PANES):
            print(figure.line(), flush=True)
