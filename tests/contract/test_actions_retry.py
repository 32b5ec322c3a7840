"""Retries that the real API server accepts: of our jobs and others', of every kind."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mcp_tui.actions.retry import Changes
from mcp_tui.domain import keys
from mcp_tui.domain.plan import OutcomeStatus, Verb
from mcp_tui.errors import UnreachableError, UsageError
from tests.cluster import Ground
from tests.contract.test_actions_jobs import custom
from tests.faults.acting import MLFLOW, Actor, acting


@pytest_asyncio.fixture
async def actor(ground: Ground, namespace: str, tmp_path: Path) -> AsyncIterator[Actor]:
    async with acting(ground, namespace, tmp_path) as it:
        yield it


async def retry(actor: Actor, name: str, kind: str = "Job", **changes: Any) -> dict[str, Any]:
    """Retry through plan, check and apply; the new object, as the server has it."""
    seen = await actor.see(name, kind)
    plan = await actor.engine.plan_retry(seen, Changes(**changes), now=time.time())
    plan = await actor.engine.check(plan)
    assert not plan.blocked, plan.blocked
    [outcome] = await actor.apply(plan)
    assert outcome.status is (OutcomeStatus.PROVEN if kind == "Job" else OutcomeStatus.UNPROVEN)
    path = seen.kind.path(actor.namespace, outcome.target.name)
    found: dict[str, Any] = await actor.api("GET", path)
    return found


async def test_a_job_made_by_kubectl_is_made_again_as_the_server_wants_it(actor: Actor) -> None:
    args = {"backoffLimit": 1, "ttlSecondsAfterFinished": 600}
    await actor.make("theirs", template_labels={"team": "x"}, **args)
    old = await actor.api("GET", actor.path("theirs"))
    assert "batch.kubernetes.io/controller-uid" in old["spec"]["template"]["metadata"]["labels"]
    new = await retry(
        actor, "theirs", memory="2Gi", cpu="500m", deadline=600, retries=4, env={"A": "{{uid}}"}
    )
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert new["metadata"]["annotations"][keys.PARENT] == "theirs"
    assert new["metadata"]["annotations"][keys.SUBMITTED_BY] == "admin"
    spec, template = new["spec"], new["spec"]["template"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (4, 600)
    labels = template["metadata"]["labels"]
    assert labels["team"] == "x"
    assert labels["batch.kubernetes.io/controller-uid"] == new["metadata"]["uid"]
    [container] = template["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    assert container["resources"]["requests"] == {"memory": "2Gi", "cpu": "500m"}
    assert container["env"] == [{"name": "A", "value": "{{uid}}"}]
    assert keys.RUN_ID not in new["metadata"]["labels"]


async def test_an_indexed_job_that_failed_and_its_retry(actor: Actor) -> None:
    await actor.make(
        "ix", parallelism=2, completions=2, completionMode="Indexed", backoffLimitPerIndex=1
    )
    await actor.finish("ix", "Failed")
    new = await retry(actor, "ix", retries=3, deadline=0)
    spec = new["spec"]
    assert (spec["completionMode"], spec["backoffLimitPerIndex"]) == ("Indexed", 3)
    assert "activeDeadlineSeconds" not in spec and spec["suspend"] is False
    again = await retry(actor, new["metadata"]["name"])
    assert again["metadata"]["name"].startswith("ix-") and len(again["metadata"]["name"]) == 9


async def linked(actor: Actor, name: str) -> str:
    """A job with a run that says how many steps there are; the run's id."""
    run = await actor.run(**{keys.TAG_COMMIT: "c" * 40, f"{keys.TAG_PARAM}lr": "1e-3", "x": "y"})
    params = [{"key": "total_steps", "value": "9"}]
    await actor.engine.mlflow("POST", f"{MLFLOW}/runs/log-batch", {"run_id": run, "params": params})
    experiment = (await actor.run_now(run))["info"]["experiment_id"]
    await actor.make(
        name,
        labels={keys.RUN_ID: run},
        annotations={keys.EXPERIMENT_ID: experiment},
        env=[{"name": "MLFLOW_RUN_ID", "value": run}],
    )
    return run


async def new_run(actor: Actor, job: dict[str, Any]) -> dict[str, Any]:
    run_id = job["metadata"]["labels"][keys.RUN_ID]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "MLFLOW_RUN_ID", "value": run_id}]
    return await actor.run_now(run_id)


def pairs(run: dict[str, Any], what: str) -> dict[str, str]:
    return {p["key"]: p["value"] for p in run["data"].get(what) or ()}


async def test_the_new_run_takes_over_from_the_old_and_names_it(actor: Actor) -> None:
    old = await linked(actor, "a")
    job = await retry(actor, "a")
    run = await new_run(actor, job)
    tags = pairs(run, "tags")
    assert run["info"]["experiment_id"] == (await actor.run_now(old))["info"]["experiment_id"]
    assert pairs(run, "params") == {"total_steps": "9"}
    assert (tags[keys.TAG_COMMIT], tags[f"{keys.TAG_PARAM}lr"]) == ("c" * 40, "1e-3")
    assert (tags["mlflow.parentRunId"], tags[keys.TAG_UID]) == (old, job["metadata"]["uid"])
    assert "x" not in tags


