"""A chart alone on a screen, and curves to show: made from a formula, the same on each run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from textual.app import App, ComposeResult

from mcp_tui.domain.chart.bars import Histogram
from mcp_tui.domain.chart.course import Course
from mcp_tui.domain.chart.scatter import Dot, ScatterView
from mcp_tui.tui.theme import ASCII_SIGNS, PALETTES, UNICODE_SIGNS
from mcp_tui.tui.widgets.chart import Chart

BEGAN = 1_795_507_500.0
"""When the runs began: 24 November 2026, 08:05 UTC."""


class ChartApp(App[int]):
    """A chart, dressed as the console dresses its widgets."""

    CSS = "Screen { background: transparent; }"

    def __init__(
        self, show: Callable[[Chart], None], *, palette: str = "default", ascii: bool = False
    ) -> None:
        super().__init__()
        self.palette = PALETTES[palette]
        self.signs = ASCII_SIGNS if ascii else UNICODE_SIGNS
        self.chart = Chart(id="chart")
        self._show = show

    def compose(self) -> ComposeResult:
        """The chart only."""
        yield self.chart

    def on_mount(self) -> None:
        """Colours, then curves."""
        self.register_theme(self.palette.theme)
        self.theme = self.palette.theme.name
        self.call_after_refresh(self._show, self.chart)


def loss(
    name: str,
    points: int = 310,
    *,
    seed: int = 1,
    end: float = 0.4,
    start: float = 1.1,
    noise: float = 0.02,
    total: int | None = None,
) -> Course:
    """A loss that falls, a point every twenty steps and seven seconds."""
    random_ = random.Random(seed)
    values = [
        end
        + (start - end) * math.exp(-5 * n / 310)
        + random_.gauss(0, noise) * (0.3 + math.exp(-3 * n / 310))
        for n in range(points)
    ]
    times = [BEGAN + 7 * n for n in range(points)]
    return Course(name, name, [20.0 * n for n in range(points)], times, values, total=total)


def three() -> tuple[Course, ...]:
    """The runs of a comparison: one ended early, one came later."""
    return (
        loss("7be2", total=1_000_000),
        loss("4410", 240, seed=2, end=0.48),
        loss("ranker-eval-0417", 300, seed=3, end=0.44, start=1.3),
    )


def twenty() -> tuple[Course, ...]:
    """A sweep."""
    return tuple(
        loss(f"sweep-lr-{n:02d}", 120 + 9 * n, seed=n, end=0.3 + 0.04 * n, noise=0.01)
        for n in range(20)
    )


def broken() -> Course:
    """A loss that diverged: NaN for a while, an infinity, a spike."""
    course = loss("diverged", 300, seed=4)
    values = course.values[:]
    for n in (*range(120, 150), 200):
        values[n] = math.nan
    values[201] = math.inf
    values[80] = 3.2
    return Course("diverged", "diverged", course.steps, [BEGAN + n for n in range(300)], values)


def gpu() -> Course:
    """Memory of an accelerator, in MB: large numbers that hardly move."""
    values = [61_440 + 900 * math.sin(n / 9) + (n % 7) * 40 for n in range(200)]
    times = [BEGAN + 60 * n for n in range(200)]
    return Course("gpu", "gpu 0", [float(n) for n in range(200)], times, values)


def dots() -> Iterator[Dot]:
    """Runs of a search over learning rates."""
    random_ = random.Random(5)
    for n in range(60):
        rate = 10 ** random_.uniform(-5, -1)
        f1 = 0.93 - 0.03 * (math.log10(rate) + 2.7) ** 2 / 2 - abs(random_.gauss(0, 0.012))
        yield Dot(f"run-{n}", f"run-{n:02d}", rate, f1, n % 3)


def histogram() -> Histogram:
    """A feature that has moved to the right."""

    def bell(middle: float, wide: float) -> tuple[float, ...]:
        return tuple(
            1000 * math.exp(-(((n - 20) / 5 - middle) ** 2) / (2 * wide * wide)) for n in range(40)
        )

    return Histogram(-4.0, 4.0, bell(0.8, 1.3), bell(0.0, 1.0), "last 24 h", "training")


def show_curves(chart: Chart) -> None:
    """Three runs, as they come up."""
    chart.show_curves(three(), title="loss")


def show_smoothed(chart: Chart) -> None:
    """Smoothed on a logarithmic axis, the raw values behind."""
    chart.look(replace(chart.view, scale="log", smoothing=0.6))
    chart.show_curves(three(), title="loss")


def show_cursor(chart: Chart) -> None:
    """By time, with a cursor."""
    chart.look(replace(chart.view, axis="time", cursor=BEGAN + 7 * 120))
    chart.show_curves(three(), title="loss")


def show_gaps(chart: Chart) -> None:
    """Gaps, and a spike."""
    chart.show_curves((broken(),), title="loss  ranker-train-0412")


def show_twenty(chart: Chart) -> None:
    """More lines than colours."""
    chart.show_curves(twenty(), title="loss")


def show_zoom(chart: Chart) -> None:
    """A part, by relative time."""
    chart.look(replace(chart.view, axis="relative", window=(500.0, 900.0)))
    chart.show_curves(three(), title="loss")


def show_gpu(chart: Chart) -> None:
    """A system metric."""
    chart.look(replace(chart.view, axis="time"))
    chart.show_curves((gpu(),), title="system/gpu_0_memory_usage_megabytes")


def show_empty(chart: Chart) -> None:
    """Nothing yet."""
    chart.show_curves((), title="loss", note="no metric yet; the run began 12 s ago")


def show_scatter(chart: Chart) -> None:
    """A parameter against a metric."""
    chart.scatter_view = ScatterView(x_scale="log", cursor="run-17")
    chart.show_scatter(tuple(dots()), x_name="lr", y_name="f1_macro")


def show_histogram(chart: Chart) -> None:
    """Bars and an outline."""
    chart.show_histogram(histogram(), title="last_7d_orders")
