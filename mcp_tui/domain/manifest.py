"""From a train config to the objects that run it: a batch/v1 Job or a Kubeflow TrainJob.

Pure: same arguments, same manifest. What is built runs on a stock kubelet: an init container clones
exactly one commit into an emptyDir, and the trainer runs in it. URL, commit and credentials reach
the clone script as environment, never as part of its text.
"""

from __future__ import annotations

import hashlib
import re
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.clonescript import CLONE_SCRIPT, TRAINJOB_SCRIPT
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import Code, TrainConfig, dump, param_env, seconds
from mcp_tui.errors import UsageError

GIT_IMAGE: Final = "alpine/git:v2.49.1"
"""Clones the code where `code.image` does not say otherwise: git, ssh and sh, 40 MB."""

WORKSPACE: Final = "/workspace"
SSH_MOUNT: Final = "/etc/mcp-tui-git"
MASTER_PORT: Final = "29500"
MAX_NAME: Final = 52
"""A pod is called ``<job>-<index>-<5 characters>``, and its host name has at most 63."""

ANNOTATION_BYTES: Final = 256 * 1024
"""Kubernetes' own bound on the sum of an object's annotations."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest is made from, besides the config.

    Attributes:
        namespace: Where the job will be.
        name: Its name; see :func:`job_name`.
        commit: Full commit id that will run.
        branch: The ref as asked for; empty if a commit was.
        git_url: Without credentials.
        run_id: MLflow run made for the job, or None when it goes on without one.
        experiment_id: The run's experiment.
        experiment: Name of that experiment.
        tracking_uri: MLflow as the pods see it.
        plan_id: Client-made tag.
        submitted_by: Who, for the record.
        parent: ``namespace/name`` of the job that this one retries.
        git_image: Default image of the cloning container.
    """

    namespace: str
    name: str
    commit: str
    branch: str
    git_url: str
    plan_id: str
    run_id: str | None = None
    experiment_id: str | None = None
    experiment: str | None = None
    tracking_uri: str | None = None
    submitted_by: str = ""
    parent: str = ""
    git_image: str = GIT_IMAGE


def job_name(config: TrainConfig, plan_id: str) -> str:
    """``<prefix>-<6 characters>``: RFC 1123, at most 52 characters, the same for the same plan."""
    prefix = config.name or _slug(config.code.url)
    suffix = hashlib.sha256(plan_id.encode()).hexdigest()[:6]
    return f"{prefix[: MAX_NAME - 7].rstrip('-')}-{suffix}"


def _slug(url: str) -> str:
    last = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git").lower()
    slug = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40].strip("-")
    return slug if slug and slug[0].isalpha() else f"train-{slug}".strip("-")


