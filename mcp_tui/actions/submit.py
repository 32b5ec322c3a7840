"""The plan of a submission: a run, the job that carries its id, and the link back. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcp_tui.actions.jobs import Scope, confirmation, new_plan_id
from mcp_tui.actions.kinds import kind_of
from mcp_tui.actions.runs import (
    DATA_CONTEXT,
    MLFLOW,
    create_run,
    data_input,
    delete_job,
    fail_run,
    kill_run,
    log_inputs,
    log_total_steps,
    tag_run,
)
from mcp_tui.actions.template import placeholder, words
from mcp_tui.domain import keys
from mcp_tui.domain.manifest import (
    GIT_IMAGE,
    Submission,
    build_manifest,
    build_service,
    job_name,
    warnings,
)
from mcp_tui.domain.plan import Plan, Target, Verb, Write
from mcp_tui.domain.text import clean, clean_line
from mcp_tui.domain.trainconfig import TrainConfig


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The code as resolved: exactly one commit.

    Attributes:
        url: Without credentials.
        ref: The branch, tag or commit as asked for.
        commit: Full commit id.
        note: What the user should know of how it was resolved; empty for nothing.
    """

    url: str
    ref: str
    commit: str
    note: str = ""


class Tracking(msgspec.Struct, frozen=True, kw_only=True):
    """Where the run goes.

    Attributes:
        experiment: Name of the experiment.
        experiment_id: Its id; empty when it is yet to be made.
        uri: MLflow's URL as the pods see it.
    """

    experiment: str
    experiment_id: str
    uri: str


def plan_submit(
    scope: Scope,
    config: TrainConfig,
    code: Code,
    *,
    namespace: str,
    user: str,
    now: float,
    tracking: Tracking | None,
    name: str = "",
    git_image: str = "",
    parent: str = "",
) -> Plan:
    """Plan a submission.

    Args:
        namespace: Where the job goes.
        user: Who submits, for the record.
        now: Unix time in seconds.
        tracking: None goes on without a run.
        name: Instead of one made from the config and the plan's id.
        git_image: Image of the cloning init container; empty for the default.

    Raises:
        UsageError: The manifest cannot be built: a bad name, or annotations that are too large.
    """
    plan_id = new_plan_id()
    # Ids that do not exist yet: the manifest is built with a stand-in that passes for one, and the
    # stand-in becomes the placeholder that a user sees and that applying fills in.
    run_token = secrets.token_hex(16)
    experiment_token = secrets.token_hex(16)
    submission = Submission(
        namespace=namespace,
        name=name or job_name(config, plan_id),
        commit=code.commit,
        branch=code.ref,
        git_url=code.url,
        plan_id=plan_id,
        run_id=run_token if tracking else None,
        experiment_id=(tracking.experiment_id or experiment_token) if tracking else None,
        experiment=tracking.experiment if tracking else None,
        tracking_uri=tracking.uri if tracking else None,
        submitted_by=user,
        parent=parent,
        git_image=git_image or GIT_IMAGE,
    )
    standins = {
        run_token: placeholder("run_id"),
        experiment_token: placeholder("experiment_id"),
    }
    manifest = _swap(build_manifest(config, submission), standins)
    kind = kind_of(manifest["kind"])
    target = Target(
        context=scope.context, kind=kind.kind, namespace=namespace, name=submission.name
    )
    writes: list[Write] = []
    compensate: list[Write] = []
    interrupted: list[Write] = []
    service = build_service(config, submission, uid=placeholder("uid"))
    if service is not None:
        compensate.append(delete_job(target, kind.path(namespace, submission.name)))
    if tracking:
        writes += _run_writes(config, code, tracking, submission, plan_id, user, now)
        compensate.append(fail_run(now))
        interrupted.append(kill_run(now))
    writes.append(
        Write(
            system="kubernetes",
            method="POST",
            path=kind.path(namespace),
            body=manifest,
            summary=f"create {kind.plural}/{submission.name} in {clean_line(namespace)}",
            diff=tuple(f"+ {line}" for line in as_yaml(manifest)),
            yields=(("uid", "metadata.uid"),),
        )
    )
    if service is not None:
        writes.append(
            Write(
                system="kubernetes",
                method="POST",
                path=f"/api/v1/namespaces/{namespace}/services",
                body=service,
                summary=f"create services/{submission.name}, under which its nodes find each other",
                diff=tuple(f"+ {line}" for line in as_yaml(service)),
            )
        )
    if tracking:
        writes.append(tag_run(target))
    ref = f"{code.ref} is " if code.ref and code.ref != code.commit else ""
    notes = [f"code {clean_line(code.url)}: {clean_line(ref)}commit {code.commit}"]
    if code.note:
        notes.append(code.note)
    notes += warnings(config, code.url)
    if tracking is None:
        notes.append("no MLflow run is made: metrics and the cause of a failure are not kept")
    return Plan(
        id=plan_id,
        verb=Verb.SUBMIT,
        context=scope.context,
        tier=scope.tier,
        targets=(target,),
        writes=tuple(writes),
        compensate=tuple(compensate),
        interrupted=tuple(interrupted),
        confirmation=confirmation(Verb.SUBMIT, scope.tier),
        until="the cluster takes it up",
        back="x cancels it",
        notes=tuple(notes),
    )


def _run_writes(
    config: TrainConfig,
    code: Code,
    tracking: Tracking,
    submission: Submission,
    plan_id: str,
    user: str,
    now: float,
) -> list[Write]:
    writes: list[Write] = []
    experiment_id = tracking.experiment_id
    if not experiment_id:
        experiment_id = placeholder("experiment_id")
        writes.append(
            Write(
                system="mlflow",
                method="POST",
                path=f"{MLFLOW}/experiments/create",
                body={"name": tracking.experiment},
                summary=f"create experiment {clean_line(tracking.experiment)}",
                diff=(f"+ experiment {clean_line(tracking.experiment)}",),
                yields=(("experiment_id", "experiment_id"),),
            )
        )
    tags: dict[str, str] = {
        keys.TAG_COMMIT: code.commit,
        keys.TAG_BRANCH: code.ref,
        keys.TAG_REPO: code.url,
        # The program logs its own parameters, and MLflow refuses one that is logged again with
        # another text (1e-3 and 0.001): as tags they are on record and cannot break a run.
        **{f"{keys.TAG_PARAM}{k}": v for k, v in config.parameters.items()},
    }
    writes.append(
        create_run(
            experiment_id, name=submission.name, plan_id=plan_id, user=user, now=now, tags=tags
        )
    )
    if config.steps is not None:
        writes.append(log_total_steps(str(config.steps)))
    if config.data:
        writes.append(_data_write(config))
    return writes


def _data_write(config: TrainConfig) -> Write:
    """The data sets as inputs of the run: what MLflow shows as its data version."""
    return log_inputs(
        [
            data_input(d.name, d.digest or "unknown", "uri", d.source, {DATA_CONTEXT: "training"})
            for d in config.data
        ]
    )


def _swap(value: Any, standins: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for token, name in standins.items():
            value = value.replace(token, name)
        return value
    if isinstance(value, Mapping):
        return {k: _swap(v, standins) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_swap(v, standins) for v in value]
    return value


def as_yaml(value: Mapping[str, Any]) -> Sequence[str]:
    """Plain data as lines of YAML, safe to show."""
    import yaml

    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
    return clean(words(text), limit=1_000_000).rstrip("\n").splitlines()
