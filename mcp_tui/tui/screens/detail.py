"""One object: its tabs, each fetched only when it is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from mcp_tui.domain.plan import Verb
from mcp_tui.errors import McpTuiError
from mcp_tui.tui import bar
from mcp_tui.tui.model import (
    Cell,
    Line,
    LogOptions,
    PaneModel,
    RowView,
)
from mcp_tui.tui.panes.pods import PodsModel
from mcp_tui.tui.runkeys import RunKeys, runs_of, show_run
from mcp_tui.tui.screens.chooselogs import ChooseLogs
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.viewer import ViewKeys
from mcp_tui.tui.widgets.logview import LogView, lines_of
from mcp_tui.tui.widgets.surface import LineWidget
from mcp_tui.tui.widgets.vtable import VTable

TABS = ("Overview", "Pods", "Events", "Logs", "YAML", "Run", "Describe")
DEADLINE = 20.0
"""Seconds after which a part is said not to answer."""

SLOW = 0.3
"""Seconds from which it is said what is waited for."""

NOTHING_YET = 3.0
"""Seconds after which it is said that no log line came."""

NO_LINES = "no log lines yet; they are shown as they come"

FRESH = {"Overview": 5.0, "Pods": 5.0, "Events": 10.0, "Run": 10.0}
"""Seconds after which a tab in front is fetched again; sooner when the row changed."""


class DetailScreen(RunKeys, ViewKeys, inherit_bindings=False):
    """The detail of one object.

    Args:
        key: Whose.
        model: The list it stands in, for its name and state.
        tab: The tab to begin with.
        logs: Whose logs; None for those of all pods, merged.
    """

    DEFAULT_CSS: ClassVar[str] = "#parts { height: 1fr; width: 1fr; layers: base; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_for("detail", "log"),
        *(b for b in bindings_for("jobs") if getattr(b, "id", "") == "open"),
    ]

    def __init__(
        self,
        key: str,
        model: PaneModel,
        tab: str = "Overview",
        logs: LogOptions | None = None,
    ) -> None:
        super().__init__()
        self.key = key
        self.model = model
        self.tab = tab
        self.name_shown = model.name_of(key)
        self.tabs = LineWidget(id="tabs")
        self.texts = {name: LogView(id=f"part-{name}") for name in TABS if name != "Pods"}
        self.pods_model = PodsModel()
        self.pods = VTable(self.pods_model, id="part-Pods")
        self.log_options = logs or LogOptions()
        self._asked: set[str] = set()
        self._filled: dict[str, tuple[float, object]] = {}
        self._stale: dict[str, str] = {}
        self._fetching: set[str] = set()

    @property
    def kind(self) -> str:
        """Writes are dead in logs."""
        return "log" if self.tab == "Logs" else "detail"

    @property
    def part(self) -> Widget:
        """The widget of the tab in front."""
        return self.pods if self.tab == "Pods" else self.texts[self.tab]

    @property
    def view(self) -> LogView | None:
        """The text in front; None on the pods."""
        return self.texts.get(self.tab)

    def body(self) -> Iterable[Widget]:
        """Tabs, and the parts one behind the other."""
        return (self.tabs, Container(*self.texts.values(), self.pods, id="parts"))

    def home(self) -> Widget:
        """The part in front."""
        return self.part

    def crumbs(self) -> Sequence[str]:
        """The pane and the object."""
        return ("Jobs", self.name_shown)

    def counts(self) -> Sequence[Cell]:
        """Position in the text."""
        if self.view is not None:
            return self.view.status
        return (Cell(lines_of(self.pods_model.count), "dim"),)

    def notes(self) -> Sequence[Cell]:
        """The state in the list, or that the object is gone."""
        at = self.model.index_of(self.key)
        if at is not None:
            row = self.model.row(at)
            tone = "failed" if row.state == "failed" else "accent"
            notes = [Cell(f"  {row.state}", "failed" if tone == "failed" else "accent")]
        elif not self.model.exists(self.key):
            notes = [Cell("  gone from the cluster", "attention")]
        else:
            notes = []
        if self.tab in self._stale:
            notes.append(Cell(f"  not refreshed: {bar.reason(self._stale[self.tab])}", "attention"))
        return notes + (self._whose() if self.tab == "Logs" else [])

    def _whose(self) -> list[Cell]:
        """Whose logs these are, where they are not those of all pods."""
        options = self.log_options
        told = [f"  attempt {-options.previous}"] if options.previous else []
        told += [f"  rank {options.rank}"] if options.rank is not None else []
        told += [f"  pod {options.pod}"] if options.pod else []
        told += [f"  container {options.container}"] if options.container else []
        return [Cell(text, "attention" if "attempt" in text else "dim") for text in told]

    def on_mount(self) -> None:
        """Show the first tab."""
        self.texts["Logs"].follows = True
        self.show(self.tab)

    def _row_now(self) -> RowView | None:
        at = self.model.index_of(self.key)
        return self.model.row(at) if at is not None else None

    def _told(self) -> object:
        """What the list says of the object, but for its ages."""
        row = self._row_now()
        if row is None:
            return self.model.exists(self.key)
        ages = {n for n, column in enumerate(self.model.columns) if column.id == "since"}
        return (row.state, tuple(c for n, c in enumerate(row.cells) if n not in ages))

    def _over(self) -> bool:
        row = self._row_now()
        return row is not None and row.state in {"failed", "done"}

    def sync(self) -> None:
        """Keep the tab in front fresh; what was fetched stays while the object is gone."""
        super().sync()
        if self.tab not in self._filled or self.tab in self._fetching:
            return
        at, told = self._filled[self.tab]
        due = self.console.state.now - at >= FRESH.get(self.tab, float("inf"))
        changed = self.tab in FRESH and told != self._told()
        if (due or changed) and self.model.exists(self.key):
            self.fetch(self.tab)

    def show(self, tab: str) -> None:
        """Bring a tab to the front and fetch it if it was not."""
        self.tab = tab
        for name, widget in (*self.texts.items(), ("Pods", self.pods)):
            widget.display = name == tab
        cells: list[Cell] = []
        for name in TABS:
            cells += [
                Cell(" "),
                Cell(
                    f"[{name}]" if name == tab else f" {name} ", "strong" if name == tab else "dim"
                ),
            ]
        self.tabs.set_cells(cells)
        self.part.focus()
        if tab not in self._asked:
            self._asked.add(tab)
            self.fetch(tab)
        self.update_frame()

    def fetch(self, tab: str) -> None:
        """Fetch a part in a worker of its own."""
        work = self._stream() if tab == "Logs" else self._fetch(tab)
        self.run_worker(work, group=f"part-{tab}", exclusive=True, exit_on_error=False)

    def _say_in(self, tab: str, text: str, *, error: bool = False) -> None:
        if tab == "Pods":
            self.pods_model.note = (text,)
            self.pods.sync()
        else:
            self.texts[tab].set_lines([(Cell(text, "error" if error else "dim"),)])

    async def _fetch(self, tab: str) -> None:
        waiting = self.set_timer(SLOW, lambda: self._say_in(tab, f"asking for {tab.lower()}"))
        if tab in self._filled:
            # What is shown stays until there is something newer.
            waiting.stop()
        self._fetching.add(tab)
        fault = ""
        told = self._told()
        try:
            async with asyncio.timeout(DEADLINE):
                await self._fill(tab)
        except McpTuiError as error:
            fault = error.line()
        except TimeoutError:
            fault = f"no answer in {DEADLINE:.0f} s; r asks again"
        finally:
            waiting.stop()
            self._fetching.discard(tab)
        if fault and tab not in self._filled:
            self._say_in(tab, fault, error=True)
            return
        self._filled[tab] = (self.console.state.now, told)
        if fault:
            self._stale[tab] = fault
        else:
            self._stale.pop(tab, None)
        self.update_frame()

    async def _fill(self, tab: str) -> None:
        details = self.console.backend.details
        if tab == "Pods":
            self.pods_model.put(await details.pods(self.key))
            self.pods.sync()
            return
        lines: Sequence[Line]
        if tab in {"YAML", "Describe"}:
            ask = details.yaml if tab == "YAML" else details.describe
            lines = [(Cell(line),) for line in (await ask(self.key)).split("\n")]
            self.texts[tab].set_lines(lines, keep=tab in self._filled)
            return
        fetches = {"Overview": details.overview, "Events": details.events, "Run": details.run}
        nothing: Sequence[Line] = ((Cell(f"no {tab.lower()}", "dim"),),)
        found = await fetches[tab](self.key) or nothing
        self.texts[tab].set_lines(found, keep=tab in self._filled)

    async def _stream(self) -> None:
        view = self.texts["Logs"]
        view.set_lines(())
        waiting = self.set_timer(SLOW, lambda: self._say_in("Logs", "asking for the logs"))
        nothing = self.set_timer(NOTHING_YET, lambda: self._say_in("Logs", NO_LINES))
        first = True
        try:
            async for batch in self.console.backend.details.logs(self.key, self.log_options):
                if first:
                    waiting.stop()
                    nothing.stop()
                    view.set_lines(())
                    first = False
                view.append(batch)
                # A burst must not keep the keys waiting.
                await asyncio.sleep(0)
            if first:
                gone = not self.model.exists(self.key) or self._over()
                self._say_in("Logs", "no log lines" + (": the pods are gone" if gone else " yet"))
        except McpTuiError as error:
            view.append([(Cell(error.line(), "error"),)])
        finally:
            waiting.stop()
            nothing.stop()

    # -- keys -------------------------------------------------------------------------------

    def action_tab(self, step: int) -> None:
        """Next tab."""
        self.show(TABS[(TABS.index(self.tab) + step) % len(TABS)])

    def action_logs(self) -> None:
        """The logs."""
        self.show("Logs")

    def action_yaml(self) -> None:
        """The YAML."""
        self.show("YAML")

    def action_describe(self) -> None:
        """The object in words."""
        self.show("Describe")

    def action_linked(self) -> None:
        """The run's own detail; the tab tells of it what the job's row needs."""
        show_run(self, self.key)

    def runs_chosen(self) -> tuple[str, ...]:
        """The run of this job."""
        return runs_of(self.console, (self.key,))

    def action_refresh(self) -> None:
        """Fetch this part again."""
        self.fetch(self.tab)

    def action_attempt(self, step: int) -> None:
        """Logs of the attempt before or after."""
        if self.tab != "Logs":
            return
        previous = max(0, self.log_options.previous + step)
        self._set_logs(replace(self.log_options, previous=previous))

    def action_choose_logs(self) -> None:
        """Whose logs: all merged, of a rank, a pod, a container, or of the attempt before."""
        self.app.push_screen(ChooseLogs(self.key, self.name_shown), self._chosen)

    def _chosen(self, options: LogOptions | None) -> None:
        if options is not None:
            self._set_logs(options)

    def _set_logs(self, options: LogOptions) -> None:
        if options != self.log_options:
            self.log_options = options
            self._asked.add("Logs")
            self.fetch("Logs")
        self.show("Logs")

    def action_open(self) -> None:
        """On the pods: the logs of the one under the cursor."""
        if self.tab == "Pods" and self.pods_model.count:
            line = self.pods_model.items[self.pods.cursor]
            self._set_logs(LogOptions(line.pod, line.container))

    def action_move(self, rows: int) -> None:
        """Scroll, or move on the pods."""
        if self.tab == "Pods":
            self.pods.move(rows)
        else:
            super().action_move(rows)

    def action_edge(self, direction: int) -> None:
        """To an end."""
        if self.tab == "Pods":
            self.pods.move_edge(direction)
        else:
            super().action_edge(direction)

    def action_filter(self) -> None:
        """Search the text; pods are few."""
        if self.view is not None:
            super().action_filter()
        else:
            self.say("nothing to search here")

    def file_name(self) -> str:
        """Named after the object and tab."""
        ending = {"Logs": "log", "YAML": "yaml"}.get(self.tab, "txt")
        return f"{self.name_shown.rpartition('/')[2]}.{ending}"

    def place(self) -> tuple[str, str, str]:
        """Where a shell is opened: under the cursor on the pods, else in the first that runs."""
        if self.tab == "Pods" and self.pods_model.count:
            line = self.pods_model.items[self.pods.cursor]
            return (self.key, line.pod, line.container)
        return (self.key, "", "")

    def action_shell(self) -> None:
        """Plan a shell in the container under the cursor."""
        if self._acts():
            self.console.inside.shell(self.place())

    def _acts(self) -> bool:
        if self.kind == "log":
            self.say("writes are dead in logs: Tab leaves them")
            return False
        return True

    def subject(self) -> tuple[str, ...]:
        """What an action is about: this job alone."""
        return (self.key,)

    def action_submit(self) -> None:
        """Plan a new job."""
        if self._acts():
            self.console.acting.submit()

    def action_retry(self) -> None:
        """Plan a new try of this job."""
        if self._acts():
            self.console.acting.retry((self.key,), self.model)

    def action_act(self, verb: str) -> None:
        """Plan a verb on this job alone."""
        if self._acts():
            self.console.acting.plan(Verb(verb), (self.key,), self.model)

    def action_hold(self) -> None:
        """Suspend or resume this job."""
        at = self.model.index_of(self.key)
        state = self.model.row(at).state if at is not None else ""
        self.action_act("resume" if state == "suspended" else "suspend")
