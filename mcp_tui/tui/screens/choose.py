"""One of a few: what else is done with the object in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from mcp_tui.tui.fixedrows import FixedRows
from mcp_tui.tui.model import Cell, Column
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.widgets.moves import TableMoves
from mcp_tui.tui.widgets.surface import LineWidget
from mcp_tui.tui.widgets.vtable import VTable

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

_KEYS = frozenset(
    ("open", "back", "down", "up", "top", "bottom", "half-down", "half-up", "page-down", "page-up")
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them: ``id`` is the answer, ``why`` what it is good for."""

    id: str
    text: str
    why: str = ""


_COLUMNS = (
    Column("name", "WHAT", 20, 60, kind="name", sortable=False),
    Column("state", "", 1, 1, priority=9, sortable=False),
    Column("why", "", 10, 0, priority=1, sortable=False),
)


class _Choices(FixedRows[Choice]):
    def key(self, item: Choice) -> str:
        return item.id

    def text(self, item: Choice) -> str:
        return item.text

    def cells(self, item: Choice) -> tuple[Cell, ...]:
        return Cell(item.text), Cell(""), Cell(item.why, "dim")

    def state(self, item: Choice) -> str:
        del item
        return ""


class ChooseScreen(TableMoves, ModalScreen[str | None], inherit_bindings=False):
    """Asks which of a few; the answer is its id, or None.

    Args:
        question: What is asked.
        choices: At least one.
    """

    DEFAULT_CSS: ClassVar[str] = """
    ChooseScreen { align: left bottom; background: $background 0%; }
    ChooseScreen > Vertical { height: auto; background: $background; }
    ChooseScreen VTable { height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        b for b in bindings_for("choose") if getattr(b, "id", "") in _KEYS
    ]

    def __init__(self, question: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self.question = question
        self.choices = _Choices(_COLUMNS)
        self.choices.show(choices)
        self.table = VTable(self.choices, id="choices")
        self.title_line = LineWidget(id="choose-title", role="keys")
        self.keys_line = LineWidget(id="choose-keys", role="keys")

    @property
    def console(self) -> Console:
        """The app, by its own type."""
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        """The list between a line that asks and one that tells the keys."""
        yield Vertical(self.title_line, self.table, self.keys_line)

    def on_mount(self) -> None:
        """Ask."""
        tier = self.console.state.tier.value
        self.title_line.set_cells((Cell(f" {self.question}"),), role=f"bar-{tier}")
        cells = [Cell(" "), Cell("Enter", "key"), Cell(" this one  "), Cell("Esc", "key")]
        self.keys_line.set_cells([*cells, Cell(" back")])
        self._fit()
        self.table.focus()

    def _fit(self) -> None:
        self.table.styles.height = max(2, min(self.choices.count + 1, self.app.size.height - 6))

    def on_resize(self, event: events.Resize) -> None:
        """Fit the list again."""
        del event
        self._fit()

    def on_vtable_opened(self, message: VTable.Opened) -> None:
        """A double click chooses."""
        message.stop()
        self.action_open()

    def action_open(self) -> None:
        """This one."""
        self.dismiss(self.choices.items[self.table.cursor].id)

    def action_back(self) -> None:
        """None of them."""
        self.dismiss(None)
