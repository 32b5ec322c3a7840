"""From a run to its job, its versions and what serves them; and where run and job disagree."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mcp_tui.domain import keys
from mcp_tui.domain.decode import decode
from mcp_tui.domain.job import run_id_of
from mcp_tui.domain.kinds import AnyJob, _pods
from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_custom import JobSet, PyTorchJob, RayJob, TrainJob
from mcp_tui.domain.lineage import disagreement, is_dead
from mcp_tui.domain.model import ModelVersion
from mcp_tui.domain.run import ModelLink, Pair, Run, RunData, RunInfo, RunOutputs
from mcp_tui.sources.kubernetes.reflector import Delta
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.lineage import job_of, lineage, run_of, versions_of
from tests.unit.test_serving import LOGGED, OTHER, RUN, server, store

NOW = 1_800_000_000.0
COMMIT = "c0ffee" * 6 + "c0ff"


def stamp(ago: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(status: str = "RUNNING", *, name: str = "train", ago: float = 3600, **tags: str) -> Run:
    info = RunInfo(run_id=RUN, run_name=name, status=status, start_time=int((NOW - ago) * 1000))
    pairs = tuple(Pair(key=key, value=value) for key, value in tags.items())
    return Run(info=info, data=RunData(tags=pairs))


def tags(uid: str = "uid-train", context: str = "dev") -> dict[str, str]:
    return {
        keys.TAG_CLUSTER: context,
        keys.TAG_NAMESPACE: "ml",
        keys.TAG_KIND: "Job",
        keys.TAG_NAME: "train",
        keys.TAG_UID: uid,
    }


def job(
    name: str = "train",
    *,
    run_id: str = "",
    commit: str = "",
    ended: str = "",
    ago: float = 3600,
    uid: str = "",
) -> Job:
    labels = {keys.RUN_ID: run_id, keys.COMMIT: commit}
    conditions = []
    if ended:
        conditions = [
            {
                "type": ended,
                "status": "True",
                "reason": "BackoffLimitExceeded",
                "lastTransitionTime": stamp(60),
            }
        ]
    whole: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": "ml",
            "uid": uid or f"uid-{name}",
            "creationTimestamp": stamp(ago),
            "labels": {k: v for k, v in labels.items() if v},
        },
        "status": {"conditions": conditions, "active": 0 if ended else 1, "ready": 1},
    }
    if ended:
        whole["status"]["completionTime"] = stamp(60)
    return decode(Job, json.dumps(whole).encode())


def jobs(*objects: AnyJob, context: str = "dev") -> JobStore:
    made = JobStore(context)
    made.apply(Delta(objects))
    made.flush(NOW)
    return made


def everywhere(_context: str, _namespace: str) -> bool:
    return True


def test_a_jobs_label_names_its_run() -> None:
    link = job_of(run(), {"prod": jobs(), "dev": jobs(job(run_id=RUN))})
    assert link is not None and link.view is not None and not link.guess
    assert link.words() == "Job/train in ml at dev: running; by the job's label"


TEMPLATE: dict[str, Any] = {
    "spec": {
        "containers": [
            {"name": "sidecar", "env": [{"name": "HOME", "value": "/"}]},
            {
                "name": "train",
                "env": [
                    {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow"},
                    {"name": "MLFLOW_RUN_ID", "value": RUN},
                ],
            },
        ]
    }
}


@pytest.mark.parametrize(
    ("type_", "spec"),
    [
        (Job, {"template": TEMPLATE}),
        (TrainJob, {"trainer": {"env": TEMPLATE["spec"]["containers"][1]["env"]}}),
        (PyTorchJob, {"pytorchReplicaSpecs": {"Worker": {"template": TEMPLATE}}}),
        (JobSet, {"replicatedJobs": [{"name": "w", "template": {"spec": {"template": TEMPLATE}}}]}),
        (RayJob, {"rayClusterSpec": {"workerGroupSpecs": [{"template": TEMPLATE}]}}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_environment_of_a_job_that_others_made_names_its_run(
    type_: type[AnyJob], spec: dict[str, Any]
) -> None:
    meta = {"name": "train", "namespace": "ml", "uid": "u", "creationTimestamp": stamp(60)}
    whole: AnyJob = decode(type_, json.dumps({"metadata": meta, "spec": spec}).encode())
    assert RUN in repr(whole) and "http://mlflow" not in repr(whole), "nothing else of it is kept"
    kept = [bytes(each.env) for pod in _pods(whole) for each in pod.containers]
    assert not any(kept), "it would keep the whole page of a list alive"
    link = job_of(run(), {"dev": jobs(whole)})
    assert link is not None and link.view is not None and not link.guess
    assert link.how == "the job's environment" and link.view.run_id == RUN


@pytest.mark.parametrize("value", ["", "$(RUN)", "{{run}}", "a b", "x" * 65, "\x1b[2J"])
def test_a_variable_that_is_no_id_names_no_run(value: str) -> None:
    env = [{"name": "MLFLOW_RUN_ID", "value": value}]
    spec = {"template": {"spec": {"containers": [{"name": "c", "env": env}]}}}
    made = decode(Job, json.dumps({"metadata": {"name": "a", "uid": "u"}, "spec": spec}).encode())
    assert run_id_of(made) == ""


def test_a_runs_tags_name_its_job_by_uid_whatever_the_context_is_called() -> None:
    told = run(**tags(context="what a colleague calls it"))
    link = job_of(told, {"dev": jobs(job())})
    assert link is not None and link.view is not None and link.key.context == "dev"
    assert link.how == "the run's tags" and not link.guess
    # One of the same name that came later is another job.
    link = job_of(run(**tags()), {"dev": jobs(job(uid="later"))}, covers=everywhere)
    assert link is not None and link.view is None and link.gone
    assert link.words() == "Job/train in ml at dev: gone; by the run's tags"


def test_a_job_that_was_not_looked_for_is_not_called_gone() -> None:
    link = job_of(run(**tags()), {"dev": jobs()})
    assert link is not None and not link.gone
    link = job_of(run(**tags(context="other")), {"dev": jobs()}, covers=everywhere)
    assert link is not None and not link.gone


def test_without_tags_commit_and_name_are_a_guess() -> None:
    told = run(**{keys.TAG_COMMIT: COMMIT})
    link = job_of(told, {"dev": jobs(job("train-x7k2p", commit=COMMIT))})
    assert link is not None and link.guess
    assert link.words() == "Job/train-x7k2p in ml at dev: running; a guess, by its commit and name"
    short = run(**{keys.TAG_COMMIT: COMMIT[:8]})
    assert job_of(short, {"dev": jobs(job(commit=COMMIT))}) is not None


@pytest.mark.parametrize(
    "other",
    [
        job(commit="b" * 40),
        job("other", commit=COMMIT),
        job(commit=COMMIT, run_id=OTHER),
        job(commit=COMMIT, ago=-3600),
        job(),
    ],
    ids=["commit", "name", "another run", "later", "no commit"],
)
def test_what_does_not_fit_is_no_guess(other: Job) -> None:
    told = run(**{keys.TAG_COMMIT: COMMIT}, ago=3600)
    assert job_of(told, {"dev": jobs(other)}) is None


def test_a_job_that_had_ended_is_no_guess() -> None:
    told = run(**{keys.TAG_COMMIT: COMMIT}, ago=-7_200)
    assert job_of(told, {"dev": jobs(job(commit=COMMIT, ended="Complete"))}) is None


def test_of_several_tries_it_is_the_one_made_last_before() -> None:
    told = run(**{keys.TAG_COMMIT: COMMIT}, ago=1_000)
    tries = (
        job("train-1", commit=COMMIT, ago=9_000),
        job("train-2", commit=COMMIT, ago=1_100),
        job("train-3", commit=COMMIT, ago=100),
    )
    link = job_of(told, {"dev": jobs(*tries)})
    assert link is not None and link.key.name == "train-2"


def test_a_run_that_says_running_though_its_job_died_is_told_with_the_cause() -> None:
    told = run()
    link = job_of(told, {"dev": jobs(job(run_id=RUN, ended="Failed"))})
    note = disagreement(told, link, now=NOW)
    assert note == "says RUNNING, but its job failed 1m ago: BackoffLimitExceeded (pods gone)"
    assert is_dead(told, link)
    assert not is_dead(run("FAILED"), link) and disagreement(run("FAILED"), link, now=NOW) == ""
    assert disagreement(run("FINISHED"), link, now=NOW).startswith("says FINISHED, but its job fai")


def test_a_job_that_is_gone_leaves_the_cause_that_was_kept() -> None:
    told = run(**tags(), **{keys.TAG_CAUSE: '{"reason": "OOMKilled", "pod": "train-0"}'})
    link = job_of(told, {"dev": jobs()}, covers=everywhere)
    note = disagreement(told, link, now=NOW)
    assert note.startswith("says RUNNING, but its job is gone: OOMKilled")
    assert is_dead(told, link)
    unknown = job_of(told, {"dev": jobs()})
    assert disagreement(told, unknown, now=NOW) == "" and not is_dead(told, unknown)


def test_other_contradictions() -> None:
    done = job_of(run(), {"dev": jobs(job(run_id=RUN, ended="Complete"))})
    assert disagreement(run(), done, now=NOW) == "says RUNNING, but its job succeeded 1m ago"
    assert disagreement(run("FINISHED"), done, now=NOW) == ""
    lives = job_of(run(), {"dev": jobs(job(run_id=RUN))})
    assert disagreement(run("KILLED"), lives, now=NOW) == "says KILLED, but its job is running"
    assert disagreement(run(), lives, now=NOW) == "" and not is_dead(run(), lives)
    assert disagreement(run(), None, now=NOW) == ""


def test_a_guess_is_never_called_dead() -> None:
    told = run(**{keys.TAG_COMMIT: COMMIT})
    link = job_of(told, {"dev": jobs(job(commit=COMMIT, ended="Failed"))})
    assert not is_dead(told, link)
    assert disagreement(told, link, now=NOW).endswith(", if that is its job")


def test_the_versions_of_a_run() -> None:
    outputs = RunOutputs(model_outputs=(ModelLink(model_id=LOGGED),))
    told = msgspec.structs.replace(run(), outputs=outputs)
    named = ModelVersion(name="a", version="1", run_id=RUN)
    placed = ModelVersion(name="a", version="2", source=f"s3://b/0/{RUN}/artifacts/m")
    logged = ModelVersion(name="a", version="3", source=f"models:/{LOGGED}")
    other = ModelVersion(name="a", version="4", run_id=OTHER, source=f"s3://b/{OTHER}/x")
    none = ModelVersion(name="a", version="5", source="s3://b/x")
    found = versions_of(told, (named, placed, logged, other, none))
    assert [version.version for version, _ in found] == ["1", "2", "3"]
    assert [run_of(v) for v in (named, placed, other, none)] == [RUN, RUN, OTHER, ""]


def test_the_whole_way() -> None:
    told = run("FINISHED")
    made = ModelVersion(name="ranker", version="7", run_id=RUN)
    servings = store(
        server(name="live", args=("models:/ranker@champion",)),
        server(name="direct", args=(f"runs:/{RUN}/model",)),
        server(name="old", args=("models:/ranker/6",)),
    )
    whole = lineage(
        told,
        now=NOW,
        jobs={"dev": jobs(job(run_id=RUN, ended="Complete"))},
        versions=(made, ModelVersion(name="ranker", version="6", run_id=OTHER)),
        aliases={"ranker": {"champion": "7"}},
        newest={"ranker": 8},
        servings=servings,
        context="dev",
    )
    assert whole.job is not None and whole.note == "" and not whole.dead
    [link] = whole.versions
    assert link.aliases == ("champion",)
    assert [each.serving.name for each in link.served] == ["direct", "live"]
    assert whole.served == ()
    alone = lineage(told, now=NOW, servings=servings)
    assert [each.serving.name for each in alone.served] == ["direct"] and alone.job is None
