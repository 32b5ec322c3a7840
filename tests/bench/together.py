"""Fifty runs of two hundred rows side by side: from the answer, and from a key, to the frame.

The whole console in this process without a terminal, over runs in memory.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from tests.bench.figure import Figure
from tests.bench.scale_figures import bare_key

RUNS: Final = 50
ROWS: Final = 200
_SIZE: Final = (200, 50)
_TIMES: Final = 9


def figures() -> list[Figure]:
    """As ``make bench`` prints them."""
    found, bare = asyncio.run(_measure()), bare_key(ROWS)
    beside = f"bare {bare:.1f} ms; {RUNS} runs x {ROWS} rows, {_SIZE[0]}x{_SIZE[1]}"
    return [
        Figure(f"compare, {name}", value, 100.0, "ms", beside, of_bare=value / bare)
        for name, value in ((name, seconds * 1000) for name, seconds in found.items())
    ]


async def _measure() -> dict[str, float]:
    from mcp_tui.tui.screens.compare import CompareScreen
    from mcp_tui.tui.screens.together import Looked, show
    from tests.tui.fake import FakeBackend
    from tests.tui.fake_curves import run
    from tests.tui.harness import console

    backend = FakeBackend()
    backend.evidence.runs = tuple(
        run(
            f"sweep-{n:02d}",
            {f"metric_{m:03d}": n * 0.01 + m for m in range(ROWS // 2)},
            number=n + 1,
            params={f"param_{p:03d}": f"{p}-{n % 3}" for p in range(ROWS // 2)},
        )
        for n in range(RUNS)
    )
    references = tuple(f"dev/{each.run_id}" for each in backend.evidence.runs)
    taken: dict[str, list[float]] = {}
    async with console(backend, _SIZE) as (app, pilot):

        async def frame(name: str, act: Callable[[], object]) -> None:
            began = time.perf_counter()
            act()
            await pilot.pause()
            app.screen._compositor.render_strips()
            taken.setdefault(name, []).append(time.perf_counter() - began)

        for _ in range(_TIMES):
            show(app, "compare", Looked(references))
            await pilot.pause()
            screen = app.screen
            assert isinstance(screen, CompareScreen)
            while screen.is_empty:
                await pilot.pause(0.01)
            comparing = screen.load
            began = time.perf_counter()
            await comparing()
            await pilot.pause()
            app.screen._compositor.render_strips()
            taken.setdefault("answer to frame", []).append(time.perf_counter() - began)
            await frame("row down to frame", partial(screen.action_move, 1))
            await frame("column to frame", partial(screen.action_across, 1))
            await frame("all rows to frame", screen.action_all)
            app.pop_screen()
            await pilot.pause()
    return {name: statistics.median(each) for name, each in taken.items()}


if __name__ == "__main__":
    for figure in figures():
        print(figure.line())
