"""One of a few: what else is done with the object in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

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

T = TypeVar("T")

_KEYS = frozenset(
    ("open", "back", "down", "up", "top", "bottom", "half-down", "half-up", "page-down", "page-up")
)


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One of them: what is answered with, in words, its state, and what it is good for."""

    answer: T
    text: str
    state: str = ""
    why: str = ""


class _Choices(FixedRows[Choice[T]]):
    def key(self, item: Choice[T]) -> str:
        return repr(item.answer)

    def text(self, item: Choice[T]) -> str:
        return item.text

    def cells(self, item: Choice[T]) -> tuple[Cell, ...]:
        return Cell(item.text), Cell(item.state), Cell(item.why)

    def state(self, item: Choice[T]) -> str:
        return item.state


class ChooseScreen(TableMoves, ModalScreen[T | None], inherit_bindings=False):
    """Asks which of a few; the answer is that of the choice, or None.

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
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name", "WHAT", 20, 60, kind="name", sortable=False),
        Column("state", "", 1, 1, priority=9, sortable=False),
        Column("why", "", 10, 0, priority=1, sortable=False),
    )
    KEY_WORDS: ClassVar[tuple[tuple[str, str], ...]] = (("Enter", "this one"), ("Esc", "back"))
    NOTE: ClassVar[str] = ""
    """What stands beside the keys at first."""

    def __init__(self, question: str, choices: Sequence[Choice[T]]) -> None:
        super().__init__()
        self.question = question
        self.choices: _Choices[T] = _Choices(self.COLUMNS)
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
        self.tell(self.NOTE)
        self._fit()
        self.table.focus()

    def offer(self, choices: Sequence[Choice[T]]) -> None:
        """Offer these instead."""
        self.choices.show(choices)
        self._fit()
        self.table.sync()

    def tell(self, note: str) -> None:
        """Say something beside the keys."""
        cells: list[Cell] = []
        for key, word in self.KEY_WORDS:
            cells += [Cell("  " if cells else " "), Cell(key, "key"), Cell(f" {word}")]
        self.keys_line.set_cells([*cells, Cell(f"   {note}" if note else "", "dim")])

    def _fit(self) -> None:
        """As high as the choices, at most what leaves the crumbs to be seen."""
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
        self.dismiss(self.choices.items[self.table.cursor].answer)

    def action_back(self) -> None:
        """None of them."""
        self.dismiss(None)
