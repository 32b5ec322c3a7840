"""Round ticks and their labels, for linear, logarithmic and symmetric logarithmic axes.

A step is 1, 2 or 5 times a power of ten: Heckbert (1990), "Nice Numbers for Graph Labels", Graphics
Gems, pp. 61-63. Ours is the finest one with no more ticks than there is room for, ticks lie within
the range, and all are whole multiples of the step, kept as integers: a label is cut from digits and
never from a float's remainder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

_SUFFIXES: Final = ((12, "T"), (9, "G"), (6, "M"), (3, "k"))
_PLAIN_MOST: Final = 15
"""From this power of ten on, numbers are written with an exponent."""


class Tick(NamedTuple):
    """A place on an axis and what is written there."""

    value: float
    label: str


class Step(NamedTuple):
    """``digit`` times ten to the ``power``."""

    digit: int
    power: int

    @property
    def size(self) -> float:
        """As a number."""
        return _number(self.digit, self.power)

    def coarser(self) -> Step:
        """The next one."""
        return {1: Step(2, self.power), 2: Step(5, self.power)}.get(
            self.digit, Step(1, self.power + 1)
        )

    def first(self, low: float) -> int:
        """The number of the first multiple that is not below ``low``."""
        return math.ceil(_ratio(low, self.size))

    def last(self, high: float) -> int:
        """The number of the last multiple that is not above ``high``."""
        return math.floor(_ratio(high, self.size))


def _number(digits: int, power: int) -> float:
    return float(f"{digits}e{power}")


def _ratio(value: float, size: float) -> float:
    """How many sizes a value is; what is a whole number but for rounding is one."""
    ratio = value / size
    whole = round(ratio)
    return float(whole) if abs(ratio - whole) <= 1e-9 + 4e-16 * abs(ratio) else ratio


def round_step(span: float, most: int, *, integer: bool = False) -> Step:
    """The finest round step that cuts ``span`` into at most ``most`` parts."""
    wanted = span / max(1, most)
    power = math.floor(math.log10(wanted)) if wanted > 0 else -300
    power = max(power, -305)
    if integer:
        power = max(power, 0)
    while True:
        for digit in (1, 2, 5):
            if _number(digit, power) >= wanted * (1 - 1e-9):
                return Step(digit, power)
        power += 1


def loose(low: float, high: float, most: int) -> tuple[float, float]:
    """A range a little wider than the given one, which stays the same while values move a little.

    Its ends are multiples of a fifth of the step between ticks, so that an axis that follows live
    values moves now and then instead of with each of them.
    """
    step = round_step(high - low, most)
    fine = Step(step.digit * 2, step.power - 1)
    first, last = math.floor(_ratio(low, fine.size)), math.ceil(_ratio(high, fine.size))
    return _number(first * fine.digit, fine.power), _number(last * fine.digit, fine.power)


def linear_ticks(low: float, high: float, most: int, *, integer: bool = False) -> list[Tick]:
    """At most ``most`` round ticks, from ``low`` to ``high``."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or most < 1:
        return []
    step = round_step(high - low, most, integer=integer)
    # Below the precision of doubles there is nothing to tell apart.
    if step.size <= max(abs(low), abs(high)) * 1e-15:
        return []
    while step.last(high) - step.first(low) >= most:
        step = step.coarser()
    numbers = range(step.first(low), step.last(high) + 1)
    digits = [number * step.digit for number in numbers]
    ticks = zip(digits, labels(digits, step.power), strict=True)
    return [Tick(_number(digit, step.power), label) for digit, label in ticks]


