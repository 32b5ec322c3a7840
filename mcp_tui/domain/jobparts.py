"""A root owner together with what stands below it: what child Jobs and pods add to its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from mcp_tui.domain.kinds import Outline, at_once
from mcp_tui.domain.kube import ContainerState, Pod, condition, epoch
from mcp_tui.domain.roots import claims_of


def together(root: Outline, parts: Sequence[Outline], pods: Sequence[Pod]) -> Outline:
    """A root with what its own status does not tell.

    Args:
        root: As its own object says.
        parts: What stands between it and its pods, from the outside in.
        pods: As far as they are known.
    """
    whole = _with_children(root, parts, pods) if parts else root
    if whole.counts_running and whole.ready and pods:
        ready = max(0, whole.ready - sum(map(_unready, _newest(pods))))
        whole = msgspec.structs.replace(whole, ready=ready)
    return whole


def ending(whole: Outline, pods: Iterable[Pod]) -> bool:
    """Whether the pods have done their work, and only the job's own end is still to be written.

    The job's controller hears of a pod's end later than whoever watches the pod.
    """
    if whole.ready or whole.suspended:
        return False
    if whole.ending:
        return True
    if whole.counts_jobs:
        # Of pods of several Jobs a number says nothing: an initializer's may be as many.
        return False
    return _all_succeeded(whole, sum(1 for pod in pods if _succeeded(pod)))


def resumed(whole: Outline, parts: Sequence[Outline], pods: Sequence[Pod]) -> float | None:
    """When what runs was started: before, no step of this attempt could be logged.

    Of several pods the one that runs longest tells: where all were started anew, so was it, and
    one that crashes again and again makes no attempt of the others'.
    """
    if not parts and not pods:  # as of most rows
        return whole.started
    moments = [whole.started, *(part.started for part in parts)]
    running = [_began(pod) for pod in pods if pod.status.phase == "Running"]
    moments.append(min((moment for moment in running if moment is not None), default=None))
    return max((moment for moment in moments if moment is not None), default=None)


def _began(pod: Pod) -> float | None:
    """When a pod was started, or its first container was again."""
    statuses = pod.status.container_statuses
    name = pod.spec.containers[0].name if pod.spec.containers else ""
    main = next((each for each in statuses if each.name == name), statuses[0] if statuses else None)
    again = main.state.running.started_at if main is not None and main.state.running else None
    moments = (epoch(pod.status.start_time), epoch(again))
    return max((moment for moment in moments if moment is not None), default=None)


def _with_children(whole: Outline, parts: Sequence[Outline], pods: Sequence[Pod]) -> Outline:
    """Pods counted from the child Jobs, where the root's status counts only Jobs."""
    jobs = [part for part in parts if part.kind == "Job"]
    inner = next((part for part in parts if part.kind == "JobSet"), None)
    changes: dict[str, object] = {}
    if whole.counts_jobs and jobs:
        counts = {
            name: sum(getattr(part, name) for part in jobs)
            for name in ("active", "ready", "wanted", "succeeded", "failed")
        }
        changes.update(counts)
        maker = inner or whole
        if min(maker.lacking, maker.due_jobs - len(jobs)) > 0:
            # Those of the Jobs that could not be made.
            there = sum(at_once(part.parallelism, part.completions) for part in jobs)
            missing = max(1, maker.due_pods - there)
            changes["wanted"] = counts["wanted"] + missing
        starts = [part.started for part in jobs if part.started is not None]
        if starts and whole.started is None:
            changes["started"] = min(starts)
    elif inner is not None and inner.lacking:
        changes["wanted"] = inner.wanted
    if whole.counts_jobs and _all_ending(inner or whole, jobs, pods):
        changes["ending"] = True
    source = inner or (jobs[0] if jobs else None)
    if source is not None:
        if not whole.image:
            changes["image"] = source.image
        if not whole.requested and inner is not None:
            changes["requested"] = inner.requested
        if inner is not None and inner.restarts and not whole.restarts:
            changes["restarts"] = inner.restarts
    return msgspec.structs.replace(whole, **changes) if changes else whole


def _all_ending(maker: Outline, jobs: Sequence[Outline], pods: Iterable[Pod]) -> bool:
    """Whether every Job that there will be is there, and has ended or is about to.

    One that starts after another has ended may not be made yet, or not be allowed to be.
    """
    if not 0 < maker.jobs <= len(jobs):
        return maker.ending
    succeeded: Counter[str] = Counter()
    for pod in pods:
        if _succeeded(pod):
            succeeded.update(claims_of(pod))
    return all(
        part.done or part.ending or _all_succeeded(part, succeeded[part.metadata.uid])
        for part in jobs
    )


def _all_succeeded(job: Outline, succeeded: int) -> bool:
    if job.failure is not None or job.suspended:
        return False
    wanted = job.parallelism if job.completions is None else job.completions
    return 0 < wanted <= succeeded


def _succeeded(pod: Pod) -> bool:
    states = [status.state.terminated for status in pod.status.container_statuses]
    return pod.status.phase == "Succeeded" or (
        bool(states) and all(end is not None and end.exit_code == 0 for end in states)
    )


def _newest(pods: Iterable[Pod]) -> Iterable[Pod]:
    """Of the pods of a name, which follow one another, the last."""
    born = sorted(pods, key=lambda pod: pod.metadata.creation_timestamp or "")
    return {pod.metadata.name: pod for pod in born}.values()


def _unready(pod: Pod) -> bool:
    """Whether a pod of phase Running does not work, as one whose containers crash.

    One whose containers run or have ended well does its work, whatever a probe beside it says.
    """
    if pod.status.phase != "Running":
        return False
    states = [status.state for status in pod.status.container_statuses]
    if any(state.waiting is not None or _failed(state) for state in states):
        return True
    ready = condition(pod.status.conditions, "Ready")
    if ready is None or ready.is_true:
        return False
    return not states or ready.reason != "ContainersNotReady"


def _failed(state: ContainerState) -> bool:
    return state.terminated is not None and state.terminated.exit_code != 0
