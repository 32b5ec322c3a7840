"""Which label says that a pod belongs to a job, by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mcp_tui.domain.keys import JOB_NAME

# A TrainJob makes a JobSet of its own name. Sources: the controllers' documented pod labels.
POD_LABEL: Final[Mapping[str, str]] = {
    "Job": JOB_NAME,
    "JobSet": "jobset.sigs.k8s.io/jobset-name",
    "TrainJob": "jobset.sigs.k8s.io/jobset-name",
    "PyTorchJob": "training.kubeflow.org/job-name",
    "RayJob": "ray.io/originated-from-cr-name",
}


def pod_selector(kind: str, name: str) -> str:
    """The label selector that finds a job's pods.

    Raises:
        KeyError: Not a job kind.
    """
    return f"{POD_LABEL[kind]}={name}"


def pods_selector(kind: str, names: Iterable[str]) -> str:
    """The label selector that finds the pods of several jobs of a kind.

    Raises:
        KeyError: Not a job kind.
    """
    wanted = sorted(names)
    if len(wanted) == 1:
        return pod_selector(kind, wanted[0])
    return f"{POD_LABEL[kind]} in ({','.join(wanted)})"