def label_value(text: str) -> str:
    """A legal label value: other characters become ``-``, cut at 63."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")


def build_manifest(config: TrainConfig, submission: Submission) -> dict[str, Any]:
    """The Job or TrainJob, as ``config.job_kind`` says.

    Raises:
        UsageError: The name or commit is not one, or the annotations are over 256 KiB.
    """
    _check(submission)
    if config.job_kind == "TrainJob":
        return build_trainjob(config, submission)
    return build_job(config, submission)


def build_job(config: TrainConfig, submission: Submission) -> dict[str, Any]:
    """A batch/v1 Job: plain for one node, indexed for several."""
    _check(submission)
    spec: dict[str, Any] = {
        "parallelism": config.nodes,
        "completions": config.nodes,
        "completionMode": "Indexed" if config.nodes > 1 else "NonIndexed",
        "backoffLimit": config.retries,
    }
    if config.queue:
        spec["suspend"] = True  # Kueue's convention: it is released when there is quota.
    if config.deadline:
        spec["activeDeadlineSeconds"] = seconds(config.deadline)
    if config.ttl:
        spec["ttlSecondsAfterFinished"] = seconds(config.ttl)
    if config.on_disruption == "restart":
        rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
        spec["podFailurePolicy"] = {"rules": [rule]}
    spec["template"] = {
        "metadata": {"labels": _labels(config, submission)},
        "spec": _pod(config, submission),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(config, submission),
        "spec": spec,
    }


def build_service(
    config: TrainConfig, submission: Submission, *, uid: str
) -> dict[str, Any] | None:
    """The headless Service under which the nodes of an indexed Job find MASTER_ADDR.

    It is owned by the Job (``uid``), so that it goes when the Job goes; None for one node.
    """
    if config.nodes == 1 or config.job_kind != "Job":
        return None
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": submission.name, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": submission.name,
            "namespace": submission.namespace,
            "labels": _own_labels(submission),
            "ownerReferences": [owner],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {keys.JOB_NAME: submission.name},
        },
    }


def build_trainjob(config: TrainConfig, submission: Submission) -> dict[str, Any]:
    """A trainer.kubeflow.org/v1alpha1 TrainJob; see :func:`warnings` for what it leaves out."""
    _check(submission)
    labels = _labels(config, submission)
    command = ["sh", "-c", TRAINJOB_SCRIPT, "trainer", *_command(config)]
    env = [*_clone_env(config.code, submission, volume=False), *_env(config, submission)]
    env.append({"name": "MCP_CODE_PATH", "value": config.code.path or "."})
    trainer: dict[str, Any] = {
        "image": config.image,
        "command": command,
        "numNodes": config.nodes,
        "env": env,
    }
    if resources := _resources(config):
        trainer["resourcesPerNode"] = resources
    runtime = {
        "apiGroup": "trainer.kubeflow.org",
        "kind": config.runtime_kind,
        "name": config.runtime,
    }
    spec: dict[str, Any] = {"runtimeRef": runtime, "trainer": trainer, "labels": labels}
    if config.queue:
        spec["suspend"] = True
    override: dict[str, Any] = {}
    if config.service_account:
        override["serviceAccountName"] = config.service_account
    if config.node_selector:
        override["nodeSelector"] = dict(config.node_selector)
    if config.tolerations:
        override["tolerations"] = list(msgspec.to_builtins(config.tolerations))
    if override:
        spec["podSpecOverrides"] = [{"targetJobs": [{"name": "node"}], **override}]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": _metadata(config, submission),
        "spec": spec,
    }


def warnings(config: TrainConfig, git_url: str) -> tuple[str, ...]:
    """What a plan should say about a config that is legal and may surprise."""
    out = []
    if git_url.startswith("file://"):
        out.append("a file:// URL is only there on nodes that share this machine's disk")
    if git_url.startswith(("http://", "git://")):
        out.append("the code is fetched unencrypted")
    if config.code.secret and config.code.auth == "ssh":
        out.append("without known_hosts in the Secret the Git server's first key is trusted")
    if config.job_kind == "TrainJob":
        out.append("the trainer clones the code itself, so its image needs git and sh")
        lost = ("retries", "deadline", "ttl", "priority", "secrets_from")
        given = [name for name in lost if getattr(config, name)]
        if given:
            out.append(f"a TrainJob cannot carry {', '.join(given)}: its runtime decides")
        if config.code.secret and config.code.auth == "ssh":
            out.append("a TrainJob cannot clone with an ssh key: use https and auth: basic")
    elif config.nodes > 1:
        out.append("a headless Service of the job's name is made, for MASTER_ADDR")
    if config.deadline and config.queue:
        out.append("the deadline counts from admission, not from submission")
    return tuple(out)


def _check(submission: Submission) -> None:
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", submission.commit):
        shown = clean_line(submission.commit, limit=80)
        raise UsageError(f"{shown!r} is not a full commit id")
    name = submission.name
    if len(name) > MAX_NAME or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        shown = clean_line(name, limit=80)
        raise UsageError(f"{shown!r} cannot be a job's name", hint=f"at most {MAX_NAME} of a-z0-9-")


def _own_labels(submission: Submission) -> dict[str, str]:
    labels = {
        keys.MANAGED_BY: keys.MANAGER,
        keys.PLAN_ID: label_value(submission.plan_id),
        keys.COMMIT: label_value(submission.commit),
    }
    if submission.run_id:
        labels[keys.RUN_ID] = label_value(submission.run_id)
    return labels


def _labels(config: TrainConfig, submission: Submission) -> dict[str, str]:
    return {**config.labels, **_own_labels(submission)}


def _metadata(config: TrainConfig, submission: Submission) -> dict[str, Any]:
    labels = _labels(config, submission)
    if config.queue:
        labels[keys.QUEUE_NAME] = config.queue
    if config.queue_priority:
        labels[keys.PRIORITY_CLASS] = config.queue_priority
    annotations = dict(config.annotations)
    known = {
        keys.GIT_URL: submission.git_url,
        keys.GIT_BRANCH: submission.branch,
        keys.EXPERIMENT_ID: submission.experiment_id,
        keys.EXPERIMENT: submission.experiment,
        keys.SUBMITTED_BY: submission.submitted_by,
        keys.PARENT: submission.parent,
        keys.CONFIG: dump(config),
    }
    annotations |= {key: value for key, value in known.items() if value}
    size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if size > ANNOTATION_BYTES:
        raise UsageError(
            f"the job's annotations have {size} bytes; Kubernetes takes {ANNOTATION_BYTES}",
            hint="shorten the config or its annotations",
        )
    return {
        "name": submission.name,
        "namespace": submission.namespace,
        "labels": labels,
        "annotations": annotations,
    }


def _pod(config: TrainConfig, submission: Submission) -> dict[str, Any]:
    workspace = {"name": "workspace", "mountPath": WORKSPACE}
    volumes: list[dict[str, Any]] = [{"name": "workspace", "emptyDir": {}}]
    mounts = [workspace]
    code = config.code
    if code.secret and code.auth == "ssh":
        secret = {"secretName": code.secret, "defaultMode": 0o400}
        volumes.append({"name": "git-ssh", "secret": secret})
        mounts.append({"name": "git-ssh", "mountPath": SSH_MOUNT, "readOnly": True})  # type: ignore[dict-item]  # a volume mount mixes text and flags
    clone = {
        "name": "code",
        "image": code.image or submission.git_image,
        "command": ["sh", "-c", CLONE_SCRIPT],
        "workingDir": WORKSPACE,
        "env": _clone_env(code, submission, volume=True),
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    trainer: dict[str, Any] = {
        "name": "trainer",
        "image": config.image,
        "command": _command(config),
        "workingDir": f"{WORKSPACE}/{code.path}" if code.path else WORKSPACE,
        "env": [*_env(config, submission), *_node_env(config, submission)],
        "volumeMounts": [workspace],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if config.secrets_from:
        trainer["envFrom"] = [{"secretRef": {"name": name}} for name in config.secrets_from]
    if resources := _resources(config):
        trainer["resources"] = resources
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "initContainers": [clone],
        "containers": [trainer],
        "volumes": volumes,
    }
    optional = {
        "priorityClassName": config.priority,
        "serviceAccountName": config.service_account,
        "nodeSelector": dict(config.node_selector),
        "tolerations": list(msgspec.to_builtins(config.tolerations)),
        "subdomain": submission.name if config.nodes > 1 else "",
    }
    return pod | {key: value for key, value in optional.items() if value}


def _clone_env(code: Code, submission: Submission, *, volume: bool) -> list[dict[str, Any]]:
    env: list[dict[str, Any]] = [
        _var("MCP_GIT_URL", submission.git_url),
        _var("MCP_GIT_COMMIT", submission.commit),
    ]
    if code.secret and code.auth == "basic":
        # Only for this host: a redirect to another one gets no credential.
        scheme, _, rest = submission.git_url.partition("://")
        host = rest.partition("/")[0]
        env.append(_var("MCP_GIT_CREDENTIAL_KEY", f"credential.{scheme}://{host}.helper"))
        env.append(_secret_var("GIT_USERNAME", code.secret, "username"))
        env.append(_secret_var("GIT_PASSWORD", code.secret, "password"))
    elif code.secret and volume:
        env.append(_var("MCP_GIT_SSH_DIR", SSH_MOUNT))
    return env


def _env(config: TrainConfig, submission: Submission) -> list[dict[str, Any]]:
    env: dict[str, dict[str, Any]] = {}
    known = {
        keys.RUN_VARIABLE: submission.run_id,
        "MLFLOW_TRACKING_URI": submission.tracking_uri,
        "MLFLOW_EXPERIMENT_ID": submission.experiment_id if submission.run_id else None,
    }
    env |= {name: _var(name, value) for name, value in known.items() if value}
    if config.parameters_as == "env":
        for key, value in config.parameters.items():
            env[param_env(key)] = _var(param_env(key), value)
    env |= {name: _var(name, value) for name, value in config.env.items()}
    for name, ref in config.secrets.items():
        env[name] = _secret_var(name, ref.secret, ref.key)
    return list(env.values())


def _node_env(config: TrainConfig, submission: Submission) -> list[dict[str, Any]]:
    """One process to a node, as torch.distributed's env:// reads it, and torchrun's own names."""
    if config.nodes == 1:
        return []
    path = f"metadata.annotations['{keys.COMPLETION_INDEX}']"
    index = {"fieldRef": {"fieldPath": path}}
    first = f"{submission.name}-0.{submission.name}"
    env: dict[str, Any] = {
        name: {"name": name, "valueFrom": index} for name in ("RANK", "NODE_RANK", "PET_NODE_RANK")
    }
    for name in ("WORLD_SIZE", "NNODES", "PET_NNODES"):
        env[name] = _var(name, str(config.nodes))
    for prefix in ("", "PET_"):
        env[f"{prefix}MASTER_ADDR"] = _var(f"{prefix}MASTER_ADDR", first)
        env[f"{prefix}MASTER_PORT"] = _var(f"{prefix}MASTER_PORT", MASTER_PORT)
    return [value for name, value in env.items() if name not in {*config.env, *config.secrets}]


def _command(config: TrainConfig) -> list[str]:
    args = []
    if config.parameters_as == "args":
        args = [f"--{name}={value}" for name, value in config.parameters.items()]
    if isinstance(config.command, tuple):
        return [_literal(word) for word in (*config.command, *args)]
    script = config.command.rstrip()
    if args and "$@" not in script:
        script += ' "$@"'
    return [_literal(word) for word in ("sh", "-c", script, *(["sh", *args] if args else []))]


def _literal(text: str) -> str:
    """Escape what a kubelet would expand: ``$(NAME)`` and ``$$``."""
    return re.sub(r"\$(?=\$|\([A-Za-z_][A-Za-z0-9_.-]*\))", "$$", text)


def _resources(config: TrainConfig) -> dict[str, Any]:
    asked = config.resources
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if asked.cpu:
        requests["cpu"] = _cpu(asked.cpu)
    if asked.cpu_limit:
        limits["cpu"] = _cpu(asked.cpu_limit)
    if asked.memory:
        requests["memory"] = limits["memory"] = asked.memory
    for name, count in asked.accelerators.items():
        requests[name] = limits[name] = str(count)
    out = {"requests": requests, "limits": limits}
    return {key: value for key, value in out.items() if value}


def _cpu(text: str) -> str:
    """Kubernetes takes no finer step than a thousandth of a CPU: rounded up."""
    if text.endswith("m"):
        return text
    milli = int((Decimal(text) * 1000).to_integral_value(ROUND_CEILING))
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def _var(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "value": _literal(value)}


def _secret_var(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
