"""Every call that the MLflow client offers, read or write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp_tui.domain.history import History
from mcp_tui.domain.run import Metric
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.sources.mlflow import MlflowClient


@dataclass(frozen=True)
class Subject:
    """What is there on a server to be asked about: ids, a model with version 1, a folder here."""

    experiment: str
    run: str
    logged_model: str
    model: str
    folder: Path


@dataclass(frozen=True)
class MlflowCall:
    """One method of the client.

    Attributes:
        name: The method's, and what is special about this use of it.
        ask: How it is called.
        write: The write that it sends, as a regular expression for its path; empty for a read.
        asks_itself: It looks by itself for what a lost answer, or a call before, has left.
        answers: HTTP statuses that mean something to it, and are no errors.
    """

    name: str
    ask: Callable[[MlflowClient, Subject], Awaitable[Any]]
    write: str = ""
    asks_itself: bool = False
    answers: frozenset[int] = frozenset()

    @property
    def method(self) -> str:
        """The client's method."""
        return self.name.partition(" ")[0]


def _edit(kind: EditKind, key: str = "", value: str = "") -> Callable[..., Awaitable[None]]:
    return lambda c, s: c.edit_run(RunEdit(kind=kind, run_id=s.run, key=key, value=value))


async def _untagged(c: MlflowClient, s: Subject) -> None:
    await c.set_tag(s.run, "a", "b")  # what is not there is deleted already
    await c.edit_run(RunEdit(kind=EditKind.DELETE_TAG, run_id=s.run, key="a"))


def _seen(s: Subject) -> History:
    steps = tuple(range(0, 100, 10))
    ones = (1.0,) * 10
    return History(run_id=s.run, key="m", steps=steps, times=ones, values=ones, sampled=True)


