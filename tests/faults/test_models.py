"""Promotions and rollbacks on the real MLflow and API server: races, lost answers, kills."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shlex
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.actions import look
from mcp_tui.actions.aliaslook import SeenModel
from mcp_tui.actions.evidence import Evidence, GateLine
from mcp_tui.actions.lease import lease_name
from mcp_tui.actions.models import Wanted
from mcp_tui.actions.promoting import wanted_copy, wanted_of_run
from mcp_tui.domain.alias import End, Intent, end_key, end_value, intent_key, intent_value
from mcp_tui.domain.aliashistory import MoveState
from mcp_tui.domain.plan import CheckStatus, Confirmation, Outcome, OutcomeStatus, Plan, Tier, Verb
from mcp_tui.errors import GoneError, RefusedError, UnreachableError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.acting import Actor, acting, mlflow_client
from tests.faults.proxy import Act, Answer, Cut, Fault, Hold, Lie, Lost, Stall
from tests.faults.test_interrupted import DEADLINE, Scene, ended, scene

__all__ = ["scene"]

NOW = 1_800_000_000.0
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


@pytest_asyncio.fixture
async def registry(ground: Ground) -> AsyncIterator[MlflowClient]:
    """Past the proxies."""
    client = mlflow_client(str(ground.mlflow))
    yield client
    await client.aclose()


@pytest_asyncio.fixture
async def ranker(registry: MlflowClient) -> str:
    """A model of three versions, whose champion nobody has moved yet."""
    name = f"ranker-{secrets.token_hex(4)}"
    await registry.ensure_model(name)
    for number in range(3):
        await registry.create_version(name, f"s3://models/{name}/{number}", plan_id=f"p{number}")
    return name


@pytest_asyncio.fixture
async def actor(
    ground: Ground, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Actor]:
    monkeypatch.setattr(look, "PAUSES", (0.0, 0.05, 0.1))
    async with acting(ground, namespace, tmp_path, deadline=4.0) as it:
        yield it


async def promotion(actor: Actor, name: str, version: str, **options: Any) -> Plan:
    wanted = Wanted(version=version)
    plan = await actor.engine.plan_promotion(name, wanted, **({"now": NOW} | options))
    return await actor.engine.check(plan)


async def promote(actor: Actor, name: str, version: str, **options: Any) -> Outcome:
    [outcome] = await actor.apply(await promotion(actor, name, version, **options))
    return outcome


async def back(actor: Actor, name: str, **options: Any) -> Outcome:
    plan = await actor.engine.plan_taking_back(name, **({"now": NOW} | options))
    [outcome] = await actor.apply(await actor.engine.check(plan))
    return outcome


async def seen(actor: Actor, name: str) -> SeenModel:
    actor.mlflow.clear()
    return await actor.engine.see_model(name)


async def states(actor: Actor, name: str) -> list[str]:
    return [m.state.value for m in (await seen(actor, name)).history("champion").moves]


async def test_promote_twice_and_take_back_twice(actor: Actor, ranker: str) -> None:
    for version in ("1", "2", "3"):
        outcome = await promote(actor, ranker, version, why=f"to {version}")
        assert outcome.status is OutcomeStatus.PROVEN, outcome
    for version in ("2", "1", ""):
        outcome = await back(actor, ranker)
        assert outcome.status is OutcomeStatus.PROVEN, outcome
        assert (await seen(actor, ranker)).aliases.get("champion", "") == version
    with pytest.raises(RefusedError, match="begins with nothing"):
        await back(actor, ranker)
    told = (await seen(actor, ranker)).history("champion")
    assert {m.state for m in told.moves} == {MoveState.DONE} and len(told.moves) == 6
    assert [m.intent.why for m in told.moves if m.intent][:3] == ["to 1", "to 2", "to 3"]
    assert {m.intent.who for m in told.moves if m.intent} == {"admin"}
    assert not told.unended and not told.problems


async def test_what_was_never_live_is_not_taken_back_to(actor: Actor, ranker: str) -> None:
    for version in ("1", "2"):
        await promote(actor, ranker, version)
    # Neither with a record nor without one: it would go past approvals, gates and the typed name.
    for alias in ("champion", "shadow"):
        with pytest.raises(RefusedError, match=f"version 3 of .* was never {alias}"):
            await back(actor, ranker, to="3", alias=alias)
    assert (await seen(actor, ranker)).aliases == {"champion": "2"}
    outcome = await back(actor, ranker, to="1")
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    # What was live is known also where it was left.
    outcome = await back(actor, ranker, to="2")
    assert outcome.status is OutcomeStatus.PROVEN, outcome


async def test_the_lease_is_held_meanwhile_and_given_back(actor: Actor, ranker: str) -> None:
    path = f"{LEASES}/{lease_name(ranker)}"
    hold = Hold()
    actor.mlflow.add(Fault(hold, path="registered-models/alias"))
    doing = asyncio.create_task(promote(actor, ranker, "1"))
    await asyncio.wait_for(hold.reached.wait(), DEADLINE)
    held = await actor.api("GET", path)
    assert held["spec"]["holderIdentity"].startswith("admin (")
    with pytest.raises(RefusedError, match="another console is at it: admin"):
        await actor.apply(await unblocked(actor, ranker, "2"))
    hold.release.set()
    assert (await doing).status is OutcomeStatus.PROVEN
    assert not (await actor.api("GET", path))["spec"].get("holderIdentity")
    assert (await promote(actor, ranker, "2")).status is OutcomeStatus.PROVEN


async def unblocked(actor: Actor, name: str, version: str) -> Plan:
    """A plan as it was checked before anybody else began."""
    return await actor.engine.plan_promotion(name, Wanted(version=version), now=NOW - 9_999)


@pytest.mark.parametrize(("age", "free"), [(10.0, False), (9_000.0, True)])
async def test_a_lease_of_one_that_was_killed_ends_by_itself(
    actor: Actor, ranker: str, age: float, free: bool
) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": "bo", "leaseDurationSeconds": 120, "renewTime": at}
    body = {"metadata": {"name": lease_name(ranker)}, "spec": spec}
    await actor.api("POST", LEASES, body)
    plan = await promotion(actor, ranker, "1")
    assert bool(plan.blocked) is not free
    if free:
        [outcome] = await actor.apply(plan)
        assert outcome.status is OutcomeStatus.PROVEN
    else:
        assert plan.blocked[0].message.startswith("bo is at it, for 1")
        with pytest.raises(RefusedError):
            await actor.apply(plan)
        assert not [w for w in actor.writes() if "mlflow" in w]


@pytest.mark.parametrize("hours", [-1, 1])
async def test_servers_whose_clocks_are_an_hour_off(actor: Actor, ranker: str, hours: int) -> None:
    """A Lease is held and over by the server's clock, and moves are in the order of their making.

    By ours, one that is held would be over in the first case, and one that is over be held in the
    second.
    """
    theirs = datetime.now(UTC) + timedelta(hours=hours)
    actor.kube.date = actor.mlflow.date = format_datetime(theirs, usegmt=True)
    path = f"{LEASES}/{lease_name(ranker)}"
    spec = {"holderIdentity": "bo", "leaseDurationSeconds": 120}
    body: dict[str, Any] = {"metadata": {"name": lease_name(ranker)}, "spec": spec}
    spec["renewTime"] = f"{theirs - timedelta(seconds=10):%Y-%m-%dT%H:%M:%S.%fZ}"
    await actor.api("POST", LEASES, body)
    plan = await promotion(actor, ranker, "1")
    # The server's date is one of whole seconds.
    (told,) = (check.message for check in plan.blocked)
    assert re.fullmatch(r"bo is at it, for 1(09|10|11) s at most", told), told
    with pytest.raises(RefusedError, match="another console is at it: bo"):
        await actor.apply(await unblocked(actor, ranker, "1"))
    assert actor.writes() == []
    spec["renewTime"] = f"{theirs - timedelta(seconds=300):%Y-%m-%dT%H:%M:%S.%fZ}"
    await actor.api("PATCH", path, {"spec": spec}, content_type="application/merge-patch+json")
    for version in ("1", "2"):
        outcome = await promote(actor, ranker, version)
        assert outcome.status is OutcomeStatus.PROVEN, outcome
    # What we wrote in it is the server's time.
    taken = datetime.fromisoformat((await actor.api("GET", path))["spec"]["acquireTime"])
    assert abs(taken - theirs) < timedelta(seconds=2)
    outcome = await back(actor, ranker)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    found = await seen(actor, ranker)
    assert found.aliases == {"champion": "1"}
    told = found.history("champion")
    assert [m.state for m in told.moves] == [MoveState.DONE] * 3 and not told.problems
    assert [m.intent.to for m in told.moves if m.intent] == ["1", "2", "1"]
    assert [a.started.verb for a in actor.engine.journal.actions()] == [
        Verb.PROMOTE,
        Verb.PROMOTE,
        Verb.ROLLBACK,
    ]


async def test_two_consoles_at_once_one_moves_it(
    ground: Ground, namespace: str, tmp_path: Path, ranker: str
) -> None:
    async with (
        acting(ground, namespace, tmp_path / "a") as one,
        acting(ground, namespace, tmp_path / "b") as two,
    ):
        plans = [await promotion(one, ranker, "1"), await promotion(two, ranker, "2")]
        results = await asyncio.gather(
            one.apply(plans[0]), two.apply(plans[1]), return_exceptions=True
        )
        done = [r for r in results if isinstance(r, tuple)]
        refused = [r for r in results if isinstance(r, RefusedError)]
        proven = [r[0] for r in done if r[0].status is OutcomeStatus.PROVEN]
        assert len(proven) == 1 and len(refused) + len(done) == 2, results
        told = (await one.engine.see_model(ranker)).history("champion")
        assert told.back.possible and told.back.to == ""
        assert sum(a.sent("POST", "registered-models/alias") for a in (one, two)) == 1


async def test_two_consoles_without_a_lease_never_lose_track(
    ground: Ground, namespace: str, tmp_path: Path, registry: MlflowClient
) -> None:
    """Who may not take a Lease is told so, and the record alone tells two apart."""
    async with (
        acting(ground, namespace, tmp_path / "a", identity="viewer") as one,
        acting(ground, namespace, tmp_path / "b", identity="viewer") as two,
    ):
        ends = set()
        for turn in range(6):
            name = f"race-{turn}-{secrets.token_hex(4)}"
            await registry.ensure_model(name)
            for number in range(3):
                await registry.create_version(name, f"s3://{name}/{number}", plan_id="p")
            first = await promote(one, name, "3")
            assert first.status is OutcomeStatus.PROVEN
            plans = [await promotion(one, name, "1"), await promotion(two, name, "2")]
            [lease] = [c for c in plans[0].checks if c.name == "lease"]
            assert lease.status is CheckStatus.WARNING and "may not" in lease.message
            results = await asyncio.gather(one.apply(plans[0]), two.apply(plans[1]))
            statuses = sorted(r[0].status.value for r in results)
            ends.add(tuple(statuses))
            told = (await one.engine.see_model(name)).history("champion")
            moved = [a for a, [r] in zip((one, two), results, strict=True)
                     if r.status is not OutcomeStatus.FAILED]  # fmt: skip
            if len(moved) == 1:
                assert told.back.to == "3" and told.back.possible
            elif moved:
                assert not told.back.possible and told.back.why_not
            else:
                assert told.current == "3"
        assert all("proven" in each or each == ("failed", "failed") for each in ends), ends
        assert "warning: without a Lease" in "\n".join(one.said)


async def test_a_server_that_is_silent_before_the_first_write_is_said_with_what_was_not_sent(
    actor: Actor, ranker: str
) -> None:
    plan = await promotion(actor, ranker, "2")
    actor.mlflow.add(Fault(Stall(), method="GET"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.message.endswith("; nothing was sent")
    with pytest.raises(UnreachableError, match="nothing was sent"):
        await actor.engine.still_as_planned(plan)


async def test_a_move_by_somebody_else_is_seen_before_and_nothing_is_moved(
    actor: Actor, ranker: str, registry: MlflowClient
) -> None:
    await promote(actor, ranker, "1")
    plan = await promotion(actor, ranker, "2")
    await registry.set_alias(ranker, "champion", "3")
    with pytest.raises(RefusedError, match="it is version 3, was version 1"):
        await actor.engine.still_as_planned(plan)
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    assert "somebody moved champion meanwhile: it is version 3, was version 1" in outcome.message
    assert (await seen(actor, ranker)).aliases["champion"] == "3"
    assert actor.sent("POST", "registered-models/alias") == 1


async def test_a_move_between_intent_and_move_is_seen_and_put_on_record(
    actor: Actor, ranker: str, registry: MlflowClient
) -> None:
    await promote(actor, ranker, "1")
    hold = Hold()
    actor.mlflow.add(Fault(hold, path="set-tag", nth=1))
    doing = asyncio.create_task(promote(actor, ranker, "2"))
    await asyncio.wait_for(hold.reached.wait(), DEADLINE)
    await registry.set_alias(ranker, "champion", "3")
    hold.release.set()
    outcome = await doing
    assert outcome.status is OutcomeStatus.FAILED
    assert "it is version 3, was version 1; nothing was moved" in outcome.message
    assert await states(actor, ranker) == ["done", "not done", "foreign"]


@pytest.mark.parametrize("over", [False, True], ids=["at it", "moved it and back"])
async def test_another_consoles_record_since_the_plan_holds_the_move(
    actor: Actor, ranker: str, registry: MlflowClient, over: bool
) -> None:
    """It knows nothing of our Lease: the alias points where it did, and the record says enough."""
    plan = await promotion(actor, ranker, "1")
    theirs = "b" * 32
    meant = Intent(verb="promote", model=ranker, alias="champion", came="", to="2", seq=1, at=NOW,
                   who="bo")  # fmt: skip
    await registry.set_version_tag(ranker, "2", intent_key(theirs), intent_value(meant))
    if over:
        value = end_value(End(moved=True, at=NOW, seen="2"))
        await registry.set_version_tag(ranker, "2", end_key(theirs), value)
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    said = "bo moved it and back meanwhile" if over else "bo is moving it too meanwhile"
    assert said in outcome.message and "plan bbbbbbbb" in outcome.message
    assert actor.sent("POST", "registered-models/alias") == 0


async def test_a_move_just_after_ours_is_seen_and_said(
    actor: Actor, ranker: str, registry: MlflowClient
) -> None:
    hold = Hold()
    actor.mlflow.add(Fault(hold, path="registered-models/alias", nth=1))
    doing = asyncio.create_task(promote(actor, ranker, "1"))
    await asyncio.wait_for(hold.reached.wait(), DEADLINE)
    await registry.set_alias(ranker, "champion", "3")
    hold.release.set()
    outcome = await doing
    assert outcome.status is OutcomeStatus.UNPROVEN
    assert outcome.message == "moved, but champion is version 3 now: somebody else moved it"
    assert await states(actor, ranker) == ["done", "foreign"]


SPOILT: dict[str, Act] = {
    "lost": Lost(),
    "html": Lie(whole=lambda _: b"<html>"),
    "504 after nothing": Cut(),
}


@pytest.mark.parametrize("spoilt", ["lost", "html"])
@pytest.mark.parametrize(
    ("side", "method", "path"),
    [
        ("mlflow", "POST", "registered-models/create"),
        ("mlflow", "POST", "model-versions/create"),
        ("mlflow", "POST", "model-versions/set-tag"),
        ("mlflow", "POST", "registered-models/alias"),
        ("kube", "POST", "/leases"),
        ("kube", "PUT", "/leases/"),
    ],
)
async def test_what_was_done_without_an_answer_is_found_and_not_done_again(
    actor: Actor, ranker: str, side: str, method: str, path: str, spoilt: str
) -> None:
    proxy = actor.kube if side == "kube" else actor.mlflow
    fault = proxy.add(Fault(SPOILT[spoilt], method=method, path=path, nth=1))
    to = f"{ranker}-prod"
    wanted = await wanted_copy(actor.engine, ranker, "2")
    plan = await actor.engine.check(await actor.engine.plan_promotion(to, wanted, now=NOW))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    assert fault.hits == 1 and actor.sent(method, path.rstrip("/")) == (
        2 if path.endswith("set-tag") else 1
    )
    found = await seen(actor, to)
    assert [v.version for v in found.versions] == ["1"]
    assert found.aliases == {"champion": "1"}
    assert await states(actor, to) == ["done"]


async def test_a_move_that_was_lost_on_the_way_is_unknown_and_stays_open(
    actor: Actor, ranker: str
) -> None:
    actor.mlflow.add(Fault(Cut(), path="registered-models/alias"))
    outcome = await promote(actor, ranker, "1")
    assert outcome.status is OutcomeStatus.UNKNOWN
    assert actor.sent("POST", "registered-models/alias") == 1
    assert actor.sent("POST", "set-tag") == 1
    assert await states(actor, ranker) == ["not done"]
    # Who comes next is told, and may go on; while it may still be going on, not yet.
    soon = await promotion(actor, ranker, "2", now=NOW + 20)
    assert any("admin is moving champion" in c.message for c in soon.blocked), soon.checks
    later = await promotion(actor, ranker, "2", now=NOW + 600)
    said = [c.message for c in later.checks if c.name == "unfinished"]
    assert said and "did not end: the alias was not moved" in said[0]
    [outcome] = await actor.apply(later)
    assert outcome.status is OutcomeStatus.PROVEN
    assert (await seen(actor, ranker)).history("champion").back.to == ""


async def test_a_refused_move_is_put_on_record_as_not_done(actor: Actor, ranker: str) -> None:
    actor.mlflow.add(Fault(Answer(403, b'{"message":"denied by the moon"}'), path="models/alias"))
    outcome = await promote(actor, ranker, "1")
    assert outcome.status is OutcomeStatus.FAILED and "denied by the moon" in outcome.message
    assert await states(actor, ranker) == ["not done"]
    assert not (await seen(actor, ranker)).records("champion").unended


async def test_a_record_that_cannot_be_ended_is_a_warning(actor: Actor, ranker: str) -> None:
    actor.mlflow.add(Fault(Answer(503), path="set-tag", nth=2))
    outcome = await promote(actor, ranker, "1")
    assert outcome.status is OutcomeStatus.PROVEN
    assert "warning: not recorded how it ended" in actor.said[-1]
    assert await states(actor, ranker) == ["found"]


async def test_a_copy_is_made_once(actor: Actor, ranker: str) -> None:
    to = f"{ranker}-prod"
    wanted = await wanted_copy(actor.engine, ranker, "2")
    first = await actor.engine.plan_promotion(to, wanted, now=NOW, alias="")
    second = await actor.engine.plan_promotion(to, wanted, now=NOW, alias="")
    [outcome] = await actor.apply(first)
    assert outcome.status is OutcomeStatus.PROVEN and outcome.target.uid == "1"
    [outcome] = await actor.apply(second)
    assert outcome.status is OutcomeStatus.FAILED
    assert "it is version 1" in outcome.message and "no second one was made" in outcome.message
    with pytest.raises(RefusedError, match="is version 1"):
        await actor.engine.plan_promotion(to, wanted, now=NOW, alias="")
    plan = await actor.engine.plan_promotion(to, wanted, now=NOW)
    assert not [w for w in plan.writes if w.path.endswith("create")]
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN
    assert [v.version for v in (await seen(actor, to)).versions] == ["1"]


async def test_a_run_is_registered_once(actor: Actor, ground: Ground, ranker: str) -> None:
    run_id = await actor.run()
    with pytest.raises(UsageError, match="has no model"):
        await wanted_of_run(actor.engine, run_id)
    with pytest.raises(GoneError):
        await wanted_of_run(actor.engine, "0" * 32)
    uri = (await actor.run_now(run_id))["info"]["artifact_uri"]
    wanted = Wanted(source=f"{uri}/model", run_id=run_id, origin="the run")
    [outcome] = await actor.apply(await actor.engine.plan_promotion(ranker, wanted, now=NOW))
    assert outcome.status is OutcomeStatus.PROVEN and outcome.target.uid == "4"
    again = await actor.engine.plan_promotion(ranker, wanted, now=NOW, alias="challenger")
    assert again.notes == ("the run is version 4 already: none is made",)
    version = (await seen(actor, ranker)).version("4")
    assert version is not None and version.run_id == run_id


async def test_gates_and_parts_stand_in_the_plan_and_in_the_record(
    ground: Ground, namespace: str, tmp_path: Path, ranker: str
) -> None:
    gates = (GateLine(passed=False, said="f1_macro 0.88 >= 0.90"),
             GateLine(passed=True, said="latency_p99_ms 31 <= 40"))  # fmt: skip
    evidence = Evidence(gates=gates, made={"commit": "a" * 40, "data": "d1"})
    async with acting(ground, namespace, tmp_path, tier=Tier.PROD) as actor:
        plan = await promotion(actor, ranker, "1", evidence=evidence)
        assert plan.confirmation is Confirmation.TYPED and plan.typed_word == f"dev/{ranker}"
        said = [(c.name, c.status.value) for c in plan.checks]
        assert ("gates", "failed") in said and ("reproducible", "warning") in said
        [parts] = [c.message for c in plan.checks if c.name == "reproducible"]
        assert parts == "not reproducible: no image, no config is known"
        with pytest.raises(RefusedError, match=r"f1_macro 0\.88"):
            await actor.apply(plan)
        assert actor.writes() == []
        outcome = await promote(actor, ranker, "1", evidence=evidence, override="the moon is full")
        assert outcome.status is OutcomeStatus.PROVEN
        [record] = (await seen(actor, ranker)).records("champion").moves
        assert record.intent.override == "the moon is full"
        # What is registered only is live nowhere; what another model gets is.
        new = Wanted(source="s3://bucket/another", origin="a folder")
        copy = await wanted_copy(actor.engine, ranker, "2")
        for of, wanted, status in ((ranker, new, "warning"), (f"{ranker}-prod", copy, "failed")):
            plan = await actor.engine.plan_promotion(
                of, wanted, now=NOW, alias="", evidence=evidence
            )
            [found] = [c for c in plan.checks if c.name == "gates"]
            assert (found.status.value, "f1_macro 0.88" in found.message) == (status, True)
        assert record.intent.gates[0] == "FAILED: f1_macro 0.88 >= 0.90"
        assert dict(record.intent.made) == {"commit": "a" * 40, "data": "d1"}
        back_plan = await actor.engine.plan_taking_back(ranker, now=NOW)
        assert back_plan.confirmation is Confirmation.YES


@pytest.mark.parametrize(
    ("side", "path", "nth", "state"),
    [
        ("mlflow", "set-tag", 1, "not done"),
        ("mlflow", "registered-models/alias", 1, "found"),
        ("mlflow", "set-tag", 2, "done"),
    ],
)
async def test_an_interruption_leaves_a_record_that_tells_it(
    actor: Actor, ranker: str, side: str, path: str, nth: int, state: str
) -> None:
    hold = Hold()
    actor.mlflow.add(Fault(hold, method="POST", path=path, nth=nth))
    doing = asyncio.create_task(promote(actor, ranker, "1"))
    await asyncio.wait_for(hold.reached.wait(), DEADLINE)
    doing.cancel()
    await asyncio.sleep(0.05)
    hold.release.set()
    with contextlib.suppress(asyncio.CancelledError):
        await doing
    assert await states(actor, ranker) == [state]
    [action] = actor.engine.journal.actions()
    assert action.ended is not None
    said = action.ended.outcomes[0]
    assert (said.status, said.message.partition(",")[0]) == {
        "not done": (OutcomeStatus.FAILED, "interrupted before the alias was moved"),
        "found": (OutcomeStatus.UNPROVEN, "accepted; interrupted before it was proven"),
        "done": (OutcomeStatus.PROVEN, "champion is version 1"),
    }[state]
    unended = (await seen(actor, ranker)).records("champion").unended
    assert bool(unended) is (state == "found")
    lease = await actor.api("GET", f"{LEASES}/{lease_name(ranker)}")
    assert not lease["spec"].get("holderIdentity")


async def test_an_interrupted_move_without_an_answer_is_unknown_and_stays_open(
    actor: Actor, ranker: str
) -> None:
    """It may still arrive: nobody says that it was not moved."""
    fault = actor.mlflow.add(Fault(Stall(), method="POST", path="registered-models/alias"))
    doing = asyncio.create_task(promote(actor, ranker, "1"))
    async with asyncio.timeout(DEADLINE):
        while not fault.hits:
            await asyncio.sleep(0.02)
    doing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await doing
    [action] = actor.engine.journal.actions()
    assert action.ended is not None
    assert action.ended.outcomes[0].status is OutcomeStatus.UNKNOWN
    assert "on its way: move champion" in action.ended.outcomes[0].message
    [record] = (await seen(actor, ranker)).records("champion").moves
    # An end, where there is one, says what the server did.
    assert record.end is None or record.end.moved
    assert actor.sent("POST", "registered-models/alias") == 1


KILLS = [
    ("mlflow", "POST", "set-tag", 1, "before", ""),
    ("mlflow", "POST", "set-tag", 1, "done", "was not moved"),
    ("mlflow", "POST", "registered-models/alias", 1, "before", "was not moved"),
    ("mlflow", "POST", "registered-models/alias", 1, "done", "was moved"),
    ("mlflow", "POST", "set-tag", 2, "before", "was moved"),
]


@pytest.mark.parametrize(("side", "method", "path", "nth", "moment", "told"), KILLS)
async def test_a_killed_promotion_is_said_at_the_next_start(
    scene: Scene,
    registry: MlflowClient,
    ranker: str,
    side: str,
    method: str,
    path: str,
    nth: int,
    moment: str,
    told: str,
) -> None:
    """A real process, KILLed around a write."""
    await registry.set_alias(ranker, "champion", "1")
    hold = Hold()
    act: Act = Stall() if moment == "before" else hold
    fault = scene.proxy(side).add(Fault(act, method=method, path=path, nth=nth))
    process = await scene.start("model", "promote", f"{ranker}/2", "--why", "better")
    async with asyncio.timeout(DEADLINE):
        while not fault.hits:
            assert process.returncode is None, await ended(process)
            await asyncio.sleep(0.02)
        if moment == "done":
            await hold.reached.wait()
    process.send_signal(signal.SIGKILL)
    await ended(process)
    scene.mlflow.clear()
    [_, *rest] = scene.journal()
    # The end of the record is written when the journal has its end already.
    if nth == 2:
        assert rest and rest[0]["outcomes"][0]["status"] == "proven"
    else:
        assert not rest
        _, _, err = await scene.run("journal")
        [said] = [line for line in err.splitlines() if "did not end" in line]
        assert f"promote {ranker} of" in said
        command = said.rpartition(" says: ")[2]
        assert shlex.split(command)[1:] == ["--context", "faulty", "model", "history", ranker]
    code, _, err = await scene.run("model", "history", ranker)
    assert code == 0
    [line] = [line for line in err.splitlines() if "did not end" in line] or [""]
    assert (f"the alias {told}" in line) if told else not line, err
    # The next one is told, kept out while the other may go on, and can go on by itself later.
    where = scene.mlflow.count("registered-models/alias")
    code, _, err = await scene.run("model", "promote", f"{ranker}/3")
    assert code == 3 and scene.mlflow.count("registered-models/alias") == where, err
    assert "at it" in err or "is moving champion" in err


async def test_a_model_or_a_version_that_is_not_there_is_named(scene: Scene, ranker: str) -> None:
    none, ls = "there is no model nobody", "; mcp-tui model ls lists them"
    for argv, says in (
        (("model", "promote", "nobody/1", "--dry-run"), none + ls),
        (("model", "rollback", "nobody", "--dry-run"), none + ls),
        (("model", "history", "nobody"), none + ls),
        (("approvals", "nobody"), none + ls),
        (("model", "promote", f"{ranker}/9", "--dry-run"), f"no version 9 of {ranker}; there are:"),
        (("model", "rollback", ranker, "--to", "9", "--dry-run"), f"no version 9 of {ranker}"),
    ):
        code, out, err = await scene.run(*argv)
        assert (code, out, says in err) == (5, "", True), (argv, code, err)
        assert len(err.splitlines()) == 1, err
