"""What pods' statuses say of failing and waiting, one finding for each pod that says something."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from mcp_tui.domain import cause_messages as messages
from mcp_tui.domain.cause_line import Cause
from mcp_tui.domain.kube import Container, ContainerStatus, Pod, Terminated, condition, epoch
from mcp_tui.domain.podrequests import pod_requests
from mcp_tui.domain.text import one_line

_IMAGE_REASONS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_START_REASONS: Final = frozenset(
    {"StartError", "ContainerCannotRun", "CreateContainerError", "RunContainerError"}
)
_NOT_A_REASON: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
# Seconds that a container runs before the kubelet's pause after its end is the first again.
_RESETS: Final = 600.0
# Ends that something else usually brought about: a graceful stop, a lost node.
_CONSEQUENCES: Final = frozenset({"Killed", "Terminated", "ContainerStatusUnknown"})


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One pod's deepest reason. Lower ``rank`` is deeper; ``at`` is when, in epoch seconds."""

    cause: Cause
    rank: int
    began: float
    at: float


def failures(pods: Iterable[Pod], job: str) -> list[Finding]:
    """The failures of pods: those that ended, and those whose containers are started again."""
    return [found for pod in pods if (found := _failure(pod, job)) is not None]


def holdups(pods: Iterable[Pod], job: str) -> list[Finding]:
    """What keeps pods from running now."""
    return [
        found
        for pod in pods
        if pod.status.phase in ("Pending", "Running", "", "Unknown")
        and (found := _holdup(pod, job)) is not None
    ]


def deepest(findings: Sequence[Finding]) -> Cause | None:
    """One cause for many findings.

    Pods whose lives overlapped failed together: the deepest and earliest of them is the cause of
    that incident, the rest its consequences (one rank out of memory, its peers losing it). Of
    several incidents, which are attempts, the most frequent cause is it, the earliest when equal.
    ``count`` is the number of all failures of that kind.
    """
    if not findings:
        return None
    roots = [min(incident, key=_depth) for incident in _incidents(findings)]
    votes: dict[tuple[str, int | None], int] = defaultdict(int)
    for root in roots:
        votes[_class(root)] += root.cause.count
    best = min(roots, key=lambda root: (-votes[_class(root)], *_depth(root)))
    return _counted(best, findings)


def behind(findings: Sequence[Finding], pod: str, exit_code: int | None) -> Cause | None:
    """What one pod's end came from, where it is told which pod's end was too much.

    That is the pod's own failure, unless memory ran out beside it, in a pod that failed with it.
    None when the pod's statuses are gone, or speak of another end than the one that counted.

    Args:
        findings: Of all pods.
        pod: Its whole name.
        exit_code: What its container ended with, if that was it.
    """
    for incident in _incidents(findings):
        if all(found.cause.pod != pod for found in incident):
            continue
        known = [
            found
            for found in incident
            if found.rank == 0
            or (found.cause.pod == pod and exit_code in (None, found.cause.exit_code))
        ]
        if not known:
            return None
        return _counted(min(known, key=_depth), findings)
    return None


def _counted(best: Finding, findings: Sequence[Finding]) -> Cause:
    """A cause with how often there was one of its kind."""
    same = [found.cause for found in findings if _class(found) == _class(best)]
    loops = max(cause.loops for cause in same) if best.cause.loops else 0
    return msgspec.structs.replace(best.cause, count=sum(c.count for c in same), loops=loops)


def _class(found: Finding) -> tuple[str, int | None]:
    return found.cause.reason, found.cause.exit_code


def _depth(found: Finding) -> tuple[int, float, str]:
    return found.rank, found.at, found.cause.pod


