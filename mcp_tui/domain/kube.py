"""Kubernetes objects, typed to the fields that the console uses.

Field names follow the APIs (batch/v1, core/v1); the kinds of others are in ``kube_custom.py``.
Fields that are not declared here are skipped by the decoder and cost no memory. Everything has a
default, so that an object of an older or newer server decodes. Times stay as the server wrote
them (RFC 3339) until :func:`epoch` is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from mcp_tui.domain import keys


class Kube(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What all structs here share: frozen, camelCase on the wire, not tracked by the collector."""


# Of each job and pod the same few moments are read again with every change of it.
@lru_cache(maxsize=16_384)
def epoch(time: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for no time or one that cannot be read."""
    if not time:
        return None
    try:
        parsed = datetime.fromisoformat(time)
        return parsed.timestamp() if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


class OwnerReference(Kube, frozen=True, kw_only=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Annotations(Kube, frozen=True, kw_only=True):
    """The annotations that the console reads; all others are skipped.

    They can be a quarter of a megabyte each (``last-applied-configuration``), on every object.
    What shows an object in full, or takes ``mcp-tui.io/config`` for a retry, reads that object.
    """

    git_url: str = msgspec.field(default="", name=keys.GIT_URL)
    git_branch: str = msgspec.field(default="", name=keys.GIT_BRANCH)
    experiment_id: str = msgspec.field(default="", name=keys.EXPERIMENT_ID)
    experiment: str = msgspec.field(default="", name=keys.EXPERIMENT)
    parent: str = msgspec.field(default="", name=keys.PARENT)
    submitted_by: str = msgspec.field(default="", name=keys.SUBMITTED_BY)

    def get(self, key: str, default: str = "") -> str:
        """The value of an annotation by its full key, as in a mapping."""
        return getattr(self, _ANNOTATIONS.get(key, ""), "") or default


_ANNOTATIONS: Mapping[str, str] = {
    field.encode_name: field.name for field in msgspec.structs.fields(Annotations)
}


class ObjectMeta(Kube, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: Annotations = Annotations()
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that made this object and looks after it."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class Condition(Kube, frozen=True, kw_only=True):
    """A condition of any kind; ``status`` is True, False or Unknown."""

    type: str = ""
    status: str = ""
    last_transition_time: str | None = None
    reason: str = ""
    message: str = ""

    @property
    def is_true(self) -> bool:
        """Whether the condition holds."""
        return self.status == "True"


def condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of a type, or None."""
    for item in conditions:  # in plain words: it is asked for in every row, several times
        if item.type == type_:
            return item
    return None


# A quantity is a string, but a manifest may write 2 and the type of a CRD may keep it a number.
Quantities = dict[str, str | int | float]


class Resources(Kube, frozen=True, kw_only=True):
    """What containers ask for, by resource name; see ``quantity.py`` for the values."""

    limits: Quantities = msgspec.field(default_factory=dict)
    requests: Quantities = msgspec.field(default_factory=dict)


class Variable(Kube, frozen=True, kw_only=True):
    """A variable of a container; one that is taken from elsewhere has no value here."""

    name: str = ""
    value: str = ""


NO_RAW: Final = msgspec.Raw()
_RUN_VARIABLE: Final = f'"{keys.RUN_VARIABLE}"'.encode()

_set: Final = msgspec.structs.force_setattr


def run_in(data: bytes) -> str:
    """The MLflow run that an environment in JSON names; empty for none.

    Raises:
        ValidationError: It is no environment.
    """
    variables = msgspec.json.decode(data, type=tuple[Variable, ...])
    return next((each.value for each in variables if each.name == keys.RUN_VARIABLE), "")


def keep_run(holder: Any) -> None:
    """Of an environment that was just decoded keep the run that it names, and nothing else.

    An environment is long, and comes with every change of every job: it is decoded only where the
    name stands in it.
    """
    data = bytes(holder.env)
    _set(holder, "env", NO_RAW)
    if data.find(_RUN_VARIABLE) >= 0:  # faster than ``in``
        _set(holder, "run", run_in(data))


class Container(Kube, frozen=True, kw_only=True):
    name: str = ""
    image: str = ""
    resources: Resources = Resources()
    restart_policy: str = ""


class TemplateContainer(Container, frozen=True, kw_only=True):
    """A container of a template.

    Attributes:
        env: Nothing: what it was in the JSON is gone once the struct is made.
        run: The MLflow run that its environment names.
    """

    env: msgspec.Raw = NO_RAW
    run: str = msgspec.field(default="", name="mcp-tui.run")

    def __post_init__(self) -> None:
        if self.env is not NO_RAW:
            keep_run(self)


class SchedulingGate(Kube, frozen=True, kw_only=True):
    name: str = ""


class PodSpec(Kube, frozen=True, kw_only=True):
    init_containers: tuple[Container, ...] = ()
    containers: tuple[Container, ...] = ()
    node_name: str = ""
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    resources: Resources = Resources()
    """What all containers share; where it names a resource, what each asks for does not count."""


class Running(Kube, frozen=True, kw_only=True):
    started_at: str | None = None


class Waiting(Kube, frozen=True, kw_only=True):
    reason: str = ""
    message: str = ""


class Terminated(Kube, frozen=True, kw_only=True):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None


class ContainerState(Kube, frozen=True, kw_only=True):
    """Exactly one is set; none means waiting without a reason."""

    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Kube, frozen=True, kw_only=True):
    name: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool = False
    restart_count: int = 0


