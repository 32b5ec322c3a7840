"""The pods of a job as rows of the one table, and the ways to read their logs."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_tui.tui.cells import tailored
from mcp_tui.tui.model import Cell, Column, Phase, PodLine, RowView

_POD_COLUMNS = (
    Column("state", "STATE", 11, 24, kind="state", sortable=False),
    Column("name", "POD / CONTAINER", 24, 64, kind="name", sortable=False),
    Column("why", "WHY", 10, 0, priority=1, sortable=False),
)


class PodsModel:
    """The tree of pods as rows of the one table."""

    filter = ""
    faults = False
    sort = ("", False)

    def __init__(self) -> None:
        self.columns: tuple[Column, ...] = _POD_COLUMNS
        self.lines: tuple[PodLine, ...] = ()
        self.version = 0
        self.phase: Phase = "loading"
        self.note: tuple[str, ...] = ("asking for the pods",)
        self.summary = ""
        self._at: dict[str, int] = {}

    def put(self, lines: Sequence[PodLine]) -> None:
        """Show this tree."""
        self.lines = tuple(lines)
        widest = max((2 * line.depth + len(line.text) for line in self.lines), default=0)
        states = 2 + max((len(line.state) for line in self.lines), default=0)
        self.columns = tailored(_POD_COLUMNS, {"name": widest, "state": states})
        self._at = {self._key(line): n for n, line in enumerate(self.lines)}
        self.phase, self.note = "ready", ("no pods: gone with their job, or not yet made",)
        self.version += 1

    @staticmethod
    def _key(line: PodLine) -> str:
        return f"{line.depth}/{line.pod}/{line.container or line.text}"

    @property
    def count(self) -> int:
        """Lines of the tree."""
        return len(self.lines)

    @property
    def total(self) -> int:
        """Lines of the tree."""
        return len(self.lines)

    def row(self, index: int) -> RowView:
        """A line of the tree."""
        line = self.lines[index]
        cells = (Cell(line.state), Cell("  " * line.depth + line.text), Cell(line.why))
        return RowView(self._key(line), cells, line.state)

    def index_of(self, key: str) -> int | None:
        """Where a line stands."""
        return self._at.get(key)

    def exists(self, key: str) -> bool:
        """Whether a line is there."""
        return key in self._at

    def name_of(self, key: str) -> str:
        """The pod's name."""
        return self.lines[self._at[key]].text if key in self._at else key

    def set_filter(self, text: str) -> str:
        """A tree is not filtered."""
        del text
        return ""

    def set_faults(self, on: bool) -> None:
        """A tree is not filtered."""

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """A tree keeps its order."""
