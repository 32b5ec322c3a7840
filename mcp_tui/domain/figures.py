"""Numbers as a table of several shows them: short, and different where they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from mcp_tui.domain.runfacts import number

_DIGITS: Final = (5, 6, 7, 8, 9, 10)
"""More than ten digits tell nothing about a model."""


def figures(values: Sequence[float | None]) -> list[str | None]:
    """One text a value, with as many digits as it takes to tell the values apart.

    None stays None: it is the table's to say that a value is missing.
    """
    texts = [None if value is None else number(value) for value in values]
    if _apart(values, texts):
        return texts
    for digits in _DIGITS:
        texts = [None if value is None else figure(value, digits) for value in values]
        if _apart(values, texts):
            break
    return texts


def figure(value: float, digits: int = 6) -> str:
    """A number with that many digits that matter; ``NaN``, ``inf`` and ``-inf`` as words."""
    if not math.isfinite(value):
        return number(value)
    return f"{value:.{digits}g}"


def _apart(values: Sequence[float | None], texts: Sequence[str | None]) -> bool:
    there = {value for value in values if value is not None and not math.isnan(value)}
    if len(there) < 2:
        return True
    return len({text for text in texts if text not in (None, "NaN")}) >= len(there)


def plain(value: float | None) -> float | str | None:
    """A number for JSON, which has no word for what is not finite: text there."""
    if value is None or math.isfinite(value):
        return value
    return number(value)


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign: ``+0.012``; zero has none."""
    if value == 0:
        return "0"
    # A whole number reads better than one with an exponent.
    whole = 10**digits <= abs(value) < 1e12
    text = f"{value:.0f}" if whole else figure(value, digits)
    return text if value < 0 or not math.isfinite(value) else f"+{text}"
