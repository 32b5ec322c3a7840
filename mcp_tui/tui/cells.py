"""Measuring and cutting text in terminal cells, and laying columns out. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.model import Column

CUT = ".."
"""Marks a cut. Two plain dots: an ellipsis is one or two cells wide, as the terminal likes."""


def take(text: str, width: int) -> str:
    """The longest beginning of ``text`` that fits ``width`` cells."""
    if width <= 0:
        return ""
    if text.isascii():
        return text[:width]
    used = 0
    for index, char in enumerate(text):
        used += cell_len(char)
        if used > width:
            return text[:index]
    return text


def take_end(text: str, width: int) -> str:
    """The longest end of ``text`` that fits ``width`` cells."""
    if width <= 0:
        return ""
    if text.isascii():
        return text[-width:]
    used = 0
    for index in range(len(text) - 1, -1, -1):
        used += cell_len(text[index])
        if used > width:
            return text[index + 1 :]
    return text


def fit(
    text: str,
    width: int,
    *,
    align: Literal["left", "right"] = "left",
    cut: Literal["end", "middle"] = "end",
) -> str:
    """Text of exactly ``width`` cells: cleaned, cut with ``..`` where too long, padded else."""
    text = clean_line(text)
    length = cell_len(text)
    if length > width:
        if width <= len(CUT) + 1:
            text = take(text, width)
        elif cut == "middle":
            end = (width - len(CUT)) // 2
            text = take(text, width - len(CUT) - end) + CUT + take_end(text, end)
        else:
            text = take(text, width - len(CUT)) + CUT
        length = cell_len(text)
    if length == width:
        return text
    if align == "right":
        return " " * (width - length) + text
    return set_cell_size(text, width) if not text.isascii() else text.ljust(width)


EXTRA = 5
"""From this priority number on a column comes in only when the others have their comfort."""


def tailored(columns: Sequence[Column], widest: Mapping[str, int]) -> tuple[Column, ...]:
    """Columns no wider than what stands in them; extra ones in which nothing stands are left out.

    Args:
        columns: As they are made.
        widest: Cells of the longest text of each column, by its id; one that is not in it stays
            as it is, and so does one that is empty and not an extra one.
    """
    kept: list[Column] = []
    for column in columns:
        content = widest.get(column.id)
        if content is None or (not content and column.priority < EXTRA):
            kept.append(column)
        elif content:
            need = max(content, len(column.short or column.title))
            most = min(column.max_width, max(content, len(column.title)))
            kept.append(
                replace(
                    column,
                    min_width=min(column.min_width, need),
                    max_width=max(most, 1) if column.max_width else 0,
                    comfort=min(column.comfort, need),
                )
            )
    return tuple(kept)


class Slot(NamedTuple):
    """Where a column stands: the number of its column in the model, first cell and width."""

    column: int
    x: int
    width: int


def lay_out(columns: Sequence[Column], width: int, *, left: int = 1, gap: int = 2) -> list[Slot]:
    """Place columns in ``width`` cells.

    The columns with the highest priority number go first when there is no room for the minimum of
    all, extra ones already where the others lack their comfort; then all grow to their comfort and
    to their maximum in order of priority, and the flexible one takes the rest.

    Args:
        columns: In the order in which they are drawn.
        width: Cells of the line.
        left: Cells kept free at the left.
        gap: Cells between two columns.
    """
    shown = list(range(len(columns)))

    def needed(*, comfort: bool = False) -> int:
        widths = (max(columns[i].min_width, columns[i].comfort if comfort else 0) for i in shown)
        return left + sum(widths) + gap * (len(shown) - 1)

    def crowded() -> bool:
        extras = any(columns[i].priority >= EXTRA for i in shown)
        return needed(comfort=extras) > width

    while len(shown) > 1 and crowded():
        worst = max(shown, key=lambda i: (columns[i].priority, i))
        if columns[worst].priority == 0:
            break
        shown.remove(worst)
    widths = {i: columns[i].min_width for i in shown}
    spare = width - needed()
    flexible = [i for i in shown if columns[i].max_width == 0]
    ordered = sorted(shown, key=lambda i: (i not in flexible, columns[i].priority))
    # What is spare goes to comfort first, then to the maximum: half of it at most to each, the
    # flexible one first.
    for share, most in ((2, "comfort"), (1, "comfort"), (2, "max_width")):
        for i in ordered:
            grow = min(getattr(columns[i], most) - widths[i], spare // share)
            if grow > 0:
                widths[i] += grow
                spare -= grow
    if flexible:
        widths[flexible[0]] += max(0, spare)
    slots: list[Slot] = []
    x = left
    for i in shown:
        room = min(widths[i], width - x)
        if room <= 0:
            break
        slots.append(Slot(i, x, room))
        x += room + gap
    return slots
