"""What the console shows from its first frame until the backend is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.columns import JOB_COLUMNS
from mcp_tui.tui.model import (
    Actions,
    Column,
    ConsoleOptions,
    ConsoleState,
    DetailProvider,
    PaneModel,
    Phase,
    RowView,
)
from mcp_tui.tui.model_models import ModelsBackend
from mcp_tui.tui.model_runs import RunActions, RunDetails


class LoadingModel:
    """A list without rows: loading, or why it cannot."""

    def __init__(self, options: ConsoleOptions) -> None:
        self._names = ", ".join(options.contexts) or "the current context"
        self.error = ""

    columns: tuple[Column, ...] = JOB_COLUMNS
    version = 0
    count = 0
    total = 0
    filter = ""
    faults = False
    sort = ("", False)
    own_order = "by urgency"

    @property
    def summary(self) -> str:
        """Nothing is counted yet."""
        return "" if self.error else "loading"

    @property
    def phase(self) -> Phase:
        """Loading until an error is known."""
        return "broken" if self.error else "loading"

    @property
    def note(self) -> tuple[str, ...]:
        """What is waited for, or the error."""
        if self.error:
            return (self.error, "mcp-tui doctor says what is reachable")
        return (f"connecting to {self._names}",)

    def row(self, index: int) -> RowView:
        """There are none."""
        raise IndexError(index)

    def row_of(self, key: str) -> RowView | None:
        """There are none."""
        del key
        return None

    def index_of(self, key: str) -> int | None:
        """Nothing is shown."""
        del key
        return None

    def exists(self, key: str) -> bool:
        """Nothing is there."""
        del key
        return False

    def name_of(self, key: str) -> str:
        """Nothing has a name."""
        return key

    def set_filter(self, text: str) -> str:
        """Nothing to filter."""
        del text
        return ""

    def set_faults(self, on: bool) -> None:
        """Nothing to filter."""

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """Nothing to sort."""


class StandIn:
    """A backend of nothing, from the options alone."""

    def __init__(self, options: ConsoleOptions) -> None:
        self._options = options
        self._model = LoadingModel(options)

    def fail(self, error: str) -> None:
        """Say why there is no backend."""
        self._model.error = error

    @property
    def details(self) -> DetailProvider:
        """There are none; nothing can be opened yet."""
        raise LookupError("no backend yet")

    @property
    def actions(self) -> Actions:
        """There are none; nothing can be planned yet."""
        raise LookupError("no backend yet")

    @property
    def run_details(self) -> RunDetails:
        """There are none; nothing can be opened yet."""
        raise LookupError("no backend yet")

    @property
    def models(self) -> ModelsBackend:
        """There are none yet."""
        raise LookupError("no backend yet")

    @property
    def run_actions(self) -> RunActions:
        """There are none; nothing can be planned yet."""
        raise LookupError("no backend yet")

    def state(self) -> ConsoleState:
        """The names that the options give."""
        options = self._options
        return ConsoleState(
            now=time.time(),
            contexts=options.contexts,
            cluster=options.cluster,
            tier=options.tier,
            namespace=options.namespace,
            read_only=options.read_only,
            demo=options.demo,
        )

    def pane(self, name: str) -> PaneModel:
        """The loading list."""
        del name
        return self._model

    def contexts(self) -> Sequence[str]:
        """Those of the options."""
        return self._options.contexts

    def namespaces(self) -> Sequence[str]:
        """None are known."""
        return ()

    def begin(self) -> None:
        """Nothing to ask."""

    async def start(self, on_change: Callable[[], None]) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def switch_context(self, names: Sequence[str]) -> None:
        """Nothing to switch."""
        del names
        raise self._not_yet()

    async def switch_namespace(self, namespace: str | None) -> None:
        """Nothing to switch."""
        del namespace
        raise self._not_yet()

    async def refresh(self) -> None:
        """Nothing to ask."""
        raise self._not_yet()

    def _not_yet(self) -> McpTuiError:
        if self._model.error:
            return McpTuiError("nothing was started", hint="leave, and mend what is said above")
        return McpTuiError("still loading: nothing can be asked yet")

    def attend(self) -> None:
        """Nothing is silent yet."""

    def key(self) -> None:
        """Nothing could be in its way."""

    def focus(self, key: str | None) -> None:
        """Nothing is fetched."""

    def visible(self, keys: Sequence[str]) -> None:
        """Nothing is fetched."""

    def front(self, pane: str) -> None:
        """Nothing is shown."""
