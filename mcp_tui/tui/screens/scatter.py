"""A parameter of some runs against a metric: a dot for each run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from mcp_tui.domain.chart.scatter import Dot
from mcp_tui.domain.curvenames import first_metric, metrics_of
from mcp_tui.domain.direction import Direction, Directions
from mcp_tui.domain.figures import figure
from mcp_tui.domain.run import Run
from mcp_tui.domain.scatter import Scatter, scatter
from mcp_tui.domain.tabular import to_csv
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError
from mcp_tui.tui.model import Cell
from mcp_tui.tui.model_curves import Compared
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.together import Looked, Together, titled
from mcp_tui.tui.widgets.chart import Chart
from mcp_tui.tui.widgets.surface import LineWidget


class ScatterScreen(Together, inherit_bindings=False):
    """The scatter of some runs."""

    VIEW: ClassVar[str] = "scatter"
    KIND: ClassVar[str] = "scatter"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("scatter")

    def __init__(self, looked: Looked) -> None:
        super().__init__(looked)
        self.chart = Chart(id="scatter", note="")
        self.line = LineWidget(id="dot")
        self.found: Compared | None = None
        self.points: Scatter | None = None

    def body(self) -> Iterable[Widget]:
        """The chart, and the run under the cursor."""
        return (self.chart, self.line)

    def home(self) -> Widget:
        """The chart."""
        return self.chart

    @property
    def is_empty(self) -> bool:
        """Whether there are no dots."""
        return self.points is None or not self.points.points

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say it in the chart."""
        del error
        self.chart.show_curves((), note=text)

    async def load(self) -> None:
        """The runs."""
        again, asked = self.found is not None, self.looked.baseline
        self.found = await self.evidence.compare(self.looked.references, asked, again=again)
        self.based(asked, self.found.baseline)
        runs = self.found.runs
        names = [run.name or run.run_id[:8] for run in runs]
        self.looked.title = titled([clean_line(name, limit=60) for name in names], len(runs))
        if not self.looked.param:
            self.looked.param = _first_param(runs)
        if not self.looked.metric:
            self.looked.metric = _first_result(runs, self.found.directions or Directions())
        self.draw()

    # -- what is shown ----------------------------------------------------------------------

    def draw(self) -> None:
        """Show what there is now."""
        if self.found is None:
            return
        param, metric = self.looked.param, self.looked.metric
        self.points = found = scatter(self.found.runs, param, metric)
        self.chart.set_scatter_scales(x="log" if found.log_fits else "linear")
        base = self.looked.baseline
        keys = self.found.keys
        dots = [
            Dot(
                point.run_id,
                point.label,
                found.categories[int(point.x)] if found.categories else point.x,
                point.y,
                1 if keys[point.at] == base else 0,
            )
            for point in found.points
        ]
        if not param:
            note = "these runs logged no parameters"
        elif not metric:
            note = "these runs logged no metrics"
        else:
            note = f"no run has both {param} and a finite {metric}"
        self.chart.show_scatter(
            dots, x_name=found.param or "-", y_name=found.metric or "-", note=note
        )
        self._tell_dot()
        self.update_frame()

    def counts(self) -> Sequence[Cell]:
        """Runs that are no dot."""
        left = self.points.left_out if self.points is not None else 0
        return (Cell(f"{left} without both", "attention"),) if left else ()

    def _tell_dot(self) -> None:
        """The run under the cursor, and what it is."""
        found, key = self.points, self.chart.scatter_view.cursor
        point = next((p for p in found.points if p.run_id == key), None) if found else None
        if found is None or point is None:
            self.line.set_cells((Cell(" the arrows go from run to run", "dim"),))
            return
        x = found.categories[int(point.x)] if found.categories else figure(point.x)
        self.line.set_cells(
            (
                Cell(f" {point.label}", "strong"),
                Cell(f"  {found.param} {x}  {found.metric} {figure(point.y)}"),
            )
        )

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        """Another run."""
        message.stop()
        self._tell_dot()

    # -- keys -------------------------------------------------------------------------------

    def action_across(self, cells: int) -> None:
        """The next run to the right, or to the left."""
        self.chart.move_cursor(cells)

    def action_edge(self, direction: int) -> None:
        """The first run, or the last."""
        self.chart.cursor_edge(direction)

    def action_move(self, rows: int) -> None:
        """Another metric."""
        if self.found is not None:
            self.looked.metric = _after(metrics_of(self.found.runs), self.looked.metric, rows)
            self.draw()

    def action_pan(self, share: float) -> None:
        """Another parameter."""
        if self.found is not None:
            step = 1 if share > 0 else -1
            self.looked.param = _after(_params(self.found.runs), self.looked.param, step)
            self.draw()

    def action_half(self, direction: int) -> None:
        """Another metric."""
        self.action_move(direction)

    def action_page(self, direction: int) -> None:
        """Another metric."""
        self.action_move(direction)

    def action_x_axis(self) -> None:
        """Linear, log."""
        scale = self.chart.scatter_view.x_scale
        self.chart.set_scatter_scales(x="linear" if scale == "log" else "log")

    def action_y_axis(self) -> None:
        """Linear, log, symlog."""
        self.chart.next_scale()

    def action_baseline(self) -> None:
        """The run under the cursor is what others are held against."""
        key = self.chart.scatter_view.cursor
        if self.found is None or key is None:
            self.say("no run is under the cursor")
            return
        reference = next(k for k in self.found.keys if k.rpartition("/")[2] == key)
        self.looked.baseline = "" if self.looked.baseline == reference else reference
        self.draw()

    def action_metrics(self) -> None:
        """Metrics go by with j and k."""
        self.say("j and k take another metric, [ and ] another parameter")

    def action_copy(self) -> None:
        """The dots as text."""
        if self.points is None:
            self.say("nothing to copy yet")
        else:
            self.console.copy(self.export("scatter.csv"), f"{len(self.points.points)} runs")

    def action_back(self) -> None:
        """The cursor goes first."""
        if self.chart.scatter_view.cursor is not None:
            self.chart.scatter_view = replace(self.chart.scatter_view, cursor=None)
            self.draw()
        else:
            super().action_back()

    def export(self, name: str) -> str:
        """The dots."""
        found = self.points
        assert found is not None
        if not name.endswith(".csv"):
            raise UsageError("a scatter is saved as .csv", where=clean_line(name, limit=80))
        return to_csv(
            ("run", "name", found.param, found.metric),
            (
                (
                    point.run_id,
                    point.label,
                    found.categories[int(point.x)] if found.categories else point.x,
                    point.y,
                )
                for point in found.points
            ),
        )


def _params(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(sorted({pair.key for run in runs for pair in run.data.params}))


def _first_param(runs: Sequence[Run]) -> str:
    """One that differs, numbers first; else any."""
    names = _params(runs)
    texts = {name: [run.params.get(name) for run in runs] for name in names}

    def key(name: str) -> tuple[bool, bool, int, str]:
        there = [text for text in texts[name] if text is not None]
        numbers = all(text.replace(".", "", 1).replace("e-", "").isdigit() for text in there)
        return len(set(there)) < 2, not numbers, -len(set(there)), name

    return min(names, key=key, default="")


def _first_result(runs: Sequence[Run], directions: Directions) -> str:
    """A metric that is better the higher, of most runs; else the one curves begin with."""
    count = {
        name: sum(name in run.metrics for run in runs)
        for name in metrics_of(runs)
        if directions.of(name) is Direction.HIGHER
    }
    return min(count, key=lambda name: (-count[name], name), default=first_metric(runs))


def _after(names: Sequence[str], now: str, step: int) -> str:
    if not names:
        return now
    at = names.index(now) + step if now in names else 0
    return names[at % len(names)]
