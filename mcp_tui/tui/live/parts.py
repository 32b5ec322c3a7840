"""The panes beside the Jobs pane, as the live backend has them: made when first wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from mcp_tui.tui.model import PaneModel, SourceState

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend


class Part(Protocol):
    """What stands behind one pane."""

    @property
    def model(self) -> PaneModel:
        """Its list."""

    def reopen(self) -> None:
        """Other contexts are open, or another namespace is looked at."""

    def front(self, on: bool) -> None:
        """Its pane is the one that is looked at, or it is not: then it may rest."""

    def refresh(self) -> None:
        """Ask again now."""

    def sources(self, prefixes: Mapping[str, str]) -> Sequence[SourceState]:
        """What the frame says of its sources; ``prefixes`` go before names, by context."""

    async def stop(self) -> None:
        """End everything."""


PARTS: Final[Mapping[str, str]] = {
    "runs": "mcp_tui.tui.live.runs_model:LiveRuns",
    "models": "mcp_tui.tui.live.models:LiveModels",
}
"""By the pane's id: module and class."""


class Parts:
    """The parts that were made; nothing is imported for the others.

    Args:
        backend: Whose.
    """

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend
        self._made: dict[str, Part] = {}
        self._front = ""

    def part(self, name: str) -> Part:
        """The part of a pane, made if it was not.

        Raises:
            KeyError: There is none.
        """
        if name not in self._made:
            module, _, kind = PARTS[name].partition(":")
            make: Callable[[LiveBackend], Part] = getattr(import_module(module), kind)
            self._made[name] = made = make(self._backend)
            made.reopen()
            made.front(name == self._front)
        return self._made[name]

    def made(self, name: str) -> Part | None:
        """The part of a pane that was looked at already; None for others."""
        return self._made.get(name)

    def front(self, name: str) -> None:
        """This pane is looked at now."""
        self._front = name
        for each, part in self._made.items():
            part.front(each == name)

    def reopen(self) -> None:
        """Other contexts are open."""
        for part in self._made.values():
            part.reopen()

    def refresh(self) -> None:
        """Ask again now what the pane in front shows."""
        if self._front in self._made:
            self._made[self._front].refresh()

    def sources(self, prefixes: Mapping[str, str]) -> list[SourceState]:
        """What the frame says of the sources of the pane in front."""
        part = self._made.get(self._front)
        return list(part.sources(prefixes)) if part is not None else []

    async def stop(self) -> None:
        """End everything."""
        for part in self._made.values():
            await part.stop()
