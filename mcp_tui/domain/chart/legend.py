"""Names and values at the ends of lines: each near its line, none upon another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mcp_tui.domain.chart.picture import Sheet, sign
from mcp_tui.domain.chart.text import fitted_text, width_of


class Entry(NamedTuple):
    """A series in the legend. ``row`` is the one that it would like, or None for any."""

    series: int
    name: str
    value: str
    row: int | None


def places(wanted: Sequence[float], rows: int) -> list[int]:
    """Rows for labels, as near to the wanted ones as they can be without sharing one.

    Labels keep their order. Least squares under that constraint is isotonic regression of
    ``wanted[i] - i``, solved by pooling adjacent violators: Barlow, Bartholomew, Bremner, Brunk
    (1972), "Statistical Inference under Order Restrictions".

    Args:
        wanted: Ascending; no more than ``rows``.
        rows: How many there are.
    """
    pools: list[tuple[float, int]] = []  # sum, count
    for index, row in enumerate(wanted):
        pools.append((row - index, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1] = (pools[-1][0] + total, pools[-1][1] + count)
    found: list[int] = []
    for total, count in pools:
        # Rounded alike within a pool, and clipped alike everywhere: the order and gaps stay.
        row = max(0, min(round(total / count), rows - len(wanted)))
        first = len(found)
        found.extend(row + first + n for n in range(count))
    return found


def needed(entries: Sequence[Entry], room: int) -> int:
    """Cells that a legend takes, at most ``room``: a gap, a sign of several, a name, a value."""
    if not entries:
        return 0
    names = max(width_of(entry.name) for entry in entries)
    values = max(len(entry.value) for entry in entries)
    return min(room, _before(entries) + names + 1 + values)


def _before(entries: Sequence[Entry]) -> int:
    """Cells before the name: one line needs no sign to be told by."""
    return 3 if len(entries) > 1 else 1


def draw(sheet: Sheet, x: int, y: int, width: int, height: int, entries: Sequence[Entry]) -> None:
    """Write the legend in a box of its own, so that it hides no line."""
    shown = list(entries)
    if len(shown) > height:
        shown = shown[: max(0, height - 1)]
        left = len(entries) - len(shown)
        more = fitted_text(f" +{left} more", width)
        sheet.put(x, y + height - 1, more, "note")
        height -= 1
    if not shown or height <= 0:
        return
    values = max(len(entry.value) for entry in shown)
    before = _before(entries)
    names = width - before - 1 - values
    # Those without an end of their own stand below the others, in their order.
    ordered = sorted(shown, key=lambda e: (e.row is None, e.row or 0, e.series))
    wanted = [min(e.row, height - 1) if e.row is not None else height - 1 for e in ordered]
    for entry, row in zip(ordered, places(wanted, height), strict=True):
        role = f"s{entry.series}"
        if len(entries) > 1:
            sheet.put(x + 1, y + row, sign(entry.series), role)
        if names >= 3:
            sheet.put(x + before, y + row, fitted_text(entry.name, names), role)
            sheet.put(x + width - values, y + row, entry.value, "value")
        else:
            sheet.put(x + before, y + row, fitted_text(entry.value, width - before), "value")
