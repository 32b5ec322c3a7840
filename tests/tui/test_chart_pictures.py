"""Pictures of the chart: people judge a console by its charts, so look at each that changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from mcp_tui.tui.widgets.chart import Chart
from tests.tui import charts
from tests.tui.charts import ChartApp
from tests.tui.harness import until

# The pictures are named after what they show, not after this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot:UserWarning")

SIZES = {"80x24": (80, 24), "200x50": (200, 50)}

PICTURES: dict[str, tuple[Callable[[Chart], None], dict[str, object]]] = {
    "chart": (charts.show_curves, {}),
    "chart-smoothed": (charts.show_smoothed, {}),
    "chart-smoothed-ansi16": (charts.show_smoothed, {"palette": "ansi16"}),
    "chart-smoothed-colour-blind": (charts.show_smoothed, {"palette": "colourblind"}),
    "chart-smoothed-no-colour": (charts.show_smoothed, {"palette": "none"}),
    "chart-smoothed-ascii": (charts.show_smoothed, {"palette": "none", "ascii": True}),
    "chart-cursor": (charts.show_cursor, {}),
    "chart-gaps": (charts.show_gaps, {}),
    "chart-zoom": (charts.show_zoom, {}),
    "chart-twenty": (charts.show_twenty, {}),
    "chart-twenty-no-colour": (charts.show_twenty, {"palette": "none"}),
    "chart-system": (charts.show_gpu, {}),
    "chart-empty": (charts.show_empty, {}),
    "scatter": (charts.show_scatter, {}),
    "histogram": (charts.show_histogram, {}),
    "histogram-ascii": (charts.show_histogram, {"palette": "none", "ascii": True}),
}


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", list(PICTURES))
def test_picture(name: str, size: str, snap_compare: Callable[..., bool]) -> None:
    show, options = PICTURES[name]
    app = ChartApp(show, **options)  # type: ignore[arg-type]  # by name

    async def before(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.chart.picture.lines and app.chart._strips[0] is not None)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=before)