def labels(digits: Sequence[int], power: int) -> list[str]:
    """Numbers of one step in the shortest form that they can share.

    Args:
        digits: Each is a number divided by ten to the ``power``.
        power: Of ten.
    """
    largest = max((abs(n) for n in digits), default=0)
    if not largest:
        return [_decimal(0, power) for _ in digits]
    top = len(str(largest)) - 1 + power  # the power of ten of the largest number
    if top >= _PLAIN_MOST or (top < -3 and power < -4):
        return [scientific(n, power) for n in digits]
    for exponent, suffix in _SUFFIXES:
        whole = (
            all(n % 10 ** (exponent - power) == 0 for n in digits) if exponent >= power else True
        )
        decimals = max(0, exponent - power)
        if top >= exponent and (whole or (top > exponent and decimals <= 3)):
            if whole:
                return ["0" if not n else _whole(n, power - exponent) + suffix for n in digits]
            trimmed = _common_zeros(digits)
            return [
                "0" if not n else _decimal(n // 10**trimmed, power - exponent + trimmed) + suffix
                for n in digits
            ]
    return [_decimal(n, power) for n in digits]


def _whole(digits: int, power: int) -> str:
    return f"{digits * 10**power:,}" if power >= 0 else f"{digits // 10**-power:,}"


def _common_zeros(digits: Sequence[int]) -> int:
    """How many zeros all of them end in."""
    zeros = 0
    while all(n % 10 ** (zeros + 1) == 0 for n in digits):
        zeros += 1
    return zeros


def _decimal(digits: int, power: int) -> str:
    if power >= 0:
        return f"{digits * 10**power:,}"
    whole, part = divmod(abs(digits), 10**-power)
    return f"{'-' if digits < 0 else ''}{whole:,}.{part:0{-power}d}"


def scientific(digits: int, power: int) -> str:
    """A number with an exponent, as short as it goes: ``2.5e-7``."""
    if not digits:
        return "0"
    text = str(abs(digits))
    exponent = len(text) - 1 + power
    mantissa = text.rstrip("0")
    if len(mantissa) > 1:
        mantissa = f"{mantissa[0]}.{mantissa[1:]}"
    return f"{'-' if digits < 0 else ''}{mantissa}e{exponent}"


def power_label(digit: int, power: int) -> str:
    """``digit`` times ten to the ``power``, by itself: ``0.001``, ``20``, ``5k``, ``1e-6``."""
    if power < -4 or power >= _PLAIN_MOST:
        return scientific(digit, power)
    for exponent, suffix in _SUFFIXES:
        if power >= exponent:
            return f"{digit * 10 ** (power - exponent)}{suffix}"
    return _decimal(digit, power)


def log_ticks(low: float, high: float, most: int) -> list[Tick]:
    """At most ``most`` ticks at powers of ten, or at 1, 2 and 5 times them where they fit.

    Where less than a power of ten is in sight, linear ticks say more.
    """
    if not (0 < low < high) or not math.isfinite(high) or most < 1:
        return []
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if math.log10(high / low if high / low < math.inf else 1e300) < 0.9:
        return linear_ticks(low, high, most)
    ticks: list[Tick] = []
    for every, within in _log_choices(last - first):
        powers = range(-(-first // every) * every, last + 1, every)
        ticks = [
            Tick(_number(digit, power), power_label(digit, power))
            for power in powers
            if power > -308
            for digit in within
            if low * (1 - 1e-12) <= _number(digit, power) <= high * (1 + 1e-12)
        ]
        if 0 < len(ticks) <= most:
            return ticks
    return ticks[:most]


def _log_choices(powers: int) -> Iterable[tuple[int, tuple[int, ...]]]:
    yield 1, (1, 2, 5)
    yield 1, (1, 3)
    for every in (1, 2, 3, 5, 10, 20, 50, 100, 200):
        yield every, (1,)
        if every > powers:
            break


def symlog_ticks(low: float, high: float, most: int, linear: float) -> list[Tick]:
    """Zero and powers of ten of both signs, from ``linear`` on; at most ``most``."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or most < 1:
        return []
    start = math.ceil(math.log10(linear) - 1e-9)
    end = math.floor(math.log10(max(abs(low), abs(high), linear)) + 1e-9)
    zero = [Tick(0.0, "0")] if low <= 0 <= high else []
    ticks: list[Tick] = zero
    for every in (1, 2, 3, 5, 10, 20, 50, 100, 200):
        # From the largest down: the ends of the axis keep theirs.
        powers = sorted(range(end, start - 1, -every))
        below = [Tick(-_number(1, p), "-" + power_label(1, p)) for p in reversed(powers)]
        above = [Tick(_number(1, p), power_label(1, p)) for p in powers]
        found = [t for t in below if low <= t.value] + zero + [t for t in above if t.value <= high]
        found = [t for t in found if low <= t.value <= high]
        if len(found) <= most:
            ticks = found
            break
    return ticks[:most]
