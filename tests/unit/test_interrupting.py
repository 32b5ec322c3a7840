"""What an interrupted plan is said to have come to, when its servers answer late, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.actions import sending
from mcp_tui.actions.aliaslook import SeenModel
from mcp_tui.actions.apply import apply
from mcp_tui.actions.evidence import Why
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.journal import Journal
from mcp_tui.actions.kinds import kind_of
from mcp_tui.actions.ledger import Ledger
from mcp_tui.actions.models import Wanted, plan_promote
from mcp_tui.actions.parent import Parent
from mcp_tui.actions.renew import Changes
from mcp_tui.actions.retry import plan_retry
from mcp_tui.domain import keys, runfilter
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Tier
from mcp_tui.errors import ApiError

SCOPE = Scope(context="dev", tier=Tier.DEV)
RUN = "f" * 32


class Server:
    """A cluster and an MLflow that know one run, and do not answer what they are told not to.

    Attributes:
        silent: Whether a call is not answered.
        does: Whether such a call is done all the same.
        holds: The end of a path that is answered a little later.
    """

    def __init__(self, silent: Callable[[str, str], bool], *, does: bool = False) -> None:
        self.silent = silent
        self.does = does
        self.holds = "nothing"
        self.sent: list[str] = []
        self.status = ""
        self.job: dict[str, Any] | None = None
        self.hit = asyncio.Event()

    async def kubernetes(self, method: str, path: str, body: Any, content_type: str) -> Any:
        del content_type
        await self._come(method, path, lambda: self._change(method, path, body))
        if method == "GET" and "?" in path:
            return {"items": [self.job] if self.job else []}
        if path.endswith("/services"):
            raise ApiError("no services for you", status=403)
        if self.job is None:
            raise ApiError("not found", status=404)
        return self.job

    def _change(self, method: str, path: str, body: Any) -> None:
        if method == "DELETE":
            self.job = None
        elif method == "POST" and path.endswith("/jobs"):
            self.job = {**body, "metadata": {**body["metadata"], "uid": "u"}}

    async def mlflow(self, method: str, path: str, body: Any) -> Any:
        def change() -> None:
            if path.endswith("runs/create"):
                self.status = "RUNNING"
            elif path.endswith("runs/update"):
                self.status = body["status"]

        await self._come(method, path, change)
        if path.endswith("model-versions/search"):
            return {}
        if "registered-models/get" in path:
            return {"registered_model": {"name": "ranker"}}
        return {"run": {"info": {"run_id": RUN, "status": self.status}, "data": {}}}

    async def find_run(self, plan_id: str, experiment_id: str) -> str:
        del plan_id, experiment_id
        await self._come("GET", "find", lambda: None)
        return RUN if self.status else ""

    async def _come(self, method: str, path: str, change: Callable[[], None]) -> None:
        if method != "GET":
            self.sent.append(f"{method} {path.rpartition('/')[2]}")
        silent = self.silent(method, path)
        if not silent or self.does:
            change()
        if silent or path.endswith(self.holds):
            self.hit.set()
            await (asyncio.Event().wait() if silent else asyncio.sleep(0.01))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "GRACE", 0.05)
    monkeypatch.setattr(sending, "LAST_LOOK", 0.05)


def retried(*, nodes: bool = False) -> Plan:
    spec = {"subdomain": "a"} if nodes else {}
    job = {
        "kind": "Job",
        "metadata": {"name": "a", "namespace": "ml", "uid": "old"},
        "spec": {"template": {"spec": {**spec, "containers": [{"name": "x"}]}}},
    }
    parent = Parent(experiment_id="7", run_id="0" * 32, total_steps="9", tags={})
    seen = Seen(obj=job, kind=kind_of("Job"))
    return plan_retry(SCOPE, seen, Changes(), user="me", now=1.0, parent=parent)


async def interrupted(plan: Plan, server: Server, folder: Path, *, twice: str = "") -> Outcome:
    """Apply a plan, and interrupt it when it is not answered; again once ``twice`` was sent."""

    async def prove(plan: Plan, targets: Mapping[int, Target]) -> Mapping[int, Outcome]:
        raise AssertionError("there is nothing to prove")

    async def record(plan: Plan, target: Target, outcome: Outcome) -> None:
        raise AssertionError("there is nothing to record")

    journal = Journal(folder)
    task = asyncio.create_task(
        apply(plan, server, journal=journal, prove=prove, record=record, user="me",
              progress=lambda _: None, ledger=Ledger(plan))
    )  # fmt: skip
    async with asyncio.timeout(20):
        await server.hit.wait()
        task.cancel()
        while twice and twice not in server.sent:
            await asyncio.sleep(0)
        if twice:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    [action] = journal.actions()
    assert action.ended is not None
    [outcome] = action.ended.outcomes
    return outcome


@pytest.mark.parametrize("looks", [True, False], ids=["not there", "cannot be looked for"])
async def test_a_run_that_may_still_be_made_is_said(tmp_path: Path, looks: bool) -> None:
    plan = retried()
    server = Server(lambda _, path: path.endswith("runs/create") or (path == "find" and not looks))
    outcome = await interrupted(plan, server, tmp_path)
    assert outcome.status is OutcomeStatus.UNKNOWN
    assert outcome.message.startswith("interrupted while this was on its way: create run a-")
    filter_ = f'tags."{keys.TAG_PLAN_ID}" = "{plan.id}"'
    told = f"the run may still be made: mcp-tui --context dev run ls -e 7 --filter '{filter_}'"
    assert outcome.message.endswith(told)
    assert runfilter.parse(filter_) == (filter_,)
    assert server.sent == ["POST create"]


async def test_a_run_that_was_made_all_the_same_is_found_and_ended(tmp_path: Path) -> None:
    server = Server(lambda _, path: path.endswith("runs/create"), does=True)
    outcome = await interrupted(retried(), server, tmp_path)
    assert outcome.status is OutcomeStatus.FAILED and server.status == "KILLED"
    assert outcome.message == f"interrupted before the job was made; run {RUN} was marked KILLED"


async def test_a_version_that_may_still_be_made_is_said(tmp_path: Path) -> None:
    seen = SeenModel(name="ranker")
    wanted = Wanted(source="s3://bucket/m", origin="a folder")
    plan = plan_promote(SCOPE, seen, wanted, Why(user="me", now=1.0))
    server = Server(lambda _, path: path.endswith("model-versions/create"))
    outcome = await interrupted(plan, server, tmp_path)
    assert outcome.status is OutcomeStatus.UNKNOWN
    told = "the version may still be made: mcp-tui --context dev model show ranker"
    assert outcome.message.endswith(told)
    assert server.sent == ["POST create"]


@pytest.mark.parametrize("answered", [True, False], ids=["in time", "too late"])
@pytest.mark.parametrize(
    ("done", "how"), [(True, "was marked KILLED"), (False, "is still open: MLflow did not answer")]
)
async def test_who_interrupts_twice_is_told_how_the_run_ended(
    tmp_path: Path, done: bool, how: str, answered: bool
) -> None:
    """The run's end is on its way when the second comes: it is looked at, and not sent again."""
    silent = ("runs/update",) if answered else ("runs/update", "runs/log-batch")
    server = Server(lambda _, path: path.endswith(silent), does=done)
    if answered:
        server.holds = "runs/log-batch"
    outcome = await interrupted(retried(), server, tmp_path, twice="POST update")
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.message == f"interrupted before the job was made; run {RUN} {how}"
    assert server.sent == ["POST create", "POST log-batch", "POST update"]


