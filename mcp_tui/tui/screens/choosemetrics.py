"""Which metrics are shown: a list to tick, filtered as one types, as there may be thousands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType

from mcp_tui.domain.eventlines import spelled
from mcp_tui.domain.figures import figure
from mcp_tui.domain.text import clean_line
from mcp_tui.tui.fixedrows import FixedRows
from mcp_tui.tui.model import Cell, Column
from mcp_tui.tui.model_curves import Curves
from mcp_tui.tui.panes.base import PaneScreen
from mcp_tui.tui.screens.frame import bindings_for

MOST: int = 8
"""Metrics in a chart: more lines than these of one run tell nothing."""


class MetricsModel(FixedRows[str]):
    """Metrics as rows of the one table.

    Args:
        curves: What they are metrics of.
    """

    own_order = "by name"

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        self._all = curves.metrics()
        self._known = frozenset(self._all)
        runs = curves.runs[:6]
        super().__init__(
            (
                Column("name", "METRIC", 20, 60, kind="name", sortable=False),
                Column("in", "RUNS", 4, 5, align="right", priority=1, sortable=False),
                *(
                    Column(
                        f"run{at}",
                        clean_line(run.label, limit=40),
                        9,
                        14,
                        align="right",
                        priority=2,
                        sortable=False,
                    )
                    for at, run in enumerate(runs)
                ),
            )
        )
        self._shown = len(runs)
        self.put("")

    def in_order(self, metrics: Sequence[str]) -> tuple[str, ...]:
        """Metrics in the order of the list, the filter aside."""
        chosen = frozenset(metrics)
        return tuple(name for name in self._all if name in chosen)

    def put(self, words: str) -> None:
        """Show those that have all of the words, and none behind a ``!``."""
        terms = [term.lower() for term in words.split()]

        def passes(name: str) -> bool:
            low = spelled(name).lower()
            return all(
                (term[1:] not in low) if term.startswith("!") and term[1:] else term in low
                for term in terms
            )

        found = [name for name in self._all if passes(name)]
        self.filter = words.strip()
        self.items = tuple(found)
        self._at = {name: n for n, name in enumerate(found)}
        self.note = ("no metric has that in its name; / filters otherwise",)
        self.version += 1

    @property
    def total(self) -> int:
        """Before the filter."""
        return len(self._all)

    @property
    def summary(self) -> str:
        """How many there are."""
        return f"{len(self._all):,} metrics"

    @summary.setter
    def summary(self, text: str) -> None:
        """It is counted."""

    def key(self, item: str) -> str:
        """Its name."""
        return item

    def text(self, item: str) -> str:
        """Its name, one of event files marked as such."""
        return clean_line(spelled(item), limit=200)

    def exists(self, key: str) -> bool:
        """Ticks outlast the filter."""
        return key in self._known

    def cells(self, item: str) -> tuple[Cell, ...]:
        """Name, in how many runs, and the newest value in the first ones."""
        values = self._curves.newest(item)
        there = sum(value is not None for value in values)
        return (
            Cell(self.text(item)),
            Cell(str(there), "" if there == len(values) else "dim"),
            *(
                Cell("-", "dim") if value is None else Cell(figure(value, 5))
                for value in values[: self._shown]
            ),
        )

    def state(self, item: str) -> str:
        """None."""
        del item
        return ""

    def set_filter(self, text: str) -> str:
        """Only some."""
        self.put(text)
        return ""


class ChooseMetrics(PaneScreen, inherit_bindings=False):
    """Ticks metrics; Enter shows them.

    Args:
        curves: What they are metrics of.
        ticked: Those that are shown now.
        chosen: Told which to show.
    """

    KIND: ClassVar[str] = "choose"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("choose")

    def __init__(
        self, curves: Curves, ticked: Sequence[str], chosen: Callable[[tuple[str, ...]], None]
    ) -> None:
        self._metrics = MetricsModel(curves)
        super().__init__(self._metrics)
        self._chosen = chosen
        self.table.marks.update(dict.fromkeys(ticked))
        if ticked:
            self.table.cursor_key = ticked[0]
            self.table.cursor = self.model.index_of(ticked[0]) or 0

    @property
    def pane_id(self) -> str:
        """It stands above the pane that it was opened from."""
        return self.console.current_mode

    def crumbs(self) -> Sequence[str]:
        """What is chosen."""
        return (self.console.current_mode.capitalize(), "curves", "metrics")

    def counts(self) -> Sequence[Cell]:
        """How many, and what the keys do."""
        return (Cell(self.model.summary), Cell("   space ticks, Enter shows", "dim"))

    def action_open(self) -> None:
        """Show what is ticked; without a tick, what is under the cursor."""
        chosen = self._metrics.in_order(self.table.chosen())
        if len(chosen) > MOST:
            self.say(f"{len(chosen)} metrics are ticked; at most {MOST} fit a chart", "error")
            return
        self.app.pop_screen()
        if chosen:
            self._chosen(chosen)

    def on_vtable_opened(self, message: object) -> None:
        """A double click shows the one that was clicked."""
        del message
        self.action_open()

    def action_back(self) -> None:
        """The filter goes first, then this screen."""
        if self.model.filter:
            self.set_filter("")
        else:
            self.app.pop_screen()

    def action_all_namespaces(self) -> None:
        """There are none here."""
        self.say("nothing to narrow here")

    def action_faults(self) -> None:
        """Nothing here fails."""
        self.say("nothing to narrow here")

    def action_sort(self, direction: int) -> None:
        """The order stays."""
        del direction
        self.say("metrics stand by name; / filters them")

    def action_turn(self) -> None:
        """The order stays."""
        self.action_sort(1)
