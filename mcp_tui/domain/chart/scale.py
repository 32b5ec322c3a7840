"""Scales: from a value to its place between the ends of an axis, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mcp_tui.domain.chart.ticks import Tick, linear_ticks, log_ticks, loose, symlog_ticks

ScaleName = Literal["linear", "log", "symlog"]
SCALES: Final[tuple[ScaleName, ...]] = ("linear", "log", "symlog")

LIMIT: Final = 1e300
"""What is farther from zero than this is no number to draw: spans of it would overflow."""

_TINY: Final = 1e-290
_LOG_LEAST: Final = 1e-300
"""What is smaller is drawn as this on a logarithmic axis: powers of it would underflow."""


@dataclass(frozen=True)
class Scale:
    """An axis of values: its ends, and how it stretches what is between.

    Attributes:
        name: ``linear``, ``log`` (above zero only) or ``symlog``, which is linear around zero and
            logarithmic beyond: sign(v) log10(1 + |v| / linear), after Webber (2012), "A
            bi-symmetric log transformation for wide-range data", Meas. Sci. Technol. 24, 027001.
        low: The value at its beginning.
        high: The value at its end; above ``low``.
        linear: Where symlog goes over from the one to the other.
    """

    name: ScaleName
    low: float
    high: float
    linear: float = 1.0

    def warp(self, value: float) -> float:
        """A value as the axis stretches it."""
        if self.name == "log":
            return math.log10(max(value, _LOG_LEAST))
        if self.name == "symlog":
            return math.copysign(math.log10(1 + abs(value) / self.linear), value)
        return value

    def unwarp(self, warped: float) -> float:
        """The value that is stretched to ``warped``."""
        if self.name == "log":
            return float(10.0 ** min(max(warped, -307.0), 307.0))
        if self.name == "symlog":
            power = 10.0 ** min(abs(warped), 307.0)
            return math.copysign((power - 1) * self.linear, warped)
        return warped

    def at(self, value: float) -> float:
        """Where a value is: 0 at the beginning, 1 at the end."""
        begin, end = self.warp(self.low), self.warp(self.high)
        return (self.warp(value) - begin) / (end - begin)

    def value(self, place: float) -> float:
        """The value at a place."""
        begin, end = self.warp(self.low), self.warp(self.high)
        return self.unwarp(begin + (end - begin) * place)

    def ticks(self, most: int) -> list[Tick]:
        """At most ``most`` round ticks."""
        if self.name == "log":
            return log_ticks(self.low, self.high, most)
        if self.name == "symlog":
            return symlog_ticks(self.low, self.high, most, self.linear)
        return linear_ticks(self.low, self.high, most)


def widened(low: float, high: float) -> tuple[float, float]:
    """Two ends that are apart, also where there is only one value, or none that differ."""
    size = max(abs(low), abs(high))
    if high - low > max(size * 1e-12, _TINY):
        return low, high
    around = size * 0.1 if size > _TINY else 1.0
    return low - around, high + around


def fitted(name: ScaleName, values: Sequence[float], most: int) -> Scale:
    """A scale that shows all of some values, and stays when they change a little.

    Args:
        name: Its kind; log shows what is above zero, and is linear where nothing is.
        values: The extremes to show, finite.
        most: Ticks that there is room for.
    """
    if name == "log":
        above = [value for value in values if value > 0]
        if above:
            return _fitted_log(min(above), max(above))
        name = "linear"
    low, high = widened(min(values, default=0.0), max(values, default=1.0))
    if name == "symlog":
        linear = _linear_part(values)
        return Scale(name, *_loose_symlog(low, high, linear), linear)
    return Scale("linear", *loose(low, high, max(1, most)))


def _fitted_log(low: float, high: float) -> Scale:
    begin, end = math.log10(max(low, _LOG_LEAST)), math.log10(max(high, _LOG_LEAST))
    if end - begin < 0.02:
        begin, end = begin - 0.05, end + 0.05
    # Ends at twentieths of a power of ten: the axis stays while values move a little.
    begin, end = math.floor(begin * 20) / 20, math.ceil(end * 20) / 20
    return Scale("log", float(10.0**begin), float(10.0**end))


def _linear_part(values: Sequence[float]) -> float:
    largest = max((abs(value) for value in values), default=1.0) or 1.0
    smallest = min((abs(value) for value in values if value), default=1.0)
    power = math.floor(math.log10(max(smallest, largest * 1e-6, 1e-300)))
    return float(10.0**power)


def _loose_symlog(low: float, high: float, linear: float) -> tuple[float, float]:
    scale = Scale("symlog", low, high, linear)
    begin, end = scale.warp(low), scale.warp(high)
    return (
        scale.unwarp(math.floor(begin * 10) / 10),
        scale.unwarp(math.ceil(end * 10) / 10),
    )
