"""The Jobs pane: the list, and a preview beside it where the screen is wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from textual.binding import BindingType

from mcp_tui.domain.plan import Verb
from mcp_tui.tui.model import JobsList, Line, LogOptions, PaneModel
from mcp_tui.tui.panes.previewed import PreviewedPane
from mcp_tui.tui.runkeys import RunKeys, runs_of, show_run
from mcp_tui.tui.screens.frame import bindings_for


class JobsScreen(RunKeys, PreviewedPane, inherit_bindings=False):
    """The Jobs pane."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_for("jobs")

    def __init__(self, model: PaneModel) -> None:
        super().__init__(model)
        self._visible: tuple[str, ...] = ()

    async def preview_of(self, key: str) -> Sequence[Line]:
        """The headline, the newest of its run, the last lines of its log."""
        return await self.console.backend.details.preview(key)

    def looked_at(self, key: str | None) -> None:
        """Tell which job is under the cursor."""
        self.console.backend.focus(key)

    def looked_over(self) -> None:
        """Tell which jobs are on screen."""
        visible = self.table.visible_keys
        if visible != self._visible:
            self._visible = visible
            self.console.backend.visible(visible)

    # -- looking ----------------------------------------------------------------------------

    def _detail(self, tab: str, logs: LogOptions | None = None) -> None:
        key = self.table.cursor_key
        if key is None:
            self.say("nothing under the cursor")
            return
        from mcp_tui.tui.screens.detail import DetailScreen

        self.app.push_screen(DetailScreen(key, self.model, tab, logs))

    def action_open(self) -> None:
        """The detail."""
        self._detail("Overview")

    def action_logs(self) -> None:
        """The logs."""
        self._detail("Logs")

    def action_choose_logs(self) -> None:
        """Whose logs: all merged, of a rank, a pod, a container, or of the attempt before."""
        key = self.table.cursor_key
        if key is None:
            self.say("nothing under the cursor")
            return
        from mcp_tui.tui.screens.chooselogs import ChooseLogs

        def chosen(options: LogOptions | None) -> None:
            if options is not None and self.table.go_to_key(key):
                self._detail("Logs", options)

        self.app.push_screen(ChooseLogs(key, self.model.name_of(key)), chosen)

    def action_yaml(self) -> None:
        """The YAML."""
        self._detail("YAML")

    def action_describe(self) -> None:
        """The object in words."""
        self._detail("Describe")

    def action_linked(self) -> None:
        """The run's own detail."""
        key = self.table.cursor_key
        if key is None:
            self.say("nothing under the cursor")
        else:
            show_run(self, key)

    def runs_chosen(self) -> tuple[str, ...]:
        """The runs of the marked jobs, or of the one under the cursor."""
        return runs_of(self.console, self.table.chosen())

    # -- acting -----------------------------------------------------------------------------

    def subject(self) -> tuple[str, ...]:
        """What an action is about."""
        return self.table.chosen()

    def place(self) -> tuple[str, str, str] | None:
        """Where a shell is opened: in the first pod of the job under the cursor that runs."""
        key = self.table.cursor_key
        return None if key is None else (key, "", "")

    def action_shell(self) -> None:
        """Plan a shell in the job under the cursor."""
        self.console.inside.shell(self.place())

    def action_submit(self) -> None:
        """Plan a new job."""
        self.console.acting.submit()

    def action_retry(self) -> None:
        """Plan a new try of the job under the cursor, or of the one marked."""
        self.console.acting.retry(self.table.chosen(), self.model)

    def action_act(self, verb: str) -> None:
        """Plan a verb on the marked jobs, or on the one under the cursor."""
        self.console.acting.plan(Verb(verb), self.table.chosen(), self.model)

    def action_hold(self) -> None:
        """Suspend, or resume what is suspended."""
        chosen = self.table.chosen()
        rows = (cast("JobsList", self.model).row_of(key) for key in chosen)
        states = {row.state for row in rows if row is not None}
        verb = Verb.RESUME if states == {"suspended"} else Verb.SUSPEND
        self.console.acting.plan(verb, chosen, self.model)
