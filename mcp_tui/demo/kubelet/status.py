"""A pod's status as a kubelet reports it, computed from what its containers did. No I/O here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

Json = dict[str, Any]

UNKNOWN_MESSAGE: Final = "The container could not be located when the pod was terminated"


def rfc3339(epoch: float) -> str:
    """Epoch seconds as a Kubernetes time (UTC, whole seconds)."""
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(epoch: float) -> str:
    """Epoch seconds as a Kubernetes MicroTime."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Record:
    """What is known of one container: at most one of waiting, running and terminated is set."""

    name: str
    image: str
    init: bool = False
    sidecar: bool = False
    waiting: tuple[str, str] | None = None
    running_since: float | None = None
    terminated: Json | None = None
    last: Json | None = None
    restarts: int = 0
    container_id: str = ""
    probed_ready: bool = True
    probed_started: bool = True

    @property
    def ready(self) -> bool:
        """Running and, where probes say so, ready; an init container is when it has succeeded."""
        if self.init and not self.sidecar:
            return self.succeeded
        return self.running_since is not None and self.probed_started and self.probed_ready

    @property
    def succeeded(self) -> bool:
        """Ended with exit code 0."""
        return self.terminated is not None and self.terminated.get("exitCode") == 0

    @property
    def failed(self) -> bool:
        """Ended otherwise."""
        return self.terminated is not None and self.terminated.get("exitCode") != 0

    def wait(self, reason: str, message: str = "") -> None:
        """Set the waiting state; the last termination, if this is a restart, is kept."""
        self._retire()
        self.waiting, self.running_since, self.terminated = (reason, message), None, None

    def run(self, container_id: str, now: float) -> None:
        """Set the running state."""
        self._retire()
        self.container_id = container_id
        self.waiting, self.running_since, self.terminated = None, now, None

    def end(self, exit_code: int, reason: str, now: float, message: str = "") -> None:
        """Set the terminated state; ``now`` is when it ended."""
        state: Json = {"exitCode": exit_code, "reason": reason, "finishedAt": rfc3339(now)}
        state["startedAt"] = rfc3339(self.running_since or 0)
        if message:
            state["message"] = message
        if self.container_id:
            state["containerID"] = self.container_id
        self.waiting, self.running_since, self.terminated = None, None, state

    def _retire(self) -> None:
        if self.terminated is not None:
            self.last = self.terminated

    def to_status(self, *, pod_over: bool) -> Json:
        """The ContainerStatus."""
        if self.terminated is not None:
            state: Json = {"terminated": self.terminated}
        elif self.running_since is not None:
            state = {"running": {"startedAt": rfc3339(self.running_since)}}
        else:
            reason, message = self.waiting or ("ContainerCreating", "")
            state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        status: Json = {
            "name": self.name,
            "image": self.image,
            "imageID": "",
            "ready": self.ready and not (pod_over and not self.init),
            "started": self.running_since is not None and self.probed_started,
            "restartCount": self.restarts,
            "state": state,
            "lastState": {"terminated": self.last} if self.last is not None else {},
        }
        if self.container_id:
            status["containerID"] = self.container_id
        return status


def record_from_status(status: Mapping[str, Any], *, init: bool, now: float) -> Record:
    """What an earlier run of the node knew of a container; one that ran is now unaccounted for."""
    state = status.get("state") or {}
    record = Record(
        name=str(status.get("name", "")),
        image=str(status.get("image", "")),
        init=init,
        restarts=int(status.get("restartCount") or 0),
        container_id=str(status.get("containerID") or ""),
    )
    record.last = (status.get("lastState") or {}).get("terminated")
    if state.get("terminated"):
        record.terminated = state["terminated"]
    elif state.get("running"):
        record.end(137, "ContainerStatusUnknown", now, UNKNOWN_MESSAGE)
        assert record.terminated is not None  # end() set it
        record.terminated["startedAt"] = state["running"].get("startedAt") or rfc3339(0)
    return record


@dataclass
class Verdict:
    """Why a whole pod was ended by its node: what overrides the phase its containers give."""

    reason: str
    message: str
    disruption: bool = False


@dataclass
class PodView:
    """Everything that a pod's status is made of."""

    pod: Json
    init: Sequence[Record]
    main: Sequence[Record]
    host_ip: str
    started: float
    sandbox: bool = False
    ending: bool = False
    ended: bool = False
    verdict: Verdict | None = None
    conditions_since: dict[str, tuple[str, str]] = field(default_factory=dict)


def phase_of(view: PodView) -> str:
    """The phase, by the rules of the kubelet.

    While the node itself is ending a pod its phase is not final: the reason has to come with it.
    """
    phase = _phase_of(view)
    if view.ending and not view.ended and phase in ("Succeeded", "Failed"):
        return "Running"
    return phase


