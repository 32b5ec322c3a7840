"""Cells of text without a terminal library, and a number in few characters."""

from __future__ import annotations

import math
import unicodedata

from mcp_tui.domain.text import clean_line

CUT = ".."


def width_of(text: str) -> int:
    """Cells of a text: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_width(char) for char in text)


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fitted_text(text: str, width: int, *, right: bool = False) -> str:
    """A text in exactly so many cells; one that is too long loses its middle, not its end."""
    text = clean_line(text)
    if width <= 0:
        return ""
    if width_of(text) > width:
        if width <= len(CUT) + 2:
            text = _begin(text, width)
        else:
            end = (width - len(CUT)) // 2
            text = _begin(text, width - len(CUT) - end) + CUT + _begin(text[::-1], end)[::-1]
    pad = " " * (width - width_of(text))
    return pad + text if right else text + pad


def _begin(text: str, width: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += _width(char)
        if used > width:
            return text[:index]
    return text


def short_number(value: float, digits: int = 4) -> str:
    """A value with so many significant digits: ``0.4120``, ``1,234``, ``12.3M``, ``4.1e-9``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e15 or size < 1e-4:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{_trimmed(mantissa)}e{int(power)}"
    for limit, unit, suffix in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M")):
        if size >= limit:
            return _trimmed(_digits(value / unit, digits)) + suffix
    if value == int(value) and size < 1e6:
        return f"{int(value):,}"
    return _digits(value, digits)


def _digits(value: float, digits: int) -> str:
    power = math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits - 1 - power)}f}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