class PodStatus(Kube, frozen=True, kw_only=True):
    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    message: str = ""
    reason: str = ""
    start_time: str | None = None
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Kube, frozen=True, kw_only=True):
    """core/v1 Pod."""

    kind: str = "Pod"
    api_version: str = "v1"
    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class TemplateSpec(PodSpec, frozen=True, kw_only=True):
    """A pod's spec in a template, where containers say which run they log to."""

    init_containers: tuple[TemplateContainer, ...] = ()
    containers: tuple[TemplateContainer, ...] = ()


class PodTemplate(Kube, frozen=True, kw_only=True):
    """The template of pods; its labels follow from the object that holds it and are skipped."""

    spec: TemplateSpec = TemplateSpec()


class JobSpec(Kube, frozen=True, kw_only=True):
    parallelism: int | None = None
    completions: int | None = None
    template: PodTemplate = PodTemplate()
    completion_mode: str = "NonIndexed"
    suspend: bool = False


class UncountedPods(Kube, frozen=True, kw_only=True):
    """Pods that have ended and are not in the counts yet, by uid."""

    succeeded: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class JobStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    start_time: str | None = None
    completion_time: str | None = None
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    failed_indexes: str = ""
    uncounted_terminated_pods: UncountedPods = UncountedPods()
    ready: int = 0


class Job(Kube, frozen=True, kw_only=True):
    """batch/v1 Job."""

    kind: str = "Job"
    api_version: str = "batch/v1"
    metadata: ObjectMeta = ObjectMeta()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class ObjectReference(Kube, frozen=True, kw_only=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EventSource(Kube, frozen=True, kw_only=True):
    component: str = ""


class EventSeries(Kube, frozen=True, kw_only=True):
    count: int = 0
    last_observed_time: str | None = None


class Event(Kube, frozen=True, kw_only=True):
    """core/v1 Event."""

    metadata: ObjectMeta = ObjectMeta()
    involved_object: ObjectReference = ObjectReference()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: EventSeries | None = None
    source: EventSource = EventSource()
    reporting_component: str = ""

    @property
    def times(self) -> int:
        """How often it was seen; at least once."""
        counts = (self.count or 0, self.series.count if self.series else 0)
        return max(1, *counts)

    @property
    def last_seen(self) -> float | None:
        """When it was seen last, in epoch seconds; each generation of clients has its own field."""
        observed = self.series.last_observed_time if self.series else None
        for time in (observed, self.last_timestamp, self.event_time, self.first_timestamp):
            seconds = epoch(time)
            if seconds is not None:
                return seconds
        return epoch(self.metadata.creation_timestamp)

    @property
    def component(self) -> str:
        """Which controller or kubelet reported it."""
        return self.reporting_component or self.source.component


class NodeStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    capacity: Quantities = msgspec.field(default_factory=dict)


class Node(Kube, frozen=True, kw_only=True):
    """core/v1 Node, as far as a pod's place is concerned."""

    kind: str = "Node"
    api_version: str = "v1"
    metadata: ObjectMeta = ObjectMeta()
    status: NodeStatus = NodeStatus()


class NamespaceStatus(Kube, frozen=True, kw_only=True):
    phase: str = ""


class Namespace(Kube, frozen=True, kw_only=True):
    """core/v1 Namespace."""

    kind: str = "Namespace"
    api_version: str = "v1"
    metadata: ObjectMeta = ObjectMeta()
    status: NamespaceStatus = NamespaceStatus()