def _incidents(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Group what overlapped in time; sorted by end, one that began before the first end joins."""
    incident: list[Finding] = []
    for found in sorted(findings, key=lambda item: item.at):
        if incident and found.began >= incident[0].at:
            yield incident
            incident = []
        incident.append(found)
    yield incident


def _failure(pod: Pod, job: str) -> Finding | None:
    status = pod.status
    ended = status.phase == "Failed"
    over = ended or status.phase == "Succeeded"
    beside = _sidecars(pod) if over else frozenset()
    best: tuple[int, float, Cause] | None = None
    for container, init in _containers(pod):
        if init and container.name in beside:
            # It is stopped when the others have ended, whatever it then ends with.
            continue
        terminated = container.state.terminated
        good = terminated is not None and terminated.exit_code == 0
        if good and ended:
            # What it failed with before, it had got over when another failed.
            continue
        if terminated is None or good or status.phase == "Succeeded":
            terminated = container.last_state.terminated
        if terminated is None or (
            terminated.exit_code == 0 and terminated.reason in ("Completed", "")
        ):
            continue
        rank, cause = _ended(pod, job, container, terminated, init)
        key = (rank, epoch(terminated.finished_at) or 0.0, cause)
        if best is None or key[:2] < best[:2]:
            best = key
    lost = _disruption(pod, job) if ended or pod.metadata.deletion_timestamp else None
    # Out of memory is deeper than the eviction that it leads to; other ends are eviction's work.
    if lost is not None and (best is None or best[0] > 0):
        when = _when(pod, lost.at)
        return Finding(cause=lost, rank=1, began=_began(pod), at=when)
    if best is not None:
        when = _when(pod, best[2].at)
        return Finding(cause=best[2], rank=best[0], began=_began(pod), at=when)
    if ended:
        cause = _cause(
            pod, job, status.reason or "Failed", message=messages.first_line(status.message)
        )
        return Finding(cause=cause, rank=5, began=_began(pod), at=_when(pod, None))
    return None


def _ended(
    pod: Pod, job: str, container: ContainerStatus, end: Terminated, init: bool
) -> tuple[int, Cause]:
    """The rank and cause of one container's end."""
    reason = _end_reason(end)
    waiting = container.state.waiting
    looping = waiting is not None and waiting.reason == "CrashLoopBackOff"
    message = messages.last_line(end.message)
    if reason in _START_REASONS:
        message = messages.runtime(end.message)
    elif reason == "ContainerStatusUnknown":
        message = "its node lost sight of it"
    # Every restart was a failure, and so is the end it now stands at, unless it did get through.
    now = container.state
    through = now.running is not None or (now.terminated is not None and now.terminated is not end)
    count = max(1, container.restart_count + (0 if through else 1))
    cause = _cause(
        pod,
        job,
        reason,
        message=message,
        container=container.name,
        init=init,
        exit_code=end.exit_code,
        limit=_memory_limit(pod, container.name) if reason == "OOMKilled" else "",
        count=count,
        chain=("CrashLoopBackOff",) if looping else (),
        waiting=looping,
        at=epoch(end.finished_at),
    )
    if looping:
        cause = msgspec.structs.replace(cause, loops=1 if _lasted(end) else count)
    if reason == "OOMKilled":
        return 0, cause
    if reason in _CONSEQUENCES:
        return 4, cause
    return (2 if reason in _START_REASONS or reason.startswith("SIG") else 3), cause


def _lasted(end: Terminated) -> bool:
    """Whether a container ran for so long that the kubelet's pauses began anew."""
    began, ended = epoch(end.started_at), epoch(end.finished_at)
    return began is not None and ended is not None and ended - began > _RESETS


def _end_reason(end: Terminated) -> str:
    """The kubelet's reason, made finer where it only says Error.

    137 is 128 + SIGKILL: whoever sent it, the kernel's out-of-memory killer is named as such, so
    that Error with 137 is a graceful stop that took too long or a kill by hand.
    """
    if end.reason not in ("Error", "", "Completed"):
        return end.reason
    number = end.signal or (end.exit_code - 128 if 128 < end.exit_code < 193 else 0)
    if number == signal.SIGKILL:
        return "Killed"
    if number == signal.SIGTERM:
        return "Terminated"
    try:
        return signal.Signals(number).name if number else "Error"
    except ValueError:
        return "Error"


def _disruption(pod: Pod, job: str) -> Cause | None:
    """Evicted, preempted, drained, or its node gone: not the container's own doing."""
    status = pod.status
    found = condition(status.conditions, "DisruptionTarget")
    when = epoch(found.last_transition_time) if found else None
    if status.reason == "Evicted":
        message, container = messages.evicted(status.message)
        return _cause(
            pod,
            job,
            "Evicted",
            message=message,
            container=container,
            node=pod.spec.node_name,
            at=when,
        )
    if found is not None and found.is_true:
        message = messages.first_line(found.message or status.message)
        return _cause(
            pod,
            job,
            found.reason or "DisruptionTarget",
            message=message,
            node=pod.spec.node_name,
            at=when,
        )
    if status.reason and status.reason not in ("Error", "Failed"):
        # NodeLost, Shutdown, Preempting, OutOfcpu, UnexpectedAdmissionError, DeadlineExceeded.
        message = messages.first_line(status.message)
        return _cause(pod, job, status.reason, message=message, node=pod.spec.node_name, at=when)
    return None


def _holdup(pod: Pod, job: str) -> Finding | None:
    for container, init in _containers(pod):
        waiting = container.state.waiting
        if waiting is None or waiting.reason in _NOT_A_REASON:
            continue
        if waiting.reason == "CrashLoopBackOff":
            return _crash_loop(pod, job, container, init)
        if waiting.reason in _IMAGE_REASONS:
            message = messages.image(waiting.message, _image(pod, container.name))
        elif waiting.reason in _START_REASONS:
            message = messages.runtime(waiting.message)
        else:
            message = messages.first_line(waiting.message)
        cause = _cause(
            pod,
            job,
            waiting.reason,
            message=message,
            container=container.name,
            init=init,
            waiting=True,
        )
        return Finding(cause=cause, rank=1, began=_began(pod), at=_when(pod, None))
    return _unscheduled(pod, job)


def _crash_loop(pod: Pod, job: str, container: ContainerStatus, init: bool) -> Finding:
    last = container.last_state.terminated
    if last is not None and (last.exit_code or last.reason not in ("Completed", "")):
        rank, cause = _ended(pod, job, container, last, init)
        return Finding(cause=cause, rank=rank, began=_began(pod), at=_when(pod, cause.at))
    message = "ends with exit code 0 and is started again" if last else ""
    cause = _cause(
        pod,
        job,
        "CrashLoopBackOff",
        message=message,
        container=container.name,
        init=init,
        count=max(1, container.restart_count + 1),
        waiting=True,
    )
    return Finding(cause=cause, rank=2, began=_began(pod), at=_when(pod, None))


def _unscheduled(pod: Pod, job: str) -> Finding | None:
    found = condition(pod.status.conditions, "PodScheduled")
    if found is None or found.status != "False":
        return None
    reason = found.reason or "Unschedulable"
    if reason == "SchedulingGated":
        gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates[:3])
        message = messages.first_line(gates or found.message)
    else:
        message = messages.scheduling(found.message, pod_requests(pod.spec))
    since = epoch(found.last_transition_time)
    cause = _cause(pod, job, reason, message=message, waiting=True, at=since)
    return Finding(cause=cause, rank=3, began=_began(pod), at=_when(pod, since))


