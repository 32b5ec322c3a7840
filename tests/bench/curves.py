"""Curves: what a million points cost from the answer to the frame, beside a bare Textual frame.

Everything is in one process without a terminal: points as a server's answer leaves them, made into
a course, sampled, drawn and turned into the strips of a whole screen.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.figure import Figure

POINTS: Final = 1_000_000
SAMPLED: Final = 320
_SIZE: Final = (200, 50)
_TIMES: Final = 7


@dataclass(frozen=True)
class Curves:
    """Seconds, medians: ``whole`` of all points, ``sampled`` of what a server sends of them.

    ``said`` is the first line of the sampled chart.
    """

    bare: float
    whole: float
    sampled: float
    cursor: float
    said: str


def measure() -> Curves:
    """Each some times, in turns, so that what slows the machine slows all."""
    return asyncio.run(_measure())


async def _measure() -> Curves:
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    from mcp_tui.domain.chart.course import Course
    from mcp_tui.tui.widgets.chart import Chart

    random_ = random.Random(1)
    values = [math.exp(-5 * n / POINTS) + random_.gauss(0, 0.02) for n in range(POINTS)]
    steps = [float(n) for n in range(POINTS)]
    times = [1.79e9 + n / 10 for n in range(POINTS)]
    every = POINTS // SAMPLED

    class Both(App[None]):
        def compose(self) -> ComposeResult:
            yield Static(id="bare")
            yield Chart(id="chart")

    app = Both()
    async with app.run_test(size=_SIZE) as pilot:
        bare, chart = app.query_one("#bare", Static), app.query_one(Chart)
        taken: dict[str, list[float]] = {}

        async def frame(name: str, show: Callable[[], object]) -> None:
            began = time.perf_counter()
            show()
            await pilot.pause()
            app.screen._compositor.render_strips()
            taken.setdefault(name, []).append(time.perf_counter() - began)

        said = ""
        for turn in range(_TIMES):
            chart.display, bare.display = False, True
            await pilot.pause()
            text = "\n".join(f"{turn} {y} ".ljust(_SIZE[0], "x") for y in range(_SIZE[1]))
            await frame("bare", lambda text=text: bare.update(text))  # type: ignore[misc]  # bound at once
            chart.display, bare.display = True, False
            await pilot.pause()
            await frame(
                "whole", lambda: chart.show_curves([Course("k", "run", steps, times, values)])
            )
            chart.show_curves([])
            await pilot.pause()
            few = steps[::every], times[::every], values[::every]
            await frame(
                "sampled",
                lambda few=few: chart.show_curves(  # type: ignore[misc]  # bound at once
                    [Course("k", "run", *few, total=POINTS)]
                ),
            )
            said = "".join(run.text for run in chart.picture.lines[0]).strip()
            await frame("cursor", lambda: chart.move_cursor(-1))
            chart.clear_cursor()
        medians = {name: statistics.median(each) for name, each in taken.items()}
    return Curves(said=said, **medians)


def figures() -> list[Figure]:
    """As ``make bench`` prints them."""
    found = measure()
    beside = f"{_SIZE[0]}x{_SIZE[1]}, bare Textual frame {found.bare * 1000:.0f} ms"
    parts = (
        (f"{POINTS:,} points, answer to frame", found.whole, 300.0, beside),
        (f"{SAMPLED} of {POINTS:,}, answer to frame", found.sampled, 300.0, found.said),
        ("cursor of a chart, key to frame", found.cursor, 100.0, beside),
    )
    return [
        Figure(name, value * 1000, bound, "ms", text, of_bare=value / found.bare)
        for name, value, bound, text in parts
    ]


if __name__ == "__main__":
    for figure in figures():
        print(figure.line())
