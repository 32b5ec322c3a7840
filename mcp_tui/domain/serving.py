"""What serves models: an object of a cluster, how it stands, and which models it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from mcp_tui.domain.kube import Condition, Variable, condition, epoch
from mcp_tui.domain.kube_serving import (
    AnyServer,
    InferenceService,
    Predictor,
    ServerSpec,
    ServerStatus,
)
from mcp_tui.domain.references import (
    Fact,
    How,
    Reference,
    addresses,
    environment,
    image,
    is_place,
    labelled,
    telling,
    unique,
)
from mcp_tui.domain.text import one_line


class ServingState(StrEnum):
    """How it stands; the value is the word shown."""

    SERVING = "serving"
    STARTING = "starting"
    FAILING = "not ready"
    OFF = "scaled to 0"


class Serving(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One object that serves, ready to be shown. Strings are of one line.

    Attributes:
        ready: Replicas that answer; None where the object does not say.
        desired: Replicas wanted; None where the object does not say.
        why: Why it is not ready, as its conditions say.
        note: What makes its references less than the whole truth, such as a rollout on its way.
        references: What it says of models, exact or by a guess.
        created: Epoch seconds.
        owner: The uid of what made it; empty for an object of its own.
        part_of: The InferenceService that it belongs to by its label.
        through: ``KIND/NAME`` of the object whose pods it takes over (a Rollout's workloadRef).
    """

    context: str
    kind: str
    namespace: str
    name: str
    uid: str
    state: ServingState = ServingState.STARTING
    ready: int | None = None
    desired: int | None = None
    why: str = ""
    note: str = ""
    references: tuple[Reference, ...] = ()
    created: float | None = None
    deleting: bool = False
    owner: str = ""
    part_of: str = ""
    through: str = ""

    @property
    def key(self) -> str:
        """What it is found by: its uid in its context."""
        return f"{self.context}/{self.uid or '/'.join((self.kind, self.namespace, self.name))}"

    @property
    def label(self) -> str:
        """``Deployment/ranker``."""
        return f"{self.kind}/{self.name}"

    @property
    def replicas(self) -> str:
        """``2/3``, or what is known of it."""
        if self.ready is None and self.desired is None:
            return ""
        counts = (self.ready, self.desired)
        return "/".join("?" if count is None else str(count) for count in counts)

    def stands(self) -> str:
        """``not ready 0/3: Progress deadline exceeded``: its state in words."""
        words = " ".join(filter(None, (self.state.value, self.replicas)))
        if self.deleting:
            words = f"being deleted, {words}"
        return f"{words}: {self.why}" if self.why else words


INFERENCE_LABEL: Final = "serving.kserve.io/inferenceservice"

# Their text repeats the whole object, of an earlier day at times.
_COPIES: Final = "kubectl.kubernetes.io/"


class _Stands(NamedTuple):
    state: ServingState
    ready: int | None = None
    desired: int | None = None
    why: str = ""
    note: str = ""


def serving_of(obj: AnyServer, *, context: str) -> Serving:
    """What an object serves and how it stands.

    Args:
        obj: The object.
        context: The kubeconfig context that it was read from.
    """
    meta = obj.metadata
    owner = meta.controller
    through = part_of = ""
    if isinstance(obj, InferenceService):
        stands = _inference(obj.spec.predictor, obj.status.conditions)
    else:
        stands = _replicas(obj.spec, obj.status)
        part_of = one_line(meta.labels.get(INFERENCE_LABEL, ""))
        ref = obj.spec.workload_ref
        through = one_line(f"{ref.kind}/{ref.name}") if ref is not None else ""
    return Serving(
        context=context,
        kind=type(obj).__name__,
        namespace=one_line(meta.namespace),
        name=one_line(meta.name),
        uid=meta.uid,
        state=stands.state,
        ready=stands.ready,
        desired=stands.desired,
        why=stands.why,
        note=stands.note,
        references=unique(_references(obj)),
        created=epoch(meta.creation_timestamp),
        deleting=meta.deletion_timestamp is not None,
        owner=owner.uid if owner is not None else "",
        part_of=part_of,
        through=through,
    )


# How it stands


