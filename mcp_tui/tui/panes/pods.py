"""The pods of a job as rows of the one table, and the ways to read their logs."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_tui.tui.fixedrows import FixedRows
from mcp_tui.tui.model import Cell, Column, PodLine

_POD_COLUMNS = (
    Column("state", "STATE", 11, 24, kind="state", sortable=False),
    Column("name", "POD / CONTAINER", 24, 64, kind="name", sortable=False),
    Column("why", "WHY", 10, 0, priority=1, sortable=False),
)


class PodsModel(FixedRows[PodLine]):
    """The tree of pods as rows of the one table."""

    def __init__(self) -> None:
        super().__init__(_POD_COLUMNS)
        self.phase = "loading"
        self.note = ("asking for the pods",)

    def put(self, lines: Sequence[PodLine]) -> None:
        """Show this tree."""
        self.show(lines)
        self.phase, self.note = "ready", ("no pods: gone with their job, or not yet made",)

    def key(self, item: PodLine) -> str:
        """Its place in the tree."""
        return f"{item.depth}/{item.pod}/{item.container or item.text}"

    def text(self, item: PodLine) -> str:
        """The pod's name."""
        return item.text

    def cells(self, item: PodLine) -> tuple[Cell, ...]:
        """A line of the tree."""
        return Cell(item.state), Cell("  " * item.depth + item.text), Cell(item.why)

    def state(self, item: PodLine) -> str:
        """As Kubernetes calls it."""
        return item.state
