"""Curves in cells: nothing is lost, nothing is out of place, nothing fails."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_tui.domain.chart import course as course_module
from mcp_tui.domain.chart import sample as sample_module
from mcp_tui.domain.chart.bars import Histogram, binned, draw_bars
from mcp_tui.domain.chart.canvas import PENS, Canvas
from mcp_tui.domain.chart.course import AXES, Course
from mcp_tui.domain.chart.curves import CurvePlotter
from mcp_tui.domain.chart.legend import places
from mcp_tui.domain.chart.picture import Picture
from mcp_tui.domain.chart.sample import sample
from mcp_tui.domain.chart.scale import SCALES
from mcp_tui.domain.chart.scatter import Dot, ScatterView, along, draw_scatter
from mcp_tui.domain.chart.text import width_of
from mcp_tui.domain.chart.view import CurveView, cursor_moved, extent_of

wild = st.one_of(
    st.floats(),
    st.floats(-10, 10),
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.797e308, 5e-324, 1e300]),
)
sizes = st.tuples(st.integers(0, 130), st.integers(0, 40))
HOSTILE = ("\x1b[31mred", "漢字の名前", "e\u0301\u0301", "[bold]x[/]", "\u202eabc", "a" * 300, "")


def line(values: list[float], **more: object) -> Course:
    count = len(values)
    times = [1.7e9 + 7 * n for n in range(count)]
    return Course("k", "run", [float(n) for n in range(count)], times, values, **more)  # type: ignore[arg-type]  # by name


def plot_rows(picture: Picture) -> list[str]:
    box = picture.plot
    lines = picture.text.split("\n")
    return [
        text.ljust(box.x + box.width)[box.x : box.x + box.width]
        for text in lines[box.y : box.y + box.height]
    ]


def is_whole(picture: Picture, width: int, height: int) -> None:
    assert len(picture.lines) == height
    for runs in picture.lines:
        assert sum(width_of(run.text) for run in runs) == width
        assert all(run.text.isprintable() for run in runs)


@st.composite
def courses(draw: st.DrawFn) -> list[Course]:
    found = []
    for n in range(draw(st.integers(0, 4))):
        points = draw(st.lists(st.tuples(st.integers(-50, 50), wild, wild), max_size=12))
        name = draw(st.sampled_from(HOSTILE))
        found.append(
            Course(
                f"k{n}",
                name,
                [float(step) for step, _, _ in points],
                [time for _, time, _ in points],
                [value for _, _, value in points],
            )
        )
    return found


views = st.builds(
    CurveView,
    axis=st.sampled_from(AXES),
    scale=st.sampled_from(SCALES),
    smoothing=st.sampled_from([0.0, 0.6, 0.99]),
    window=st.none() | st.tuples(st.floats(-60, 0), st.floats(0, 60)),
    cursor=st.none() | st.floats(-100, 100),
)


@settings(max_examples=300)
@given(courses(), views, sizes, st.sampled_from(list(PENS)), st.booleans())
def test_any_picture_is_whole(
    given_: list[Course], view: CurveView, size: tuple[int, int], pen: str, marks: bool
) -> None:
    picture = CurvePlotter().draw(given_, view, *size, pen=pen, title="t\x1b[31m", marks=marks)  # type: ignore[arg-type]  # a pen
    is_whole(picture, *size)
    if pen == "ascii":
        drawn = "".join(plot_rows(picture))
        assert all(char.isascii() for char in drawn)


@pytest.mark.parametrize(("width", "height"), [(20, 5), (80, 24), (200, 50), (10, 2), (1, 1)])
@pytest.mark.parametrize("count", [1, 20])
def test_it_lives_in_every_size(width: int, height: int, count: int) -> None:
    many = [line([n + k / 10 for k in range(30)]) for n in range(count)]
    is_whole(CurvePlotter().draw(many, CurveView(), width, height), width, height)


# --- nothing is lost


@pytest.mark.parametrize("count", [500, 60_000])
@pytest.mark.parametrize("pen", list(PENS))
def test_a_spike_of_one_point_is_seen(count: int, pen: str) -> None:
    values = [1.0] * count
    values[count // 3] = 9.0
    picture = CurvePlotter().draw([line(values)], CurveView(), 80, 24, pen=pen)  # type: ignore[arg-type]  # a pen
    rows = plot_rows(picture)
    high = next(y for y, row in enumerate(rows) if row.strip(" ╌"))
    assert high <= 2, "it reaches the top"
    column = len(rows[high]) - len(rows[high].lstrip(" ╌"))
    assert abs(column - picture.plot.width / 3) <= 2


@given(
    st.lists(wild, min_size=1, max_size=200), st.integers(1, 40), st.sampled_from([-math.inf, 0.0])
)
def test_many_points_are_sampled_as_few_are(
    values: list[float], columns: int, floor: float
) -> None:
    xs = array("d", range(len(values)))
    ys = array("d", values)
    stretch = (columns - 1) / (len(values) - 1) if len(values) > 1 else 0.0
    few = sample_module._plainly(xs, ys, 0, len(xs), 0.0, stretch, floor)
    many = sample_module._by_numpy(xs, ys, 0, len(xs), 0.0, stretch, floor)
    assert (many.shown, many.missing, many.below) == (few.shown, few.missing, few.below)
    assert sorted(many.gaps) == sorted(few.gaps)
    if len(few.groups) <= 8 * columns:
        assert many.groups == few.groups


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(1, 60))
def test_extremes_are_kept(values: list[float], columns: int) -> None:
    xs = array("d", range(len(values)))
    found = sample(xs, array("d", values), 0, len(values) - 1, columns)
    assert min(group.low for group in found.groups) == min(values)
    assert max(group.high for group in found.groups) == max(values)
    assert found.shown == len(values)
    assert all(group.joined for group in found.groups[1:])
    at = [group.column for group in found.groups]
    assert at == sorted(set(at))
    assert all(0 <= column < columns for column in at)


# --- gaps


def test_gaps_are_gaps_and_are_said() -> None:
    values = [1.0] * 50 + [math.nan] * 40 + [1.0] * 10 + [math.inf] + [1.0] * 19
    picture = CurvePlotter().draw([line(values)], CurveView(), 80, 24)
    assert "41 gaps" in picture.text
    (drawn,) = [row for row in plot_rows(picture) if row.strip(" ╌x")]
    middle = int(70 / 120 * picture.plot.width)
    assert set(drawn[middle - 5 : middle + 5]) <= {" ", "╌"}
    assert "!!!" in picture.text.split("\n")[-2]


def test_an_infinity_of_mlflow_is_a_gap() -> None:
    picture = CurvePlotter().draw([line([1, 2, 1.7976931348623157e308, 3])], CurveView(), 80, 24)
    assert "1 gap" in picture.text
    assert "1gap" not in picture.text


def test_all_nan_says_so() -> None:
    text = CurvePlotter().draw([line([math.nan] * 9)], CurveView(), 80, 24).text
    assert "no value here is a number" in text
    assert "9 gaps" in text


def test_nothing_says_why_and_makes_no_numbers_up() -> None:
    text = CurvePlotter().draw([], CurveView(), 80, 24, note="no metric yet").text
    assert "no metric yet" in text
    assert not any(char.isdigit() for char in text)


def test_values_that_a_log_axis_cannot_show_are_counted() -> None:
    text = (
        CurvePlotter().draw([line([0.0, -1.0, 10.0, 100.0])], CurveView(scale="log"), 80, 24).text
    )
    assert "2 not above 0" in text
    assert "log y" in text
    text = CurvePlotter().draw([line([-1.0, -2.0])], CurveView(scale="log"), 80, 24).text
    assert "log y needs values above 0" in text


def test_a_point_by_itself_is_a_sign_that_can_be_seen() -> None:
    values = [1.0] * 40 + [math.nan] * 20 + [2.0] + [math.nan] * 20 + [1.0] * 40
    rows = plot_rows(CurvePlotter().draw([line(values)], CurveView(), 80, 24))
    assert any("x" in row for row in rows[:3])


# --- order


def test_steps_out_of_order_and_repeated_are_put_in_order() -> None:
    found = Course("k", "n", [3, 1, 2, 2], [3.0, 1.0, 2.5, 2.0], [30, 10, 25, 20])
    xs, ys = found.along("step")
    assert list(xs) == [1, 2, 2, 3]
    assert list(ys) == [10, 20, 25, 30]
    assert found.at("step", 2) == (2, 25), "the last of a step is its value"


@given(st.lists(st.tuples(st.integers(-20, 20), wild, st.floats(-5, 5)), min_size=1, max_size=60))
def test_many_are_ordered_as_few_are(points: list[tuple[int, float, float]]) -> None:
    columns = [array("d", column) for column in zip(*points, strict=True)]
    few = course_module._ordered(*columns)
    limit = course_module.MANY
    course_module.MANY = 1  # type: ignore[misc]  # the other way of the same function
    try:
        many = course_module._ordered(*columns)
    finally:
        course_module.MANY = limit  # type: ignore[misc]  # a Final, set for a test
    assert list(few[0]) == list(many[0])
    assert list(few[1]) == list(many[1])


# --- what is said


def test_a_sampled_course_says_of_how_many() -> None:
    text = CurvePlotter().draw([line([1.0, 2.0] * 160, total=1_000_000)], CurveView(), 80, 24).text
    assert "320 of 1,000,000 points" in text


def test_smoothing_scale_and_zoom_are_said_and_raw_is_drawn() -> None:
    view = CurveView(scale="log", smoothing=0.6, window=(10, 60))
    picture = CurvePlotter().draw([line([1 + n % 7 for n in range(100)])], view, 80, 24)
    head = picture.text.split("\n")[0]
    assert "log y  smoothed .6  zoomed  by step" in head
    roles = {run.role for runs in picture.lines for run in runs}
    assert {"s0", "raw0"} <= roles


def test_the_legend_says_the_last_value_in_sight() -> None:
    course = line([float(n) for n in range(100)])
    assert "99" in CurvePlotter().draw([course], CurveView(), 80, 24).text
    lines = CurvePlotter().draw([course], CurveView(window=(10, 60)), 80, 24).text.split("\n")
    assert any(text.split()[-2:] == ["run", "60"] for text in lines)


def test_a_part_without_points_says_so_and_not_that_there_are_none() -> None:
    short = line([0.5] * 20)
    away = CurveView(window=(8_000, 9_000))
    text = CurvePlotter().draw([short], away, 80, 10, note="not logged in this run").text
    assert "no points in this part; 0 shows all" in text and "not logged" not in text
    text = CurvePlotter().draw([], away, 80, 10, note="not logged in this run").text
    assert "not logged in this run" in text


def test_names_and_last_values_stand_at_the_ends_of_lines() -> None:
    one = Course("a", "rising", [0, 1], [0, 1], [0.0, 1.0])
    two = Course("b", "falling", [0, 1], [0, 1], [1.0, 0.0])
    picture = CurvePlotter().draw([one, two], CurveView(), 80, 24)
    lines = picture.text.split("\n")
    rising = next(y for y, text in enumerate(lines) if text.split()[-2:] == ["rising", "1"])
    falling = next(y for y, text in enumerate(lines) if text.split()[-2:] == ["falling", "0"])
    assert rising <= 4
    assert falling >= 18


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(20, 40))
def test_labels_share_no_row_and_keep_their_order(wanted: list[int], rows: int) -> None:
    found = places(sorted(wanted), rows)
    assert found == sorted(set(found))
    assert all(0 <= row < rows for row in found)


def test_labels_with_room_stand_where_they_want() -> None:
    assert places([2, 7, 19], 20) == [2, 7, 19]
    assert places([5, 5, 5], 20) == [4, 5, 6]


def test_more_series_than_rows_are_counted() -> None:
    many = [line([float(n)] * 5) for n in range(20)]
    assert "+" in CurvePlotter().draw(many, CurveView(), 80, 12).text
    assert "more" in CurvePlotter().draw(many, CurveView(), 80, 12).text


# --- looking


def test_the_cursor_reads_every_course_at_its_place() -> None:
    one, two = line([float(n) for n in range(100)]), line([5.0] * 40)
    view = CurveView(cursor=30.0)
    picture = CurvePlotter().draw([one, two], view, 80, 24)
    assert picture.text.count("30") >= 2  # the place and a value
    text = CurvePlotter().draw([one, two], replace(view, cursor=60.0), 80, 24).text
    assert " -" in text, "the other has ended by then"


def test_the_cursor_goes_to_points_and_never_between() -> None:
    sparse = Course("k", "n", [0, 10, 1000], [0, 1, 2], [1, 2, 3])
    view = CurveView()
    place = cursor_moved([sparse], view, 0, 1000, -1, 60)
    assert place == 1000
    place = cursor_moved([sparse], replace(view, cursor=place), 0, 1000, -1, 60)
    assert place == 10
    place = cursor_moved([sparse], replace(view, cursor=place), 0, 1000, -1, 60)
    assert place == 0
    assert cursor_moved([sparse], replace(view, cursor=place), 0, 1000, -1, 60) == 0


def test_moving_the_cursor_samples_nothing_again() -> None:
    plotter = CurvePlotter()
    many = [line([math.sin(n / 9) for n in range(400)])]
    plots = [plotter.draw(many, CurveView(cursor=float(n)), 80, 24).plot for n in range(100)]
    assert len(set(plots)) <= 3, "the plot widens for a longer value, and then stands still"
    before = plotter.samplings
    for place in range(100):
        plotter.draw(many, CurveView(cursor=float(place)), 80, 24)
    assert plotter.samplings == before


def test_zooming_is_about_the_cursor_and_ends_at_the_ends() -> None:
    extent = (0.0, 1000.0)
    view = replace(CurveView(), cursor=200.0).zoomed(extent, 0.5)
    assert view.window == (100.0, 600.0)
    view = view.panned(extent, -5)
    assert view.window == (0.0, 500.0)
    view = view.panned(extent, 5)
    assert view.window == (500.0, 1000.0)
    assert view.follow
    assert view.zoomed(extent, 8).window is None


@given(st.lists(st.floats(0.05, 20), max_size=40), st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_zooming_stays_within(factors: list[float], low: float, span: float) -> None:
    extent = (low, low + span)
    view = CurveView()
    for factor in factors:
        view = view.zoomed(extent, factor).panned(extent, factor - 1)
        if view.window is not None:
            assert view.window[0] < view.window[1]


def test_a_window_at_the_end_follows_the_newest() -> None:
    view = CurveView().zoomed((0, 100), 0.25)
    assert view.window == (75.0, 100.0)
    assert view.grown((0, 100), (0, 110)).window == (85.0, 110.0)
    away = view.panned((0, 100), -1)
    assert away.grown((0, 100), (0, 110)).window == away.window


def test_more_points_make_another_course() -> None:
    course = line([1.0, 2.0], total=500)
    more = course.with_more([2.0], [1.7e9 + 99], [3.0])
    assert len(course) == 2
    assert (len(more), more.total, more.start) == (3, 501, course.start)
    assert extent_of([course, more], "step") == (0.0, 2.0)


def test_a_zoomed_line_enters_and_leaves_at_the_edges() -> None:
    picture = CurvePlotter().draw(
        [Course("k", "n", [0, 100], [0, 1], [0, 100])], CurveView(window=(40, 60)), 80, 24
    )
    rows = plot_rows(picture)
    drawn = [row for row in rows if row.strip(" ╌")]
    assert len(drawn) >= len(rows) - 2, "a line without a point in sight is drawn all the same"


# --- lines in dots


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 50), st.sampled_from(list(PENS)))
def test_a_line_has_no_holes(row: int, to_row: int, across: int, pen: str) -> None:
    canvas = Canvas(60, 40, pen)  # type: ignore[arg-type]  # a pen
    row, to_row = min(row, canvas.rows - 1), min(to_row, canvas.rows - 1)
    drawn: list[tuple[int, int]] = []
    run = canvas.run
    canvas.run = lambda c, a, b, o: (  # type: ignore[method-assign]  # to see its dots
        drawn.extend((c, r) for r in range(min(a, b), max(a, b) + 1)),
        run(c, a, b, o),
    )[1]
    canvas.line(0, row, across, to_row, 0)
    assert (0, row) in drawn
    assert (across, to_row) in drawn
    for column in range(across):
        here = [r for c, r in drawn if c == column]
        there = [r for c, r in drawn if c == column + 1]
        assert min(abs(a - b) for a in here for b in there) <= 1
    assert len(set(drawn)) == len(drawn) == max(across, abs(to_row - row)) + 1


# --- the other modes


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.one_of(wild, st.sampled_from(["adam", "sgd", "漢字"])), wild), max_size=20
    ),
    sizes,
    st.sampled_from(SCALES),
    st.sampled_from(list(PENS)),
)
def test_any_scatter_is_whole(
    points: list[tuple[float | str, float]], size: tuple[int, int], scale: str, pen: str
) -> None:
    dots = [Dot(str(n), HOSTILE[n % 7], x, y, n % 9) for n, (x, y) in enumerate(points)]
    view = ScatterView(x_scale=scale, y_scale=scale, cursor="0")  # type: ignore[arg-type]  # a scale
    picture = draw_scatter(dots, view, *size, x_name="lr", y_name="f1", pen=pen)  # type: ignore[arg-type]  # a pen
    is_whole(picture, *size)
    assert len(along(dots)) <= len(dots)


def test_a_scatter_says_what_it_could_not_show() -> None:
    dots = [Dot("a", "a", 1.0, 2.0), Dot("b", "b", math.nan, 1.0), Dot("c", "c", 0.0, 1.0)]
    view = ScatterView(x_scale="log", cursor="a")
    text = draw_scatter(dots, view, 80, 24, x_name="lr", y_name="f1").text
    assert "1 of 3 runs  1 without a value  1 not above 0  log x" in text
    assert "a  1  2" in text


def test_several_dots_of_a_cell_are_counted() -> None:
    dots = [Dot(str(n), "n", 1.0, 1.0) for n in range(3)] + [Dot("z", "z", 9.0, 9.0)]
    text = draw_scatter(dots, ScatterView(), 80, 24, x_name="lr", y_name="f1").text
    assert "3" in "".join(
        plot_rows(draw_scatter(dots, ScatterView(), 80, 24, x_name="a", y_name="b"))
    )
    assert "4 runs" in text


@settings(max_examples=150)
@given(st.lists(wild, max_size=50), st.lists(wild, max_size=50), sizes, st.sampled_from(list(PENS)))
def test_any_histogram_is_whole(
    bars: list[float], outline: list[float], size: tuple[int, int], pen: str
) -> None:
    count = min(len(bars), len(outline))
    given_ = Histogram(-1.0, 3.0, tuple(bars[:count]), tuple(outline[:count]), "now", "before")
    is_whole(draw_bars(given_, *size, pen=pen), *size)  # type: ignore[arg-type]  # a pen


def test_bars_stand_in_proportion_and_something_is_never_nothing() -> None:
    picture = draw_bars(Histogram(0, 3, (1.0, 0.5, 0.0001)), 80, 24)
    rows = plot_rows(picture)
    width = picture.plot.width
    heights = [sum(row[x] not in " ╌" for row in rows) for x in (5, width // 2, width - 5)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=2)
    assert heights[2] == 1


def test_bins_count_what_is_within() -> None:
    assert binned([0.1, 0.2, 0.9, math.nan, 7.0], 2, 0, 1) == (2, 1)
