"""The keys that move the cursor of a table, for every screen that has one."""

from __future__ import annotations

from mcp_tui.tui.widgets.vtable import VTable


class TableMoves:
    """What the moving keys do; ``table`` is the screen's own."""

    table: VTable

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.table.move(rows)

    def action_edge(self, direction: int) -> None:
        """To the first or last row."""
        self.table.move_edge(direction)

    def action_half(self, direction: int) -> None:
        """Half a page."""
        self.table.move_page(direction, half=True)

    def action_page(self, direction: int) -> None:
        """A page."""
        self.table.move_page(direction)
