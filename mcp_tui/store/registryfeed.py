"""The model registry of one context, as far as somebody looks at it.

Models come page by page as the cursor gets there, a model's versions when it is opened, the runs of
those versions that are on screen. While the pane is in front what is on screen is asked for again;
the rest of what was read is asked for a page at a time, in turns. So what it costs the server hangs
on the screen, and not on the registry. In the back nothing is asked at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from mcp_tui.domain.modelrow import ModelRow, RunRow, VersionRow, model_row, run_row, version_row
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, McpTuiError, UsageError
from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.registry import ModelPage, quoted

EVERY: Final = 10.0
"""Seconds between two looks at what is on screen."""
MOST_MODELS: Final = 20_000
MOST_VERSIONS: Final = 2_000
"""Of one model."""
VERSIONS_PAGE: Final = 100
_FIRST_RETRY: Final = 2.0
_MOST_RETRY: Final = 30.0
_OPEN_AT_ONCE: Final = 8
"""Open models that are asked for again in one look; the others in the next ones."""
_RUNS_AT_ONCE: Final = 20
_KEPT_RUNS: Final = 1_000

ORDERS: Final = {"": "name ASC", "name": "name ASC", "since": "last_updated_timestamp DESC"}
_REVERSED: Final = {"": "name DESC", "name": "name DESC", "since": "last_updated_timestamp ASC"}


@dataclass(slots=True)
class _Page:
    token: str
    rows: tuple[ModelRow, ...] = ()


@dataclass(slots=True)
class Versions:
    """The versions of one model that were read, the newest first.

    Attributes:
        more: There are older ones that were not read.
        fault: Why they could not be had; empty otherwise.
    """

    rows: tuple[VersionRow, ...] = ()
    more: bool = False
    fault: str = ""
    token: str = ""
    asked_at: float = float("-inf")


@dataclass(slots=True)
class Look:
    """What is looked at now.

    Attributes:
        models: Names of models with a row on screen, of versions too.
        run_ids: Of the versions on screen.
        more_models: The screen gets near the end of the models that were read.
        more_of: Models whose read versions end on the screen.
    """

    models: tuple[str, ...] = ()
    run_ids: tuple[str, ...] = ()
    more_models: bool = True
    more_of: tuple[str, ...] = ()


class RegistryFeed:
    """Reads a registry, as far as it is looked at.

    Args:
        client: The context's MLflow; None while it is not known.
        changed: Called when there is something new, or another health.
        clock: Monotonic seconds.

    Attributes:
        health: Of the registry.
        more: There are models that were not read.
        version: Grows with every change of what was read.
    """

    def __init__(
        self,
        client: Callable[[], MlflowClient | None],
        changed: Callable[[], None],
        *,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._changed = changed
        self._every = every
        self._clock = clock
        self._pages: list[_Page] = []
        self._turn = 0
        self._orders = 0
        self._asked_at = float("-inf")
        self._front = False
        self._look = Look()
        self._order = ORDERS[""]
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._delay = _FIRST_RETRY
        self.more = True
        self.version = 0
        self.versions: dict[str, Versions] = {}
        self.runs: dict[str, RunRow] = {}
        self._run_asked_at: dict[str, float] = {}
        self.health = SourceHealth(name="registry", since=clock())

    # -- what is looked at ------------------------------------------------------------------

    def front(self, on: bool) -> None:
        """Whether anybody looks: if not, nothing is asked."""
        self._front = on
        if on:
            self._start()
        self._wake.set()

    def look(self, look: Look) -> None:
        """This is on screen now."""
        if look != self._look:
            self._look = look
            self._wake.set()

    def open(self, name: str) -> None:
        """The versions of a model are wanted."""
        if name not in self.versions:
            self.versions[name] = Versions()
        self._wake.set()

    def close(self, name: str) -> None:
        """They are not any more."""
        self.versions.pop(name, None)

    def order(self, column: str, reverse: bool) -> None:
        """Have the models in another order: the server's, of all of them."""
        order = (_REVERSED if reverse else ORDERS).get(column, ORDERS[""])
        if order != self._order:
            self._order = order
            self._restart()

    def refresh(self) -> None:
        """Ask again now."""
        self._asked_at = float("-inf")
        for each in self.versions.values():
            each.asked_at = float("-inf")
        self._run_asked_at.clear()
        self._delay = _FIRST_RETRY
        self.health = msgspec.structs.replace(self.health, retry_at=None)
        self._wake.set()

    def _restart(self) -> None:
        self._orders += 1
        self._pages.clear()
        self._asked_at = float("-inf")
        self.more = True
        self.version += 1
        self._wake.set()

    # -- what was read ----------------------------------------------------------------------

    @property
    def models(self) -> tuple[ModelRow, ...]:
        """The models that were read, in order; each once, whatever pages say."""
        found: dict[str, ModelRow] = {}
        for page in self._pages:
            for row in page.rows:
                found.setdefault(row.name, row)
        return tuple(found.values())

    def model(self, name: str) -> ModelRow | None:
        """One of them."""
        rows = (row for page in self._pages for row in page.rows)
        return next((row for row in rows if row.name == name), None)

    # -- asking -----------------------------------------------------------------------------

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            pause = self._every
            if self._front:
                pause = await self._try()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause if self._front else None):
                    await self._wake.wait()

    async def _try(self) -> float:
        """Look once; returns the seconds until the next look."""
        client = self._client()
        if client is None:
            self._is(HealthState.CONNECTING, "MLflow is not known yet")
            return 1.0
        if self.health.retry_at is not None and self._clock() < self.health.retry_at:
            return max(0.05, self.health.retry_at - self._clock())
        try:
            while await self.once(client):
                self._changed()
            self._delay = _FIRST_RETRY
            self._is(HealthState.POLLING, "")
        except McpTuiError as error:
            denied = isinstance(error, ApiError) and error.status in (401, 403)
            return self._failed(
                HealthState.DENIED if denied else HealthState.RETRYING, error.line()
            )
        except Exception as error:  # noqa: BLE001 - a defect must not end the list in silence
            text = f"defect in models: {type(error).__name__}: {one_line(str(error))}"
            return self._failed(HealthState.RETRYING, text)
        return self._every

    def _failed(self, state: HealthState, message: str) -> float:
        """Say it; returns the seconds until the next look, each time more."""
        self._delay, delay = min(_MOST_RETRY, self._delay * 2), self._delay
        self._is(state, message, again=delay)
        return delay

    async def once(self, client: MlflowClient) -> bool:
        """Ask for what is due; returns whether there may be more to ask for at once.

        Raises:
            McpTuiError: MLflow cannot be asked. What was read stays.
        """
        now = self._clock()
        if self._asked_at + self._every <= now:
            orders = self._orders
            await self._pages_again(client)
            if orders == self._orders:  # another order is due at once
                self._asked_at = now
            return True
        if self._look.more_models and self.more:
            await self._next_page(client)
            # The screen says whether it wants yet another one.
            self._look = replace(self._look, more_models=False)
            return True
        return await self._versions_due(client, now) or await self._runs_due(client, now)

    async def _pages_again(self, client: MlflowClient) -> None:
        """The pages on screen, and one of the others in turn; all that was read stays in step."""
        if not self._pages:
            await self._next_page(client)
            return
        wanted = set(self._look.models)
        near = [n for n, p in enumerate(self._pages) if any(r.name in wanted for r in p.rows)]
        chosen = near[:3] or [0]
        self._turn = (self._turn + 1) % len(self._pages)
        if self._turn not in chosen:
            chosen.append(self._turn)
        for at in chosen:
            if at < len(self._pages):
                page = self._pages[at]
                answer = await self._ask(client, page.token)
                if answer is None:
                    return
                self._put(page, answer)
                if at == len(self._pages) - 1:
                    self._next = answer.next_page_token or ""
                    self.more = bool(self._next) and self._next != page.token

    _next = ""

    async def _next_page(self, client: MlflowClient) -> None:
        token = self._next if self._pages else ""
        page = _Page(token)
        answer = await self._ask(client, token)
        if answer is None:
            return
        self._pages.append(page)
        self._put(page, answer)
        read = sum(len(each.rows) for each in self._pages)
        self._next = answer.next_page_token or ""
        # A server that gives the same token again would be asked for ever.
        self.more = bool(self._next) and self._next != token and read < MOST_MODELS
        self.version += 1

    async def _ask(self, client: MlflowClient, token: str) -> ModelPage | None:
        """A page; None where it is of an order that was given up meanwhile."""
        orders = self._orders  # counted: an order that came back has other pages and tokens
        answer = await client.search_models(page_token=token, order_by=self._order)
        return answer if orders == self._orders else None

    def _put(self, page: _Page, answer: ModelPage) -> None:
        rows = tuple(model_row(each) for each in answer.registered_models if each.name)
        if rows != page.rows:
            page.rows = rows
            self.version += 1

    async def _versions_due(self, client: MlflowClient, now: float) -> bool:
        due = [n for n, v in self.versions.items() if v.asked_at == float("-inf")]
        on_screen = [n for n in self._look.models if n in self.versions]
        due += [n for n in on_screen if self.versions[n].asked_at + self._every <= now]
        for name in list(dict.fromkeys(due))[:_OPEN_AT_ONCE]:
            await self._read_versions(client, name, now)
        more = [n for n in self._look.more_of if n in self.versions and self.versions[n].more]
        for name in more[:1]:
            await self._more_versions(client, name)
            rest = tuple(n for n in self._look.more_of if n != name)
            self._look = replace(self._look, more_of=rest)
        return bool(due or more)

    async def _read_versions(self, client: MlflowClient, name: str, now: float) -> None:
        """The newest page again; what was read behind it stays."""
        old = self.versions.get(name)
        if old is None:
            return  # closed while others were read
        old.asked_at = now
        try:
            rows, token = await self._version_page(client, name, "")
        except ApiError as error:
            if error.status in (401, 403) or error.status >= 500:
                raise
            rows, token, fault = (), "", error.what
        except UsageError as error:  # a name that no filter can say
            rows, token, fault = (), "", error.line()
        else:
            fault = ""
        last = rows[-1].number if rows else 0
        behind = tuple(r for r in old.rows if r.number < last) if token else ()
        before = (old.rows, old.more, old.fault)
        old.rows, old.fault = (*rows, *behind), fault
        if not behind:
            old.more, old.token = bool(token), token
        if before != (old.rows, old.more, old.fault):
            self.version += 1

    async def _more_versions(self, client: MlflowClient, name: str) -> None:
        old = self.versions[name]
        rows, token = await self._version_page(client, name, old.token)
        known = {r.version for r in old.rows}
        old.rows = (*old.rows, *(r for r in rows if r.version not in known))
        old.more = bool(token) and token != old.token and len(old.rows) < MOST_VERSIONS
        old.token = token
        self.version += 1

    @staticmethod
    async def _version_page(
        client: MlflowClient, name: str, token: str
    ) -> tuple[tuple[VersionRow, ...], str]:
        page = await client.search_versions(
            f"name = {quoted(name)}",
            max_results=VERSIONS_PAGE,
            page_token=token,
            order_by="version_number DESC",
        )
        # A server's filter may be looser than it says.
        rows = (version_row(each) for each in page.model_versions if each.name == name)
        return tuple(sorted(rows, key=lambda r: -r.number)), page.next_page_token or ""

    async def _runs_due(self, client: MlflowClient, now: float) -> bool:
        """The runs of versions on screen: those that have ended once."""
        wanted = [r for r in dict.fromkeys(self._look.run_ids) if r and self._run_due(r, now)]
        for run_id in wanted[:_RUNS_AT_ONCE]:
            try:
                row = run_row(await client.get_run(run_id))
            except ApiError as error:
                if error.status in (401, 403) or error.status >= 500:
                    raise
                gone = "gone" if error.status == 404 else clean_line(error.what, limit=60)
                row = RunRow(run_id=run_id, status=gone, over=True)
            self._run_asked_at[run_id] = self._clock()  # a slow server rests between two looks
            if row != self.runs.get(run_id):
                self.runs[run_id] = row
                self.version += 1
        while len(self.runs) > _KEPT_RUNS:
            oldest = next(iter(self.runs))
            del self.runs[oldest]
            self._run_asked_at.pop(oldest, None)
        return len(wanted) > 0

    def _run_due(self, run_id: str, now: float) -> bool:
        row = self.runs.get(run_id)
        if row is None or row.over:
            return row is None
        return self._run_asked_at.get(run_id, float("-inf")) + self._every <= now

    def _is(self, state: HealthState, message: str, *, again: float | None = None) -> None:
        now, old = self._clock(), self.health
        well = state is HealthState.POLLING
        self.health = SourceHealth(
            name="registry",
            state=state,
            spoke_at=now if well else old.spoke_at,
            message=message,
            retry_at=None if again is None else now + again,
            since=old.since if old.state is state else now,
            synced=well or old.synced,
        )
        self._changed()


__all__ = ["EVERY", "Look", "RegistryFeed", "Versions"]
