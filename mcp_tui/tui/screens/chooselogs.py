"""Whose logs: all pods merged, a rank, a pod, a container, or the attempt before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fixedrows import FixedRows
from mcp_tui.tui.model import Cell, Column, LogOptions, PodLine
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.widgets.moves import TableMoves
from mcp_tui.tui.widgets.surface import LineWidget
from mcp_tui.tui.widgets.vtable import VTable

if TYPE_CHECKING:
    from mcp_tui.tui.app import Console

DEADLINE = 20.0
"""Seconds after which the pods are said not to answer."""

TYPING = 1.0
"""Seconds within which digits make one number."""

_KEYS = frozenset(
    ("open", "back", "down", "up", "top", "bottom", "half-down", "half-up", "page-down", "page-up")
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to read the logs."""

    text: str
    options: LogOptions
    state: str = ""
    why: str = ""


def choices(lines: Sequence[PodLine]) -> list[Choice]:
    """The ways to read a job's logs, from the tree of its pods; all merged comes first."""
    pods = [line for line in lines if line.pod and not line.container]
    containers = [line for line in lines if line.container]
    found = [Choice("all pods, merged", LogOptions())]
    if any(line.restarts for line in containers):
        found.append(Choice("all pods, the attempt before", LogOptions(previous=1)))
    # Of a rank that was tried again the newest pod comes last, and speaks for it.
    ranks = {line.rank: line for line in pods if line.rank is not None}
    for rank, line in sorted(ranks.items(), key=lambda item: item[0] or 0):
        found.append(Choice(f"rank {rank}", LogOptions(rank=rank), line.state, line.pod))
    for line in pods:
        found.append(Choice(f"pod {line.pod}", LogOptions(line.pod), line.state, line.why))
        for inner in (c for c in containers if c.pod == line.pod):
            options = LogOptions(line.pod, inner.container)
            found.append(Choice(f"  container {inner.container}", options, inner.state, inner.why))
            if inner.restarts:
                before = LogOptions(line.pod, inner.container, previous=1)
                found.append(Choice(f"  container {inner.container}, the attempt before", before))
    return found


_COLUMNS = (
    Column("name", "WHOSE LOGS", 24, 64, kind="name", sortable=False),
    Column("state", "STATE", 11, 24, kind="state", priority=1, sortable=False),
    Column("why", "WHY", 10, 0, priority=2, sortable=False),
)


class ChoicesModel(FixedRows[Choice]):
    """The choices as rows of the one table."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        self.put(())

    def put(self, lines: Sequence[PodLine]) -> None:
        """Offer what these pods have."""
        self.show(choices(lines))

    def key(self, item: Choice) -> str:
        """What it asks for."""
        return repr(item.options)

    def text(self, item: Choice) -> str:
        """The choice in words."""
        return item.text

    def cells(self, item: Choice) -> tuple[Cell, ...]:
        """A choice."""
        return Cell(item.text), Cell(item.state), Cell(item.why)

    def state(self, item: Choice) -> str:
        """Of the pod or container."""
        return item.state


class ChooseLogs(TableMoves, ModalScreen[LogOptions | None], inherit_bindings=False):
    """Asks whose logs are wanted; the answer is what they are asked for with.

    Args:
        key: The job.
        name: What it is called.
    """

    DEFAULT_CSS: ClassVar[str] = """
    ChooseLogs { align: left bottom; background: $background 0%; }
    ChooseLogs > Vertical { height: auto; background: $background; }
    ChooseLogs VTable { height: 4; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        b for b in bindings_for("jobs") if getattr(b, "id", "") in _KEYS
    ]

    def __init__(self, key: str, name: str) -> None:
        super().__init__()
        self.key = key
        self.job = name
        self.choices = ChoicesModel()
        self.table = VTable(self.choices, id="choices")
        self.title_line = LineWidget(id="choose-title", role="keys")
        self.keys_line = LineWidget(id="choose-keys", role="keys")
        self._typed = ""
        self._typed_at = 0.0

    @property
    def console(self) -> Console:
        """The app, by its own type."""
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        """The list between a line that asks and one that tells the keys."""
        yield Vertical(self.title_line, self.table, self.keys_line)

    def on_mount(self) -> None:
        """Offer at once what needs no pods, and ask for those."""
        tier = self.console.state.tier.value
        self.title_line.set_cells((Cell(f" whose logs of {self.job}?"),), role=f"bar-{tier}")
        self._tell("asking for the pods")
        self._fit()
        self.table.focus()
        self.run_worker(self._fetch(), group="pods", exclusive=True, exit_on_error=False)

    def _tell(self, note: str) -> None:
        cells = [Cell(" "), Cell("Enter", "key"), Cell(" read  "), Cell("0-9", "key")]
        cells += [Cell(" rank  "), Cell("Esc", "key"), Cell(" back   "), Cell(note, "dim")]
        self.keys_line.set_cells(cells)

    def _fit(self) -> None:
        """As high as the choices, at most what leaves the crumbs to be seen."""
        self.table.styles.height = max(2, min(self.choices.count + 1, self.app.size.height - 6))

    def on_resize(self, event: events.Resize) -> None:
        """Fit the list again."""
        del event
        self._fit()

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                lines = await self.console.backend.details.pods(self.key)
        except McpTuiError as error:
            self._tell(error.line())
            return
        except TimeoutError:
            self._tell(f"the pods did not come in {DEADLINE:.0f} s")
            return
        self.choices.put(lines)
        there = any(line.pod for line in lines)
        self._tell("" if there else "no pods: gone with their job, or not yet made")
        self._fit()
        self.table.sync()

    # -- keys -------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Digits go to a rank."""
        if event.character is None or event.character not in "0123456789":
            return
        event.stop()
        event.prevent_default()
        late = event.time - self._typed_at > TYPING
        self._typed = (("" if late else self._typed) + event.character)[-6:]
        self._typed_at = event.time
        if not self.table.go_to_key(repr(LogOptions(rank=int(self._typed)))):
            self._tell(f"no rank {int(self._typed)}")

    def on_vtable_opened(self, message: VTable.Opened) -> None:
        """A double click chooses."""
        message.stop()
        self.action_open()

    def action_open(self) -> None:
        """This one."""
        self.dismiss(self.choices.items[self.table.cursor].options)

    def action_back(self) -> None:
        """None of them."""
        self.dismiss(None)
