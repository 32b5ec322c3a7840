"""Ticks, scales and smoothing: worked values, and what holds for any."""

from __future__ import annotations

import itertools
import math
from array import array
from datetime import UTC, datetime

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mcp_tui.domain.chart import smooth
from mcp_tui.domain.chart.scale import LIMIT, SCALES, Scale, fitted
from mcp_tui.domain.chart.smooth import smoothed
from mcp_tui.domain.chart.text import fitted_text, short_number, width_of
from mcp_tui.domain.chart.ticks import (
    Tick,
    labels,
    linear_ticks,
    log_ticks,
    loose,
    power_label,
    symlog_ticks,
)
from mcp_tui.domain.chart.timeticks import duration_label, duration_ticks, time_ticks

finite = st.floats(-1e300, 1e300, allow_subnormal=False)
most_ticks = st.integers(1, 14)


def said(ticks: list[Tick]) -> list[str]:
    return [tick.label for tick in ticks]


def in_order(ticks: list[Tick]) -> bool:
    return all(a.value < b.value for a, b in itertools.pairwise(ticks))


# --- linear


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 6200, 5, ["0", "2k", "4k", "6k"]),
        (0.35, 1.31, 6, ["0.4", "0.6", "0.8", "1.0", "1.2"]),
        (0, 1, 3, ["0.0", "0.5", "1.0"]),
        (-1, 1, 5, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (0, 1500, 4, ["0", "500", "1,000", "1,500"]),
        (0, 3_000_000, 4, ["0", "1M", "2M", "3M"]),
        (60_400, 62_600, 6, ["60.5k", "61.0k", "61.5k", "62.0k", "62.5k"]),
        (1_000_000, 1_000_001, 3, ["1,000,000.0", "1,000,000.5", "1,000,001.0"]),
        (0, 3e-7, 4, ["0", "1e-7", "2e-7", "3e-7"]),
        (0, 3e20, 4, ["0", "1e20", "2e20", "3e20"]),
        (-2e299, 2e299, 5, ["-2e299", "-1e299", "0", "1e299", "2e299"]),
        (1, 1, 5, []),
        (math.nan, 1, 5, []),
    ],
)
def test_linear_ticks(low: float, high: float, most: int, expected: list[str]) -> None:
    assert said(linear_ticks(low, high, most)) == expected


def test_steps_are_whole_where_half_a_step_is_nothing() -> None:
    assert said(linear_ticks(0, 2, 9, integer=True)) == ["0", "1", "2"]


@given(finite, finite, most_ticks)
def test_linear_ticks_are_round_within_and_told_apart(one: float, two: float, most: int) -> None:
    low, high = min(one, two), max(one, two)
    assume(high - low > max(abs(low), abs(high)) * 1e-9)
    assume(high - low > 1e-290)
    ticks = linear_ticks(low, high, most)
    assert len(ticks) <= most
    slack = (high - low) * 1e-5
    assert all(low - slack <= tick.value <= high + slack for tick in ticks)
    assert in_order(ticks)
    assert len(set(said(ticks))) == len(ticks)
    if most >= 6:
        assert len(ticks) >= 2
    if len(ticks) > 1:
        step = ticks[1].value - ticks[0].value
        mantissa = f"{step:.6e}".partition("e")[0]
        assert float(mantissa) in (1.0, 2.0, 5.0) or abs(float(mantissa) - 10) < 1e-5


@given(st.integers(-(10**9), 10**9), st.integers(-12, 12))
def test_a_label_is_its_number(digits: int, power: int) -> None:
    (label,) = labels([digits], power)
    scale = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(label[-1], 1.0)
    read = float(label.rstrip("kMGT").replace(",", "")) * scale
    assert read == pytest.approx(float(f"{digits}e{power}"), rel=1e-9, abs=0)


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), most_ticks)
def test_a_loose_range_holds_the_range_and_is_hardly_wider(
    low: float, span: float, most: int
) -> None:
    high = low + span
    assume(span > abs(low) * 1e-9)
    begin, end = loose(low, high, most)
    slack = span * 1e-6
    assert begin <= low + slack
    assert end >= high - slack
    assert end - begin <= 3 * span