MLFLOW_CALLS: Final[tuple[MlflowCall, ...]] = (
    MlflowCall("version", lambda c, s: c.version()),
    # Experiments
    MlflowCall("get_experiment", lambda c, s: c.get_experiment(s.experiment)),
    MlflowCall("get_experiment_by_name", lambda c, s: c.get_experiment_by_name("none")),
    MlflowCall("search_experiments", lambda c, s: c.search_experiments(max_results=1)),
    MlflowCall(
        "create_experiment",
        lambda c, s: c.create_experiment(f"{s.model} never"),
        "experiments/create",
    ),
    MlflowCall(
        "ensure_experiment",
        lambda c, s: c.ensure_experiment(f"{s.model} ensured"),
        "experiments/create",
        asks_itself=True,
    ),
    # Runs
    MlflowCall("get_run", lambda c, s: c.get_run(s.run)),
    MlflowCall("current_user", lambda c, s: c.current_user(), answers=frozenset({404})),
    MlflowCall("search_runs", lambda c, s: c.search_runs([s.experiment])),
    MlflowCall("runs_in_order", lambda c, s: c.runs_in_order([s.experiment]).next_page()),
    MlflowCall("started_since", lambda c, s: c.started_since([s.experiment], 1)),
    MlflowCall("children", lambda c, s: c.children(s.run, [s.experiment])),
    MlflowCall("newest", lambda c, s: c.newest([s.run], [s.experiment])),
    MlflowCall("runs_by_plan", lambda c, s: c.runs_by_plan("p", [s.experiment])),
    MlflowCall("find_run_by_plan", lambda c, s: c.find_run_by_plan("p", [s.experiment])),
    MlflowCall("is_done", lambda c, s: c.is_done(RunEdit(kind=EditKind.DELETE, run_id=s.run))),
    MlflowCall(
        "create_run",
        lambda c, s: c.create_run(s.experiment, run_name="r", tags={}, start_time_ms=1),
        "runs/create",
    ),
    MlflowCall("update_run", lambda c, s: c.update_run(s.run, status="KILLED"), "runs/update"),
    MlflowCall("set_tag", lambda c, s: c.set_tag(s.run, "a", "b"), "runs/set-tag"),
    MlflowCall("log_batch", lambda c, s: c.log_batch(s.run, tags={"a": "b"}), "runs/log-batch"),
    MlflowCall(
        "log_batch of metrics",
        lambda c, s: c.log_batch(s.run, metrics=[Metric(key="m", value=1, timestamp=1)]),
        "runs/log-batch",
    ),
    MlflowCall("log_inputs", lambda c, s: c.log_inputs(s.run, [{"name": "d"}]), "runs/log-inputs"),
    MlflowCall("edit_run set-tag", _edit(EditKind.SET_TAG, "a", "b"), "runs/set-tag"),
    MlflowCall("edit_run delete-tag", _untagged, "runs/delete-tag"),
    MlflowCall("edit_run rename", _edit(EditKind.RENAME, value="x"), "runs/update"),
    MlflowCall("edit_run delete", _edit(EditKind.DELETE), "runs/delete"),
    MlflowCall("edit_run restore", _edit(EditKind.RESTORE), "runs/restore"),
    # Histories
    MlflowCall("history", lambda c, s: c.history([s.run], "m")),
    MlflowCall("histories", lambda c, s: c.histories([s.run], "m")),
    MlflowCall("tail", lambda c, s: c.tail(s.run, "m", 0)),
    MlflowCall("counted", lambda c, s: c.counted(_seen(s))),
    # Artifacts and logged models
    MlflowCall("list_artifacts", lambda c, s: c.list_artifacts(s.run)),
    MlflowCall("list_artifacts of a model", lambda c, s: c.list_artifacts(s.logged_model)),
    MlflowCall("artifact_head", lambda c, s: c.artifact_head(s.run, "a")),
    MlflowCall("artifact_head of a model", lambda c, s: c.artifact_head(s.logged_model, "a")),
    MlflowCall(
        "download_artifact",
        # Its own deadline is for large files.
        lambda c, s: c.download_artifact(s.run, "a", s.folder / "a", silence=1, deadline=1),
    ),
    MlflowCall(
        "search_logged_models",
        lambda c, s: c.search_logged_models([s.experiment], run_id=s.run),
        answers=frozenset({404}),
    ),
    MlflowCall("get_logged_model", lambda c, s: c.get_logged_model(s.logged_model)),
    # The registry
    MlflowCall("search_models", lambda c, s: c.search_models(max_results=1)),
    MlflowCall("get_model", lambda c, s: c.get_model(s.model)),
    MlflowCall("search_versions", lambda c, s: c.search_versions(f"name = '{s.model}'")),
    MlflowCall("all_versions", lambda c, s: c.all_versions(f"name = '{s.model}'")),
    MlflowCall("versions_of", lambda c, s: c.versions_of(s.model)),
    MlflowCall("versions_of_run", lambda c, s: c.versions_of_run(s.run)),
    MlflowCall("versions_of_runs", lambda c, s: c.versions_of_runs([s.run])),
    MlflowCall("versions_by_plan", lambda c, s: c.versions_by_plan(s.model, "p")),
    MlflowCall("get_version", lambda c, s: c.get_version(s.model, "1")),
    MlflowCall("copies_of", lambda c, s: c.copies_of(s.model, "1", s.model)),
    MlflowCall(
        "create_model", lambda c, s: c.create_model(f"{s.model} new"), "registered-models/create"
    ),
    MlflowCall(
        "ensure_model",
        lambda c, s: c.ensure_model(f"{s.model} ensured"),
        "registered-models/create",
        asks_itself=True,
    ),
    MlflowCall(
        "create_version",
        lambda c, s: c.create_version(s.model, f"runs:/{s.run}/m", plan_id="p", run_id=s.run),
        "model-versions/create",
        asks_itself=True,
    ),
    MlflowCall(
        "copy_version",
        lambda c, s: c.copy_version(s.model, "1", s.model, plan_id="p"),
        "model-versions/create",
        asks_itself=True,
    ),
    MlflowCall("set_alias", lambda c, s: c.set_alias(s.model, "a", "1"), "registered-models/alias"),
    MlflowCall(
        "delete_alias", lambda c, s: c.delete_alias(s.model, "a"), "registered-models/alias"
    ),
    MlflowCall(
        "set_version_tag",
        lambda c, s: c.set_version_tag(s.model, "1", "a", "b"),
        "model-versions/set-tag",
    ),
    MlflowCall(
        "delete_version_tag",
        lambda c, s: c.delete_version_tag(s.model, "1", "a"),
        "model-versions/delete-tag",
    ),
)
