"""What all kinds of training job have in common, read from each kind's own fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache, singledispatch
from typing import Final

import msgspec

from mcp_tui.domain import quantity
from mcp_tui.domain.jobsetorder import due_jobs, lacking_jobs
from mcp_tui.domain.kube import (
    Condition,
    Container,
    Job,
    ObjectMeta,
    PodSpec,
    TemplateSpec,
    condition,
    epoch,
)
from mcp_tui.domain.kube_custom import (
    JobSet,
    PyTorchJob,
    RayJob,
    ReplicaCount,
    ReplicatedJob,
    TrainJob,
)
from mcp_tui.domain.podrequests import container_requests, pod_requests, requests_of, times

_INDEXES: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

AnyJob = Job | TrainJob | PyTorchJob | JobSet | RayJob
KINDS: tuple[type[AnyJob], ...] = (Job, TrainJob, PyTorchJob, JobSet, RayJob)
TYPES: Mapping[str, type[AnyJob]] = {type_.__name__: type_ for type_ in KINDS}


class Outline(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job of any kind in the same words.

    ``active``, ``ready``, ``succeeded`` and ``failed`` count pods, except for a TrainJob and a
    JobSet, whose statuses count child Jobs (``counts_jobs``). Times are epoch seconds.
    """

    kind: str
    metadata: ObjectMeta
    suspended: bool = False
    suspended_since: float | None = None
    failure: Condition | None = None
    failing: bool = False
    """The failure is decided, its pods still being ended."""
    done: bool = False
    ending: bool = False
    """Its pods have done their work; only its own end is not written yet."""
    started: float | None = None
    finished: float | None = None
    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    parallelism: int = 1
    completions: int | None = None
    wanted: int = 0
    """Pods that its controller wants now; more than ``active`` while it cannot make them."""
    counts_jobs: bool = False
    jobs: int = 0
    """Child Jobs that there will be before it is done, where that is known."""
    lacking: int = 0
    """Child Jobs that should be there by now, and its controller does not count."""
    due_jobs: int = 0
    due_pods: int = 0
    """Child Jobs whose turn it is or was, and the pods that those run at once."""
    counts_running: bool = False
    """``ready`` counts every pod of phase Running, and so those whose containers crash."""
    indexed: bool = False
    failed_indexes: str = ""
    image: str = ""
    requested: Mapping[str, Decimal] = msgspec.field(default_factory=dict)
    restarts: int = 0
    message: str = ""
    """What the kind itself says of a job that goes on, such as a JobSet's restart."""
    percent: float | None = None
    remaining: float | None = None


@singledispatch
def outline(job: AnyJob) -> Outline:
    """Read a job of any of :data:`KINDS`.

    Raises:
        TypeError: Another type.
    """
    raise TypeError(f"not a job: {type(job).__name__}")


@outline.register
def _job(job: Job) -> Outline:
    status, spec = job.status, job.spec
    # Of 10,000 jobs every look at the conditions counts: once for all of them.
    holds = {item.type: item for item in reversed(status.conditions) if item.is_true}
    failed, failing = holds.get("Failed"), holds.get("FailureTarget")
    complete, suspended = holds.get("Complete"), holds.get("Suspended")
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    uncounted = status.uncounted_terminated_pods
    succeeded = status.succeeded + len(uncounted.succeeded)
    wanted = 1 if spec.completions is None else spec.completions
    enough = succeeded >= wanted > 0 and not status.active
    over = complete or failed or failing or spec.suspend
    pod = spec.template.spec
    return Outline(
        kind="Job",
        metadata=job.metadata,
        suspended=spec.suspend,
        suspended_since=_since(suspended) if spec.suspend else None,
        failure=None if complete else failed or failing,
        failing=failed is None and failing is not None and complete is None,
        done=complete is not None,
        ending=enough or "SuccessCriteriaMet" in holds,
        started=epoch(status.start_time),
        finished=epoch(status.completion_time) or _since(complete or failed),
        active=status.active,
        ready=status.ready,
        wanted=0 if over else _wanted(job, parallelism, succeeded),
        succeeded=status.succeeded,
        failed=status.failed,
        parallelism=parallelism,
        completions=spec.completions,
        indexed=spec.completion_mode == "Indexed",
        failed_indexes=status.failed_indexes,
        image=_image(pod),
        requested=requests_of(pod, at_once(parallelism, spec.completions)),
    )


