"""The resources the embedded control plane serves, and the small things every module needs."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

Obj = dict[str, Any]
"""One API object as decoded JSON."""

Clock = Callable[[], float]
"""Seconds since the epoch."""

ENCODER = msgspec.json.Encoder()

# The alphabet of generated names: no vowels and no look-alikes, as the API server's.
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "patch", "update")


def encode(value: Any) -> bytes:
    """``value`` as compact JSON."""
    return ENCODER.encode(value)


def decode(raw: bytes) -> Any:
    """A fresh, mutable copy of what ``raw`` says. Raises msgspec.DecodeError."""
    return msgspec.json.decode(raw)


def rfc3339(seconds: float) -> str:
    """A ``metav1.Time``: whole seconds, UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(seconds: float) -> str:
    """A ``metav1.MicroTime``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: object) -> float | None:
    """Epoch seconds of an RFC 3339 time, or None for anything that is not one."""
    if not isinstance(text, str) or not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed.timestamp()


def new_uid() -> str:
    """A random UID."""
    return str(uuid.uuid4())


def random_suffix() -> str:
    """Five characters, as ``generateName`` appends."""
    return "".join(secrets.choice(_SUFFIX) for _ in range(5))


@dataclass(frozen=True, eq=False)
class Kind:
    """One served resource.

    Attributes:
        subresources: Name of the subresource -> its verbs.
        fields: Field selectors besides metadata.name and metadata.namespace -> path in the object.
        status: Whether status is a subresource (so that the main resource ignores it).
        fixed: Whether its structure is known; other kinds keep whatever fields they are given.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ + WRITE
    subresources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    status: bool = False
    fixed: bool = True

    @property
    def api_version(self) -> str:
        """``batch/v1``, or ``v1`` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """``jobs.batch``, or ``pods`` for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """``Job.batch``, or ``Pod`` for the core group."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def head(self) -> bytes:
        """How every encoded object of the kind begins."""
        return f'{{"kind":"{self.kind}","apiVersion":"{self.api_version}",'.encode()

    @property
    def singular(self) -> str:
        """The lower-case kind."""
        return self.kind.lower()


_STATUS: Mapping[str, tuple[str, ...]] = {"status": ("get", "patch", "update")}


def _one_to_one(*paths: str) -> dict[str, tuple[str, ...]]:
    return {path: tuple(path.split(".")) for path in paths}


NAMESPACES = Kind(
    "",
    "v1",
    "namespaces",
    "Namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=_STATUS,
    fields=_one_to_one("status.phase"),
    status=True,
)
NODES = Kind(
    "",
    "v1",
    "nodes",
    "Node",
    namespaced=False,
    short_names=("no",),
    subresources=_STATUS,
    fields=_one_to_one("spec.unschedulable"),
    status=True,
)
PODS = Kind(
    "",
    "v1",
    "pods",
    "Pod",
    short_names=("po",),
    categories=("all",),
    subresources={
        **_STATUS,
        "log": ("get",),
        "exec": ("create", "get"),
        "portforward": ("create", "get"),
    },
    fields=_one_to_one(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    status=True,
)
EVENTS = Kind(
    "",
    "v1",
    "events",
    "Event",
    short_names=("ev",),
    fields={
        **_one_to_one(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ),
        "source": ("source", "component"),
    },
)
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Kind("", "v1", "secrets", "Secret", fields=_one_to_one("type"))
SERVICES = Kind("", "v1", "services", "Service", short_names=("svc",), categories=("all",))
JOBS = Kind(
    "batch",
    "v1",
    "jobs",
    "Job",
    categories=("all",),
    subresources=_STATUS,
    fields={"status.successful": ("status", "succeeded")},
    status=True,
)
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")

BUILT_IN: tuple[Kind, ...] = (
    NAMESPACES,
    NODES,
    PODS,
    EVENTS,
    CONFIG_MAPS,
    SECRETS,
    SERVICES,
    JOBS,
    LEASES,
)


def _custom(
    group: str, version: str, plural: str, kind: str, *, short: tuple[str, ...] = ()
) -> Kind:
    return Kind(
        group,
        version,
        plural,
        kind,
        short_names=short,
        subresources=_STATUS,
        status=True,
        fixed=False,
    )


EXTRAS: Mapping[str, tuple[Kind, ...]] = {
    "kubeflow": (
        _custom("trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"),
        _custom("kubeflow.org", "v1", "pytorchjobs", "PyTorchJob"),
    ),
    "jobset": (_custom("jobset.x-k8s.io", "v1alpha2", "jobsets", "JobSet"),),
    "ray": (_custom("ray.io", "v1", "rayjobs", "RayJob"),),
    "kueue": (
        _custom("kueue.x-k8s.io", "v1beta1", "workloads", "Workload", short=("wl",)),
        _custom("kueue.x-k8s.io", "v1beta1", "localqueues", "LocalQueue"),
    ),
    "serving": (
        _custom("apps", "v1", "deployments", "Deployment", short=("deploy",)),
        _custom("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService",
                short=("isvc",)),
        _custom("argoproj.io", "v1alpha1", "rollouts", "Rollout", short=("ro",)),
    ),
}  # fmt: skip
"""Sets of kinds that can be switched on: without controllers, their structure not checked."""


def dig(obj: Any, *path: str) -> Any:
    """The value at ``path``, or None where the way there ends."""
    for step in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(step)
    return obj


def conditions(obj: Obj) -> list[Obj]:
    """The status conditions of an object; empty when it has none."""
    found = dig(obj, "status", "conditions")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def condition(obj: Obj, type_: str) -> Obj | None:
    """The condition of that type, or None."""
    return next((item for item in conditions(obj) if item.get("type") == type_), None)


def has_condition(obj: Obj, type_: str) -> bool:
    """Whether the condition of that type says "True"."""
    found = condition(obj, type_)
    return found is not None and found.get("status") == "True"
