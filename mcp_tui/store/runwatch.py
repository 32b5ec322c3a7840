"""The runs of some experiments, read page by page and kept in step while somebody looks at them.

Read: pages of a search, as far as the list is gone down. Asked again: the runs on screen that have
not ended, and runs that started since, each within two seconds or a few; other runs that were read,
and those on screen that have ended, within fifteen. Nothing is asked while nobody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.domain.run import Run
from mcp_tui.domain.runorder import NEWEST_FIRST
from mcp_tui.domain.runrow import guessed_columns
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError
from mcp_tui.sources.mlflow import IDS_PER_SEARCH, MlflowClient, RunSearch
from mcp_tui.store.mlflowhealth import MlflowHealth, ended, kept_up
from mcp_tui.store.runlist import RunList
from mcp_tui.store.turn import Turn

FIRST_PAGE: Final = 40
"""Runs of the first page: as many as a tall screen shows, as each costs the server 1.5 ms."""

ON_SCREEN_EVERY: Final = 1.8
"""Seconds from a look at the runs on screen that go on to the next: 50-90 ms of the server each."""

RESTS: Final = 4.0
"""How many times as long as it took to answer a server is left alone, at least."""

NEW_EVERY: Final = 5.0
NEW_AT_LEAST_EVERY: Final = 12.0
NEW_SHARE: Final = 1 / 250
"""Of the server's time, for being asked for new runs: without an index it reads all for that."""

OTHERS_EVERY: Final = 12.0
OTHERS: Final = 200
"""Runs off screen, or ended, that are looked at again."""

ANEW_AT_ONCE: Final = 1_000
"""Rows of a list whose pages are read anew as soon as that is wanted, which every action does; of
a longer list they are when its end is near."""

GENERATIONS: Final = 4
"""How many parents above one another are fetched for the runs of a page."""

SERVER_SORTS_IN: Final = 5.0
"""Seconds that a server may take to sort by something else than the start."""

