"""Writes whose answers are lost, spoiled or never come: sent once, looked for, and said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mcp_tui.actions import look
from mcp_tui.actions.jobs import plan_cancel, plan_delete, plan_hold
from mcp_tui.actions.submit import Code, Tracking, plan_submit
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan
from mcp_tui.domain.trainconfig import parse_train_config
from mcp_tui.errors import ExitCode, RefusedError, UnreachableError, UsageError
from tests.cluster import Ground
from tests.faults.acting import Actor, acting
from tests.faults.proxy import Act, Answer, Cut, Fault, FaultProxy, Hold, Lie, Lost, Stall

CODE = Code(url="https://git.example.org/x.git", ref="main", commit="a" * 40)
CONFIG = """
name: train
image: none
code: {url: "https://git.example.org/x.git"}
command: python train.py {{run_id}}
total_steps: 7
data: [{name: reviews, source: "s3://a/b"}]
node_selector: {type: kwok}
tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]
annotations: {}
"""


@pytest_asyncio.fixture
async def actor(
    ground: Ground, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Actor]:
    monkeypatch.setattr(look, "PAUSES", (0.0, 0.05, 0.1))
    async with acting(ground, namespace, tmp_path, deadline=2.0) as it:
        yield it


async def submission(actor: Actor, *, nodes: int = 1, new_experiment: bool = False) -> Plan:
    assert actor.engine.mlflow_client is not None
    name = f"faulty-{actor.namespace}"
    experiment = "" if new_experiment else await actor.engine.mlflow_client.create_experiment(name)
    actor.mlflow.calls.clear()
    return plan_submit(
        actor.engine.scope,
        parse_train_config(CONFIG + f"nodes: {nodes}\n"),
        CODE,
        namespace=actor.namespace,
        user="admin",
        now=1_700_000_000.0,
        tracking=Tracking(experiment=name, experiment_id=experiment, uri="http://mlflow"),
    )


async def runs(actor: Actor) -> list[dict[str, object]]:
    """The runs that the submission made, past the proxies."""
    assert actor.engine.mlflow_client is not None
    actor.mlflow.clear()
    found = await actor.engine.mlflow_client.get_experiment_by_name(f"faulty-{actor.namespace}")
    if found is None:
        return []
    answer = await actor.engine.mlflow(
        "POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": [found.experiment_id]}
    )
    return list(answer.get("runs") or [])


async def jobs(actor: Actor) -> list[dict[str, object]]:
    return list((await actor.api("GET", actor.path()))["items"])


WRITES = {
    "experiment": ("mlflow", "POST", "experiments/create"),
    "run": ("mlflow", "POST", "runs/create"),
    "steps": ("mlflow", "POST", "runs/log-batch"),
    "data": ("mlflow", "POST", "runs/log-inputs"),
    "job": ("kube", "POST", "/jobs"),
    "service": ("kube", "POST", "/services"),
    "event": ("kube", "POST", "/events"),
}


def proxy(actor: Actor, name: str) -> FaultProxy:
    return actor.kube if name == "kube" else actor.mlflow


SPOILT = {
    "lost": Lost(),
    "junk": Lie(whole=lambda _: b'{"kind":"Status"}'),
    "html": Lie(whole=lambda _: b"<html>"),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("what", ["experiment", "run", "steps", "data", "job", "service"])
async def test_what_was_made_is_found_and_not_made_again(
    actor: Actor, what: str, spoilt: Act
) -> None:
    plan = await submission(actor, nodes=2, new_experiment=True)
    side, method, part = WRITES[what]
    fault = proxy(actor, side).add(Fault(spoilt, method=method, path=f"{part}(\\?|$)", nth=1))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    assert fault.hits == 1
    for _, verb, each in [w for name, w in WRITES.items() if name != "steps"]:
        assert actor.sent(verb, each) == 1, actor.writes()
    assert actor.sent("POST", "runs/log-batch") == 2
    [run], [made] = await runs(actor), await jobs(actor)
    tags = {t["key"]: t["value"] for t in run["data"]["tags"]}  # type: ignore[index]  # plain JSON
    assert tags[keys.TAG_UID] == made["metadata"]["uid"] == outcome.target.uid  # type: ignore[index]  # plain JSON
    run_id = run["info"]["run_id"]  # type: ignore[index]  # plain JSON
    assert made["metadata"]["labels"][keys.RUN_ID] == run_id  # type: ignore[index]  # plain JSON
    assert run["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "reviews"  # type: ignore[index]  # plain JSON
    assert not [s for s in actor.said if s.startswith("warning")], actor.said
    # A user's own braces are none of ours.
    assert "{{run_id}}" in json.dumps(made["spec"])
    assert not [s for s in actor.said if "{{mcp-tui" in s], actor.said


@pytest.mark.parametrize("what", ["experiment", "run", "job", "service"])
async def test_what_cannot_be_settled_is_unknown_and_nothing_more_is_done(
    actor: Actor, what: str
) -> None:
    """The request is lost on the way: looking finds nothing, and it may still arrive."""
    plan = await submission(actor, nodes=2, new_experiment=True)
    side, method, part = WRITES[what]
    proxy(actor, side).add(Fault(Cut(), method=method, path=f"{part}(\\?|$)"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.UNKNOWN
    assert "may or may not have been done" in outcome.message
    assert outcome.exit_code == ExitCode.UNREACHABLE
    writes = actor.writes()
    assert actor.sent(method, part) == 1
    assert part in writes[-1] if side == "mlflow" else not actor.sent("POST", "runs/update")
    assert actor.sent("POST", "/events") == 0
    assert actor.sent("DELETE", "") == 0
    assert actor.engine.journal.actions()[-1].result == "unknown"


async def test_a_stalled_server_is_given_up_in_time_and_looked_at(actor: Actor) -> None:
    plan = await submission(actor)
    hold = Hold()
    actor.kube.add(Fault(hold, method="POST", path="/jobs$"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    assert actor.sent("POST", "/jobs") == 1 and len(await jobs(actor)) == 1


async def one(actor: Actor, verb: str) -> Plan:
    """A plan for job ``a``, which has a run."""
    run = await actor.run()
    seen = await actor.make("a", labels={keys.RUN_ID: run})
    scope = actor.engine.scope
    if verb == "cancel":
        return plan_cancel(scope, [seen], now=1.0)
    if verb == "suspend":
        return plan_hold(scope, [seen], suspend=True)
    await actor.finish("a")
    return plan_delete(scope, [await actor.see("a")])


VERBS = {"cancel": "DELETE", "delete": "DELETE", "suspend": "PATCH"}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_lost_answer_is_settled_by_looking_at_the_object(actor: Actor, verb: str) -> None:
    plan = await one(actor, verb)
    actor.kube.add(Fault(Lost(), method=VERBS[verb]))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    assert actor.sent(VERBS[verb], "/jobs/a") == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_an_object_that_stays_as_it_was_is_unknown(actor: Actor, verb: str) -> None:
    plan = await one(actor, verb)
    actor.kube.add(Fault(Cut(), method=VERBS[verb]))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.UNKNOWN
    assert actor.sent(VERBS[verb], "/jobs/a") == 1
    assert actor.sent("POST", "runs/update") == 0
    assert actor.sent("POST", "/events") == 0
    assert not await actor.gone(actor.path("a"))


async def test_after_an_unknown_outcome_the_other_marks_are_not_sent(actor: Actor) -> None:
    seen = [await actor.make(name) for name in ("a", "b", "c")]
    actor.kube.add(Fault(Cut(), method="DELETE", path="/jobs/b"))
    outcomes = await actor.apply(plan_cancel(actor.engine.scope, seen, now=1.0))
    assert [o.status.value for o in outcomes] == ["proven", "unknown", "failed"]
    assert outcomes[2].message == "not sent, as it is unknown what became of b"
    assert actor.sent("DELETE", "/jobs/") == 2
    assert not await actor.gone(actor.path("c"))


REFUSAL = Answer(
    403, json.dumps({"kind": "Status", "message": "denied by the moon", "code": 403}).encode()
)


async def test_a_delete_that_fails_leaves_the_run_alone(actor: Actor) -> None:
    plan = await one(actor, "cancel")
    actor.kube.add(Fault(REFUSAL, method="DELETE"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED and "denied by the moon" in outcome.message
    assert outcome.exit_code == ExitCode.REFUSED
    assert actor.sent("POST", "runs/update") == 0


async def test_a_job_that_is_not_made_ends_its_run(actor: Actor) -> None:
    plan = await submission(actor)
    actor.kube.add(Fault(REFUSAL, method="POST", path="/jobs$"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED, outcome
    [run] = await runs(actor)
    assert run["info"]["status"] == "FAILED"  # type: ignore[index]  # plain JSON
    assert await jobs(actor) == []


async def test_a_service_that_is_not_made_takes_the_job_back(actor: Actor) -> None:
    plan = await submission(actor, nodes=2)
    actor.kube.add(Fault(REFUSAL, method="POST", path="/services$"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.FAILED
    [run] = await runs(actor)
    assert run["info"]["status"] == "FAILED"  # type: ignore[index]  # plain JSON
    assert [j for j in await jobs(actor) if "deletionTimestamp" not in j["metadata"]] == []  # type: ignore[operator]  # plain JSON


@pytest.mark.parametrize("act", [Answer(503), Cut()], ids=["503", "cut"])
async def test_mlflow_gone_between_run_and_tag_is_a_warning(actor: Actor, act: Act) -> None:
    plan = await submission(actor)
    actor.mlflow.add(Fault(act, path="log-batch|runs/get"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN, outcome
    assert [s for s in actor.said if s.startswith("warning: tag the run with")], actor.said
    assert actor.sent("POST", "runs/log-batch") == 2


async def test_an_event_that_is_refused_is_a_warning(actor: Actor) -> None:
    plan = await one(actor, "suspend")
    actor.kube.add(Fault(REFUSAL, method="POST", path="/events"))
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN
    assert "warning: not recorded as an Event: " in actor.said[-1]


async def test_a_server_that_is_down_is_no_refusal(actor: Actor) -> None:
    plan = await one(actor, "suspend")
    await actor.kube.refuse()
    with pytest.raises(UnreachableError):
        await actor.apply(plan)
    checked = await actor.engine.check(plan)
    assert [c.name for c in checked.blocked] == ["reachable"]
    assert actor.engine.journal.actions() == []


async def test_an_unwritable_journal_lets_nothing_leave(actor: Actor, tmp_path: Path) -> None:
    plan = await one(actor, "cancel")
    (tmp_path / "state").write_text("a file, where a directory should be")
    before = actor.writes()
    with pytest.raises(UsageError, match="cannot write the journal"):
        await actor.apply(plan)
    assert actor.writes() == before == []


async def test_a_journal_that_fails_at_the_end_does_not_hide_the_outcome(
    actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await one(actor, "suspend")

    def full(*_: object, **__: object) -> None:
        raise UsageError("cannot write the journal: No space left on device")

    monkeypatch.setattr(actor.engine.journal, "end", full)
    [outcome] = await actor.apply(plan)
    assert outcome.status is OutcomeStatus.PROVEN
    assert "how it ended is not in the journal" in "\n".join(actor.said)


async def interrupted(actor: Actor, plan: Plan, act: Hold) -> Outcome:
    """Apply, interrupt when ``act`` is reached, and read the journal."""
    task = asyncio.create_task(actor.apply(plan))
    await asyncio.wait_for(act.reached.wait(), 20)
    [started] = actor.engine.journal.actions()
    assert started.ended is None, "written down before anything is sent"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [action] = actor.engine.journal.actions()
    assert action.ended is not None
    return action.ended.outcomes[0]


async def test_an_interruption_is_written_down_as_what_is_known(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path, deadline=30.0) as actor:
        plan = await one(actor, "cancel")
        hold = Hold()
        actor.kube.add(Fault(hold, method="DELETE"))
        outcome = await interrupted(actor, plan, hold)
        assert outcome.status is OutcomeStatus.UNPROVEN
        assert outcome.message == "accepted; interrupted before it was proven"
        # What was begun is ended: the job is gone, and its run says so.
        assert await actor.gone(actor.path("a"))
        run = plan.writes[1].body["run_id"]
        assert await actor.status_of(run) == "KILLED"
        assert actor.sent("DELETE", "/jobs/a") == actor.sent("POST", "runs/update") == 1


async def test_marks_that_were_not_begun_are_left_alone_when_interrupted(actor: Actor) -> None:
    seen = [await actor.make(name) for name in ("a", "b", "c", "d")]
    hold = Hold()
    actor.kube.add(Fault(hold, method="DELETE", path="/jobs/b"))
    await interrupted(actor, plan_cancel(actor.engine.scope, seen, now=1.0), hold)
    [action] = actor.engine.journal.actions()
    assert action.ended is not None
    said = [o.message for o in action.ended.outcomes]
    assert said[:2] == ["accepted; interrupted before it was proven"] * 2
    assert said[2:] == ["interrupted before anything of it was sent"] * 2
    assert actor.said[-1] == "2 more: interrupted before anything of it was sent"
    assert actor.sent("DELETE", "/jobs/") == 2
    assert not await actor.gone(actor.path("c"))


async def test_an_interruption_of_a_write_that_never_arrived_is_unknown(
    ground: Ground, namespace: str, tmp_path: Path
) -> None:
    async with acting(ground, namespace, tmp_path, deadline=30.0) as actor:
        plan = await one(actor, "cancel")
        fault = actor.kube.add(Fault(Stall(), method="DELETE"))
        task = asyncio.create_task(actor.apply(plan))
        async with asyncio.timeout(20):
            while not fault.hits:
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [action] = actor.engine.journal.actions()
        assert action.ended is not None
        [outcome] = action.ended.outcomes
        assert outcome.status is OutcomeStatus.UNKNOWN
        assert outcome.message.startswith("interrupted while this was on its way: delete jobs/a")
        assert actor.sent("POST", "runs/update") == 0


async def test_a_collection_is_never_deleted(actor: Actor) -> None:
    """Whatever a plan came to say: only one named object is."""
    await actor.make("a")
    jobs = actor.path()
    for path in (
        jobs,
        f"{jobs}/",
        f"{jobs}?labelSelector=x",
        "/api/v1/namespaces/x",
        f"{jobs}/a/b",
    ):
        with pytest.raises(RefusedError):
            await actor.engine.kubernetes("DELETE", path, None, "application/json")
    for path in (f"{jobs}/../jobs/a", f"{jobs}//a", f"{jobs}/%2e%2e/a"):
        with pytest.raises(RefusedError, match="not a path that is sent"):
            await actor.engine.kubernetes("DELETE", path, None, "application/json")
    assert actor.sent("DELETE", "") == 0 and len((await actor.api("GET", jobs))["items"]) == 1