def _phase_of(view: PodView) -> str:
    policy = (view.pod.get("spec") or {}).get("restartPolicy", "Always")
    if view.verdict is not None:
        return "Failed"
    if view.ended:
        # Nothing will run again, whatever the restart policy says.
        return "Succeeded" if all(r.succeeded for r in view.main) else "Failed"
    for record in view.init:
        if record.sidecar:
            if not record.probed_started or (
                record.running_since is None and not record.terminated
            ):
                return "Pending"
            continue
        if record.failed and policy == "Never":
            return "Failed"
        if not record.succeeded:
            return "Pending"
    if any(r.running_since is None and r.terminated is None and r.last is None for r in view.main):
        return "Pending"
    if any(r.running_since is not None for r in view.main):
        return "Running"
    if all(r.succeeded for r in view.main) and policy != "Always":
        return "Succeeded"
    if policy == "Always" or any(r.terminated is None for r in view.main):
        return "Running"
    return "Failed" if policy == "Never" else "Running"


def _unready(records: Iterable[Record]) -> list[str]:
    return [record.name for record in records if not record.ready]


def _listed(names: Sequence[str]) -> str:
    return "[" + " ".join(names) + "]"


def _wanted_conditions(view: PodView, phase: str) -> list[Json]:
    over = phase in ("Succeeded", "Failed")
    uninitialised = [r.name for r in view.init if not (r.succeeded or (r.sidecar and r.ready))]
    if uninitialised and not (over and phase == "Succeeded"):
        initialised: Json = {
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: {_listed(uninitialised)}",
        }
    else:
        initialised = {"status": "True"}
    unready = _unready(view.main)
    if phase == "Succeeded":
        initialised = {"status": "True", "reason": "PodCompleted"}
        ready: Json = {"status": "False", "reason": "PodCompleted"}
    elif phase == "Failed":
        ready = {"status": "False", "reason": "PodFailed"}
    elif unready:
        ready = {
            "status": "False",
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: {_listed(unready)}",
        }
    else:
        ready = {"status": "True"}
    conditions: list[Json] = [
        {
            "type": "PodReadyToStartContainers",
            "status": "True" if view.sandbox and not over else "False",
        },
        {"type": "Initialized", **initialised},
        {"type": "Ready", **_with_gates(view, ready)},
        {"type": "ContainersReady", **ready},
    ]
    if view.verdict is not None and view.verdict.disruption:
        conditions.append(
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": view.verdict.message,
            }
        )
    return conditions


def _with_gates(view: PodView, ready: Json) -> Json:
    """Readiness gates hold Ready back until somebody sets their conditions."""
    gates = (view.pod.get("spec") or {}).get("readinessGates") or []
    known = {
        c.get("type"): c.get("status")
        for c in (view.pod.get("status") or {}).get("conditions") or []
    }
    missing = [g for g in gates if known.get(g.get("conditionType")) != "True"]
    if ready["status"] != "True" or not missing:
        return ready
    return {
        "status": "False",
        "reason": "ReadinessGatesNotReady",
        "message": f"{len(missing)} readiness gates are not met",
    }


def conditions_of(view: PodView, phase: str, now: float) -> list[Json]:
    """The pod's conditions: the node's own, and unchanged all that others wrote."""
    wanted = _wanted_conditions(view, phase)
    present = list((view.pod.get("status") or {}).get("conditions") or [])
    if not any(c.get("type") == "PodScheduled" for c in present):
        wanted.append({"type": "PodScheduled", "status": "True"})
    names = {c["type"] for c in wanted}
    if "DisruptionTarget" in names and any(
        c.get("type") == "DisruptionTarget" and c.get("status") == "True" for c in present
    ):
        # Whoever was first has told why this pod goes.
        names.discard("DisruptionTarget")
        wanted = [c for c in wanted if c["type"] != "DisruptionTarget"]
    kept = [c for c in present if c.get("type") not in names]
    own = []
    for condition in wanted:
        kind, status = condition["type"], condition["status"]
        before = view.conditions_since.get(kind)
        if before is None or before[0] != status:
            view.conditions_since[kind] = (status, rfc3339(now))
        condition["lastTransitionTime"] = view.conditions_since[kind][1]
        condition["lastProbeTime"] = None
        own.append(condition)
    return own + kept


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort, from the requests and limits of cpu and memory."""
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    any_set, guaranteed = False, True
    for container in containers:
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        for name in ("cpu", "memory"):
            if name in requests:
                any_set = True
            if name not in limits or str(requests.get(name)) != str(limits[name]):
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def pod_status(view: PodView, now: float) -> Json:
    """The PodStatus to be sent: merge-patched over what the API server has."""
    phase = phase_of(view)
    over = phase in ("Succeeded", "Failed")
    ip = view.host_ip if view.sandbox else None
    return {
        "phase": phase,
        "conditions": conditions_of(view, phase, now),
        "hostIP": view.host_ip,
        "hostIPs": [{"ip": view.host_ip}],
        "podIP": ip,
        "podIPs": [{"ip": ip}] if ip else None,
        "startTime": rfc3339(view.started),
        "qosClass": (view.pod.get("status") or {}).get("qosClass")
        or qos_class(view.pod.get("spec") or {}),
        "reason": view.verdict.reason if view.verdict else None,
        "message": view.verdict.message if view.verdict else None,
        "initContainerStatuses": [r.to_status(pod_over=over) for r in view.init] or None,
        "containerStatuses": [r.to_status(pod_over=over) for r in view.main] or None,
    }
