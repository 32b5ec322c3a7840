"""The jobs of the demo: one of each fate, and how often the simulator submits it again. Data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of job.

    Attributes:
        name: Start of its name; also its key.
        config: Over the base config; ``parameters`` are merged.
        job: Merged into the Job's spec, for what a train config cannot say.
        pod: Merged into the pod's spec.
        user: Who submits it.
        branch: Of the demo's repository.
        namespace: Where it goes.
        run: Whether it waits for MLflow and gets a run.
        weight: How often it is submitted again, against the others; 0 is only at the start.
        keep: One of it should always be there.
        suspend: Suspended by hand soon after it was submitted.
    """

    name: str
    config: Mapping[str, Any] = msgspec.field(default_factory=dict)
    job: Mapping[str, Any] = msgspec.field(default_factory=dict)
    pod: Mapping[str, Any] = msgspec.field(default_factory=dict)
    user: str = "alice"
    branch: str = "main"
    namespace: str = "ml"
    run: bool = True
    weight: int = 0
    keep: bool = False
    suspend: bool = False


BASE: Final[Mapping[str, Any]] = {
    "image": "ghcr.io/acme/trainer:2.4",
    "command": ["python3", "train.py"],
    "parameters": {"lr": "0.003", "batch_size": "256"},
    "resources": {"cpu": "500m", "memory": "512Mi"},
    "experiment": "ranker",
}


def _trains(steps: int, seconds: float, **more: str) -> dict[str, Any]:
    parameters = {"steps": str(steps), "seconds": str(seconds), **more}
    return {"parameters": parameters, "total_steps": steps}


QUEUE: Final = "gpu-a100"
"""The LocalQueue of the demo, in namespace ml; it has as many accelerators as the node."""

ACCELERATOR: Final = "nvidia.com/gpu"
ACCELERATORS: Final = 4


def _gpu(steps: int) -> dict[str, Any]:
    resources = {"cpu": "1", "memory": "1Gi", "accelerators": {ACCELERATOR: 2}}
    return {**_trains(steps, 1.0), "resources": resources, "queue": QUEUE}


FATES: Final[tuple[Fate, ...]] = (
    # Those that need no run: they are there at once, before MLflow is.
    Fate(
        name="vision-resnet",
        config={"image": "registry.acme.invalid/vision/train:2.1", "experiment": "vision"},
        user="eva",
        run=False,
        keep=True,
    ),
    Fate(
        name="fraud-train",
        config={"secrets_from": ["warehouse-credentials"], "experiment": "fraud"},
        user="bo",
        run=False,
        keep=True,
    ),
    Fate(
        name="llm-finetune",
        config={
            "resources": {"cpu": "4", "memory": "32Gi", "accelerators": {ACCELERATOR: 8}},
            "experiment": "llm",
        },
        user="eva",
        run=False,
        keep=True,
    ),
    Fate(
        name="feature-export",
        config={"command": ["sh", "-c", "echo connecting to feast:6566; sleep 1; exit 3"]},
        job={"backoffLimit": 30},
        pod={"restartPolicy": "OnFailure"},
        user="ml-ci",
        namespace="research",
        run=False,
        keep=True,
    ),
    Fate(
        name="ctr-hourly",
        config=_trains(12, 1.0),
        user="ml-ci",
        run=False,
        weight=2,
    ),
    # Those with a run.
    Fate(
        name="ranker-train",
        config=_trains(900, 1.0) | {"resources": {"cpu": "2", "memory": "1Gi"}},
        branch="feature/v1.2",
        keep=True,
    ),
    Fate(name="ctr-hourly-v31", config=_trains(25, 1.0), user="ml-ci", weight=6),
    Fate(
        name="embed-v3",
        config=_trains(40, 0.5, fault="oom", fault_at="6")
        | {"resources": {"cpu": "1", "memory": "128Mi"}, "retries": 1, "experiment": "embed"},
        user="eva",
        weight=1,
        keep=True,
    ),
    Fate(
        name="ranker-eval",
        config=_trains(20, 0.5, fault="column", fault_at="8"),
        user="bo",
        branch="feature/v1.2",
        weight=1,
        keep=True,
    ),
    Fate(
        name="sweep-night",
        config=_trains(600, 1.0) | {"deadline": "40s", "experiment": "sweep"},
        user="ml-ci",
        weight=1,
        keep=True,
    ),
    Fate(
        name="tokenizer-build",
        config=_trains(300, 1.0) | {"experiment": "llm"},
        user="eva",
        suspend=True,
        keep=True,
    ),
    Fate(
        name="ranker-dist",
        config=_trains(30, 1.0, fault="rank", fault_at="2") | {"nodes": 4},
        job={"backoffLimitPerIndex": 0, "maxFailedIndexes": 3, "backoffLimit": None},
        keep=True,
    ),
    Fate(
        name="clicks-import",
        config=_trains(10, 0.5, fault="escape", fault_at="4")
        | {"labels": {"team": "data-in"}, "annotations": {"note": "[red]not markup[/] :ctx prod"}},
        user="mallory",
        keep=True,
    ),
    Fate(name="ctr-gpu", config=_gpu(120), user="eva", weight=2),
    Fate(name="ranker-gpu", config=_gpu(80), user="bo", weight=1),
    Fate(name="llm-eval", config=_gpu(100), user="alice", keep=True),
    Fate(name="ranker-short", config=_trains(45, 1.0), user="bo", weight=5),
    Fate(
        name="churn-weekly",
        config=_trains(90, 1.0) | {"experiment": "churn"},
        namespace="research",
        user="eva",
        weight=3,
    ),
)
