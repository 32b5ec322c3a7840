"""A screen of tabs: each is fetched only when it is looked at, and kept fresh while in front."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from mcp_tui.tui import bar
from mcp_tui.tui.fetching import fault_of
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.screens.viewer import ViewKeys
from mcp_tui.tui.widgets.logview import LogView
from mcp_tui.tui.widgets.surface import LineWidget
from mcp_tui.tui.widgets.vtable import VTable

DEADLINE = 20.0
"""Seconds after which a part is said not to answer."""

SLOW = 0.3
"""Seconds from which it is said what is waited for."""


class Tabbed(ViewKeys, inherit_bindings=False):
    """The detail of one thing in tabs: texts, and where there is one a table among them.

    Args:
        tab: The tab to begin with.
        table: The tab that is a table, and its widget.
    """

    DEFAULT_CSS: ClassVar[str] = "#parts { height: 1fr; width: 1fr; layers: base; }"
    BINDINGS: ClassVar[list[BindingType]] = []
    TABS: ClassVar[tuple[str, ...]] = ()
    FRESH: ClassVar[Mapping[str, float]] = {}
    """Seconds after which a tab in front is fetched again; never where there are none."""

    def __init__(self, tab: str, table: tuple[str, VTable] | None = None) -> None:
        super().__init__()
        self.tab = tab
        self.tabs = LineWidget(id="tabs")
        self.table_tab = "" if table is None else table[0]
        self.table = None if table is None else table[1]
        texts = (name for name in self.TABS if name != self.table_tab)
        self.texts = {name: LogView(id=f"part-{name}") for name in texts}
        self._asked: set[str] = set()
        self._filled: dict[str, tuple[float, object]] = {}
        self._stale: dict[str, str] = {}
        self._fetching: set[str] = set()

    # -- what a screen says of itself -------------------------------------------------------

    async def lines(self, tab: str) -> Sequence[Line]:
        """Fetch the text of a tab."""
        raise NotImplementedError

    async def fill(self, tab: str) -> None:
        """Fetch a tab and show it; what a reader has before him keeps its place."""
        found = await self.lines(tab)
        nothing: Sequence[Line] = ((Cell(f"no {tab.lower()}", "dim"),),)
        self.texts[tab].set_lines(found or nothing, keep=tab in self._filled)

    def work(self, tab: str) -> Coroutine[Any, Any, None]:
        """What fetches a tab."""
        return self._fetch(tab)

    def told(self) -> object:
        """What is known of the thing elsewhere: when it is another, the tab is fetched anew."""
        return None

    def exists(self) -> bool:
        """Whether the thing can be asked for; what was fetched of it stays when it is gone."""
        return True

    # -- frame ------------------------------------------------------------------------------

    @property
    def part(self) -> Widget:
        """The widget of the tab in front."""
        return self._parts()[self.tab]

    @property
    def front_table(self) -> VTable | None:
        """The table, while it is in front."""
        return self.table if self.tab == self.table_tab else None

    @property
    def view(self) -> LogView | None:
        """The text in front; None on the table."""
        return self.texts.get(self.tab)

    def body(self) -> Iterable[Widget]:
        """Tabs, and the parts one behind the other."""
        return (self.tabs, Container(*self._parts().values(), id="parts"))

    def _parts(self) -> dict[str, Widget]:
        table = {} if self.table is None else {self.table_tab: self.table}
        return {**self.texts, **table}

    def home(self) -> Widget:
        """The part in front."""
        return self.part

    def counts(self) -> Sequence[Cell]:
        """Position in the text."""
        return self.view.status if self.view is not None else ()

    def notes(self) -> Sequence[Cell]:
        """That what is shown is not the newest, and why."""
        if self.tab not in self._stale:
            return ()
        return (Cell(f"  not refreshed: {bar.reason(self._stale[self.tab])}", "attention"),)

    def on_mount(self) -> None:
        """Show the first tab."""
        self.show(self.tab)

    def sync(self) -> None:
        """Keep the tab in front fresh."""
        super().sync()
        every = self.FRESH.get(self.tab)
        if every is None or self.tab not in self._filled or self.tab in self._fetching:
            return
        at, told = self._filled[self.tab]
        if (self.console.state.now - at >= every or told != self.told()) and self.exists():
            self.fetch(self.tab)

    def show(self, tab: str) -> None:
        """Bring a tab to the front, and fetch it if it was not or did not come."""
        self.tab = tab
        for name, widget in self._parts().items():
            widget.display = name == tab
        cells: list[Cell] = []
        for name in self.TABS:
            front = name == tab
            shown = f"[{name}]" if front else f" {name} "
            cells += [Cell(" "), Cell(shown, "strong" if front else "dim")]
        self.tabs.set_cells(cells)
        self.part.focus()
        if tab not in self._asked:
            self.fetch(tab)
        self.update_frame()

    # -- fetching ---------------------------------------------------------------------------

    def fetch(self, tab: str) -> None:
        """Fetch a part in a worker of its own, unless it is on its way."""
        if tab not in self._fetching:
            self._asked.add(tab)
            self.run_worker(
                self.work(tab), group=f"part-{tab}", exclusive=True, exit_on_error=False
            )

    def say_in(self, tab: str, text: str, *, error: bool = False) -> None:
        """Say something in place of a part."""
        self.texts[tab].set_lines([(Cell(text, "error" if error else "dim"),)])

    async def _fetch(self, tab: str) -> None:
        self._fetching.add(tab)
        # What is shown stays until there is something newer.
        first = tab not in self._filled
        waiting = self.set_timer(
            SLOW, lambda: self.say_in(tab, f"asking for {tab.lower()}"), pause=not first
        )
        told = self.told()
        try:
            fault = await fault_of(self.fill(tab), DEADLINE)
        finally:
            waiting.stop()
            self._fetching.discard(tab)
        if fault and first:
            self._asked.discard(tab)
            self.say_in(tab, fault, error=True)
            return
        self._filled[tab] = (self.console.state.now, told)
        if fault:
            self._stale[tab] = fault
        else:
            self._stale.pop(tab, None)
        self.update_frame()

    # -- keys -------------------------------------------------------------------------------

    def action_tab(self, step: int) -> None:
        """Next tab."""
        self.show(self.TABS[(self.TABS.index(self.tab) + step) % len(self.TABS)])

    def action_refresh(self) -> None:
        """Fetch this part again."""
        self.fetch(self.tab)

    def action_move(self, rows: int) -> None:
        """Scroll, or move in the table."""
        if self.front_table is not None:
            self.front_table.move(rows)
        else:
            super().action_move(rows)

    def action_edge(self, direction: int) -> None:
        """To an end."""
        if self.front_table is not None:
            self.front_table.move_edge(direction)
        else:
            super().action_edge(direction)

    def action_half(self, direction: int) -> None:
        """Half a page."""
        if self.front_table is not None:
            self.front_table.move_page(direction, half=True)
        else:
            super().action_half(direction)

    def action_page(self, direction: int) -> None:
        """A page."""
        if self.front_table is not None:
            self.front_table.move_page(direction)
        else:
            super().action_page(direction)
