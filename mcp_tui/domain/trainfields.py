"""The fields of ``train-config.yaml``: structs, and the one table that reads and publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from mcp_tui.domain.giturl import DataSource, GitUrl
from mcp_tui.domain.keys import TOTAL_STEPS
from mcp_tui.domain.shapes import (
    Amount,
    Choice,
    Either,
    Field,
    ListOf,
    Literal,
    MapOf,
    Record,
    Text,
    Whole,
)


class Code(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the code is. ``secret`` names a Secret of the job's namespace, never a credential."""

    url: str
    ref: str = ""
    path: str = ""
    secret: str = ""
    auth: str = "basic"
    image: str = ""


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Per node, as Kubernetes quantities."""

    cpu: str = ""
    cpu_limit: str = ""
    memory: str = ""
    accelerators: Mapping[str, int] = msgspec.field(default_factory=dict)


class SecretRef(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a Secret."""

    secret: str
    key: str


class Toleration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As in a pod's specification."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A data set that the run is recorded to have used."""

    name: str
    digest: str = ""
    source: str = ""


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A checked train config. Durations stay as written; :func:`seconds` reads them."""

    image: str
    code: Code
    command: str | tuple[str, ...]
    name: str = ""
    parameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    parameters_as: str = "args"
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    secrets: Mapping[str, SecretRef] = msgspec.field(default_factory=dict)
    secrets_from: tuple[str, ...] = ()
    nodes: int = 1
    resources: Resources = Resources()
    queue: str = ""
    queue_priority: str = ""
    priority: str = ""
    retries: int = 0
    on_disruption: str = "restart"
    deadline: str = ""
    ttl: str = ""
    experiment: str = ""
    total_steps: int | None = None
    data: tuple[Data, ...] = ()
    kind: str = "auto"
    runtime: str = ""
    runtime_kind: str = "ClusterTrainingRuntime"
    namespace: str = ""
    service_account: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    node_selector: Mapping[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()

    @property
    def job_kind(self) -> str:
        """``Job`` or ``TrainJob``: the latter if asked for, or if a runtime is named."""
        wants = self.kind == "trainjob" or (self.kind == "auto" and bool(self.runtime))
        return "TrainJob" if wants else "Job"

    @property
    def steps(self) -> int | None:
        """Steps of a whole run: ``total_steps``, or the parameter of that name."""
        if self.total_steps is not None:
            return self.total_steps
        text = self.parameters.get(TOTAL_STEPS, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_KEY = rf"({_DNS_NAME}/)?{_LABEL}"
_ENV = r"[A-Za-z_][A-Za-z0-9_]*"
_REF = r"[A-Za-z0-9_][A-Za-z0-9_.+@/#=-]*"
_PATH = r"[A-Za-z0-9_][A-Za-z0-9_.+@=-]*(/[A-Za-z0-9_][A-Za-z0-9_.+@=-]*)*"
_IMAGE = r"[A-Za-z0-9][A-Za-z0-9_.:/@-]*"
_MEMORY = r"([1-9][0-9]{0,11}(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9]0{0,2})(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)"
_CPU = r"[0-9]{1,6}(\.[0-9]{1,18})?|[1-9][0-9]{0,8}m"
_DURATION = r"(?=[0-9])([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,8}s)?"


def _exact(pattern: str) -> str:
    return f"^({pattern})$"


_DNS_TEXT = "text of lower-case letters, digits and `-`"
_name = Text(_DNS_TEXT, pattern=_exact(_DNS_LABEL), limit=63)
_object = Text(
    "text that is a Kubernetes name (lower-case letters, digits, `-` and `.`)",
    pattern=_exact(_DNS_NAME),
    limit=253,
)
_label = Text(
    "text that is a label value (letters, digits, `-`, `_`, `.`; at most 63)",
    pattern=_exact(_LABEL),
    limit=63,
)
_duration = Amount(
    "text that is a duration",
    pattern=_exact(_DURATION),
    hint="write for example 30m, 4h or 1d12h",
    numbers=False,
)
_cpu = Amount(
    "text that is a CPU quantity",
    pattern=_exact(_CPU),
    hint="write for example 2, 0.5 or 500m",
    numbers=True,
)
_KEY_WHAT = "a key of letters, digits, `-`, `_`, `.` and one optional `prefix/`"
_ENV_WHAT = "the name of an environment variable"
_OURS = {
    "MLFLOW_RUN_ID": "it is set to the run that is made for the job",
    "MLFLOW_EXPERIMENT_ID": "name the experiment in `experiment`",
}
_shell = Text(limit=16_384, echo=False)

_CODE: Final = Record(
    Code,
    (
        Field(
            "url",
            GitUrl(),
            "Git repository: https, ssh, git, file, or user@host:path. No credentials",
            required=True,
        ),
        Field(
            "ref",
            Text("text that is a branch, tag or full commit", pattern=_exact(_REF), limit=255),
            "Branch, tag or 40-digit commit; --git-branch overrides it. Absent: the remote's HEAD",
        ),
        Field(
            "path",
            Text("text that is a relative path inside the repository", pattern=_exact(_PATH)),
            "Subdirectory that the command runs in",
        ),
        Field(
            "secret",
            _object,
            "Secret with the credentials of a private repository: of type "
            "kubernetes.io/basic-auth (username, password) or kubernetes.io/ssh-auth "
            "(ssh-privatekey, and known_hosts if you have it)",
        ),
        Field("auth", Choice("basic", "ssh"), "Which of the two `secret` is", default="basic"),
        Field(
            "image",
            Text("text that is an image reference", pattern=_exact(_IMAGE), limit=512),
            "Image with git and sh in it, which clones the code",
        ),
    ),
    synonyms={"branch": "ref", "tag": "ref", "commit": "ref", "repo": "url", "git": "url"},
)

_RESOURCES: Final = Record(
    Resources,
    (
        Field("cpu", _cpu, "CPU requested"),
        Field("cpu_limit", _cpu, "CPU limit; absent: none, so that spare CPU can be used"),
        Field(
            "memory",
            Amount(
                "text that is a memory quantity",
                pattern=_exact(_MEMORY),
                hint="give the unit, for example 64Gi, 512Mi or 0.5Gi",
                numbers=False,
            ),
            "Memory, both requested and the limit",
        ),
        Field(
            "accelerators",
            MapOf(Whole(1, 1_024), key_what=_KEY_WHAT, key=_exact(_KEY), key_limit=317),
            "Extended resources, such as nvidia.com/gpu: 1; requested and the limit",
        ),
    ),
    synonyms={
        "gpu": "accelerators: {nvidia.com/gpu: 1}",
        "gpus": "accelerators: {nvidia.com/gpu: 1}",
        "nvidia.com/gpu": "accelerators: {nvidia.com/gpu: 1}",
        "mem": "memory",
        "limits": "cpu_limit",
    },
)

_DATA: Final = Record(
    Data,
    (
        Field("name", Text(limit=500), "Name of the data set", required=True),
        Field("digest", Text(limit=36), "Version of the data: a hash, 36 characters at most"),
        Field("source", DataSource(limit=1_024, echo=False), "Where it is; no credentials"),
    ),
)

_TOLERATION: Final = Record(
    Toleration,
    (
        Field("key", Text(_KEY_WHAT, pattern=_exact(_KEY), limit=317), "Taint key"),
        Field("operator", Choice("Equal", "Exists"), "Equal or Exists"),
        Field("value", _label, "Taint value"),
        Field("effect", Choice("NoSchedule", "PreferNoSchedule", "NoExecute"), "Taint effect"),
    ),
)

_SECRET: Final = Record(
    SecretRef,
    (
        Field("secret", _object, "Name of the Secret", required=True),
        Field(
            "key",
            Text("text that is a key of a Secret", pattern=r"^[A-Za-z0-9_.-]+$", limit=253),
            "Key in it",
            required=True,
        ),
    ),
)

_PLAIN_LABELS = MapOf(
    _label,
    key_what=_KEY_WHAT,
    key=_exact(rf"(?!mcp-tui\.io/|app\.kubernetes\.io/managed-by$){_KEY}"),
    key_limit=317,
)

RECORD: Final = Record(
    TrainConfig,
    (
        Field(
            "name",
            Text(_DNS_TEXT, pattern=_exact(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"), limit=40),
            "Start of the job's name, to which a few characters are added so that it is unique. "
            "Absent: the repository's name",
        ),
        Field(
            "image",
            Text("text that is an image reference", pattern=_exact(_IMAGE), limit=512),
            "Image that the command runs in",
            required=True,
        ),
        Field("code", _CODE, "The code, cloned at one commit into /workspace", required=True),
        Field(
            "command",
            Either(_shell, ListOf(_shell, most=500, least=1)),
            "What runs in the code's directory. Text is given to `sh -c`; a list is run as it is",
            required=True,
        ),
        Field(
            "parameters",
            MapOf(
                Literal(limit=6_000),
                key_what="a parameter name (letters, digits, `_`, `-`, `.`)",
                key=r"^[A-Za-z_][A-Za-z0-9_.-]*$",
                key_limit=250,
                most=100,
            ),
            "Parameters, always recorded as tags of the run (the program logs its own)",
        ),
        Field(
            "parameters_as",
            Choice("args", "env", "none"),
            "How the program gets them: args adds --NAME=VALUE for each to the command, in order "
            '(in a text command where "$@" stands, else at its end); env sets PARAM_NAME, upper '
            "case, with _ for . and -; none leaves it to the program to read them from the run",
            default="args",
        ),
        Field(
            "env",
            MapOf(Literal(), key_what=_ENV_WHAT, key=_exact(_ENV), key_limit=250, reserved=_OURS),
            "Environment. MLFLOW_TRACKING_URI may be set here, where the cluster sees the server "
            "under another name",
        ),
        Field(
            "secrets",
            MapOf(_SECRET, key_what=_ENV_WHAT, key=_exact(_ENV), key_limit=250, reserved=_OURS),
            "Environment from Secrets: NAME: {secret: s, key: k}",
        ),
        Field(
            "secrets_from",
            ListOf(_object, most=20),
            "Secrets of which every key becomes an environment variable",
        ),
        Field(
            "nodes",
            Whole(1, 4_096),
            "Pods that run together. Over 1: an indexed job, with RANK, WORLD_SIZE, MASTER_ADDR, "
            "MASTER_PORT and torchrun's PET_ variables, one process to a node",
            default=1,
        ),
        Field("resources", _RESOURCES, "What each node gets"),
        Field("queue", _label, "Kueue LocalQueue that admits the job"),
        Field("queue_priority", _label, "Kueue WorkloadPriorityClass"),
        Field("priority", _object, "PriorityClass of the pods"),
        Field(
            "retries",
            Whole(0, 100),
            "Failed pods that are replaced before the job fails. 0, because a program that does "
            "not resume from a checkpoint only fails later",
            default=0,
        ),
        Field(
            "on_disruption",
            Choice("restart", "fail"),
            "Preempted, drained or evicted pods: restart replaces them without counting a retry; "
            "fail counts them",
            default="restart",
        ),
        Field("deadline", _duration, "The job is failed after this long, waiting not counted"),
        Field("ttl", _duration, "The finished job is deleted after this long"),
        Field("experiment", Text(limit=500), "MLflow experiment; made if it does not exist"),
        Field(
            "total_steps",
            Whole(1, 10**15),
            "Steps of a whole run, for the progress bar; logged as the parameter total_steps",
        ),
        Field("data", ListOf(_DATA, most=20), "Data sets, recorded with the run"),
        Field(
            "kind",
            Choice("auto", "job", "trainjob"),
            "auto makes a TrainJob if `runtime` is given, else a Job",
            default="auto",
        ),
        Field("runtime", _object, "Kubeflow training runtime of a TrainJob"),
        Field(
            "runtime_kind",
            Choice("ClusterTrainingRuntime", "TrainingRuntime"),
            "Kind of `runtime`",
            default="ClusterTrainingRuntime",
        ),
        Field("namespace", _name, "Namespace; -n overrides it"),
        Field("service_account", _object, "Service account of the pods"),
        Field("labels", _PLAIN_LABELS, "Labels of the job and its pods"),
        Field(
            "annotations",
            MapOf(
                Text(limit=8_192, echo=False),
                key_what=_KEY_WHAT,
                key=_exact(rf"(?!mcp-tui\.io/){_KEY}"),
                key_limit=317,
                most=50,
            ),
            "Annotations of the job",
        ),
        Field(
            "node_selector",
            MapOf(_label, key_what=_KEY_WHAT, key=_exact(_KEY), key_limit=317),
            "Labels that a node must have",
        ),
        Field("tolerations", ListOf(_TOLERATION, most=20), "Taints that are tolerated"),
    ),
    synonyms={
        "gpus": "resources.accelerators",
        "gpu": "resources.accelerators",
        "cpu": "resources.cpu",
        "memory": "resources.memory",
        "git": "code.url",
        "repo": "code.url",
        "branch": "code.ref",
        "args": "parameters",
        "params": "parameters",
        "run": "command",
        "timeout": "deadline",
        "backoffLimit": "retries",
        "num_nodes": "nodes",
        "workers": "nodes",
        "workdir": "code.path",
        "priorityClassName": "priority",
    },
)
