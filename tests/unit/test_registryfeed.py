"""The feed of the registry: what it asks, what it keeps, and what it says when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from mcp_tui.domain.model import AliasOf, ModelVersion, RegisteredModel
from mcp_tui.domain.run import Run, RunInfo
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.registry import ModelPage, VersionPage
from mcp_tui.store.registryfeed import Look, RegistryFeed

PAGE = 3


class Server:
    """A registry in memory that is asked like MLflow's."""

    def __init__(self, models: int = 7, versions: int = 5) -> None:
        self.names = [f"m{n}" for n in range(models)]
        self.numbers = list(range(versions, 0, -1))
        self.aliases: dict[str, str] = {}
        self.calls: list[str] = []
        self.error: McpTuiError | None = None
        self.same_token = False
        self.status = "FINISHED"
        self.meanwhile: Callable[[], None] | None = None

    def _said(self, call: str) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None

    async def search_models(self, *, page_token: str = "", order_by: str = "") -> ModelPage:
        self._said(f"models {page_token or '-'} {order_by}")
        start = int(page_token or 0)
        names = self.names[::-1] if order_by.endswith("DESC") else self.names
        end = start + PAGE
        token = "0" if self.same_token else str(end) if end < len(names) else None
        found = (
            RegisteredModel(
                name=name, aliases=tuple(AliasOf(alias=a, version=v) for a, v in
                                         self.aliases.items()),
            )
            for name in names[start:end]
        )  # fmt: skip
        return ModelPage(registered_models=tuple(found), next_page_token=token)

    async def search_versions(
        self, filter_: str, *, max_results: int, page_token: str, order_by: str
    ) -> VersionPage:
        self._said(f"versions {filter_} {page_token or '-'}")
        assert order_by == "version_number DESC" and max_results
        name, start = filter_.split("'")[1], int(page_token or 0)
        found = [
            ModelVersion(name=name, version=str(n), run_id=f"{n:032x}")
            for n in self.numbers[start : start + PAGE]
        ]
        more = start + PAGE < len(self.numbers)
        other = ModelVersion(name="another", version="9")  # a filter may be looser than it says
        return VersionPage(
            model_versions=(*found, other), next_page_token=str(start + PAGE) if more else None
        )

    async def get_run(self, run_id: str) -> Run:
        self._said(f"run {int(run_id, 16)}")
        if int(run_id, 16) == 1:
            raise ApiError("no such run", status=404)
        return Run(info=RunInfo(run_id=run_id, status=self.status))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(server: Server) -> tuple[RegistryFeed, Clock, MlflowClient]:
    clock = Clock()
    client = cast("MlflowClient", server)
    return RegistryFeed(lambda: client, lambda: None, clock=clock), clock, client


async def all_due(feed: RegistryFeed, client: MlflowClient) -> None:
    """Ask for what is due, until nothing is."""
    for _ in range(50):
        if not await feed.once(client):
            return
    raise AssertionError("it never ends")


async def test_pages_come_as_the_screen_gets_there() -> None:
    server = Server()
    feed, _, client = made(server)
    feed.look(Look(more_models=False))
    await all_due(feed, client)
    assert [m.name for m in feed.models] == ["m0", "m1", "m2"] and feed.more
    feed.look(Look(models=("m2",), more_models=True))
    await all_due(feed, client)
    assert len(feed.models) == 6 and feed.more, "one page, until the screen says so again"
    feed.look(Look(models=("m5",), more_models=True))
    await all_due(feed, client)
    assert len(feed.models) == 7 and not feed.more
    assert server.calls == ["models - name ASC", "models 3 name ASC", "models 6 name ASC"]