def test_an_axis_stays_while_values_move_a_little() -> None:
    assert loose(0.352, 1.301, 5) == loose(0.349, 1.309, 5)


# --- logarithms


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (1e-5, 0.1, 6, ["1e-5", "0.0001", "0.001", "0.01", "0.1"]),
        (0.4, 12, 8, ["0.5", "1", "2", "5", "10"]),
        (1, 1e6, 4, ["1", "100", "10k", "1M"]),
        (0.3, 1.4, 6, ["0.4", "0.6", "0.8", "1.0", "1.2", "1.4"]),
        (0, 1, 5, []),
        (-1, 1, 5, []),
    ],
)
def test_log_ticks(low: float, high: float, most: int, expected: list[str]) -> None:
    assert said(log_ticks(low, high, most)) == expected


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300), most_ticks)
def test_log_ticks_are_within_and_told_apart(one: float, two: float, most: int) -> None:
    low, high = min(one, two), max(one, two)
    assume(high > low * (1 + 1e-6))
    ticks = log_ticks(low, high, most)
    assert len(ticks) <= most
    assert in_order(ticks)
    assert all(low * (1 - 1e-9) <= tick.value <= high * (1 + 1e-9) for tick in ticks)
    assert len(set(said(ticks))) == len(ticks)


def test_symlog_ticks_go_through_zero() -> None:
    ticks = symlog_ticks(-120, 3000, 9, 1.0)
    assert said(ticks) == ["-100", "-10", "-1", "0", "1", "10", "100", "1k"]


@given(finite, finite, most_ticks)
def test_symlog_ticks_never_fail(one: float, two: float, most: int) -> None:
    low, high = min(one, two), max(one, two)
    assume(high > low)
    scale = fitted("symlog", [low, high], most)
    ticks = scale.ticks(most)
    assert len(ticks) <= most
    assert in_order(ticks)


def test_power_labels() -> None:
    assert [power_label(2, p) for p in (-6, -3, 0, 3, 7, 20)] == [
        "2e-6",
        "0.002",
        "2",
        "2k",
        "20M",
        "2e20",
    ]


# --- scales


@given(st.sampled_from(SCALES), st.lists(finite, min_size=1, max_size=9), most_ticks)
def test_every_value_has_a_place_and_larger_ones_a_higher(
    name: str, values: list[float], most: int
) -> None:
    scale = fitted(name, values, most)  # type: ignore[arg-type]  # one of them
    assert scale.low < scale.high
    shown = sorted(v for v in values if v > 0) if scale.name == "log" else sorted(values)
    places = [scale.at(value) for value in shown]
    assert all(-1e-6 <= place <= 1 + 1e-6 for place in places)
    assert places == sorted(places)


@given(st.sampled_from(SCALES), st.floats(0, 1))
def test_a_place_leads_back_to_its_value(name: str, place: float) -> None:
    scale = Scale(name, 0.5, 800.0)  # type: ignore[arg-type]  # one of them
    assert scale.at(scale.value(place)) == pytest.approx(place, abs=1e-9)


def test_a_log_scale_of_nothing_above_zero_is_linear() -> None:
    assert fitted("log", [-3, 0], 5).name == "linear"


@pytest.mark.parametrize("value", [0.0, 1.0, -5.0, 1e-300, 5e-324, LIMIT, -LIMIT, 1e15])
@pytest.mark.parametrize("name", SCALES)
def test_one_value_has_room_around_it(name: str, value: float) -> None:
    scale = fitted(name, [value], 5)  # type: ignore[arg-type]  # one of them
    assert scale.low < scale.high
    assert math.isfinite(scale.low)
    assert math.isfinite(scale.high)


# --- time


