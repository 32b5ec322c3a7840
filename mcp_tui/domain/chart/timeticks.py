"""Ticks where people expect them on a clock, on a calendar and on a stopwatch."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from mcp_tui.domain.chart.ticks import Tick, linear_ticks, round_step

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS: Final = (
    1, 2, 5, 10, 15, 30,
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7)),
)  # fmt: skip
_MONTHS: Final = (1, 2, 3, 6)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MANY: Final = 1_000
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The years 1 and 9999: a calendar has no more."""


def time_ticks(low: float, high: float, most: int) -> list[Tick]:
    """At most ``most`` round moments in UTC between two, in seconds since 1970.

    Midnight is written as its date, another moment as its time: ``14:05``, ``24 Nov``.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or most < 1:
        return []
    if low < _FIRST or high > _LAST:
        return linear_ticks(low, high, most)
    if (high - low) / most <= 0.5:
        return _split_seconds(low, high, most)
    for step in _STEPS:
        # Weeks begin on a Monday, and 1970 did not.
        shift = 4 * _DAY if step == 7 * _DAY else 0
        numbers = _multiples(low - shift, high - shift, step)
        if numbers is not None and len(numbers) <= most:
            return [_moment(number * step + shift, step) for number in numbers]
    return _months(low, high, most)


def _multiples(low: float, high: float, step: int) -> range | None:
    """Which multiples of a step are between two ends; None where that is too many to count."""
    if (high - low) / step > _MANY:
        return None
    return range(math.ceil(low / step), math.floor(high / step) + 1)


def _moment(seconds: int, step: int) -> Tick:
    at = _EPOCH + timedelta(seconds=seconds)
    if seconds % _DAY == 0:
        return Tick(float(seconds), f"{at.day} {at:%b}")
    return Tick(float(seconds), f"{at:%H:%M:%S}" if step < _MINUTE else f"{at:%H:%M}")


def _split_seconds(low: float, high: float, most: int) -> list[Tick]:
    """Tenths and less: the seconds of the minute, which is what differs."""
    base = math.floor(low / _MINUTE) * _MINUTE
    start = _EPOCH + timedelta(seconds=base)
    found = linear_ticks(low - base, high - base, most)
    return [
        Tick(tick.value + base, f"{start:%H:%M}:{tick.label.zfill(2)}")
        for tick in found
        if tick.value < _MINUTE
    ]


def _months(low: float, high: float, most: int) -> list[Tick]:
    begin = _EPOCH + timedelta(seconds=low)
    first = begin.year * 12 + begin.month - 1
    end = _EPOCH + timedelta(seconds=high)
    last = end.year * 12 + end.month - 1
    every = next((n for n in _MONTHS if n * (most - 1) >= last - first), 0)
    if not every:
        every = 12 * int(round_step((last - first) / 12, max(1, most - 1), integer=True).size)
    ticks = []
    for month in range(-(-first // every) * every, last + 1, every):
        year, index = divmod(month, 12)
        if not 1 <= year <= 9999:
            continue
        at = datetime(year, index + 1, 1, tzinfo=UTC)
        seconds = (at - _EPOCH).total_seconds()
        if low <= seconds <= high:
            ticks.append(Tick(seconds, f"{year}" if index == 0 else f"{at:%b}"))
    return ticks[:most]


def duration_ticks(low: float, high: float, most: int) -> list[Tick]:
    """At most ``most`` round durations in seconds between two: ``0``, ``30s``, ``1h30m``."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or most < 1:
        return []
    if (high - low) / most <= 0.5:
        return [
            Tick(tick.value, tick.label + "s" if tick.value else "0")
            for tick in linear_ticks(low, high, most)
        ]
    for step in _STEPS[:-1]:
        numbers = _multiples(low, high, step)
        if numbers is not None and len(numbers) <= most:
            return [Tick(float(n * step), duration_label(n * step)) for n in numbers]
    days = linear_ticks(low / _DAY, high / _DAY, most, integer=True)
    return [Tick(tick.value * _DAY, tick.label + "d" if tick.value else "0") for tick in days]


def duration_label(seconds: int) -> str:
    """A whole number of seconds in its two largest units: ``90`` is ``1m30s``."""
    if not seconds:
        return "0"
    sign, left = ("-" if seconds < 0 else ""), abs(seconds)
    text = ""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            text += f"{count:,}{unit}"
    return sign + text
