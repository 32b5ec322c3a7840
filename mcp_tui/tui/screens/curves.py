"""Curves of some runs' metrics: any of them in one chart, the machine's own in one below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widget import Widget

from mcp_tui.domain.chart.course import Course
from mcp_tui.domain.chart.view import SMOOTHINGS, extent_of
from mcp_tui.domain.curvenames import is_system, system_metrics, title_of
from mcp_tui.domain.eventlines import EVENTS
from mcp_tui.domain.figures import figure
from mcp_tui.domain.reltime import absolute
from mcp_tui.domain.tabular import to_csv
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import McpTuiError, UsageError
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.model_curves import Curves
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.together import Looked, Together, titled
from mcp_tui.tui.screens.viewer import ViewScreen
from mcp_tui.tui.widgets.chart import Chart

POINTS: Final = 320
"""Points asked for of each line, unless more fit the screen."""

REST: Final = 0.15
"""Seconds a part is looked at before its points are asked for."""


class CurvesScreen(Together, inherit_bindings=False):
    """The curves of some runs."""

    DEFAULT_CSS: ClassVar[str] = """
    CurvesScreen #machine { height: 40%; display: none; }
    """
    VIEW: ClassVar[str] = "curves"
    KIND: ClassVar[str] = "curves"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("curves")

    def __init__(self, looked: Looked) -> None:
        super().__init__(looked)
        self.chart = Chart(id="curves", note="")
        self.machine = Chart(id="machine", note="")
        self.curves: Curves | None = None
        self._rest: Timer | None = None

    def body(self) -> Iterable[Widget]:
        """The chart, and the machine's below."""
        return (Vertical(self.chart, self.machine),)

    def home(self) -> Widget:
        """The chart."""
        return self.chart

    def counts(self) -> Sequence[Cell]:
        """How many runs are followed, and how many logged nothing of what is shown."""
        curves = self.curves
        if curves is None:
            return ()
        running = sum(run.running for run in curves.runs)
        cells = [Cell(f"{running} live", "running")] if running else []
        values = [curves.newest(metric) for metric in self.main]
        without = sum(all(each is None for each in run) for run in zip(*values, strict=True))
        if without and len(curves.runs) > 1:
            cells.insert(0, Cell(f"{without} without it  ", "dim"))
        return cells

    # -- what is shown ----------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Whether no line is shown."""
        return not self.chart.courses

    @property
    def main(self) -> tuple[str, ...]:
        """Metrics of the chart: of the machine only where there are no others."""
        own = tuple(m for m in self.looked.metrics if not is_system(m))
        return own or self.looked.metrics

    @property
    def below(self) -> tuple[str, ...]:
        """Metrics of the chart below."""
        return tuple(m for m in self.looked.metrics if m not in self.main)

    def tell(self, text: str, *, error: bool = False) -> None:
        """Say it in the chart."""
        del error
        self.chart.show_curves((), note=text)

    async def load(self) -> None:
        """The runs, then the points of what is chosen."""
        if self.curves is None:
            self.curves = await self.evidence.curves(self.looked.references)
        curves = self.curves
        self.looked.title = titled([run.label for run in curves.runs], len(curves.runs))
        if not self.looked.metrics and curves.first():
            self.looked.metrics = (curves.first(),)
        await curves.load(self.looked.metrics, max(POINTS, 2 * self.size.width))
        self.draw()
        if self.chart.view.window is not None:
            self._look()
        self.run_worker(self._go_on(), group="follow", exclusive=True, exit_on_error=False)

    async def _go_on(self) -> None:
        """Count what was sampled, then follow what runs."""
        curves = self.curves
        assert curves is not None
        await self._count(curves)
        followed = False
        async for told in curves.changes(self.looked.metrics):
            self.fault, followed = told, True
            if not self.looked.metrics and curves.first():
                self.fetch()
                return
            self.draw()
        self.fault = ""
        self.update_frame()
        if followed:  # lines whose run ended were read anew
            await self._count(curves)

    async def _count(self, curves: Curves) -> None:
        try:
            if await curves.count(self.looked.metrics):
                self.draw()
        except McpTuiError:
            pass  # How many there are is worth no message: it is said that they are sampled.

    def draw(self) -> None:
        """Show what there is now."""
        curves = self.curves
        if curves is None:
            return
        goes_on = any(run.running for run in curves.runs)
        where = "in these runs" if len(curves.runs) > 1 else "in this run"
        if self.looked.metrics:
            note = "no points yet" if goes_on else f"not logged {where}"
        elif goes_on:
            note = "no metric is logged yet"
        else:
            note = f"no metric was logged {where}; one that is nested in it may have some"
        courses = curves.courses(self.main)
        self._stay_in_sight(courses)
        self.chart.show_curves(courses, title=title_of(self.main), note=note)
        self.machine.display = bool(self.below)
        if self.below:
            self._dress_machine()
            self.machine.show_curves(
                curves.courses(self.below), title=title_of(self.below), note=note
            )
        self.update_frame()

    def _stay_in_sight(self, courses: Sequence[Course]) -> None:
        """A part that none of these reach, of another metric, is let go of."""
        window, extent = self.chart.view.window, extent_of(courses, self.chart.view.axis)
        if window is None or extent is None:
            return
        if window[1] < extent[0] or extent[1] < window[0]:
            self.chart.reset()

    def _dress_machine(self) -> None:
        """The machine counts steps of its own: it goes by time, as the chart does where it does."""
        view = self.chart.view
        axis = "relative" if view.axis == "step" else view.axis
        same = axis == view.axis
        self.machine.look(
            replace(
                self.machine.view,
                axis=axis,
                window=view.window if same else None,
                cursor=view.cursor if same else None,
                follow=view.follow and same,
            )
        )

    # -- the part in sight ------------------------------------------------------------------

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        """The chart below reads the same moment."""
        message.stop()
        if message.chart is self.chart and self.machine.display:
            self._dress_machine()

    def on_chart_sight_changed(self, message: Chart.SightChanged) -> None:
        """Another part: its points are asked for after a short rest."""
        message.stop()
        if message.chart is not self.chart:
            return
        if self.machine.display:
            self._dress_machine()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST, self._look)

    def _look(self) -> None:
        self.run_worker(self._look_closer(), group="look", exclusive=True, exit_on_error=False)

    async def _look_closer(self) -> None:
        if self.curves is None:
            return
        view = self.chart.view
        try:
            if await self.curves.look(self.main, view.axis, view.window) or view.window is None:
                self.draw()
        except McpTuiError as error:
            self.say(error.line(), "error")

    # -- keys -------------------------------------------------------------------------------

    def action_across(self, cells: int) -> None:
        """The cursor goes along."""
        self.chart.move_cursor(cells)

    def action_edge(self, direction: int) -> None:
        """The cursor goes to the first or the last point in sight."""
        self.chart.cursor_edge(direction)

    def action_move(self, rows: int) -> None:
        """Another metric in the place of those that are shown."""
        curves = self.curves
        if curves is None:
            return
        system = bool(self.main) and is_system(self.main[0])
        names = [name for name in curves.metrics() if is_system(name) == system]
        if not names:
            return
        now = self.main[0] if self.main else names[0]
        at = names.index(now) + rows if now in names else 0
        self.choose((names[at % len(names)], *self.below))

    def action_half(self, direction: int) -> None:
        """Along by a quarter of what is in sight."""
        self.chart.pan(direction * 0.25)

    def action_page(self, direction: int) -> None:
        """Along by all that is in sight."""
        self.chart.pan(float(direction))

    def action_pan(self, share: float) -> None:
        """Along by a share of what is in sight."""
        if self.chart.view.window is None:
            self.say("all of it is in sight; + looks closer")
        else:
            self.chart.pan(share)

    def action_zoom(self, factor: float) -> None:
        """Closer, or less so."""
        self.chart.zoom(factor)

    def action_all(self) -> None:
        """All of the axis."""
        self.chart.reset()

    def action_x_axis(self) -> None:
        """By step, by wall time, by relative time."""
        self.chart.next_axis()

    def action_y_axis(self) -> None:
        """Linear, log, symlog."""
        self.chart.next_scale()

    def action_smooth(self) -> None:
        """Smoother; after the smoothest, not at all."""
        if self.chart.view.smoothing >= SMOOTHINGS[-1]:
            self.chart.set_smoothing(0.0)
        else:
            self.chart.smooth()

    def action_machine(self) -> None:
        """GPU and memory below, or not."""
        if self.curves is None:
            return
        if self.below:
            self.choose(self.main)
            return
        found = system_metrics(self.curves.metrics())
        if not found:
            self.say("no system metrics are logged: mlflow.enable_system_metrics_logging() does")
        elif self.main and is_system(self.main[0]):
            self.say("system metrics are in the chart")
        else:
            self.choose((*self.main, *found))

    def choose(self, metrics: tuple[str, ...]) -> None:
        """Show these metrics."""
        if metrics and metrics != self.looked.metrics:
            self.looked.metrics = metrics
            # What is known is drawn at once, the rest as it comes.
            self.draw()
            self.fetch()

    def action_metrics(self) -> None:
        """Choose from a list."""
        if self.curves is None or not self.curves.metrics():
            self.say("no metric is logged yet; E looks for event files")
            return
        from mcp_tui.tui.screens.choosemetrics import ChooseMetrics

        self.app.push_screen(ChooseMetrics(self.curves, self.looked.metrics, self.choose))

    def action_events(self) -> None:
        """Read the scalars of event files, and choose from them."""
        if self.curves is not None:
            self.say("looking for event files among the artifacts ...")
            self.run_worker(self._events(), group="events", exclusive=True, exit_on_error=False)

    async def _events(self) -> None:
        curves = self.curves
        assert curves is not None
        try:
            said = await curves.read_events()
        except McpTuiError as error:
            self.say(error.line(), "error")
            return
        self.say(said)
        if self.app.screen is self:  # who went on meanwhile is not called back
            from mcp_tui.tui.screens.choosemetrics import ChooseMetrics

            # Nothing is ticked: Enter shows the one under the cursor.
            chooser = ChooseMetrics(curves, (), self.choose)
            await self.app.push_screen(chooser)
            chooser.set_filter(EVENTS)
            chooser.say(said)

    def action_filter(self) -> None:
        """Choose from a list."""
        self.action_metrics()

    def action_points(self) -> None:
        """What is known of each line's points."""
        if self.curves is None:
            self.say("the runs are still being read")
            return
        lines: list[Line] = []
        for metrics in (self.main, self.below):
            if metrics:
                lines.append((Cell(title_of(metrics), "heading"),))
            for name, said in self.curves.said(metrics):
                lines.append((Cell(f"  {clean_line(name)}: ", "strong"), Cell(said)))
        self.app.push_screen(ViewScreen((*self.crumbs(), "points"), lines))

    def action_refresh(self) -> None:
        """Read all of it anew."""
        self.run_worker(self._again(), group="together", exclusive=True, exit_on_error=False)

    async def _again(self) -> None:
        try:
            if self.curves is not None:
                await self.curves.refresh()
        except McpTuiError as error:
            self.say(error.line(), "error")
            return
        self.fetch()

    def action_copy(self) -> None:
        """The values at the cursor, or the last ones."""
        chart = self.chart
        if self.is_empty:
            self.say("nothing to copy yet")
            return
        if chart.view.cursor is not None:
            values = [value for _, value in chart.cursor_values]
            where = chart.cursor_words
        else:
            points = [course.last(chart.view.axis) for course in chart.courses]
            values = [None if point is None else point[1] for point in points]
            where = "the last values"
        text = "\n".join(
            f"{course.name}  {'-' if value is None else figure(value)}"
            for course, value in zip(chart.courses, values, strict=True)
        )
        self.console.copy(text, f"{len(values)} values at {where}")

    def action_back(self) -> None:
        """The cursor goes first, then the zoom, then this screen."""
        if self.chart.view.cursor is not None:
            self.chart.clear_cursor()
        elif self.chart.view.window is not None:
            self.chart.reset()
        else:
            super().action_back()

    def export(self, name: str) -> str:
        """The points as they are known here."""
        if not name.endswith(".csv"):
            raise UsageError("curves are saved as .csv", where=clean_line(name, limit=80))
        rows: list[tuple[str | float | None, ...]] = []
        for chart in (self.chart, self.machine):
            for course in chart.courses if chart.display else ():
                metric, _, run = course.key.rpartition("\n")
                for step, time, value in zip(
                    course.steps, course.times, course.values, strict=True
                ):
                    when = absolute(time) if math.isfinite(time) else ""
                    shown = value if math.isfinite(value) else str(value)
                    rows.append((run, metric, int(step), when, shown))
        return to_csv(("run", "metric", "step", "time", "value"), rows)
