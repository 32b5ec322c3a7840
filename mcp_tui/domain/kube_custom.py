"""Kinds of other projects that make training jobs, typed to the fields that the console uses.

Kubeflow TrainJob (trainer.kubeflow.org/v1alpha1) and PyTorchJob (kubeflow.org/v1), JobSet
(jobset.x-k8s.io/v1alpha2), RayJob (ray.io/v1) and Kueue's Workload (kueue.x-k8s.io/v1beta1 and
v1beta2). Field names were taken from those projects' Go types.
"""

from __future__ import annotations

import msgspec

from mcp_tui.domain.kube import (
    NO_RAW,
    Condition,
    JobSpec,
    Kube,
    ObjectMeta,
    PodTemplate,
    Quantities,
    Resources,
    keep_run,
)


class ReplicaCount(Kube, frozen=True, kw_only=True):
    """The children of one replicated job: in a TrainJob ``jobsStatus``, in a JobSet
    ``replicatedJobsStatus``.
    """

    name: str = ""
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    active: int = 0
    suspended: int = 0


class Trainer(Kube, frozen=True, kw_only=True):
    """What a TrainJob says of its trainer; ``env`` and ``run`` are as in ``TemplateContainer``."""

    image: str = ""
    num_nodes: int | None = None
    resources_per_node: Resources = Resources()
    env: msgspec.Raw = NO_RAW
    run: str = msgspec.field(default="", name="mcp-tui.run")

    def __post_init__(self) -> None:
        if self.env is not NO_RAW:
            keep_run(self)


class TrainJobSpec(Kube, frozen=True, kw_only=True):
    trainer: Trainer = Trainer()
    suspend: bool = False


class TrainerStatus(Kube, frozen=True, kw_only=True):
    """What a training script reports of itself where the feature is on."""

    progress_percentage: int | None = None
    estimated_remaining_seconds: int | None = None


class TrainJobStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    jobs_status: tuple[ReplicaCount, ...] = ()
    trainer_status: TrainerStatus | None = None


class TrainJob(Kube, frozen=True, kw_only=True):
    """trainer.kubeflow.org/v1alpha1 TrainJob, over a JobSet."""

    kind: str = "TrainJob"
    api_version: str = "trainer.kubeflow.org/v1alpha1"
    metadata: ObjectMeta = ObjectMeta()
    spec: TrainJobSpec = TrainJobSpec()
    status: TrainJobStatus = TrainJobStatus()


class RunPolicy(Kube, frozen=True, kw_only=True):
    suspend: bool = False


class ReplicaSpec(Kube, frozen=True, kw_only=True):
    replicas: int | None = None
    restart_policy: str = ""
    template: PodTemplate = PodTemplate()


class PyTorchJobSpec(Kube, frozen=True, kw_only=True):
    run_policy: RunPolicy = RunPolicy()
    pytorch_replica_specs: dict[str, ReplicaSpec] = msgspec.field(default_factory=dict)


class ReplicaStatus(Kube, frozen=True, kw_only=True):
    active: int = 0
    succeeded: int = 0
    failed: int = 0


class PyTorchJobStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    replica_statuses: dict[str, ReplicaStatus] = msgspec.field(default_factory=dict)
    start_time: str | None = None
    completion_time: str | None = None


class PyTorchJob(Kube, frozen=True, kw_only=True):
    """kubeflow.org/v1 PyTorchJob, over pods of its own."""

    kind: str = "PyTorchJob"
    api_version: str = "kubeflow.org/v1"
    metadata: ObjectMeta = ObjectMeta()
    spec: PyTorchJobSpec = PyTorchJobSpec()
    status: PyTorchJobStatus = PyTorchJobStatus()


class JobTemplate(Kube, frozen=True, kw_only=True):
    spec: JobSpec = JobSpec()


class DependsOn(Kube, frozen=True, kw_only=True):
    """Another replicated job that has to be before: its status is ``Ready`` or ``Complete``."""

    name: str = ""
    status: str = ""


