"""The chart on a screen: what is sent, what keys do, what it is dressed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from mcp_tui.domain.chart.course import Course
from mcp_tui.tui.theme import PALETTES
from mcp_tui.tui.widgets.chart import Chart
from tests.tui.charts import (
    BEGAN,
    ChartApp,
    dots,
    gpu,
    histogram,
    loss,
    show_curves,
    show_histogram,
    show_scatter,
    show_smoothed,
    show_twenty,
)
from tests.tui.harness import screen_lines, screen_text, until


class Listening(ChartApp):
    """It keeps what the chart says."""

    def __init__(self, show: Callable[[Chart], None], **more: object) -> None:
        super().__init__(show, **more)  # type: ignore[arg-type]  # by name
        self.cursors: list[float | None] = []
        self.windows: list[tuple[float, float] | None] = []

    def on_chart_cursor_moved(self, event: Chart.CursorMoved) -> None:
        self.cursors.append(event.place)

    def on_chart_sight_changed(self, event: Chart.SightChanged) -> None:
        self.windows.append(event.window)


@asynccontextmanager
async def shown(
    show: Callable[[Chart], None] = show_curves, size: tuple[int, int] = (80, 24), **more: object
) -> AsyncIterator[tuple[Listening, Chart, Pilot[int]]]:
    app = Listening(show, **more)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.chart.picture.lines)
        await pilot.pause()
        yield app, app.chart, pilot


async def test_curves_are_on_the_screen() -> None:
    async with shown() as (app, _, _pilot):
        lines = screen_lines(app)
        assert lines[0].startswith("loss")
        assert "850 of 1,000,540 points" in lines[0]
        assert any("4410" in line for line in lines)
        assert lines[-1].split() == ["0", "2k", "4k", "6k"]


async def test_the_same_again_draws_nothing() -> None:
    async with shown() as (_, chart, pilot):
        drawn, samplings = chart.lines_drawn, chart._plotter.samplings
        chart.show_curves(chart.courses)
        await pilot.pause()
        assert chart.lines_drawn == drawn
        assert chart._plotter.samplings == samplings


async def test_one_more_point_draws_few_lines_and_samples_one_course() -> None:
    async with shown() as (_, chart, pilot):
        first, *others = chart.courses
        drawn, samplings = chart.lines_drawn, chart._plotter.samplings
        chart.show_curves([first.with_more([6200.0], [BEGAN + 2170], [0.401]), *others])
        await pilot.pause()
        assert 0 < chart.lines_drawn - drawn <= 5
        assert chart._plotter.samplings == samplings + 1


async def test_a_hidden_chart_costs_nothing() -> None:
    async with shown() as (_, chart, pilot):
        chart.display = False
        await pilot.pause()
        drawn = chart.lines_drawn
        for n in range(20):
            chart.show_curves([loss("a", 100 + n)])
        await pilot.pause()
        assert chart.lines_drawn == drawn


async def test_the_cursor_goes_and_says_where() -> None:
    async with shown() as (app, chart, pilot):
        chart.move_cursor(-1)
        await until(pilot, lambda: app.cursors)
        assert chart.view.cursor == app.cursors[-1] == 6180
        assert chart.cursor_words == "6,180"
        chart.move_cursor(-10)
        await pilot.pause()
        place = chart.view.cursor
        assert place is not None
        assert place < 6000
        assert f"{place:,.0f}" in screen_lines(app)[-1]
        assert [key for key, _ in chart.cursor_values] == [c.key for c in chart.courses]
        chart.cursor_edge(-1)
        assert chart.view.cursor == 0
        chart.move_cursor(-3)
        assert chart.view.cursor == 0
        chart.clear_cursor()
        await until(pilot, lambda: app.cursors[-1] is None)
        assert chart.cursor_values == ()


async def test_zooming_says_which_part_is_wanted() -> None:
    async with shown() as (app, chart, pilot):
        chart.zoom()
        await until(pilot, lambda: app.windows)
        assert app.windows[-1] == chart.view.window == (3090.0, 6180.0)
        assert "zoomed, following" in screen_lines(app)[0]
        chart.pan(-0.5)
        await pilot.pause()
        assert chart.view.window == (1545.0, 4635.0)
        assert "following" not in screen_lines(app)[0]
        chart.reset()
        await until(pilot, lambda: app.windows[-1] is None)


async def test_the_cursor_takes_the_window_along() -> None:
    async with shown() as (_, chart, _pilot):
        chart.look(replace(chart.view, window=(1000.0, 2000.0), cursor=2000.0))
        chart.move_cursor(5)
        low, high = chart.view.window or (0, 0)
        assert chart.view.cursor is not None
        assert low <= chart.view.cursor <= high
        assert high > 2000


async def test_a_window_at_the_tail_follows_live_points() -> None:
    async with shown() as (_, chart, _pilot):
        chart.zoom(0.25)
        low, high = chart.view.window or (0, 0)
        first, *others = chart.courses
        chart.show_curves([first.with_more([6380.0], [BEGAN + 2300], [0.4]), *others])
        assert chart.view.window == (low + 200, high + 200)


async def test_the_other_ways_of_looking() -> None:
    async with shown() as (app, chart, pilot):
        said = []
        for step in (chart.next_scale, chart.next_scale, chart.smooth, chart.next_axis):
            step()
            await pilot.pause()
            said.append(screen_lines(app)[0])
        assert "log y" in said[0]
        assert "symlog y" in said[1]
        assert "smoothed .3" in said[2]
        assert "by wall time, UTC" in said[3]
        chart.set_smoothing(7)
        assert chart.view.smoothing == 0.999
        chart.smooth(-1)
        assert chart.view.smoothing == 0.99


async def test_a_click_reads_a_place() -> None:
    async with shown() as (_, chart, pilot):
        box = chart.picture.plot
        await pilot.click("#chart", offset=(box.x + box.width // 2, 5))
        await until(pilot, lambda: chart.view.cursor is not None)
        assert chart.view.cursor is not None
        assert abs(chart.view.cursor - 3200) < 200


async def test_a_scatter_and_its_cursor() -> None:
    async with shown(show_scatter) as (app, chart, pilot):
        assert "60 runs" in screen_lines(app)[0]
        assert "run-17" in screen_text(app)
        chart.cursor_edge(-1)
        chart.move_cursor(1)
        await pilot.pause()
        assert chart.scatter_view.cursor != "run-17"
        chart.next_scale()
        await pilot.pause()
        assert "log y" in screen_lines(app)[0]
        chart.show_scatter(list(dots())[:3], x_name="lr", y_name="f1")
        assert chart.scatter_view.cursor is None


async def test_a_histogram() -> None:
    async with shown(show_histogram) as (app, chart, pilot):
        assert "█" in screen_text(app)
        chart.show_histogram(replace(histogram(), bars=()))
        await pilot.pause()
        assert "no points yet" in screen_text(app)


@pytest.mark.parametrize("palette", list(PALETTES))
@pytest.mark.parametrize("ascii", [False, True])
async def test_lines_are_told_apart_in_every_dress(palette: str, ascii: bool) -> None:
    async with shown(show_smoothed, palette=palette, ascii=ascii) as (app, chart, _):
        series = {
            str(segment.style)
            for y in range(24)
            for segment in chart.render_line(y)
            if segment.text.strip() in {"x", "o", "+"}
        }
        plot = chart.picture.plot
        inside = [
            line[plot.x : plot.x + plot.width] for line in screen_lines(app)[1 : 1 + plot.height]
        ]
        signs = sum(line.count(sign) for line in inside for sign in "xo+")
        if palette == "none":
            assert signs >= 9, "signs along the lines"
        else:
            assert len(series) >= 3, "three colours"
            assert signs <= 4, "signs at their ends"
        if ascii:
            assert screen_text(app).isascii()


async def test_more_lines_than_colours_have_signs() -> None:
    async with shown(show_twenty) as (app, _chart, _):
        text = screen_text(app)
        assert all(sign in text for sign in "xo+*#@%&=$ABCDEFGHIJ")


async def test_the_theme_may_change() -> None:
    async with shown() as (app, chart, pilot):
        app.palette = PALETTES["none"]
        chart.refresh()
        await pilot.pause()
        assert all(
            segment.style is None or segment.style.color is None
            for y in range(24)
            for segment in chart.render_line(y)
        )


async def test_it_lives_through_every_size() -> None:
    async with shown(show_twenty) as (app, chart, pilot):
        chart.move_cursor(-1)
        for size in ((200, 50), (20, 5), (1, 1), (47, 9), (10, 2), (132, 43), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert strip.cell_length == size[0]
        assert "sweep-lr-00" in screen_text(app)


async def test_hostile_names_are_text() -> None:
    names = (
        "\x1b[31mred\x1b[0m",
        "[@click=q]x[/]",
        "漢字の名前がとても長い",
        "e\u0301👩\u200d🚀",
        "\u1100\u1161 \u0e01\u0e31 \u0905\u0903",  # counted otherwise by one library or another
    )
    courses = [Course(f"k{n}", name, [0, 1], [0, 1], [n, n + 1]) for n, name in enumerate(names)]

    def show(chart: Chart) -> None:
        chart.show_curves(courses, title=names[0] + names[2])

    async with shown(show, size=(100, 24)) as (app, chart, _):
        text = screen_text(app)
        assert "[@click=q]x[/]" in text
        assert "\x1b" not in text
        cells = {sum(cell_len(segment.text) for segment in chart.render_line(y)) for y in range(24)}
        assert cells == {100}


async def test_a_courses_work_can_be_done_beside_the_loop() -> None:
    """A pane may make a course of a million points in a thread: it is a value."""
    count = 50_000
    course = await asyncio.to_thread(Course, "k", "n", range(count), range(count), [1.0] * count)
    async with shown(lambda chart: chart.show_curves([course, gpu()])) as (app, _, _pilot):
        assert "50,200 points" in screen_text(app)