async def test_what_is_on_screen_is_asked_again_and_the_rest_in_turns() -> None:
    server = Server(models=12)
    feed, clock, client = made(server)
    for _ in range(4):
        feed.look(Look(more_models=True))
        await all_due(feed, client)
    assert len(feed.models) == 12 and not feed.more
    turned = set()
    for _ in range(4):
        server.calls.clear()
        clock.now += 10
        feed.look(Look(models=("m0",), more_models=False))
        await all_due(feed, client)
        assert len(server.calls) <= 2 and "models - name ASC" in server.calls
        turned |= set(server.calls)
    assert len(turned) == 4, "every page had its turn"
    server.calls.clear()
    await all_due(feed, client)
    assert not server.calls, "nothing is due before its time"


async def test_changes_are_seen_and_nothing_is_new_where_nothing_is() -> None:
    server = Server(models=2)
    feed, clock, client = made(server)
    await all_due(feed, client)
    before = feed.version
    clock.now += 10
    await all_due(feed, client)
    assert feed.version == before
    server.aliases["champion"] = "4"
    server.names.remove("m1")
    clock.now += 10
    await all_due(feed, client)
    assert feed.version > before
    assert [(m.name, m.aliases) for m in feed.models] == [("m0", (("champion", "4"),))]


async def test_versions_are_read_when_a_model_is_opened_and_older_ones_at_their_end() -> None:
    server = Server(models=1)
    feed, clock, client = made(server)
    await all_due(feed, client)
    feed.open("m0")
    await all_due(feed, client)
    versions = feed.versions["m0"]
    assert [v.version for v in versions.rows] == ["5", "4", "3"] and versions.more
    feed.look(Look(models=("m0",), more_models=False, more_of=("m0",)))
    await all_due(feed, client)
    assert [v.version for v in versions.rows] == ["5", "4", "3", "2", "1"] and not versions.more
    # A new one comes at the front; what was read behind the first page stays.
    server.numbers.insert(0, 6)
    clock.now += 10
    await all_due(feed, client)
    assert [v.version for v in versions.rows] == ["6", "5", "4", "3", "2", "1"]
    feed.close("m0")
    server.calls.clear()
    clock.now += 10
    await all_due(feed, client)
    assert not any("versions" in call for call in server.calls)


async def test_runs_on_screen_are_asked_once_and_one_that_is_gone_is_said() -> None:
    server = Server(models=1)
    feed, _, client = made(server)
    ids = tuple(f"{n:032x}" for n in (3, 1))
    feed.look(Look(models=("m0",), run_ids=ids, more_models=False))
    await all_due(feed, client)
    assert [feed.runs[i].status for i in ids] == ["finished", "gone"]
    feed.refresh()
    await all_due(feed, client)
    assert server.calls.count("run 3") == 1


async def test_a_run_that_runs_is_asked_again_until_it_is_over() -> None:
    server = Server(models=1)
    server.status = "RUNNING"
    feed, clock, client = made(server)
    feed.look(Look(models=("m0",), run_ids=(f"{3:032x}",), more_models=False))
    await all_due(feed, client)
    clock.now += 9
    await all_due(feed, client)
    assert server.calls.count("run 3") == 1, "not before its time"
    server.status = "FINISHED"
    feed.refresh()
    assert feed.runs[f"{3:032x}"].status == "running", "what was known stays on screen"
    await all_due(feed, client)
    assert feed.runs[f"{3:032x}"].status == "finished"
    server.status = "RUNNING"
    feed.look(Look(run_ids=(f"{3:032x}", f"{4:032x}"), more_models=False))
    await all_due(feed, client)
    before, server.status = feed.version, "FAILED"
    clock.now += 10
    await all_due(feed, client)
    assert feed.runs[f"{4:032x}"].status == "failed" and feed.version > before
    for _ in range(3):
        clock.now += 10
        await all_due(feed, client)
    assert (server.calls.count("run 3"), server.calls.count("run 4")) == (2, 2)


async def test_a_model_that_is_closed_while_others_are_read_is_skipped() -> None:
    server = Server(models=2)
    feed, _, client = made(server)
    await all_due(feed, client)
    feed.open("m0")
    feed.open("m1")
    server.meanwhile = lambda: feed.close("m1")
    await all_due(feed, client)
    assert feed.versions["m0"].rows and "m1" not in feed.versions