def utc(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]  # a date


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (
            utc(2026, 11, 24, 8, 5),
            utc(2026, 11, 24, 8, 41),
            4,
            ["08:10", "08:20", "08:30", "08:40"],
        ),
        (
            utc(2026, 11, 23, 20),
            utc(2026, 11, 24, 7),
            6,
            ["20:00", "22:00", "24 Nov", "02:00", "04:00", "06:00"],
        ),
        (utc(2026, 11, 1), utc(2026, 11, 28), 5, ["2 Nov", "9 Nov", "16 Nov", "23 Nov"]),
        (utc(2026, 3, 5), utc(2027, 3, 5), 5, ["Apr", "Jul", "Oct", "2027"]),
        (utc(2000, 1, 1), utc(2026, 1, 1), 4, ["2000", "2010", "2020"]),
        (
            utc(2026, 11, 24, 8, 5, 1),
            utc(2026, 11, 24, 8, 5, 3),
            3,
            ["08:05:01", "08:05:02", "08:05:03"],
        ),
    ],
)
def test_time_ticks(low: float, high: float, most: int, expected: list[str]) -> None:
    assert said(time_ticks(low, high, most)) == expected


@given(st.floats(-1e13, 1e13), st.floats(1e-3, 1e12), most_ticks)
@example(62500.9609375, 0.001, 1)
def test_time_ticks_are_within_and_in_order(low: float, span: float, most: int) -> None:
    assume(span > abs(low) * 1e-9)
    high = low + span
    for ticks in (time_ticks(low, high, most), duration_ticks(low, high, most)):
        assert len(ticks) <= most
        assert in_order(ticks)
        slack = span * 1e-5
        assert all(low - slack <= tick.value <= high + slack for tick in ticks)


def test_duration_ticks() -> None:
    assert said(duration_ticks(0, 5400, 5)) == ["0", "30m", "1h", "1h30m"]
    assert said(duration_ticks(0, 1.2, 5)) == ["0", "0.5s", "1.0s"]
    assert said(duration_ticks(0, 40 * 86_400, 5)) == ["0", "10d", "20d", "30d", "40d"]
    assert duration_label(-90) == "-1m30s"


# --- smoothing


def test_smoothing_is_tensorboards() -> None:
    # By hand, w = 0.6: 0.4/0.4, (0.24+0.8)/0.64, (0.624+1.6)/0.784.
    found = smoothed(array("d", [1.0, 2.0, 4.0]), 0.6)
    assert list(found) == pytest.approx([1.0, 1.04 / 0.64, (1.04 * 0.6 + 1.6) / 0.784])


def test_a_gap_stays_one_and_does_not_count() -> None:
    found = smoothed(array("d", [1.0, math.nan, 2.0, math.inf]), 0.6)
    assert math.isnan(found[1])
    assert found[3] == math.inf
    assert found[2] == pytest.approx(1.04 / 0.64)


@pytest.mark.parametrize("weight", [0.0, 1.0, -1.0])
def test_no_smoothing_is_the_values(weight: float) -> None:
    values = array("d", [3.0, 1.0])
    assert smoothed(values, weight) is values


wild = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf]))


@given(st.lists(wild, min_size=1, max_size=300), st.sampled_from([0.1, 0.6, 0.9, 0.99]))
def test_many_are_smoothed_as_few_are(values: list[float], weight: float) -> None:
    few = smooth._plainly(array("d", values), weight)
    many = smooth._by_numpy(array("d", values), weight)
    assert list(many) == pytest.approx(list(few), rel=1e-9, abs=1e-6, nan_ok=True)
    within = [value for value in values if math.isfinite(value)]
    for value in few:
        if math.isfinite(value):
            assert min(within) - 1e-6 <= value <= max(within) + 1e-6


@pytest.mark.parametrize("weight", [0.6, 0.99, 0.999])
def test_smoothing_by_blocks_remembers_all_blocks_before(weight: float) -> None:
    values = array("d", [math.sin(n / 7) + (n > 100) * 5 for n in range(1_000)])
    few, many = smooth._plainly(values, weight), smooth._by_numpy(values, weight)
    assert list(many) == pytest.approx(list(few), rel=1e-9)


# --- text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.412, "0.4120"),
        (1234, "1,234"),
        (12.3456, "12.35"),
        (1_234_567, "1.235M"),
        (4.1e-9, "4.1e-9"),
        (0, "0"),
        (-0.5, "-0.5000"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
        (1e300, "1e300"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_fitted_text_has_its_width(text: str, width: int) -> None:
    assert width_of(fitted_text(text, width)) == width