def _replicas(spec: ServerSpec, status: ServerStatus) -> _Stands:
    """A Deployment or a Rollout."""
    desired = 1 if spec.replicas is None else max(0, spec.replicas)
    ready = max(0, status.ready_replicas)
    failed = _failure(status.conditions)
    why = failed or one_line(status.message)
    if ready:
        state, why = ServingState.SERVING, why if ready < desired or failed else ""
    elif not desired:
        state, why = ServingState.OFF, ""
    else:
        state = ServingState.FAILING if why else ServingState.STARTING
    return _Stands(state, ready, desired, why, _under_way(status))


def _failure(conditions: tuple[Condition, ...]) -> str:
    replica = condition(conditions, "ReplicaFailure")
    if replica is not None and replica.is_true:
        return _said(replica)
    progressing = condition(conditions, "Progressing")
    if progressing is not None and progressing.status == "False":
        return _said(progressing)
    return ""


def _under_way(status: ServerStatus) -> str:
    """That some pods are of another template than the one that is read here."""
    canary = status.current_pod_hash and status.stable_rs
    if canary and status.current_pod_hash != status.stable_rs:
        phase = one_line(status.phase).lower()
        said = f" ({phase})" if phase else ""
        return f"this is the new side of a rollout{said}; the stable side is of an earlier revision"
    # A status that nobody has written yet counts nothing.
    if status.replicas > 0 and status.updated_replicas < status.replicas:
        new, total = status.updated_replicas, status.replicas
        return f"a rollout is on its way: {new} of {total} pods are of this revision"
    return ""


def _inference(predictor: Predictor, conditions: tuple[Condition, ...]) -> _Stands:
    ready = condition(conditions, "Ready")
    note = ""
    percent = predictor.canary_traffic_percent
    if percent is not None and percent < 100:
        note = f"a canary: {percent} % of the traffic comes here, the rest goes to an earlier one"
    if ready is None or ready.status not in ("True", "False"):
        return _Stands(ServingState.STARTING, note=note)
    if ready.is_true:
        return _Stands(ServingState.SERVING, note=note)
    return _Stands(ServingState.FAILING, why=_said(ready), note=note)


def _said(found: Condition) -> str:
    return one_line(found.message) or one_line(found.reason)


# What it names


def _references(obj: AnyServer) -> Iterator[Reference]:
    meta = obj.metadata
    if isinstance(obj, InferenceService):
        for model in obj.spec.predictor.models():
            uris = [model.storage_uri]
            if model.storage is not None:
                uris += [model.storage.storage_uri, model.storage.path]
            for uri in uris:
                yield from _stored(uri)
            yield from _container(model.image, (), model.args, model.env)
        containers = (*obj.spec.predictor.init_containers, *obj.spec.predictor.containers)
    else:
        template = obj.spec.template
        containers = (*template.spec.init_containers, *template.spec.containers)
        yield from _marks(template.metadata.labels, template.metadata.annotations)
    yield from _marks(meta.labels, meta.annotations)
    for each in containers:
        yield from _container(each.image, each.command, each.args, each.env)


def _stored(uri: str) -> Iterator[Reference]:
    if uri.startswith("oci://"):
        yield from image((How.STORAGE, "", uri))
    yield from addresses((How.STORAGE, "", uri), location=True)


def _marks(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Iterator[Reference]:
    facts: list[Fact] = [
        (How.ANNOTATION, key, text)
        for key, text in annotations.items()
        if not key.startswith(_COPIES)
    ]
    if telling(text for _, _, text in facts):
        for fact in facts:
            yield from addresses(fact)
    facts += [(How.LABEL, key, text) for key, text in labels.items()]
    yield from labelled(facts)


def _container(
    picture: str,
    command: tuple[str, ...],
    args: tuple[str, ...],
    env: tuple[Variable, ...],
) -> Iterator[Reference]:
    variables: list[Fact] = [(How.ENVIRONMENT, each.name, each.value) for each in env]
    tells = telling((*command, *args, *(text for _, _, text in variables)))
    for fact in variables:
        place = is_place(fact[1])
        if tells or place:
            yield from addresses(fact, location=place)
    yield from environment(variables)
    for text in (*command, *args) if tells else ():
        yield from addresses((How.ARGUMENT, "", text))
    if picture:
        yield from image((How.IMAGE, "", picture))


__all__ = ["INFERENCE_LABEL", "Serving", "ServingState", "serving_of"]