def _wanted(job: Job, parallelism: int, succeeded: int) -> int:
    """How many pods a Job's controller wants at work now."""
    completions = job.spec.completions
    if completions is None:
        # Once one has found that there is nothing left to do, no more are made.
        return job.status.active if succeeded else parallelism
    failed = _count(job.status.failed_indexes) if job.status.failed_indexes else 0
    return max(job.status.active, min(parallelism, completions - succeeded - failed))


@lru_cache(maxsize=256)
def _count(indexes: str) -> int:
    """How many are in ``1,3-5``."""
    found = 0
    for first, last in _INDEXES.findall(indexes):
        found += max(0, int(last or first) - int(first)) + 1
    return found


@outline.register
def _train_job(job: TrainJob) -> Outline:
    status, spec = job.status, job.spec
    failed, complete = _true(status.conditions, "Failed"), _true(status.conditions, "Complete")
    nodes = spec.trainer.num_nodes or 1
    reported = status.trainer_status
    total = _total(status.jobs_status)
    return Outline(
        kind="TrainJob",
        metadata=job.metadata,
        suspended=spec.suspend,
        suspended_since=_since(_true(status.conditions, "Suspended")) if spec.suspend else None,
        failure=None if complete else failed,
        done=complete is not None,
        finished=_since(complete or failed),
        active=total.active,
        ready=total.ready,
        succeeded=total.succeeded,
        failed=total.failed,
        counts_jobs=True,
        parallelism=nodes,
        image=spec.trainer.image,
        requested=times(container_requests(spec.trainer.resources_per_node), nodes),
        percent=reported.progress_percentage if reported else None,
        remaining=reported.estimated_remaining_seconds if reported else None,
    )


@outline.register
def _pytorch_job(job: PyTorchJob) -> Outline:
    status, spec = job.status, job.spec
    failed, complete = _true(status.conditions, "Failed"), _true(status.conditions, "Succeeded")
    restarting = _true(status.conditions, "Restarting")
    suspend = spec.run_policy.suspend
    requested: dict[str, Decimal] = {}
    replicas = 0
    for replica in spec.pytorch_replica_specs.values():
        count = 1 if replica.replicas is None else replica.replicas
        replicas += count
        quantity.add(requested, pod_requests(replica.template.spec), count)
    counts = status.replica_statuses.values()
    running = sum(item.active for item in counts)
    ended = sum(item.succeeded + item.failed for item in counts)
    over = complete is not None or failed is not None or suspend
    return Outline(
        kind="PyTorchJob",
        metadata=job.metadata,
        suspended=suspend,
        suspended_since=_since(_true(status.conditions, "Suspended")) if suspend else None,
        failure=None if complete else failed,
        done=complete is not None,
        started=epoch(status.start_time),
        finished=epoch(status.completion_time) or _since(complete or failed),
        # The operator counts a pod as active once it runs, and one that waits not at all.
        active=running if over or not counts else max(running, replicas - ended),
        ready=running,
        counts_running=True,
        succeeded=sum(item.succeeded for item in counts),
        failed=sum(item.failed for item in counts),
        parallelism=replicas,
        image=next((_image(r.template.spec) for r in spec.pytorch_replica_specs.values()), ""),
        requested=requested,
        message=restarting.message if restarting else "",
    )


@outline.register
def _job_set(job: JobSet) -> Outline:
    status, spec = job.status, job.spec
    failed, complete = _true(status.conditions, "Failed"), _true(status.conditions, "Completed")
    requested: dict[str, Decimal] = {}
    for replicated in spec.replicated_jobs:
        each = replicated.template.spec
        most = _most(replicated)
        needs = times(pod_requests(each.template.spec), most)
        quantity.add(requested, needs, replicated.replicas)
    jobs = sum(each.replicas for each in spec.replicated_jobs)
    total = _total(status.replicated_jobs_status)
    over = failed is not None or complete is not None
    counts = {each.name: each for each in status.replicated_jobs_status}
    due = due_jobs(spec, counts)
    lacking = 0 if over or spec.suspend else lacking_jobs(due, counts)
    first = spec.replicated_jobs[0].template.spec.template.spec if spec.replicated_jobs else None
    return Outline(
        kind="JobSet",
        metadata=job.metadata,
        suspended=spec.suspend,
        suspended_since=_since(_true(status.conditions, "Suspended")) if spec.suspend else None,
        failure=None if complete else failed,
        done=complete is not None,
        ending=total.succeeded >= jobs > 0,
        finished=_since(complete or failed),
        active=total.active,
        ready=total.ready,
        succeeded=total.succeeded,
        failed=total.failed,
        counts_jobs=True,
        jobs=jobs,
        lacking=lacking,
        due_jobs=sum(each.replicas for each in due),
        due_pods=_all_pods(due),
        wanted=total.active + lacking if lacking else 0,
        parallelism=_all_pods(spec.replicated_jobs),
        image=_image(first) if first else "",
        requested=requested,
        restarts=status.restarts,
    )


