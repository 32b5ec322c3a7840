"""What serves models in a cluster, typed to the fields that say which, and how it stands.

apps/v1 Deployment, Argo's Rollout (argoproj.io/v1alpha1) and KServe's InferenceService
(serving.kserve.io/v1beta1). Field names follow those APIs. Annotations are all read here, as any of
them may name a model; what is made of an object keeps none.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mcp_tui.domain.kube import Condition, Kube, OwnerReference, Variable


class ServerMeta(Kube, frozen=True, kw_only=True):
    """Metadata with all annotations."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that made this object and looks after it."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class TemplateMeta(Kube, frozen=True, kw_only=True):
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class ServerContainer(Kube, frozen=True, kw_only=True):
    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()


class ServerPodSpec(Kube, frozen=True, kw_only=True):
    init_containers: tuple[ServerContainer, ...] = ()
    containers: tuple[ServerContainer, ...] = ()


class ServerTemplate(Kube, frozen=True, kw_only=True):
    metadata: TemplateMeta = TemplateMeta()
    spec: ServerPodSpec = ServerPodSpec()


class WorkloadRef(Kube, frozen=True, kw_only=True):
    """The object whose pod template a Rollout takes."""

    kind: str = ""
    name: str = ""


class ServerSpec(Kube, frozen=True, kw_only=True):
    """Of a Deployment and of a Rollout."""

    replicas: int | None = None
    paused: bool = False
    template: ServerTemplate = ServerTemplate()
    workload_ref: WorkloadRef | None = None


class ServerStatus(Kube, frozen=True, kw_only=True):
    """Of a Deployment and of a Rollout; phase and the hashes are a Rollout's."""

    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    conditions: tuple[Condition, ...] = ()
    phase: str = ""
    message: str = ""
    current_pod_hash: str = ""
    stable_rs: str = msgspec.field(default="", name="stableRS")


class Deployment(Kube, frozen=True, kw_only=True):
    """apps/v1 Deployment."""

    kind: str = "Deployment"
    api_version: str = "apps/v1"
    metadata: ServerMeta = ServerMeta()
    spec: ServerSpec = ServerSpec()
    status: ServerStatus = ServerStatus()


class Rollout(Kube, frozen=True, kw_only=True):
    """argoproj.io/v1alpha1 Rollout."""

    kind: str = "Rollout"
    api_version: str = "argoproj.io/v1alpha1"
    metadata: ServerMeta = ServerMeta()
    spec: ServerSpec = ServerSpec()
    status: ServerStatus = ServerStatus()


class StorageSpec(Kube, frozen=True, kw_only=True):
    path: str = ""
    storage_uri: str = ""


class ModelSpec(Kube, frozen=True, kw_only=True):
    """A model to be served: ``predictor.model``, or the older one under its framework's name."""

    storage_uri: str = ""
    storage: StorageSpec | None = None
    image: str = ""
    args: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()


class Predictor(Kube, frozen=True, kw_only=True):
    """What answers; exactly one of the models is set, or containers of one's own."""

    min_replicas: int | None = None
    canary_traffic_percent: int | None = None
    model: ModelSpec | None = None
    sklearn: ModelSpec | None = None
    xgboost: ModelSpec | None = None
    lightgbm: ModelSpec | None = None
    tensorflow: ModelSpec | None = None
    pytorch: ModelSpec | None = None
    onnx: ModelSpec | None = None
    triton: ModelSpec | None = None
    pmml: ModelSpec | None = None
    paddle: ModelSpec | None = None
    huggingface: ModelSpec | None = None
    init_containers: tuple[ServerContainer, ...] = ()
    containers: tuple[ServerContainer, ...] = ()

    def models(self) -> Iterator[ModelSpec]:
        """Those that are set."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, ModelSpec):
                yield value


class InferenceSpec(Kube, frozen=True, kw_only=True):
    predictor: Predictor = Predictor()


class InferenceStatus(Kube, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()


class InferenceService(Kube, frozen=True, kw_only=True):
    """serving.kserve.io/v1beta1 InferenceService."""

    kind: str = "InferenceService"
    api_version: str = "serving.kserve.io/v1beta1"
    metadata: ServerMeta = ServerMeta()
    spec: InferenceSpec = InferenceSpec()
    status: InferenceStatus = InferenceStatus()


AnyServer = Deployment | Rollout | InferenceService
