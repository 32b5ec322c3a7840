"""The one tree: the one table over a tree's rows, and what opens and closes them."""

from __future__ import annotations

from typing import Any

from textual.message import Message

from mcp_tui.tui.treerows import TreeRows
from mcp_tui.tui.widgets.vtable import VTable


class TreeTable(VTable):
    """A table whose rows hold others.

    It binds no keys: whoever owns it calls :meth:`toggle`, :meth:`unfold` and :meth:`fold`, and
    answers :class:`Asked` by putting the children into the model and calling :meth:`sync`.

    Args:
        rows: The model.
        id: The widget's id.
    """

    class Asked(Message):
        """The children of a node are wanted; they are not known yet."""

        def __init__(self, tree: TreeTable, key: str) -> None:
            super().__init__()
            self.tree = tree
            self.key = key

    def __init__(self, rows: TreeRows[Any], *, id: str | None = None) -> None:
        super().__init__(rows, id=id)
        self.rows = rows

    def toggle(self) -> bool:
        """Open or close the row under the cursor; False when it holds nothing."""
        key = self.cursor_key
        if key is None or not self.rows.tree.is_branch(key):
            return False
        if self.rows.tree.is_open(key):
            self.fold()
        else:
            self.unfold()
        return True

    def unfold(self) -> None:
        """Open the row under the cursor; on one that is open, go to the first row in it."""
        key = self.cursor_key
        if key is None or not self.rows.tree.is_branch(key):
            return
        if self.rows.tree.is_open(key):
            self.move(1)
            return
        asked = self.rows.tree.open(key)
        self.sync()
        if asked:
            self.post_message(self.Asked(self, key))

    def fold(self) -> None:
        """Close the row under the cursor; on one that is closed, go to the row that holds it."""
        key = self.cursor_key
        if key is None:
            return
        if self.rows.tree.is_open(key):
            self.rows.tree.close(key)
            self.sync()
            return
        of_note = key.removesuffix("\n")  # a row that stands for the children of another
        path = self.rows.tree.path(key)
        if of_note != key:
            self.go_to_key(of_note)
        elif path:
            self.go_to_key(path[-1])

    def unfold_all(self) -> None:
        """Open all that is known."""
        self.rows.tree.open_all()
        self.sync()

    def fold_all(self) -> None:
        """Show the top only; the cursor goes to what its row is in."""
        key = self.cursor_key
        self.rows.tree.close_all()
        shown = self.rows.tree.shown_ancestor(key.removesuffix("\n")) if key is not None else None
        self.sync()
        if shown is not None:
            self.go_to_key(shown)
