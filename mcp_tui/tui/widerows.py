"""Rows with a cell for each of many runs: a model for the one table that goes along sideways.

What a row is called stays at the left, and so does the run that others are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.model import Cell, Column, Phase, RowView

WIDEST: Final = 26
"""Cells of the widest column of a run, where there is room."""

NARROW: Final = 110
"""Cells of a screen below which there is none."""

WIDEST_NAME: Final = 34
_LONGEST: Final = 200


class WideRow(NamedTuple):
    """One row: what it is about, its name, the text for each run, and what makes a run's cell.

    Cells are made when they come on screen: of fifty runs most are not.
    """

    key: str
    about: str
    name: str
    texts: Sequence[str]
    cell: Callable[[int], Cell]


class WideRows:
    """The rows, of which a filter may leave some, and the columns from one on.

    Args:
        about: The priority of the column that says what rows are about; from 5 on it is there only
            where names have their room.

    Attributes:
        fixed: The place of the run that stays at the left; None for none.
        at: The place of the run that the keys for columns are about.
        first: The first place that is shown beside the one that stays.
        widest: Cells of the widest column; in force from the next :meth:`show`.
    """

    faults = False
    sort = ("", False)
    own_order = "what differs first"

    def __init__(self, *, about: int = 4) -> None:
        self._about = about
        self.widest = WIDEST
        self.heads: tuple[str, ...] = ()
        self.fixed: int | None = None
        self.at = 0
        self.first = 0
        self.version = 0
        self.filter = ""
        self.summary = ""
        self.phase: Phase = "loading"
        self.note: tuple[str, ...] = ("",)
        self._all: tuple[WideRow, ...] = ()
        self._shown: tuple[WideRow, ...] = ()
        self._places: dict[str, int] = {}
        self._widths: tuple[int, ...] = ()
        self._columns: tuple[Column, ...] = ()
        self._order: tuple[int, ...] = ()
        self._lay()

    # -- filling ----------------------------------------------------------------------------

    def show(
        self, heads: Sequence[str], rows: Sequence[WideRow], *, fixed: int | None = None
    ) -> None:
        """Show these rows of these runs; the column that is looked at stays where it can."""
        self.heads = tuple(clean_line(head, limit=_LONGEST) for head in heads)
        self._all = tuple(rows)
        self.fixed = fixed
        self.at = max(0, min(self.at, len(self.heads) - 1))
        self.phase = "ready"
        widths = []
        for place, head in enumerate(self.heads):
            widest = max((_wide(row.texts[place]) for row in rows), default=0)
            signs = 4 if place == fixed else 2
            widths.append(min(self.widest, max(8, widest, cell_len(head) + signs)))
        self._widths = tuple(widths)
        self._select()
        self._lay()

    def _select(self) -> None:
        terms = [term.lower() for term in self.filter.split()]

        def passes(row: WideRow) -> bool:
            text = f"{row.about} {row.name} {' '.join(row.texts)}".lower()
            return all(
                (term[1:] not in text) if term.startswith("!") and term[1:] else term in text
                for term in terms
            )

        self._shown = tuple(row for row in self._all if passes(row)) if terms else self._all
        self._places = {row.key: n for n, row in enumerate(self._shown)}
        self.version += 1

    def _lay(self) -> None:
        """The columns as they stand now."""
        abouts = max((len(row.about) for row in self._all), default=0)
        names = max((cell_len(row.name) for row in self._all), default=0)
        width = max(6, min(WIDEST_NAME, names))
        columns = [
            Column(
                "name", "WHAT", min(width, 18), width, kind="name", sortable=False, comfort=width
            )
        ]
        if abouts:
            columns.insert(
                0, Column("about", "", abouts, abouts, priority=self._about, sortable=False)
            )
        others = [place for place in range(len(self.heads)) if place != self.fixed]
        self.first = max(0, min(self.first, len(others) - 1))
        order = others[self.first :]
        if self.fixed is not None:
            order.insert(0, self.fixed)
        for place in order:
            here = place == self.at
            title = self.heads[place]
            if place == self.fixed:
                title = f"= {title}"
            if here:
                title = f"> {title}"
            columns.append(
                Column(
                    f"run{place}{'!' if here else ''}",
                    title,
                    self._widths[place],
                    self._widths[place],
                    align="right",
                    priority=1 if place == self.fixed else 3,
                    sortable=False,
                )
            )
        self._columns, self._order = tuple(columns), tuple(order)
        self.version += 1

    # -- sideways ---------------------------------------------------------------------------

    def across(self, columns: int) -> None:
        """Look at another run: the one that stays comes first, then the others in their order."""
        order = [p for p in range(len(self.heads)) if p != self.fixed]
        if self.fixed is not None:
            order.insert(0, self.fixed)
        if order:
            now = order.index(self.at) if self.at in order else 0
            self.at = order[max(0, min(len(order) - 1, now + columns))]
            self._lay()

    def reveal(self, shown: Sequence[str]) -> bool:
        """Go along so far that the run that is looked at is shown; whether anything moved.

        Args:
            shown: Ids of the columns that fit now.
        """
        if self.at == self.fixed or any(name.startswith(f"run{self.at}!") for name in shown):
            return False
        others = [place for place in range(len(self.heads)) if place != self.fixed]
        place = others.index(self.at)
        fits = sum(name.startswith("run") for name in shown) - (self.fixed is not None)
        before = self.first
        self.first = place if place < self.first else max(0, place - max(1, fits) + 1)
        self._lay()
        return self.first != before

    @property
    def hidden(self) -> tuple[int, int]:
        """How many runs are to the left of what is shown, and how many from there on."""
        others = len(self.heads) - (self.fixed is not None)
        return self.first, others - self.first

    # -- what the table asks ----------------------------------------------------------------

    @property
    def columns(self) -> tuple[Column, ...]:
        """Name, the run that stays, the others."""
        return self._columns

    @property
    def count(self) -> int:
        """Rows that pass the filter."""
        return len(self._shown)

    @property
    def total(self) -> int:
        """Rows before the filter."""
        return len(self._all)

    def item(self, index: int) -> WideRow:
        """A row as it was given."""
        return self._shown[index]

    def row(self, index: int) -> RowView:
        """The row at a place."""
        row = self._shown[index]
        cells = [row.cell(place) for place in self._order]
        head = [Cell(row.about, "dim")] if self._columns[0].id == "about" else []
        return RowView(row.key, (*head, Cell(row.name), *cells))

    def index_of(self, key: str) -> int | None:
        """Where a row stands."""
        return self._places.get(key)

    def exists(self, key: str) -> bool:
        """Whether a row is there."""
        return any(row.key == key for row in self._all)

    def name_of(self, key: str) -> str:
        """What a row is called."""
        return next((row.name for row in self._all if row.key == key), key)

    def set_filter(self, text: str) -> str:
        """Only rows with all of the words, and none with one behind a ``!``."""
        self.filter = text.strip()
        self._select()
        return ""

    def set_faults(self, on: bool) -> None:
        """Nothing here fails."""

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """The order stays."""


def _wide(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
