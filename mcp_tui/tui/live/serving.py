"""What serves the models of the open contexts, for the panes: followed while one of them looks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.serving import ServingState
from mcp_tui.errors import McpTuiError
from mcp_tui.store.serving import Served, ServingStore, VersionLike, aliases_of
from mcp_tui.store.servingfeed import ServingFeed
from mcp_tui.tui.model import Cell, Line, Tone

if TYPE_CHECKING:
    from mcp_tui.store.servedmodels import Answers, KnownModel, ServedVersion
    from mcp_tui.tui.live.context import Live

_REST: Final = 30.0
"""Seconds for which it goes on when nobody looks: who comes back soon has not to wait."""
_ASK_EVERY: Final = 10.0
_ASK_PAUSE: Final = 0.2
_ANSWERS_KEPT: Final = 120.0
_IN_A_CELL: Final = 2
_UNKNOWN: Final = "?"
_TONES: Final[Mapping[ServingState, Tone]] = {
    ServingState.SERVING: "done",
    ServingState.STARTING: "waiting",
    ServingState.FAILING: "failed",
    ServingState.OFF: "dim",
}


class LiveServing:
    """What serves, over all open contexts.

    Args:
        changed: Called when a cell may read otherwise; see :attr:`version`.

    Attributes:
        store: What serves.
        version: Grows whenever that changed.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.store = ServingStore()
        self.version = 0
        self._changed = changed
        self._lives: dict[str, Live] = {}
        self._feeds: dict[str, ServingFeed] = {}
        self._front = False
        self._ending: asyncio.Task[None] | None = None
        self._known: dict[str, tuple[KnownModel, ...]] = {}
        self._models: dict[str, Mapping[str, tuple[ServedVersion, ...]]] = {}
        self._faults: dict[str, str] = {}
        self._asking: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._answers: dict[str, Answers] = {}
        self._answered_at = 0.0
        self._said: tuple[bool, tuple[str, ...]] = (False, ())

    # -- whose, and when --------------------------------------------------------------------

    async def reopen(self, lives: Mapping[str, Live]) -> None:
        """Follow these contexts, and no others."""
        for name, live in list(self._lives.items()):
            if lives.get(name) is not live:
                await self._feeds.pop(name).stop()
                del self._lives[name]
                self._models.pop(name, None)
                self._answers.pop(name, None)
        for name, live in lives.items():
            if name not in self._lives:
                self._lives[name] = live
                fallback = live.feed.namespace or live.connection.info.namespace or "default"
                self._feeds[name] = ServingFeed(
                    live.connection, None, self.store, self._heard, fallback=fallback
                )
        if self._front:
            self._start()

    def front(self, on: bool) -> None:
        """Whether anybody looks at models."""
        self._front = on
        if on:
            if self._ending is not None:
                self._ending.cancel()
                self._ending = None
            self._start()
        elif self._ending is None and any(feed.running for feed in self._feeds.values()):
            self._ending = asyncio.get_running_loop().create_task(self._end_later())

    def _start(self) -> None:
        for feed in self._feeds.values():
            feed.start()
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask_on())

    async def _end_later(self) -> None:
        await asyncio.sleep(_REST)
        self._ending = None
        await self._end()

    async def _end(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None
        for feed in self._feeds.values():
            await feed.stop()
        self._models.clear()
        self._answers.clear()

    async def stop(self) -> None:
        """End everything."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        await self._end()

    def refresh(self) -> None:
        """Ask again now."""
        self._answers.clear()
        for feed in self._feeds.values():
            feed.refresh()
        self._wake.set()

    # -- what is known ----------------------------------------------------------------------

    def models(self, context: str, models: Iterable[KnownModel]) -> None:
        """These models have a row: it is asked which of their versions are served."""
        known = tuple(models)
        if self._known.get(context) != known:
            self._known[context] = known
            self._wake.set()

    def of_version(
        self, context: str, version: VersionLike, aliases: Mapping[str, str], newest: int
    ) -> tuple[Served, ...]:
        """What serves a version.

        Args:
            context: Whose registry it is of.
            version: The version, or its row.
            aliases: Of its model: versions by alias.
            newest: Its model's highest version.
        """
        held = aliases_of(version, aliases, newest)
        return self.store.servings_of(version, aliases=held, context=context)

    def cell(self, served: Sequence[Served]) -> str:
        """What serves a version, in a cell; ``?`` where none is known and not all was read."""
        if not served:
            return "" if self.complete else _UNKNOWN
        more = len(served) - _IN_A_CELL
        shown = ", ".join(
            _short(each, several=len(self._lives) > 1) for each in served[:_IN_A_CELL]
        )
        return f"{shown}, +{more}" if more > 0 else shown

    def model_cell(self, context: str, model: str) -> str:
        """``3: digits-api 3/3``: what serves a model, the newest version first."""
        versions = self._models.get(context, {}).get(model, ())
        if not versions:
            return "" if self.complete and context in self._models else _UNKNOWN
        return "; ".join(f"{each.version or '-'}: {self.cell(each.served)}" for each in versions)

    @property
    def complete(self) -> bool:
        """Whether all was read, so that nothing means that nothing serves."""
        return bool(self._feeds) and all(feed.known for feed in self._feeds.values())

    def troubles(self) -> tuple[str, ...]:
        """What is not known, and why."""
        found = [line for feed in self._feeds.values() for line in feed.troubles()]
        return (*found, *(fault for fault in self._faults.values() if fault))

    def lines(self, served: Sequence[Served]) -> list[Line]:
        """What serves a version, for its page: each with how it names it."""
        lines: list[Line] = []
        for each in served:
            where = f"{each.serving.label} in {each.serving.namespace}"
            if len(self._lives) > 1:
                where += f" at {each.serving.context}"
            lines.append(
                (
                    Cell(f"{'' if lines else 'served by':<11}", "heading"),
                    Cell(f"{where}: "),
                    Cell(each.serving.stands(), _TONES[each.serving.state]),
                )
            )
            tone: Tone = "attention" if each.guess or each.follows else "dim"
            lines.append((Cell(" " * 11), Cell(each.words(), tone)))
        if not lines:
            said = "nothing" if self.complete else "nothing that is known"
            lines.append((Cell(f"{'served by':<11}", "heading"), Cell(said, "dim")))
        if not self.complete:
            lines += [(Cell(" " * 11), Cell(line, "attention")) for line in self.troubles()]
        return lines

    # -- asking -----------------------------------------------------------------------------

    def _heard(self) -> None:
        changed = bool(self.store.flush())
        said = (self.complete, self.troubles())
        if changed or said != self._said:
            self._said = said
            self._told()
            self._wake.set()

    def _told(self) -> None:
        self.version += 1
        self._changed()

    async def _ask_on(self) -> None:
        """Keep in step which versions are served, by the runs and places that servers name."""
        while True:
            self._wake.clear()
            for name in list(self._lives):
                await self._ask(name)
            await asyncio.sleep(_ASK_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_EVERY):
                    await self._wake.wait()

    async def _ask(self, context: str) -> None:
        from mcp_tui.store.servedmodels import served_models

        live = self._lives.get(context)
        if live is None or live.connection.mlflow is None:
            return
        now = time.monotonic()
        if now - self._answered_at > _ANSWERS_KEPT:
            self._answers.clear()
            self._answered_at = now
        answers = self._answers.setdefault(context, {})
        known = self._known.get(context, ())
        try:
            found = await served_models(
                live.connection.mlflow, self.store, known, context=context, answers=answers
            )
        except McpTuiError as error:
            self._faults[context] = error.line()
            return
        except Exception as error:  # noqa: BLE001 - a defect here must not end what is followed
            self._faults[context] = f"defect in what is served: {type(error).__name__}"
            return
        self._faults.pop(context, None)
        if self._models.get(context) != found.by_model:
            self._models[context] = found.by_model
            self._told()


def _short(each: Served, *, several: bool) -> str:
    """With its context where there are several."""
    return f"{each.serving.context} {each.brief()}" if several else each.brief()