async def test_the_data_that_it_learnt_from_is_that_of_the_old_run(actor: Actor) -> None:
    old = await linked(actor, "a")
    schema = '{"mlflow_colspec": []}'
    datasets = [
        {
            "dataset": {
                "name": name,
                "digest": digest,
                "source_type": kind,
                "source": source,
                "schema": schema,
            },
            "tags": [{"key": "mlflow.data.context", "value": use}],
        }
        for name, digest, kind, source, use in (
            ("reviews", "d1", "s3", '{"uri": "s3://a/b"}', "training"),
            ("reviews", "d2", "uri", "https://x.example/[b]c", "validation"),
        )
    ]
    body = {"run_id": old, "datasets": datasets}
    await actor.engine.mlflow("POST", f"{MLFLOW}/runs/log-inputs", body)
    run = await new_run(actor, await retry(actor, "a"))
    assert by_digest(run) == by_digest(await actor.run_now(old))
    assert list(by_digest(run)) == ["d1", "d2"]
    assert by_digest(run)["d1"]["dataset"]["schema"] == schema
    assert actor.sent("POST", "runs/log-inputs") == 2
    assert not [line for line in actor.said if line.startswith("warning")]
    # One that has none is given none.
    await linked(actor, "b")
    plan = await actor.engine.plan_retry(await actor.see("b"), Changes(), now=1.0)
    assert not [w for w in plan.writes if w.path.endswith("log-inputs")]


def by_digest(run: dict[str, Any]) -> dict[str, Any]:
    inputs = run["inputs"]["dataset_inputs"]
    return {i["dataset"]["digest"]: i for i in sorted(inputs, key=lambda i: i["dataset"]["digest"])}


async def test_a_retry_of_a_job_whose_run_is_deleted(actor: Actor) -> None:
    old = await linked(actor, "a")
    await actor.engine.mlflow("POST", f"{MLFLOW}/runs/delete", {"run_id": old})
    run = await new_run(actor, await retry(actor, "a"))
    assert "mlflow.parentRunId" not in pairs(run, "tags")
    # Its experiment too: then there is nowhere to log to, and that is said.
    experiment = run["info"]["experiment_id"]
    await actor.engine.mlflow("POST", f"{MLFLOW}/experiments/delete", {"experiment_id": experiment})
    plan = await actor.engine.plan_retry(await actor.see("a"), Changes(), now=1.0)
    assert [w.system for w in plan.writes] == ["kubernetes"]
    assert any("gone from MLflow, so no run is made" in note for note in plan.notes)


async def test_nothing_is_submitted_into_a_deleted_experiment(actor: Actor) -> None:
    run = await actor.run()
    experiment = (await actor.run_now(run))["info"]["experiment_id"]
    path = f"{MLFLOW}/experiments/get?experiment_id={experiment}"
    name = (await actor.engine.mlflow("GET", path, None))["experiment"]["name"]
    found = await actor.engine.tracking(name, "http://mlflow")
    assert found.experiment_id == experiment
    await actor.engine.mlflow("POST", f"{MLFLOW}/experiments/delete", {"experiment_id": experiment})
    with pytest.raises(UsageError, match="is deleted in MLflow; restore it"):
        await actor.engine.tracking(name, "http://mlflow")


async def test_mlflow_down_is_said_with_the_way_on(actor: Actor) -> None:
    await linked(actor, "a")
    await actor.mlflow.refuse()
    with pytest.raises(UnreachableError, match="--no-run goes on"):
        await actor.engine.plan_retry(await actor.see("a"), Changes(), now=1.0)
    plan = await actor.engine.plan_retry(await actor.see("a"), Changes(), now=1.0, with_run=False)
    assert plan.verb is Verb.RETRY and len(plan.writes) == 1


@pytest.mark.parametrize("kind", ["PyTorchJob", "TrainJob", "JobSet", "RayJob"])
async def test_other_kinds_are_made_again(
    ground: Ground, namespace: str, tmp_path: Path, kind: str
) -> None:
    async with acting(ground, namespace, tmp_path, proof=0.5) as actor:
        path, body = custom(kind, namespace)
        body["spec"] = json.loads(json.dumps(body["spec"]))
        if kind == "PyTorchJob":
            body["spec"]["runPolicy"] = {"suspend": True}
        else:
            body["spec"]["suspend"] = True
        await actor.api("POST", path, body)
        changes = {} if kind == "RayJob" else {"memory": "3Gi", "env": {"A": "b"}}
        new = await retry(actor, "a", kind, **changes)
        spec = new["spec"]
        text = json.dumps(spec)
        assert ('"memory": "3Gi"' in text) == bool(changes)
        assert not spec.get("suspend") and not spec.get("runPolicy", {}).get("suspend")
        if kind == "TrainJob":
            assert spec["runtimeRef"]["name"] == "torch"
            assert spec["trainer"]["resourcesPerNode"]["limits"] == {"memory": "3Gi"}


async def test_what_was_odd_in_the_old_job_is_the_same_in_the_new(actor: Actor) -> None:
    """Sanitised is what is shown; what is sent again is what was there."""
    odd = "\ufeff#!/bin/sh\r\nprintf '\x1b[31m'\u200d\n" + "x" * 70_000
    await actor.make("odd", env=[{"name": "SCRIPT", "value": odd}])
    new = await retry(actor, "odd")
    assert new["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == odd
