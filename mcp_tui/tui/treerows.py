"""A tree as rows of the one table: indentation and a sign, not a second widget.

The table already keeps the cursor and marks on their objects, draws only visible rows and sends
only cells that changed; a tree needs the same, with columns beside it (a run's metrics, a file's
size). So a tree is a model: what is open decides which rows there are. There are no box lines: they
are of ambiguous width, which no row may risk, and ``+`` and ``-`` look alike in any terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

from mcp_tui.domain.tree import Node, Tree, TreeRow
from mcp_tui.tui.model import Cell, Column, Phase, RowView

T = TypeVar("T")

_SIGNS: Final = {"open": "- ", "closed": "+ ", "leaf": "  ", "note": "  "}
_DEEPEST: Final = 8
"""Levels that are indented; below them the level is a number, so that names keep their room."""


class TreeRows(Generic[T]):
    """A model for the one table; what its rows show is for the class to say.

    Args:
        columns: The one of the id ``name`` holds the tree.
    """

    own_order = "as they are"

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        self.tree: Tree[T] = Tree()
        self.phase: Phase = "loading"
        self.note: tuple[str, ...] = ()
        self.filter = ""
        self._name = next(n for n, column in enumerate(columns) if column.id == "name")

    # -- for the class ----------------------------------------------------------------------

    def cells(self, item: T) -> tuple[Cell, ...]:
        """A cell for each column; the tree is put before the name."""
        raise NotImplementedError

    def text(self, item: T) -> str:
        """It in words: what a filter looks at."""
        raise NotImplementedError

    def state(self, item: T) -> str:
        """Its state; empty where it has none."""
        del item
        return ""

    # -- for the owner ----------------------------------------------------------------------

    def put_all(self, nodes: Iterable[Node[T]]) -> None:
        """Show these and no others."""
        self.tree.put_all(nodes)
        self._ready()

    def put_children(self, parent: str, nodes: Sequence[Node[T]]) -> None:
        """Show these under a node; empty is the top."""
        self.tree.put_children(parent, nodes)
        self._ready()

    def item_of(self, key: str) -> T | None:
        """What a row is of; None for a row that only says something."""
        node = self.tree.get(key)
        return None if node is None else node.item

    def _ready(self) -> None:
        self.phase = "ready"
        if self.filter:
            self._apply()

    # -- what the table asks ----------------------------------------------------------------

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self.tree.version

    @property
    def summary(self) -> str:
        """Counts in words."""
        return ""

    @property
    def faults(self) -> bool:
        """All rows are shown."""
        return False

    @property
    def sort(self) -> tuple[str, bool]:
        """The order is that in which they were put."""
        return ("", False)

    @property
    def count(self) -> int:
        """Rows that are shown."""
        return len(self.tree.rows)

    @property
    def total(self) -> int:
        """Nodes that are known, shown or not."""
        return len(self.tree)

    def row(self, index: int) -> RowView:
        """The row at a place."""
        row = self.tree.rows[index]
        node = self.tree.get(row.key)
        if node is None:
            blank = [Cell("")] * len(self.columns)
            blank[self._name] = Cell(_indent(row) + row.note, "dim")
            return RowView(row.key, tuple(blank))
        cells = list(self.cells(node.item))
        name = cells[self._name]
        cells[self._name] = Cell(_indent(row) + name.text, name.tone)
        return RowView(row.key, tuple(cells), self.state(node.item))

    def index_of(self, key: str) -> int | None:
        """Where a row stands; None for one that is closed away."""
        return self.tree.index_of(key)

    def exists(self, key: str) -> bool:
        """Whether a node is there, shown or not."""
        return key in self.tree

    def name_of(self, key: str) -> str:
        """A node in words."""
        node = self.tree.get(key)
        return key if node is None else self.text(node.item)

    def set_filter(self, text: str) -> str:
        """Show nodes that hold all words, none behind ``!``, and what they are in."""
        self.filter = text.strip()
        self._apply()
        return ""

    def _apply(self) -> None:
        words = self.filter.casefold().split()
        if not words:
            self.tree.show_only(None)
            return

        def fits(item: T) -> bool:
            text = self.text(item).casefold()
            return all(
                word[1:] not in text if word[0] == "!" and word[1:] else word in text
                for word in words
            )

        nodes = (self.tree.get(key) for key in self.tree)
        self.tree.show_only(node.key for node in nodes if node is not None and fits(node.item))

    def set_faults(self, on: bool) -> None:
        """All rows are shown."""

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """The order is that in which they were put."""


def _indent(row: TreeRow) -> str:
    if row.depth <= _DEEPEST:
        return "  " * row.depth + _SIGNS[row.sign]
    return "  " * _DEEPEST + f"{row.depth}: " + _SIGNS[row.sign]