def _containers(pod: Pod) -> Iterator[tuple[ContainerStatus, bool]]:
    """Statuses with whether each is of an init container; those run, and fail, first."""
    for status in pod.status.init_container_statuses:
        yield status, True
    for status in pod.status.container_statuses:
        yield status, False


def _sidecars(pod: Pod) -> frozenset[str]:
    """The init containers that run beside the others for as long as those do."""
    return frozenset(c.name for c in pod.spec.init_containers if c.restart_policy == "Always")


def _container(pod: Pod, name: str) -> Container:
    each = (*pod.spec.init_containers, *pod.spec.containers)
    return next((container for container in each if container.name == name), Container())


def _image(pod: Pod, name: str) -> str:
    """The image as it was asked for: what a status names may be what a runtime made of it."""
    return _container(pod, name).image


def _memory_limit(pod: Pod, name: str) -> str:
    limits = _container(pod, name).resources.limits
    # Without one of its own it is held to what the pod's containers share.
    of = limits if "memory" in limits else pod.spec.resources.limits
    return str(of.get("memory", ""))


def _began(pod: Pod) -> float:
    return epoch(pod.status.start_time) or epoch(pod.metadata.creation_timestamp) or 0.0


def _when(pod: Pod, moment: float | None) -> float:
    return _began(pod) if moment is None else moment


def _cause(
    pod: Pod,
    job: str,
    reason: str,
    *,
    message: str = "",
    container: str = "",
    init: bool = False,
    node: str = "",
    exit_code: int | None = None,
    limit: str = "",
    count: int = 1,
    chain: tuple[str, ...] = (),
    waiting: bool = False,
    at: float | None = None,
) -> Cause:
    return Cause(
        reason=one_line(reason) or "Unknown",
        message=message,
        pod=one_line(pod.metadata.name),
        job=job,
        container=one_line(container),
        init=init,
        node=one_line(node),
        exit_code=exit_code,
        limit=one_line(limit),
        count=count,
        chain=chain,
        waiting=waiting,
        at=at,
    )
