"""The arithmetic of jobs: indexes, failure policies, back-off, when a job is over. Pure.

After k8s.io/kubernetes ``pkg/controller/job``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mcp_tui.demo.plane.jobspec import COMPLETION_INDEX, MAX_INT32
from mcp_tui.demo.plane.model import Obj, conditions, dig, has_condition, parse_time

BACK_OFF_CAP = 60
"""The longest back-off, in multiples of the first."""


def parse_indexes(text: str) -> set[int]:
    """``1,3-5`` as a set."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """The set as ``1,3-5``; two neighbours are ``1,2``, as upstream writes them."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), -2]:
        if run and index == run[-1] + 1:
            run.append(index)
            continue
        if len(run) > 2:
            parts.append(f"{run[0]}-{run[-1]}")
        else:
            parts += [str(item) for item in run]
        run = [index]
    return ",".join(parts)


def index_of(pod: Obj) -> int | None:
    """The completion index of a pod, or None."""
    text = (pod["metadata"].get("annotations") or {}).get(COMPLETION_INDEX, "")
    return int(text) if text.isdigit() else None


def phase(pod: Obj) -> str:
    """The pod's phase."""
    return str(dig(pod, "status", "phase") or "Pending")


def deleting(pod: Obj) -> bool:
    """Whether the pod has been told to go."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def over(pod: Obj) -> bool:
    """Whether the pod has ended."""
    return phase(pod) in ("Succeeded", "Failed")


def active(pod: Obj) -> bool:
    """Whether the pod is, or may yet be, running."""
    return not over(pod) and not deleting(pod)


def ready(pod: Obj) -> bool:
    """Whether the pod is ready."""
    return has_condition(pod, "Ready")


def restarts(pod: Obj) -> int:
    """Restarts of all the pod's containers."""
    return sum(
        status.get("restartCount", 0)
        for part in ("initContainerStatuses", "containerStatuses")
        for status in dig(pod, "status", part) or ()
    )


def finish_time(pod: Obj, now: float) -> float:
    """When the pod ended, as well as is known (epoch seconds)."""
    ends = [
        parse_time(dig(status, "state", "terminated", "finishedAt"))
        for status in dig(pod, "status", "containerStatuses") or ()
    ]
    known = [end for end in ends if end is not None]
    if known:
        return max(known)
    stamped = parse_time(pod["metadata"].get("deletionTimestamp"))
    return min(stamped, now) if stamped is not None else now


def back_off(failures: int, first: float) -> float:
    """Seconds to wait after the last of so many failures in a row: doubling, capped."""
    if failures <= 0:
        return 0.0
    return first * min(1 << min(failures - 1, 16), BACK_OFF_CAP)


@dataclass(frozen=True)
class Verdict:
    """What a pod failure policy says about one failed pod."""

    action: str = "Count"
    message: str = ""


def judge(job: Obj, pod: Obj) -> Verdict:
    """The action of the first rule that fits the failed pod; Count where none does."""
    policy = dig(job, "spec", "podFailurePolicy")
    metadata = pod["metadata"]
    where = f"{metadata.get('namespace', '')}/{metadata['name']}"
    for index, rule in enumerate((policy or {}).get("rules") or ()):
        action = str(rule.get("action"))
        if rule.get("onExitCodes"):
            found = _exit_code(rule["onExitCodes"], pod)
            if found is not None:
                name, code = found
                text = (
                    f"Container {name} for pod {where} failed with exit code {code} "
                    f"matching {action} rule at index {index}"
                )
                return Verdict(action, text)
        for pattern in rule.get("onPodConditions") or ():
            if any(
                item.get("type") == pattern.get("type")
                and item.get("status") == pattern.get("status", "True")
                for item in conditions(pod)
            ):
                text = (
                    f"Pod {where} has condition {pattern.get('type')} "
                    f"matching {action} rule at index {index}"
                )
                return Verdict(action, text)
    return Verdict()


def _exit_code(wanted: Obj, pod: Obj) -> tuple[str, int] | None:
    for part in ("containerStatuses", "initContainerStatuses"):
        for status in dig(pod, "status", part) or ():
            name = status.get("name", "")
            code = dig(status, "state", "terminated", "exitCode")
            if not code or wanted.get("containerName") not in (None, "", name):
                continue
            listed = code in (wanted.get("values") or ())
            if listed is (wanted.get("operator") == "In"):
                return name, code
    return None


@dataclass(frozen=True)
class Ending:
    """Why a job is over. ``condition`` is the one announced first."""

    condition: str
    reason: str
    message: str


def failure(
    job: Obj, *, failed: int, failed_indexes: set[int], pods: list[Obj], now: float
) -> Ending | None:
    """Why the job has failed, other than by its pod failure policy; None while it has not."""
    spec = job["spec"]
    limit = spec.get("backoffLimit", 6)
    if limit < MAX_INT32 and (failed > limit or _restarted_too_often(spec, pods, limit)):
        text = "Job has reached the specified backoff limit"
        return Ending("FailureTarget", "BackoffLimitExceeded", text)
    deadline = spec.get("activeDeadlineSeconds")
    started = parse_time(dig(job, "status", "startTime"))
    if deadline is not None and started is not None and now - started >= deadline:
        text = "Job was active longer than specified deadline"
        return Ending("FailureTarget", "DeadlineExceeded", text)
    most = spec.get("maxFailedIndexes")
    if most is not None and len(failed_indexes) > most:
        text = "Job has exceeded the specified maximal number of failed indexes"
        return Ending("FailureTarget", "MaxFailedIndexesExceeded", text)
    return None


def _restarted_too_often(spec: Obj, pods: list[Obj], limit: int) -> bool:
    if dig(spec, "template", "spec", "restartPolicy") != "OnFailure":
        return False
    total = sum(restarts(pod) for pod in pods if phase(pod) in ("Running", "Pending"))
    return total > 0 if limit == 0 else total >= limit


def success(
    job: Obj, *, succeeded: int, failed_indexes: set[int], active_pods: int
) -> Ending | None:
    """Whether everything is done; a job with failed indexes then ends as failed."""
    completions = dig(job, "spec", "completions")
    done = Ending(
        "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"
    )
    if completions is None:
        return done if succeeded > 0 and active_pods == 0 else None
    if failed_indexes and succeeded + len(failed_indexes) >= completions:
        return Ending("FailureTarget", "FailedIndexes", "Job has failed indexes")
    return done if succeeded >= completions else None


def wanted_pods(job: Obj, *, succeeded: int, failed_indexes: set[int], active_pods: int) -> int:
    """How many pods should be active now."""
    spec = job["spec"]
    parallelism = int(spec.get("parallelism", 1))
    completions = spec.get("completions")
    if completions is None:
        return active_pods if succeeded > 0 else parallelism
    return max(0, min(parallelism, int(completions) - succeeded - len(failed_indexes)))


def set_condition(
    status: Obj, type_: str, value: str, reason: str, message: str, stamp: str
) -> bool:
    """Sets a job condition; whether it changed."""
    found = status.setdefault("conditions", [])
    old = next((item for item in found if item["type"] == type_), None)
    if old is not None and old["status"] == value and old.get("reason") == reason:
        return False
    fresh = {
        "type": type_,
        "status": value,
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }
    if old is None:
        found.append(fresh)
    else:
        old.update(fresh)
    return True
