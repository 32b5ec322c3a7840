"""Pod statuses as kubelets and schedulers write them, and the line that each must give.

Used twice: on objects made here (tests/unit) and on pods of real Jobs (tests/contract). In the
expected lines ``{pod}`` is the pod's name without its random end.
"""

# ruff: noqa: E501 - messages stand on one line, as their writers write them

from __future__ import annotations

from typing import Any, NamedTuple

Status = dict[str, Any]

BEGAN = "2026-11-23T03:00:00Z"
ENDED = "2026-11-23T03:02:11Z"
IMAGE = "registry.example/train:1"


class Case(NamedTuple):
    """One reason. ``fails`` says whether it ends the job (with no tries left) or holds it up."""

    name: str
    status: Status
    line: str
    fails: bool = True
    sentence: str = ""


def ended(exit_code: int, reason: str = "Error", message: str = "", **more: Any) -> dict[str, Any]:
    found = {"exitCode": exit_code, "reason": reason, "startedAt": BEGAN, "finishedAt": ENDED}
    return {"terminated": {**found, **({"message": message} if message else {}), **more}}


def container(
    state: dict[str, Any],
    *,
    name: str = "train",
    last: dict[str, Any] | None = None,
    restarts: int = 0,
) -> dict[str, Any]:
    return {
        "name": name,
        "image": IMAGE,
        "imageID": "",
        "ready": "running" in state,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def failed(
    *containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **more: Any
) -> Status:
    return {
        "phase": "Failed",
        "startTime": BEGAN,
        "containerStatuses": list(containers),
        "initContainerStatuses": list(init),
        **more,
    }


def pending(
    *containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **more: Any
) -> Status:
    return {**failed(*containers, init=init, **more), "phase": "Pending"}


def running(*containers: dict[str, Any], **more: Any) -> Status:
    return {**failed(*containers, **more), "phase": "Running"}


def disrupted(reason: str, message: str) -> dict[str, Any]:
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": ENDED,
    }


GIT_INIT = container(ended(0, "Completed"), name="code")
PREPARING = container(waiting("PodInitializing"))
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 9\nValueError: bad batch\n'
PULL = (
    'Back-off pulling image "registry.example/train:1": ErrImagePull: rpc error: code = NotFound '
    'desc = failed to pull and unpack image "registry.example/train:1": failed to resolve reference '
    '"registry.example/train:1": registry.example/train:1: not found'
)
DENIED = (
    'failed to pull image "registry.example/train:1": failed to resolve reference '
    '"registry.example/train:1": pull access denied, repository does not exist or may require '
    "authorization: server message: insufficient_scope: authorization failed"
)
SHIM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc "
    'create failed: unable to start container process: exec: "trian": executable file not found in '
    "$PATH: unknown"
)
LOW = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 71Mi. Container "
    "train was using 9Gi, request is 1Gi, has larger consumption of memory. "
)