async def test_an_order_that_is_given_up_while_a_page_is_read_leaves_nothing() -> None:
    server = Server(models=7)
    feed, _, client = made(server)
    feed.look(Look(more_models=False))
    await all_due(feed, client)

    def there_and_back() -> None:
        feed.order("since", False)
        feed.order("name", False)

    feed.look(Look(models=("m2",), more_models=True))
    server.meanwhile = there_and_back
    await all_due(feed, client)
    assert [m.name for m in feed.models] == ["m0", "m1", "m2"] and feed.more
    # Also while a page that was read is asked for again: the new order waits for no interval.
    feed.refresh()
    server.meanwhile = lambda: feed.order("name", True)
    await all_due(feed, client)
    assert [m.name for m in feed.models] == ["m6", "m5", "m4"]


async def test_another_order_begins_anew() -> None:
    server = Server(models=4)
    feed, _, client = made(server)
    feed.look(Look(more_models=False))
    await all_due(feed, client)
    feed.order("since", False)
    assert not feed.models
    await all_due(feed, client)
    assert [m.name for m in feed.models] == ["m3", "m2", "m1"]
    assert server.calls[-1] == "models - last_updated_timestamp DESC"


async def test_a_server_that_gives_one_token_for_ever_is_not_asked_for_ever() -> None:
    server = Server(models=4)
    server.same_token = True
    feed, _, client = made(server)
    for _ in range(5):
        feed.look(Look(more_models=True))
        await all_due(feed, client)
    assert len(server.calls) <= 3 and [m.name for m in feed.models] == ["m0", "m1", "m2"]


async def test_a_name_with_both_quotes_is_a_fault_of_its_own() -> None:
    server = Server(models=1)
    feed, _, client = made(server)
    feed.open("""a'b"c""")
    await all_due(feed, client)
    assert "both quotes" in feed.versions["""a'b"c"""].fault


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (UnreachableError("gone away"), HealthState.RETRYING),
        (ApiError("no", status=403), HealthState.DENIED),
        (ApiError("busy", status=503), HealthState.RETRYING),
    ],
)
async def test_what_fails_is_said_and_what_was_read_stays(
    error: McpTuiError, state: HealthState
) -> None:
    server = Server(models=1)
    feed, clock, _ = made(server)
    waits: list[float] = [await feed._try()]
    assert feed.health.state is HealthState.POLLING
    server.error = error
    for _ in range(6):
        clock.now += 100
        waits.append(await feed._try())
    assert feed.health.state is state and feed.health.message
    assert waits[1:] == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert [m.name for m in feed.models] == ["m0"]
    # Close behind it is not asked again, unless somebody wants that.
    calls = len(server.calls)
    assert await feed._try() == pytest.approx(30.0)
    assert len(server.calls) == calls
    server.error = None
    feed.refresh()
    await feed._try()
    assert feed.health.state is HealthState.POLLING


async def test_a_defect_is_said_and_what_it_hit_is_tried_again() -> None:
    server = Server(models=1)
    feed, clock, _ = made(server)

    def broken() -> None:
        raise KeyError("x")

    server.meanwhile = broken
    assert await feed._try() == 2.0
    assert feed.health.state is HealthState.RETRYING
    assert feed.health.message == "defect in models: KeyError: 'x'"
    clock.now += 2
    server.meanwhile = None
    await feed._try()
    assert feed.health.state is HealthState.POLLING
    assert [m.name for m in feed.models] == ["m0"]


async def test_in_the_back_nothing_is_asked() -> None:
    server = Server()
    feed, _, _ = made(server)
    told: Sequence[str] = server.calls
    feed.front(False)
    await asyncio.sleep(0)
    assert not told
    feed.front(True)
    while not told:
        await asyncio.sleep(0)
    feed.front(False)
    for _ in range(20):
        await asyncio.sleep(0)
    asked = len(told)
    feed.look(Look(models=("m0",), more_models=True))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(told) == asked
    await feed.stop()