_NEVER: Final = -1e9


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of a search.

    Attributes:
        asked: When they were asked for.
        first: Whether no others come before them.
        done: Whether none come after them.
    """

    runs: tuple[Run, ...]
    asked: float
    first: bool
    done: bool


class RunWatch:
    """One list of runs of one MLflow.

    Args:
        mlflow: The client.
        experiments: Whose runs, by id.
        columns: Chosen; None guesses them from the first page.
        health: Told how the server answers.
        on_change: Called when something came, with the ids of the rows that changed; None where
            all may have.
        turn: What can wait for keys does.
        deleted: What is in the bin is listed, and nothing else.

    Attributes:
        list: What was read.
        done: Whether there is no further page.
        loading: Whether a page is on its way.
        refused: What the server says of the filter or order; empty while it takes them.
        slow: Whether the server took too long to sort, so that only what was read is sorted.
    """

    def __init__(
        self,
        mlflow: MlflowClient,
        experiments: Sequence[str],
        columns: Sequence[str] | None,
        *,
        health: MlflowHealth,
        on_change: Callable[[set[str] | None], None],
        turn: Turn,
        deleted: bool = False,
    ) -> None:
        self._mlflow = mlflow
        self.experiments = tuple(experiments)
        self._guesses = columns is None
        self._health = health
        self._tell = on_change
        self._turn = turn
        self.filters: tuple[str, ...] = ("",)
        self.order_by: tuple[str, ...] = NEWEST_FIRST
        self.list = RunList(columns or (), deleted=deleted)
        self.done = False
        self.loading = True
        self.refused = ""
        self.slow = False
        self.waiting_since = time.monotonic()
        self._search = self._searched()
        self._wanted = 1
        self._held: _Page | None = None
        self._anew = False
        self._visible: tuple[str, ...] = ()
        self._want = asyncio.Event()
        self._wake = asyncio.Event()
        self._at_once = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._looked: dict[str, float] = {}
        self._paged_at = _NEVER
        self._new_every = NEW_EVERY
        self._gone: dict[str, str] = {}
        self._asked_after = 0
        self._new_at = self._others_at = _NEVER

    @property
    def gone(self) -> tuple[str, ...]:
        """Names of experiments that are deleted meanwhile."""
        return tuple(self._gone.values())

    # -- starting and stopping --------------------------------------------------------------

    def start(self) -> None:
        """Begin, or go on; returns at once."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(
                    kept_up(work, self._health, lambda: self._tell(set()), self._at_once)
                )
                for work in (self._pages, self._live)
            ]

    def stop(self) -> Coroutine[Any, Any, None]:
        """Ask nothing any more, from now on; what was read stays. Awaited, all has ended.

        It may be started again before that.
        """
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        return ended(tasks)

    # -- what is asked for ------------------------------------------------------------------

    def _searched(self) -> RunSearch:
        return self._mlflow.runs_in_order(
            self.experiments,
            self.filters,
            order_by=self.order_by or NEWEST_FIRST,
            view="DELETED_ONLY" if self.list.deleted else "ACTIVE_ONLY",
            first=FIRST_PAGE,
        )

    def ask(self, filters: Sequence[str], order_by: Sequence[str]) -> None:
        """Another filter or order: the list begins anew."""
        self.filters, self.order_by = tuple(filters), tuple(order_by)
        self.list = RunList(self.list.columns, deleted=self.list.deleted)
        self.done, self.loading, self.refused, self.slow = False, True, "", False
        self.waiting_since = time.monotonic()
        self._search = self._searched()
        self._wanted = 1
        self._held, self._anew = None, False
        self._looked.clear()
        self._want.set()
        self._at_once.set()
        self._tell(None)

    def more(self) -> None:
        """The end of what was read is near."""
        if (self._anew or not self.done) and not self.loading:
            self._wanted = 1
            self.loading = True
            self._want.set()

    def visible(self, run_ids: Sequence[str]) -> None:
        """These runs are on screen."""
        if tuple(run_ids) != self._visible:
            self._visible = tuple(run_ids)
            if self.list.unread(run_ids):
                self._wake.set()

    def choose(self, columns: Sequence[str]) -> None:
        """Show other columns."""
        self._guesses = False
        self.list.choose(columns)
        self._wake.set()
        self._tell(None)

    def refresh(self) -> None:
        """Ask again now: for what is asked for at intervals, and for what the pages left out."""
        self._new_at = self._others_at = _NEVER
        self._anew = True
        if len(self.list) <= ANEW_AT_ONCE:
            self._read_anew()
        self._wake.set()
        self._at_once.set()

    def _read_anew(self) -> None:
        """Read from the first page on: to the end where it was reached, else to what is new."""
        self._anew = True
        self._wanted = 1
        self.loading = True
        self._want.set()

    # -- pages ------------------------------------------------------------------------------

    async def _pages(self) -> None:
        while True:
            while self._wanted:
                await self._turn.comes()
                await self._page()
            self._want.clear()
            await self._want.wait()

    @property
    def _sorts(self) -> bool:
        """Whether the server sorts by something else than the start."""
        return self.order_by not in ((), NEWEST_FIRST)

    async def _page(self) -> None:
        search = self._search
        try:
            # A page that came stays in hand until it is taken: the search does not give it again.
            page = self._held or await self._next(search)
        except TimeoutError:
            if search is self._search:
                self.ask(self.filters, ())
                self.slow = True
            return
        except ApiError as error:
            if search is not self._search:
                return  # nobody wants that filter any more
            if error.status != 400:
                raise
            # The filter or the order is not to its liking: asking again would not help.
            self.refused, self.loading, self._wanted = error.line(), False, 0
            self._health.spoke()
            self._tell(None)
            return
        if search is not self._search:
            return
        self._held = page
        plain = self.filters == ("",) and not self._sorts
        above = await self._parents(page.runs) if plain else []
        if search is self._search:
            self._held = None
            self._take(page, above)

    async def _next(self, search: RunSearch) -> _Page:
        """The next page in which anything is new."""
        first = self._anew or not search.read
        if self._anew:
            self._anew = False
            search.begin_again(self.list.rows)
        while True:
            asked = time.monotonic()
            async with asyncio.timeout(SERVER_SORTS_IN if self._sorts else None):
                runs = await search.next_step()
            if runs is not None or search is not self._search:
                return _Page(runs=runs or (), asked=asked, first=first, done=search.done)
            first = False
            await self._turn.comes()

    def _take(self, page: _Page, above: Iterable[Run]) -> None:
        self._health.spoke()
        if self._guesses and page.runs:
            self._guesses = False
            self.list.choose(guessed_columns(page.runs))
        touched = self.list.take((*above, *page.runs))
        self.done = self.done or page.done
        # A list that was read to its end stays so, and where rows went meanwhile it is not sure.
        on = self.done and (not page.done or self._anew)
        self.loading, self._wanted, self.refused = on, int(on), ""
        if not page.first:
            self._paged_at = page.asked
        self._looked.update((run.run_id, page.asked) for run in page.runs)
        self._tell(touched)

    async def _parents(self, runs: Iterable[Run]) -> list[Run]:
        """What the runs of a page are nested in, and that in turn."""
        found: list[Run] = []
        coming = list(runs)
        for _ in range(GENERATIONS):
            missing = self.list.missing_parents([*found, *coming])
            if not missing:
                break
            parents = await self._mlflow.newest(missing[:IDS_PER_SEARCH], self.experiments)
            if not parents:
                break
            found += parents.values()
        return found

    # -- what changes -----------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            await self._turn.comes()
            self._wake.clear()
            began = time.monotonic()
            took = await self.look()
            rest = max(ON_SCREEN_EVERY - (time.monotonic() - began), took * RESTS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._wake.wait()

    async def look(self) -> float:
        """Ask for what is due; gives the seconds that the runs on screen took."""
        rows, began = self.list.rows, time.monotonic()
        if not rows and not self.done:
            return 0.0  # the first page is on its way
        runs = self.list
        due = [i for i in self._visible if i in rows and not rows[i].is_over]
        due += [i for i in runs.unread(self._visible) if i not in due]
        # Where more are on screen than one search takes, each has its turn.
        due.sort(key=lambda i: self._looked.get(i, _NEVER))
        took = 0.0
        if due:
            touched = await self._again(runs, due[:IDS_PER_SEARCH])
            took = time.monotonic() - began
            self._came(runs, touched)
        told = await self._beside(runs)
        if not (told or due):
            # That the server answered is news of its own.
            self._came(runs, set())
        return took

    def _came(self, runs: RunList, touched: set[str]) -> None:
        """Tell what an answer changed, before anything else is waited for.

        What asks next takes its own time, or fails; meanwhile nobody may show a row that is gone.
        """
        if runs is self.list:
            self._health.spoke()
            self._tell(touched)

    async def _beside(self, runs: RunList) -> bool:
        """New runs and others, each when it is due; whether anything of them was told."""
        told = False

        def came(touched: set[str]) -> None:
            nonlocal told
            if touched:
                told = True
                self._came(runs, touched)

        now = time.monotonic()
        if now - self._new_at >= self._new_every:
            self._new_at = now
            came(await self._new(runs))
            took = time.monotonic() - now
            self._new_every = min(max(NEW_EVERY, took / NEW_SHARE), NEW_AT_LEAST_EVERY)
        if now - self._others_at >= OTHERS_EVERY:
            self._others_at = now
            others = self._others()
            for start in range(0, len(others), IDS_PER_SEARCH):
                came(await self._again(runs, others[start : start + IDS_PER_SEARCH]))
            await self._alive()
        return told

    def _others(self) -> list[str]:
        """Runs that go on, and those on screen that ended: as they may be renamed or deleted."""
        rows = self.list.rows
        shown = [i for i in self._visible if i in rows and rows[i].is_over]
        on_screen = set(self._visible)
        going = [i for i, row in rows.items() if not row.is_over and i not in on_screen]
        going.sort(key=lambda i: self._looked.get(i, _NEVER))
        return (shown + going)[:OTHERS]

    async def _again(self, runs: RunList, run_ids: Sequence[str]) -> set[str]:
        found = await self._mlflow.newest(run_ids, self.experiments)
        if runs is not self.list:
            return set()
        touched = runs.take(found.values())
        for run_id in run_ids:
            if run_id not in found:
                touched |= runs.drop(run_id)
        self._fewer([run_id for run_id in run_ids if run_id not in runs.rows])
        now = time.monotonic()
        self._looked.update((run_id, now) for run_id in found if run_id in runs.rows)
        return touched

    def _fewer(self, gone: Iterable[str]) -> None:
        """Rows are gone, so that the pages behind them begin that much earlier."""
        seen = [self._looked.pop(run_id, _NEVER) for run_id in gone]
        if not seen:
            return
        if self.loading or not self.done:
            self._anew = True
        elif min(seen) < self._paged_at:
            # They may have gone before the last page was asked for.
            self._read_anew()

    async def _new(self, runs: RunList) -> set[str]:
        """Runs that started since the newest that is known; in a sorted list only known places."""
        if self._sorts or runs.deleted:
            return set()
        # One whose clock is ahead must not hide those that start after it.
        known, now = runs.rows, int(time.time() * 1000)
        started = (row.started for row in known.values() if row.started <= now)
        newest = max(started, default=now if known else 0)
        found: list[Run] = []
        more = False
        for filter_ in self.filters:
            page = await self._mlflow.started_since(self.experiments, newest, filter_, known=known)
            found += page.runs
            more |= bool(page.next_page_token)
        fresh = [run for run in found if run.run_id not in known]
        above = await self._parents(fresh) if self.filters == ("",) and fresh else []
        if runs is not self.list:
            return set()
        if more:
            self.done = False
            self._read_anew()
        return runs.take((*above, *fresh))

    async def _alive(self) -> None:
        """Whether an experiment is still there, the next one each time."""
        if not self.experiments:
            return
        experiment = self.experiments[self._asked_after % len(self.experiments)]
        self._asked_after += 1
        try:
            found = await self._mlflow.get_experiment(experiment)
        except ApiError as error:
            if error.status != 404:
                raise
            self._gone[experiment] = experiment
            return
        if found.is_deleted:
            self._gone[experiment] = clean_line(found.name)
        else:
            self._gone.pop(experiment, None)