class ReplicatedJob(Kube, frozen=True, kw_only=True):
    name: str = ""
    replicas: int = 1
    depends_on: tuple[DependsOn, ...] = ()
    template: JobTemplate = JobTemplate()


class StartupPolicy(Kube, frozen=True, kw_only=True):
    """``AnyOrder``, or ``InOrder``: each replicated job once the one before is ready."""

    startup_policy_order: str = ""


class JobSetSpec(Kube, frozen=True, kw_only=True):
    replicated_jobs: tuple[ReplicatedJob, ...] = ()
    startup_policy: StartupPolicy = StartupPolicy()
    suspend: bool = False


class JobSetStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    restarts: int = 0
    replicated_jobs_status: tuple[ReplicaCount, ...] = ()


class JobSet(Kube, frozen=True, kw_only=True):
    """jobset.x-k8s.io/v1alpha2 JobSet, over batch Jobs."""

    kind: str = "JobSet"
    api_version: str = "jobset.x-k8s.io/v1alpha2"
    metadata: ObjectMeta = ObjectMeta()
    spec: JobSetSpec = JobSetSpec()
    status: JobSetStatus = JobSetStatus()


class RayGroup(Kube, frozen=True, kw_only=True):
    """The head group, always one pod, or a worker group; each replica is so many hosts."""

    replicas: int | None = None
    num_of_hosts: int | None = None
    template: PodTemplate = PodTemplate()


class RayClusterSpec(Kube, frozen=True, kw_only=True):
    head_group_spec: RayGroup = RayGroup()
    worker_group_specs: tuple[RayGroup, ...] = ()


class RayJobSpec(Kube, frozen=True, kw_only=True):
    suspend: bool = False
    ray_cluster_spec: RayClusterSpec = RayClusterSpec()


class RayJobStatus(Kube, frozen=True, kw_only=True):
    ray_cluster_name: str = ""
    job_status: str = ""
    job_deployment_status: str = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    end_time: str | None = None
    succeeded: int = 0
    failed: int = 0


class RayJob(Kube, frozen=True, kw_only=True):
    """ray.io/v1 RayJob, over a RayCluster's pods and a submitter Job."""

    kind: str = "RayJob"
    api_version: str = "ray.io/v1"
    metadata: ObjectMeta = ObjectMeta()
    spec: RayJobSpec = RayJobSpec()
    status: RayJobStatus = RayJobStatus()


class WorkloadSpec(Kube, frozen=True, kw_only=True):
    queue_name: str = ""
    priority: int | None = None
    active: bool = True


class Admission(Kube, frozen=True, kw_only=True):
    cluster_queue: str = ""


class RequeueState(Kube, frozen=True, kw_only=True):
    count: int = 0
    requeue_at: str | None = None


class AdmissionCheck(Kube, frozen=True, kw_only=True):
    """``state`` is Pending, Ready, Retry or Rejected."""

    name: str = ""
    state: str = ""
    message: str = ""


class PodSetRequest(Kube, frozen=True, kw_only=True):
    name: str = ""
    resources: Quantities = msgspec.field(default_factory=dict)


class WorkloadStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    admission: Admission | None = None
    requeue_state: RequeueState | None = None
    admission_checks: tuple[AdmissionCheck, ...] = ()
    resource_requests: tuple[PodSetRequest, ...] = ()


class Workload(Kube, frozen=True, kw_only=True):
    """Kueue's view of one job; its owner reference names the job."""

    kind: str = "Workload"
    api_version: str = "kueue.x-k8s.io/v1beta2"
    metadata: ObjectMeta = ObjectMeta()
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class PendingWorkload(Kube, frozen=True, kw_only=True):
    """visibility.kueue.x-k8s.io: a place in a queue, both positions counted from 0."""

    metadata: ObjectMeta = ObjectMeta()
    priority: int = 0
    position_in_cluster_queue: int = 0


class PendingWorkloads(msgspec.Struct, kw_only=True, rename="camel"):
    """visibility.kueue.x-k8s.io PendingWorkloadsSummary."""

    items: list[PendingWorkload] = []
