"""One run: its tabs, each fetched only when it is looked at, and its artifacts as a tree."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import BindingType

from mcp_tui.domain.quantity import format_bytes
from mcp_tui.domain.tree import Node
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import fault_of
from mcp_tui.tui.model import Cell, Column, Line, Tone
from mcp_tui.tui.model_runs import ArtifactLine
from mcp_tui.tui.runacts import RunActs
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.modelkeys import RunPromotes
from mcp_tui.tui.screens.tabbed import DEADLINE, Tabbed
from mcp_tui.tui.screens.viewer import ViewKeys
from mcp_tui.tui.treerows import TreeRows
from mcp_tui.tui.widgets.prompt import Ask
from mcp_tui.tui.widgets.tree import TreeTable

RUN_TABS = ("Overview", "Params", "Metrics", "Tags", "Artifacts")

_COLUMNS = (
    Column("name", "ARTIFACT", 24, 0, kind="name", sortable=False),
    Column("size", "SIZE", 8, 10, align="right", priority=1, sortable=False),
    Column("kind", "KIND", 8, 10, priority=2, sortable=False),
)


class ArtifactRows(TreeRows[ArtifactLine]):
    """The artifacts of a run."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        self.note = ("asking for the artifacts",)

    def cells(self, item: ArtifactLine) -> tuple[Cell, ...]:
        """Name, size, kind."""
        size = "" if item.size is None else format_bytes(item.size)
        tone: Tone = "strong" if item.is_dir else ""
        return Cell(item.name, tone), Cell(size), Cell(item.kind, "dim")

    def text(self, item: ArtifactLine) -> str:
        """Its name."""
        return item.name


class RunScreen(RunActs, RunPromotes, Tabbed, inherit_bindings=False):
    """The detail of one run.

    Args:
        key: Whose: ``context/run id``.
        pane: The pane that it was opened from.
        tab: The tab to begin with.
    """

    KIND: ClassVar[str] = "run"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_for("run"),
        *(b for b in bindings_for("runs") if getattr(b, "id", "") in ("open", "mark")),
    ]
    TABS: ClassVar[tuple[str, ...]] = RUN_TABS
    FRESH: ClassVar[Mapping[str, float]] = {
        "Overview": 5.0,
        "Metrics": 2.0,
        "Params": 15.0,
        "Tags": 15.0,
    }

    def __init__(self, key: str, pane: str = "runs", tab: str = "Overview") -> None:
        self.rows = ArtifactRows()
        self.tree_table = TreeTable(self.rows, id="part-Artifacts")
        super().__init__(tab, ("Artifacts", self.tree_table))
        self.key = key
        self.pane = pane

    @property
    def PANE(self) -> str:  # type: ignore[override]  # noqa: N802 - of the pane it was opened from
        """The pane that it belongs to."""
        return self.pane

    def crumbs(self) -> Sequence[str]:
        """The pane and the run."""
        return ("Runs", self.console.backend.run_details.name_of(self.key))

    def counts(self) -> Sequence[Cell]:
        """Position in the text, or how many artifacts are known."""
        return super().counts() or (Cell(f"{self.rows.total:,} known", "dim"),)

    def work(self, tab: str) -> Coroutine[Any, Any, None]:
        """What fetches a tab; of the artifacts the first level."""
        return self._list("") if tab == "Artifacts" else super().work(tab)

    async def lines(self, tab: str) -> Sequence[Line]:
        """The text of a tab."""
        details = self.console.backend.run_details
        fetches = {
            "Overview": details.overview,
            "Params": details.params,
            "Metrics": details.metrics,
            "Tags": details.tags,
        }
        return await fetches[tab](self.key)

    async def _list(self, ref: str) -> None:
        """One level of the artifacts."""

        async def fill() -> None:
            found = await self.console.backend.run_details.artifacts(self.key, ref)
            self.rows.note = ("no artifacts",)
            nodes = [Node(line.ref, line, ref, branch=line.is_dir) for line in found]
            self.rows.put_children(ref, nodes)

        fault = await fault_of(fill(), DEADLINE)
        if fault and ref:
            self.rows.tree.say(ref, fault)
        elif fault:
            self.rows.phase, self.rows.note = "ready", (fault,)
        self.tree_table.sync()
        self.update_frame()

    def on_tree_table_asked(self, message: TreeTable.Asked) -> None:
        """A folder is opened."""
        message.stop()
        self.run_worker(self._list(message.key), group="run-folder", exit_on_error=False)

    # -- keys -------------------------------------------------------------------------------

    def _on(self) -> ArtifactLine | None:
        """The artifact under the cursor."""
        key = self.tree_table.cursor_key
        on = self.rows.item_of(key) if key is not None and self.tab == "Artifacts" else None
        if on is None and self.tab == "Artifacts":
            self.say("nothing under the cursor")
        return on

    def action_open(self) -> None:
        """Open or close a folder; show the head of a file."""
        if self.tab != "Artifacts":
            return
        on = self._on()
        if on is None:
            return
        if on.is_dir:
            self.tree_table.toggle()
        else:
            from mcp_tui.tui.screens.artifact import ArtifactScreen

            self.app.push_screen(ArtifactScreen(self.key, on, self.crumbs(), self.pane))

    def action_unfold(self) -> None:
        """Open a folder."""
        if self.tab == "Artifacts":
            self.tree_table.unfold()

    def action_fold(self) -> None:
        """Close a folder, or go to the one that holds this."""
        if self.tab == "Artifacts":
            self.tree_table.fold()

    def runs_chosen(self) -> tuple[str, ...]:
        """This run alone."""
        return (self.key,)

    def action_linked(self) -> None:
        """The job of the run."""
        from mcp_tui.tui.panes.runs import show_job

        show_job(self, self.key)

    def file_name(self) -> str:
        """Named after the run and tab, or after the artifact."""
        return f"{self.key.rpartition('/')[2][:8]}-{self.tab.lower()}.txt"

    def action_save(self) -> None:
        """Save the text, or download the artifact under the cursor."""
        if self.tab != "Artifacts":
            super().action_save()
            return
        on = self._on()
        if on is not None and on.is_dir:
            self.say("a folder is not downloaded: open it")
        elif on is not None:
            self.ask(Ask("save", f"download {on.name} as ", on.name))

    def answer(self, ask: Ask, text: str) -> None:
        """A name for what is downloaded."""
        on = self._on() if ask.mode == "save" and self.tab == "Artifacts" else None
        if on is None:
            super().answer(ask, text)
            return
        self.stop_asking()
        download(self, self.key, on.ref, text)


def download(screen: ViewKeys, key: str, ref: str, name: str) -> None:
    """Write an artifact to a file, saying how far it is there, and its end wherever one is."""
    console = screen.console
    to = Path(console.options.save_dir or ".", name.strip())
    with suppress(RuntimeError):  # nobody has the home that was meant: said when it is written
        to = to.expanduser()

    def progress(size: int, total: int | None) -> None:
        of = f" of {format_bytes(total)}" if total else ""
        if screen.is_current:
            screen.say(f"downloading: {format_bytes(size)}{of}")

    async def work() -> None:
        try:
            size = await console.backend.run_details.download(key, ref, to, progress)
        except McpTuiError as error:
            console.say(f"not saved: {error.line()}", "error")
        except ValueError as error:
            console.say(f"not saved: {error}", "error")
        else:
            console.say(f"saved {format_bytes(size)} to {to}")

    # The console's own: it goes on when the screen is left.
    console.run_worker(work(), group="download", exclusive=False, exit_on_error=False)
