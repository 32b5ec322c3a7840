"""How each job kind is held, retried and found on the API server: one literal table."""

from __future__ import annotations

from typing import Final

import msgspec

from mcp_tui.errors import UsageError


class JobKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of training job.

    Attributes:
        suspend: JSON pointer of the field that holds it; empty when it has none.
        templates: Dotted paths of the pod templates inside, ``*`` for each element of a list or
            each value of a map.
    """

    kind: str
    group: str
    version: str
    plural: str
    suspend: str
    templates: tuple[str, ...]

    def path(self, namespace: str, name: str = "") -> str:
        """Path of the collection, or of one object."""
        root = f"/apis/{self.group}/{self.version}/namespaces/{namespace}/{self.plural}"
        return f"{root}/{name}" if name else root

    @property
    def api_version(self) -> str:
        """``group/version``."""
        return f"{self.group}/{self.version}"


JOB_KINDS: Final[tuple[JobKind, ...]] = (
    JobKind(
        kind="Job",
        group="batch",
        version="v1",
        plural="jobs",
        suspend="/spec/suspend",
        templates=("spec.template",),
    ),
    JobKind(
        kind="TrainJob",
        group="trainer.kubeflow.org",
        version="v1alpha1",
        plural="trainjobs",
        suspend="/spec/suspend",
        templates=(),
    ),
    JobKind(
        kind="PyTorchJob",
        group="kubeflow.org",
        version="v1",
        plural="pytorchjobs",
        suspend="/spec/runPolicy/suspend",
        templates=("spec.pytorchReplicaSpecs.*.template",),
    ),
    JobKind(
        kind="JobSet",
        group="jobset.x-k8s.io",
        version="v1alpha2",
        plural="jobsets",
        suspend="/spec/suspend",
        templates=("spec.replicatedJobs.*.template.spec.template",),
    ),
    JobKind(
        kind="RayJob",
        group="ray.io",
        version="v1",
        plural="rayjobs",
        suspend="/spec/suspend",
        templates=(
            "spec.rayClusterSpec.headGroupSpec.template",
            "spec.rayClusterSpec.workerGroupSpecs.*.template",
        ),
    ),
)


def kind_of(kind: str) -> JobKind:
    """The table's row of a kind.

    Raises:
        UsageError: The kind is none of ours.
    """
    for row in JOB_KINDS:
        if row.kind == kind:
            return row
    raise UsageError(f"kind {kind!r} is not a job kind that the console acts on")