@pytest.mark.parametrize("done", [True, False])
async def test_a_job_that_could_not_be_taken_away_again_is_said(tmp_path: Path, done: bool) -> None:
    """Its Service is refused, and its deletion is cut off."""
    server = Server(lambda method, _: method == "DELETE", does=done)
    outcome = await interrupted(retried(nodes=True), server, tmp_path)
    assert ("may still be there: cancel it" in outcome.message) is not done
    assert outcome.status is (OutcomeStatus.FAILED if done else OutcomeStatus.UNKNOWN)
    assert "no services for you" in outcome.message
    assert server.sent.count("DELETE " + outcome.target.name) == 1


async def test_who_interrupts_the_record_is_told_what_was_proven(tmp_path: Path) -> None:
    """The job is there, its proof was seen, and only the Event is not answered."""
    hangs, said = asyncio.Event(), []

    async def prove(plan: Plan, targets: Mapping[int, Target]) -> Mapping[int, Outcome]:
        return {
            index: Outcome(target=target, status=OutcomeStatus.PROVEN, message="taken up")
            for index, target in targets.items()
        }

    async def record(plan: Plan, target: Target, outcome: Outcome) -> None:
        hangs.set()
        await asyncio.Event().wait()

    plan, journal = retried(), Journal(tmp_path)
    ledger = Ledger(plan)
    task = asyncio.create_task(
        apply(plan, Server(lambda *_: False), journal=journal, prove=prove, record=record,
              user="me", progress=said.append, ledger=ledger)
    )  # fmt: skip
    async with asyncio.timeout(20):
        await hangs.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert said[-1] == f"{plan.targets[0].name}: taken up"
    assert [o.status for o in ledger.as_known()] == [OutcomeStatus.PROVEN]
    assert [a.result for a in journal.actions()] == ["proven"]
