"""One object: its tabs, each fetched only when it is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, cast

from textual.binding import BindingType

from mcp_tui.domain.plan import Verb
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.model import (
    Cell,
    JobsList,
    Line,
    LogLine,
    LogOptions,
    PaneModel,
    RowView,
)
from mcp_tui.tui.panes.pods import PodsModel
from mcp_tui.tui.runkeys import RunKeys, runs_of, show_run
from mcp_tui.tui.screens.chooselogs import ChooseLogs
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.tabbed import SLOW, Tabbed
from mcp_tui.tui.widgets.logview import lines_of
from mcp_tui.tui.widgets.vtable import VTable

TABS = ("Overview", "Pods", "Events", "Logs", "YAML", "Run", "Describe")
NOTHING_YET = 3.0
"""Seconds after which it is said that no log line came."""

EARLIEST: Final = 1
"""Attempts back whose log there is: of a container the kubelet keeps its last run besides."""

NO_LINES = "no log lines yet; they are shown as they come"


class DetailScreen(RunKeys, Tabbed, inherit_bindings=False):
    """The detail of one object.

    Args:
        key: Whose.
        model: The list it stands in, for its name and state.
        tab: The tab to begin with.
        logs: Whose logs; None for those of all pods, merged.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings_for("detail", "log"),
        *(b for b in bindings_for("jobs") if getattr(b, "id", "") == "open"),
    ]
    TABS: ClassVar[tuple[str, ...]] = TABS
    FRESH: ClassVar[Mapping[str, float]] = {
        "Overview": 5.0,
        "Pods": 5.0,
        "Events": 10.0,
        "Run": 10.0,
    }

    def __init__(
        self,
        key: str,
        model: PaneModel,
        tab: str = "Overview",
        logs: LogOptions | None = None,
    ) -> None:
        self.pods_model = PodsModel()
        self.pods = VTable(self.pods_model, id="part-Pods")
        super().__init__(tab, ("Pods", self.pods))
        self.texts["Logs"].follows = True
        self.key = key
        self.model = cast("JobsList", model)
        self.name_shown = model.name_of(key)
        self.log_options = logs or LogOptions()

    @property
    def kind(self) -> str:
        """Writes are dead in logs."""
        return "log" if self.tab == "Logs" else "detail"

    def crumbs(self) -> Sequence[str]:
        """The pane and the object."""
        return ("Jobs", self.name_shown)

    def counts(self) -> Sequence[Cell]:
        """Position in the text, or how many pods."""
        return super().counts() or (Cell(lines_of(self.pods_model.count), "dim"),)

    def notes(self) -> Sequence[Cell]:
        """The state in the list, hidden there or not, or that the object is gone."""
        row = self._row_now()
        if row is not None:
            notes = [Cell(f"  {row.state}", "failed" if row.state == "failed" else "accent")]
        else:
            notes = [Cell("  gone from the cluster", "attention")]
        return [*notes, *super().notes(), *(self._whose() if self.tab == "Logs" else ())]

    def _whose(self) -> list[Cell]:
        """Whose logs these are, where they are not those of all pods."""
        options = self.log_options
        told = [f"  attempt {-options.previous}"] if options.previous else []
        told += [f"  rank {options.rank}"] if options.rank is not None else []
        told += [f"  pod {options.pod}"] if options.pod else []
        told += [f"  container {options.container}"] if options.container else []
        return [Cell(text, "attention" if "attempt" in text else "dim") for text in told]

    def _row_now(self) -> RowView | None:
        return self.model.row_of(self.key)

    def told(self) -> object:
        """What the list says of the object, but for its ages."""
        row = self._row_now()
        if row is None:
            return False
        ages = {n for n, column in enumerate(self.model.columns) if column.id == "since"}
        return (row.state, tuple(c for n, c in enumerate(row.cells) if n not in ages))

    def _over(self) -> bool:
        row = self._row_now()
        return row is not None and row.state in {"failed", "done"}

    def exists(self) -> bool:
        """Whether the object is in the cluster."""
        return self.model.exists(self.key)

    def work(self, tab: str) -> Coroutine[Any, Any, None]:
        """What fetches a tab; logs come for as long as they are looked at."""
        return self._stream() if tab == "Logs" else super().work(tab)

    def say_in(self, tab: str, text: str, *, error: bool = False) -> None:
        """Say something in place of a part."""
        if tab == "Pods":
            self.pods_model.note = (text,)
            self.pods.sync()
        else:
            super().say_in(tab, text, error=error)

    async def fill(self, tab: str) -> None:
        """Fetch a tab and show it."""
        if tab != "Pods":
            await super().fill(tab)
            return
        self.pods_model.put(await self.console.backend.details.pods(self.key))
        self.pods.sync()

    async def lines(self, tab: str) -> Sequence[Line]:
        """The text of a tab."""
        details = self.console.backend.details
        if tab in {"YAML", "Describe"}:
            ask = details.yaml if tab == "YAML" else details.describe
            return [(Cell(line),) for line in (await ask(self.key)).split("\n")]
        fetches = {"Overview": details.overview, "Events": details.events, "Run": details.run}
        return await fetches[tab](self.key)

    async def _stream(self) -> None:
        view = self.texts["Logs"]
        view.follows = True
        view.set_lines(())
        waiting = self.set_timer(SLOW, lambda: self.say_in("Logs", "asking for the logs"))
        nothing = self.set_timer(NOTHING_YET, lambda: self.say_in("Logs", NO_LINES))
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
                self.say_in("Logs", "no log lines" + (": the pods are gone" if gone else " yet"))
        except McpTuiError as error:
            view.append([LogLine(error.line(), tone="error")])
        finally:
            waiting.stop()
            nothing.stop()

    # -- keys -------------------------------------------------------------------------------

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

    def action_attempt(self, step: int) -> None:
        """Logs of the attempt before or after."""
        if self.tab != "Logs":
            return
        previous = self.log_options.previous + step
        if previous > EARLIEST:
            self.say("no earlier attempt is kept")
        elif previous < 0:
            self.say("this is the newest attempt")
        else:
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
            self.fetch("Logs")
        self.show("Logs")

    def action_open(self) -> None:
        """On the pods: the logs of the one under the cursor."""
        if self.tab == "Pods" and self.pods_model.count:
            line = self.pods_model.items[self.pods.cursor]
            self._set_logs(LogOptions(line.pod, line.container))

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
        row = self._row_now()
        suspended = row is not None and row.state == "suspended"
        self.action_act("resume" if suspended else "suspend")