CASES: tuple[Case, ...] = (
    Case(
        "oom killed",
        failed(container(ended(137, "OOMKilled"))),
        "OOMKilled {pod} (exit 137, limit 64Gi) -> BackoffLimitExceeded",
        sentence="ran out of memory (OOMKilled, exit 137, limit 64Gi)",
    ),
    Case(
        "oom killed in an init container",
        failed(PREPARING, init=(container(ended(137, "OOMKilled"), name="code"),)),
        "OOMKilled {pod} (init code, exit 137, limit 512Mi) -> BackoffLimitExceeded",
        sentence="Init container code of pod",
    ),
    Case(
        "oom killed before, out of tries in a restarting pod",
        failed(container(ended(1), last=ended(137, "OOMKilled"), restarts=2)),
        "Error {pod} (exit 1) x3 -> BackoffLimitExceeded",
    ),
    Case(
        "error with its last words",
        failed(container(ended(1, message=TRACEBACK))),
        "Error {pod} (exit 1): ValueError: bad batch -> BackoffLimitExceeded",
    ),
    Case(
        "error in an init container",
        failed(
            PREPARING, init=(container(ended(128, message="fatal: bad revision"), name="code"),)
        ),
        "Error {pod} (init code, exit 128): fatal: bad revision -> BackoffLimitExceeded",
    ),
    Case(
        "an init container's try that was made good is not what failed",
        failed(
            container(ended(2)),
            init=(container(ended(0, "Completed"), name="code", last=ended(1), restarts=1),),
        ),
        "Error {pod} (exit 2) -> BackoffLimitExceeded",
        sentence="Container train",
    ),
    Case(
        "killed on a graceful stop is not out of memory",
        failed(container(ended(137))),
        "Killed {pod} (exit 137) -> BackoffLimitExceeded",
    ),
    Case(
        "asked to end",
        failed(container(ended(143))),
        "Terminated {pod} (exit 143) -> BackoffLimitExceeded",
    ),
    Case(
        "segmentation fault",
        failed(container(ended(139))),
        "SIGSEGV {pod} (exit 139) -> BackoffLimitExceeded",
    ),
    Case(
        "abort",
        failed(container(ended(134))),
        "SIGABRT {pod} (exit 134) -> BackoffLimitExceeded",
    ),
    Case(
        "a failed pod whose containers completed",
        failed(
            container(ended(0, "Completed")),
            reason="DeadlineExceeded",
            message="Pod was active too long",
        ),
        "DeadlineExceeded {pod}: Pod was active too long -> BackoffLimitExceeded",
    ),
    Case(
        "the first of two containers to fail, not the one that was stopped",
        failed(
            container(
                {"terminated": {**ended(143)["terminated"], "finishedAt": "2026-11-23T03:02:40Z"}}
            ),
            container(ended(2), name="loader"),
        ),
        "Error {pod} (exit 2) -> BackoffLimitExceeded",
        sentence="Container loader",
    ),
    Case(
        "command not found",
        failed(container(ended(128, "StartError", SHIM))),
        'StartError {pod} (exit 128): exec: "trian": executable file not found in $PATH '
        "-> BackoffLimitExceeded",
    ),
    Case(
        "cannot run",
        failed(container(ended(127, "ContainerCannotRun", "stat /train: no such file"))),
        "ContainerCannotRun {pod} (exit 127): stat /train: no such file -> BackoffLimitExceeded",
    ),
    Case(
        "evicted by its node",
        failed(
            container(ended(137, "ContainerStatusUnknown")),
            reason="Evicted",
            message=LOW,
            conditions=[disrupted("TerminationByKubelet", LOW)],
        ),
        "Evicted {pod}: node low on memory; train used 9Gi -> BackoffLimitExceeded",
    ),
    Case(
        "preempted",
        failed(
            container(ended(143)),
            conditions=[
                disrupted(
                    "PreemptionByScheduler",
                    "default-scheduler: preempting to accommodate a higher priority pod",
                )
            ],
        ),
        "PreemptionByScheduler {pod}: default-scheduler: preempting to accommodate a higher priority "
        "pod -> BackoffLimitExceeded",
    ),
    Case(
        "node shut down",
        failed(
            container(ended(137)),
            reason="Terminated",
            message="Pod was terminated in response to imminent node shutdown.",
            conditions=[
                disrupted(
                    "TerminationByKubelet",
                    "Pod was terminated in response to imminent node shutdown.",
                )
            ],
        ),
        "TerminationByKubelet {pod}: Pod was terminated in response to imminent node shutdown. "
        "-> BackoffLimitExceeded",
    ),
    Case(
        "drained",
        failed(
            container(ended(143)),
            conditions=[disrupted("EvictionByEvictionAPI", "Eviction API: evicting")],
        ),
        "EvictionByEvictionAPI {pod}: Eviction API: evicting -> BackoffLimitExceeded",
    ),
    Case(
        "tainted node",
        failed(
            conditions=[
                disrupted(
                    "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
                )
            ]
        ),
        "DeletionByTaintManager {pod}: Taint manager: deleting due to NoExecute taint "
        "-> BackoffLimitExceeded",
    ),
    Case(
        "node gone",
        failed(conditions=[disrupted("DeletionByPodGC", "PodGC: node no longer exists")]),
        "DeletionByPodGC {pod}: PodGC: node no longer exists -> BackoffLimitExceeded",
    ),
    Case(
        "out of memory is deeper than the eviction after it",
        failed(container(ended(137, "OOMKilled")), reason="Evicted", message=LOW),
        "OOMKilled {pod} (exit 137, limit 64Gi) -> BackoffLimitExceeded",
    ),
    Case(
        "refused by the kubelet",
        failed(
            reason="UnexpectedAdmissionError",
            message="Allocate failed due to no healthy devices present",
        ),
        "UnexpectedAdmissionError {pod}: Allocate failed due to no healthy devices present "
        "-> BackoffLimitExceeded",
    ),
    Case(
        "image not found",
        pending(container(waiting("ImagePullBackOff", PULL))),
        "ImagePullBackOff {pod}: registry.example/train:1: not found",
        fails=False,
        sentence="cannot get its image",
    ),
    Case(
        "image refused",
        pending(container(waiting("ErrImagePull", DENIED))),
        "ErrImagePull {pod}: registry.example/train:1: denied",
        fails=False,
    ),
    Case(
        "image name",
        pending(
            container(
                waiting(
                    "InvalidImageName",
                    'couldn\'t parse image name "Train:": invalid reference format',
                )
            )
        ),
        'InvalidImageName {pod}: couldn\'t parse image name "Train:": invalid reference format',
        fails=False,
    ),
    Case(
        "secret missing",
        pending(container(waiting("CreateContainerConfigError", 'secret "git" not found'))),
        'CreateContainerConfigError {pod}: secret "git" not found',
        fails=False,
    ),
    Case(
        "secret missing for an init container",
        pending(
            PREPARING,
            init=(
                container(
                    waiting("CreateContainerConfigError", 'secret "git" not found'), name="code"
                ),
            ),
        ),
        'CreateContainerConfigError {pod} (init code): secret "git" not found',
        fails=False,
    ),
    Case(
        "cannot be created",
        pending(container(waiting("CreateContainerError", "context deadline exceeded"))),
        "CreateContainerError {pod}: context deadline exceeded",
        fails=False,
    ),
    Case(
        "crash loop, out of memory below",
        running(
            container(
                waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container"),
                last=ended(137, "OOMKilled"),
                restarts=4,
            )
        ),
        "OOMKilled {pod} (exit 137, limit 64Gi) x5 -> CrashLoopBackOff",
        fails=False,
    ),
    Case(
        "crash loop, an error below",
        running(
            container(
                waiting("CrashLoopBackOff", "back-off 10s"),
                last=ended(1, message=TRACEBACK),
                restarts=1,
            )
        ),
        "Error {pod} (exit 1) x2: ValueError: bad batch -> CrashLoopBackOff",
        fails=False,
    ),
    Case(
        "crash loop of a command that does nothing",
        running(
            container(
                waiting("CrashLoopBackOff", "back-off 10s"), last=ended(0, "Completed"), restarts=1
            )
        ),
        "CrashLoopBackOff {pod} x2: ends with exit code 0 and is started again",
        fails=False,
    ),
)