def _most(replicated: ReplicatedJob) -> int:
    """The pods of one of its Jobs at once."""
    spec = replicated.template.spec
    return at_once(1 if spec.parallelism is None else spec.parallelism, spec.completions)


def _all_pods(jobs: Iterable[ReplicatedJob]) -> int:
    """The pods of all of their Jobs at once."""
    return sum(_most(each) * each.replicas for each in jobs)


# RayJob's jobDeploymentStatus; a job that Ray stopped has not done its work.
_RAY_ENDED = {"SUCCEEDED": "done", "FAILED": "failed", "STOPPED": "failed"}


@outline.register
def _ray_job(job: RayJob) -> Outline:
    status, spec = job.status, job.spec
    ended = _RAY_ENDED.get(status.job_status, "")
    if status.job_deployment_status == "Failed":
        ended = "failed"
    elif status.job_deployment_status not in ("Complete", "Failed"):
        ended = ""
    finished = epoch(status.end_time)
    failure = None
    if ended == "failed":
        reason = status.reason or (status.job_status.capitalize() if status.job_status else "")
        failure = Condition(
            type="Failed",
            status="True",
            reason=reason or "Failed",
            message=status.message,
            last_transition_time=status.end_time,
        )
    groups = [(spec.ray_cluster_spec.head_group_spec, 1)]
    groups += [
        (group, (1 if group.replicas is None else group.replicas) * (group.num_of_hosts or 1))
        for group in spec.ray_cluster_spec.worker_group_specs
    ]
    requested: dict[str, Decimal] = {}
    for group, count in groups:
        quantity.add(requested, pod_requests(group.template.spec), count)
    running = status.job_status == "RUNNING"
    return Outline(
        kind="RayJob",
        metadata=job.metadata,
        suspended=spec.suspend,
        failure=failure,
        done=ended == "done",
        started=epoch(status.start_time),
        finished=finished if ended else None,
        active=1 if running else 0,
        ready=1 if running else 0,
        failed=status.failed,
        succeeded=status.succeeded,
        parallelism=sum(count for _, count in groups),
        counts_jobs=True,
        # Of the one that submits it.
        jobs=1,
        image=_image(groups[0][0].template.spec),
        requested=requested,
        message="" if ended or running else status.job_deployment_status,
    )


def run_variable(job: AnyJob) -> str:
    """The run that a job's containers are told to log to, ``MLFLOW_RUN_ID``; empty for none."""
    found = ""
    if isinstance(job, TrainJob):
        found = job.spec.trainer.run
    for pod in _pods(job):
        for container in (*pod.containers, *pod.init_containers):
            found = found or container.run
    # $(NAME) and templates stand for what is not known here.
    return found if _RUN_ID.fullmatch(found) else ""


def _pods(job: AnyJob) -> tuple[TemplateSpec, ...]:
    """The templates of a job's pods."""
    if isinstance(job, Job):
        return (job.spec.template.spec,)
    if isinstance(job, PyTorchJob):
        return tuple(each.template.spec for each in job.spec.pytorch_replica_specs.values())
    if isinstance(job, JobSet):
        return tuple(each.template.spec.template.spec for each in job.spec.replicated_jobs)
    if isinstance(job, RayJob):
        ray = job.spec.ray_cluster_spec
        groups = (ray.head_group_spec, *ray.worker_group_specs)
        return tuple(group.template.spec for group in groups)
    return ()


def at_once(parallelism: int, completions: int | None) -> int:
    """Pods that a Job runs at once at most."""
    return parallelism if completions is None else min(parallelism, completions)


def _total(counts: Iterable[ReplicaCount]) -> ReplicaCount:
    counts = tuple(counts)
    return ReplicaCount(
        active=sum(item.active for item in counts),
        ready=sum(item.ready for item in counts),
        succeeded=sum(item.succeeded for item in counts),
        failed=sum(item.failed for item in counts),
    )


def _true(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    found = condition(conditions, type_)
    return found if found is not None and found.is_true else None


def _since(found: Condition | None) -> float | None:
    return epoch(found.last_transition_time) if found else None


def _image(spec: PodSpec) -> str:
    containers: tuple[Container, ...] = spec.containers
    return containers[0].image if containers else ""
