"""One look at a job: what the controller knows of it, and the pods it makes from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_tui.demo.plane import jobrules as rules
from mcp_tui.demo.plane.jobspec import COMPLETION_INDEX, TRACKING
from mcp_tui.demo.plane.model import JOBS, Obj, decode, encode, rfc3339
from mcp_tui.demo.plane.store import Entry

_FAILURES = "batch.kubernetes.io/job-index-failure-count"


@dataclass
class Memory:
    """What is remembered of a job between syncs: its failures in a row."""

    failures: int = 0
    last_failure: float = 0.0
    by_index: dict[int, tuple[int, float]] = field(default_factory=dict)


@dataclass
class Sync:
    """One look at a job: a copy to change, its pods, what has been counted."""

    entry: Entry
    job: Obj
    pods: list[Obj]
    now: float
    memory: Memory
    succeeded_indexes: set[int]
    failed_indexes: set[int]
    ending: rules.Ending | None = None

    @property
    def spec(self) -> Obj:
        """The wanted state."""
        found: Obj = self.job["spec"]
        return found

    @property
    def status(self) -> Obj:
        """The status, to be changed."""
        found: Obj = self.job["status"]
        return found

    @property
    def indexed(self) -> bool:
        """Whether pods have indexes."""
        return bool(self.spec.get("completionMode") == "Indexed")

    @property
    def per_index(self) -> bool:
        """Whether failures are limited per index."""
        return "backoffLimitPerIndex" in self.spec

    @property
    def succeeded(self) -> int:
        """Pods (or indexes) that succeeded."""
        return int(self.status.get("succeeded", 0))

    def active(self) -> list[Obj]:
        """The pods that are, or may yet be, running."""
        return [pod for pod in self.pods if rules.active(pod)]

    def stamp(self) -> str:
        """The time of the sync."""
        return rfc3339(self.now)


def pod_of(sync: Sync, index: int | None) -> Obj:
    """A new pod of the job, for one of its indexes if it is indexed."""
    template: Obj = decode(encode(sync.spec["template"]))
    owner = sync.job["metadata"]
    metadata: Obj = {
        name: template["metadata"][name]
        for name in ("labels", "annotations")
        if name in template["metadata"]
    }
    metadata["generateName"] = f"{owner['name']}-"
    metadata["finalizers"] = [TRACKING]
    metadata["ownerReferences"] = [
        {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "name": owner["name"],
            "uid": owner["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    spec = template["spec"]
    if index is not None:
        metadata["generateName"] = f"{owner['name']}-{index}-"
        extra: Mapping[str, str] = {COMPLETION_INDEX: str(index)}
        metadata["labels"] = {**metadata.get("labels", {}), **extra}
        if sync.per_index:
            failures = sync.memory.by_index.get(index, (0, 0.0))[0]
            extra = {**extra, _FAILURES: str(failures)}
        metadata["annotations"] = {**metadata.get("annotations", {}), **extra}
        spec.setdefault("hostname", f"{owner['name']}-{index}")
        for part in ("initContainers", "containers"):
            for container in spec.get(part) or ():
                _give_index(container)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _give_index(container: Obj) -> None:
    variables = container.setdefault("env", [])
    if any(item.get("name") == "JOB_COMPLETION_INDEX" for item in variables):
        return
    path = f"metadata.labels['{COMPLETION_INDEX}']"
    variables.append(
        {
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}},
        }
    )
