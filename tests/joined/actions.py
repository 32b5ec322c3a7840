"""Every action that writes: how it is planned, on what, and what it may write.

Fault schedules, kills, read-only proofs and fuzz tests go through :data:`ACTIONS`. A new action
stands here too; ``tests/unit/test_joined_actions.py`` finds the ones that do not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp_tui.actions import keep
from mcp_tui.actions.approving import plan_approve
from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Seen, plan_cancel, plan_delete, plan_hold
from mcp_tui.actions.models import Wanted, plan_promote, plan_rollback
from mcp_tui.actions.promoting import wanted_copy
from mcp_tui.actions.retry import Changes
from mcp_tui.actions.runedits import plan_run_edit
from mcp_tui.actions.shell import plan_forward, plan_shell
from mcp_tui.actions.submit import Code, plan_submit
from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.domain.trainconfig import parse_train_config

CODE: Final = Code(url="https://git.example.org/x.git", ref="main", commit="a" * 40)
CONFIG: Final = """
name: train
image: none
code: {url: "https://git.example.org/x.git"}
command: python train.py
total_steps: 7
data: [{name: reviews, source: "s3://a/b"}]
node_selector: {type: kwok}
tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]
"""

Planner = Callable[[Engine, Sequence[Seen], float], Awaitable[Plan]]

RUNS: Final = tuple(f"{number:032x}" for number in (1, 2, 3))
"""Runs that actions on runs are about; each has the tags ``stage=dev`` and ``old=x``."""

# What may be written, as ``system METHOD path``; a regular expression that must match all of it.
_RUN: Final = (
    "mlflow POST /api/2.0/mlflow/runs/create",
    "mlflow POST /api/2.0/mlflow/runs/log-batch",
    "mlflow POST /api/2.0/mlflow/runs/log-inputs",
    # Ended, where its job was not made.
    "mlflow POST /api/2.0/mlflow/runs/update",
)
_EVENT: Final = "kube POST /api/v1/namespaces/[^/]+/events"
_NEW_JOB: Final = "kube POST /apis/batch/v1/namespaces/[^/]+/jobs"
_THE_JOB: Final = "/apis/batch/v1/namespaces/[^/]+/jobs/[^/]+"
# A service, and the job taken away again where the Service could not be made.
_NODES: Final = ("kube POST /api/v1/namespaces/[^/]+/services", f"kube DELETE {_THE_JOB}")


@dataclass(frozen=True)
class Action:
    """One action, in one of its forms.

    Attributes:
        name: Of this form.
        verb: As in the journal; None for what the console does by itself, without a plan.
        through: The product's functions that make its plan or do it.
        on: What has to be there: ``""`` nothing, else ``running``, ``suspended``, ``finished``,
            ``queued`` (through Kueue), ``nodes`` (several nodes and their Service), ``model`` (a
            model ``ranker`` of three versions, the first its champion), ``promoted`` (whose second
            is, by the record), ``first`` (whose first is, by the record, and none was before),
            ``to approve`` (one of one version, which somebody else made),
            ``runs`` (:data:`RUNS`) or ``bin`` (the same, deleted).
        plan: How to plan it on what was seen; None for what is not applied by the engine.
        writes: What it may write.
        jobs: How many jobs it is about.
        command: The words after ``mcp-tui job``; ``NAME`` and ``FILE`` stand for a job's name and
            a train config. Empty for what no command does.
        group: Another word than ``job``.
    """

    name: str
    verb: Verb | None
    through: tuple[Callable[..., Any], ...]
    on: str
    plan: Planner | None
    writes: tuple[str, ...]
    jobs: int = 1
    command: tuple[str, ...] = ()
    group: str = "job"


async def _submit(engine: Engine, now: float, *, nodes: int = 1, experiment: str = "e") -> Plan:
    tracking = await engine.tracking(experiment, "http://mlflow") if experiment else None
    return plan_submit(
        engine.scope,
        parse_train_config(f"{CONFIG}nodes: {nodes}\n"),
        CODE,
        namespace="ml",
        user=await engine.user(),
        now=now,
        tracking=tracking,
    )


async def _submit_one(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await _submit(engine, now)


async def _submit_new(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await _submit(engine, now, nodes=2, experiment="new")


async def _submit_alone(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await _submit(engine, now, experiment="")


async def _cancel(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return plan_cancel(engine.scope, seen, now=now)


async def _delete(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return plan_delete(engine.scope, seen)


async def _suspend(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return plan_hold(engine.scope, seen, suspend=True)


async def _resume(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return plan_hold(engine.scope, seen, suspend=False)


async def _retry(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await engine.plan_retry(seen[0], Changes(memory="2Gi"), now=now)


async def _promote(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await engine.plan_promotion("ranker", Wanted(version="2"), now=now, why="better")


async def _copy(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    wanted = await wanted_copy(engine, "ranker", "2")
    return await engine.plan_promotion("ranker-prod", wanted, now=now)


async def _roll_back(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await engine.plan_taking_back("ranker", now=now)


def _edit(runs: int, *edits: RunEdit) -> Planner:
    async def planned(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
        return await engine.plan_run_edit(RUNS[:runs], edits)

    return planned


_EDITING: Final = (plan_run_edit, Engine.plan_run_edit)


async def _approve(engine: Engine, seen: Sequence[Seen], now: float) -> Plan:
    return await engine.plan_approval("ranker", "1", "sre", "looks good", now=now)


_APPROVING: Final = (plan_approve, Engine.plan_approval)
_SUBMITTING: Final = (plan_submit, Engine.plan_submission)
_PROMOTING: Final = (plan_promote, Engine.plan_promotion)
_TAKING_BACK: Final = (plan_rollback, Engine.plan_taking_back)
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
_LEASE: Final = (f"kube POST {_LEASES}", f"kube PUT {_LEASES}/mcp-tui-model-[0-9a-f]+")
_ALIAS: Final = (
    "mlflow POST /api/2.0/mlflow/model-versions/set-tag",
    "mlflow POST /api/2.0/mlflow/registered-models/alias",
)
_RETRYING: Final = (Engine.plan_retry,)
_KILLED: Final = "mlflow POST /api/2.0/mlflow/runs/update"
_CREATED: Final = "mlflow POST /api/2.0/mlflow/experiments/create"

ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        "submit",
        Verb.SUBMIT,
        _SUBMITTING,
        "",
        _submit_one,
        (*_RUN, _NEW_JOB, _EVENT),
        command=("submit", "--config", "FILE"),
    ),
    Action(
        "submit to a new experiment, on two nodes",
        Verb.SUBMIT,
        _SUBMITTING,
        "",
        _submit_new,
        (_CREATED, *_RUN, _NEW_JOB, *_NODES, _EVENT),
    ),
    Action(
        "submit without a run",
        Verb.SUBMIT,
        _SUBMITTING,
        "",
        _submit_alone,
        (_NEW_JOB, _EVENT),
        command=("submit", "--config", "FILE", "--no-run"),
    ),
    Action(
        "cancel",
        Verb.CANCEL,
        (plan_cancel,),
        "running",
        _cancel,
        (f"kube DELETE {_THE_JOB}", _KILLED, _EVENT),
        command=("cancel", "NAME", "--confirm", "NAME"),
    ),
    Action(
        "cancel several",
        Verb.CANCEL,
        (plan_cancel,),
        "running",
        _cancel,
        (f"kube DELETE {_THE_JOB}", _KILLED, _EVENT),
        jobs=3,
    ),
    Action(
        "retry",
        Verb.RETRY,
        _RETRYING,
        "running",
        _retry,
        (*_RUN, _NEW_JOB, _EVENT),
        command=("retry", "NAME"),
    ),
    Action(
        "retry on several nodes",
        Verb.RETRY,
        _RETRYING,
        "nodes",
        _retry,
        (*_RUN, _NEW_JOB, *_NODES, _EVENT),
    ),
    Action(
        "suspend",
        Verb.SUSPEND,
        (plan_hold,),
        "running",
        _suspend,
        (f"kube PATCH {_THE_JOB}", _EVENT),
        command=("suspend", "NAME"),
    ),
    Action(
        "suspend through Kueue",
        Verb.SUSPEND,
        (plan_hold,),
        "queued",
        _suspend,
        ("kube PATCH /apis/kueue.x-k8s.io/[^/]+/namespaces/[^/]+/workloads/[^/]+", _EVENT),
    ),
    Action(
        "resume",
        Verb.RESUME,
        (plan_hold,),
        "suspended",
        _resume,
        (f"kube PATCH {_THE_JOB}", _EVENT),
        command=("resume", "NAME"),
    ),
    Action(
        "delete",
        Verb.DELETE,
        (plan_delete,),
        "finished",
        _delete,
        (f"kube DELETE {_THE_JOB}", _EVENT),
        jobs=2,
        command=("delete", "NAME", "--confirm", "NAME"),
    ),
    Action(
        "shell", Verb.SHELL, (plan_shell,), "running", None, (_EVENT,), command=("shell", "NAME")
    ),
    Action(
        "forward",
        Verb.FORWARD,
        (plan_forward,),
        "running",
        None,
        (_EVENT,),
        command=("forward", "NAME", "80"),
    ),
    Action(
        "promote",
        Verb.PROMOTE,
        _PROMOTING,
        "model",
        _promote,
        (*_LEASE, *_ALIAS),
        command=("promote", "NAME/2"),
        group="model",
    ),
    Action(
        "promote a copy, to a new model",
        Verb.PROMOTE,
        _PROMOTING,
        "model",
        _copy,
        (
            *_LEASE,
            "mlflow POST /api/2.0/mlflow/registered-models/create",
            "mlflow POST /api/2.0/mlflow/model-versions/create",
            *_ALIAS,
        ),
    ),
    Action(
        "roll an alias back",
        Verb.ROLLBACK,
        _TAKING_BACK,
        "promoted",
        _roll_back,
        (*_LEASE, *_ALIAS),
        command=("rollback", "NAME", "--confirm", "NAME"),
        group="model",
    ),
    Action(
        "roll an alias back to nothing",
        Verb.ROLLBACK,
        _TAKING_BACK,
        "first",
        _roll_back,
        (
            *_LEASE,
            _ALIAS[0],
            "mlflow DELETE /api/2.0/mlflow/registered-models/alias",
        ),
    ),
    Action(
        "approve",
        Verb.APPROVE,
        _APPROVING,
        "to approve",
        _approve,
        (*_LEASE, _ALIAS[0]),
        command=("approve", "NAME/1", "--level", "sre", "--reason", "looks good"),
        group="",
    ),
    Action(
        "tag runs",
        Verb.TAG,
        _EDITING,
        "runs",
        _edit(
            3,
            RunEdit(kind=EditKind.SET_TAG, key="stage", value="prod"),
            RunEdit(kind=EditKind.DELETE_TAG, key="old"),
        ),
        (
            "mlflow POST /api/2.0/mlflow/runs/set-tag",
            "mlflow POST /api/2.0/mlflow/runs/delete-tag",
        ),
        command=("tag", "NAME", "stage=prod", "old-"),
        group="run",
    ),
    Action(
        "rename a run",
        Verb.RENAME,
        _EDITING,
        "runs",
        _edit(1, RunEdit(kind=EditKind.RENAME, value="better")),
        (_KILLED,),
        command=("rename", "NAME", "better"),
        group="run",
    ),
    Action(
        "delete runs",
        Verb.DELETE,
        _EDITING,
        "runs",
        _edit(2, RunEdit(kind=EditKind.DELETE)),
        ("mlflow POST /api/2.0/mlflow/runs/delete",),
        command=("delete", "NAME", "--confirm", "NAME"),
        group="run",
    ),
    Action(
        "restore runs",
        Verb.RESTORE,
        _EDITING,
        "bin",
        _edit(2, RunEdit(kind=EditKind.RESTORE)),
        ("mlflow POST /api/2.0/mlflow/runs/restore",),
        command=("restore", "NAME"),
        group="run",
    ),
    Action(
        "keep a cause",
        None,
        (keep.keep_cause,),
        "finished",
        None,
        ("mlflow POST /api/2.0/mlflow/runs/set-tag",),
    ),
    Action(
        "end the run of a job that failed",
        None,
        (keep.end_run,),
        "finished",
        None,
        (_KILLED,),
    ),
)

APART: Final = frozenset(("shell", "forward", "keep a cause", "end the run of a job that failed"))
"""What the engine does not apply, so that no schedule of faults goes through it: each has tests of
its own (``tests/contract/test_actions_shell.py``, ``tests/contract/test_actions_keep.py``)."""
