"""Defaults and validation of batch/v1 Jobs.

After k8s.io/kubernetes ``pkg/apis/batch/v1/defaults.go`` and ``pkg/apis/batch/validation``.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcp_tui.demo.plane.model import Obj, has_condition
from mcp_tui.demo.plane.podspec import default_pod_spec, template_faults
from mcp_tui.demo.plane.status import Fault, invalid_value, required, unsupported
from mcp_tui.demo.plane.validation import dns_label_faults

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"
MAX_INT32 = 2147483647
MAX_INDEXED = 100_000


def default_job(job: Obj) -> None:
    """Sets what the API server sets, before the labels and the selector are made."""
    spec = job.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = spec["parallelism"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", MAX_INT32 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    policy = spec.get("podFailurePolicy")
    spec.setdefault("podReplacementPolicy", "Failed" if policy else "TerminatingOrFailed")
    for rule in (policy or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    labels = template["metadata"].get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)
    default_pod_spec(template.setdefault("spec", {}))


def own_pods(job: Obj) -> None:
    """Gives a new job its selector and its template the labels that it selects."""
    spec, metadata = job["spec"], job["metadata"]
    if spec.get("manualSelector"):
        return
    own = {
        CONTROLLER_UID: metadata["uid"],
        JOB_NAME: metadata.get("name", ""),
        "controller-uid": metadata["uid"],
        "job-name": metadata.get("name", ""),
    }
    labels = dict(spec["template"]["metadata"].get("labels") or {})
    # A generated name makes upstream copy the object, which parts the two maps.
    shared = metadata.get("labels") == labels and bool(labels) and "generateName" not in metadata
    labels.update(own)
    spec["template"]["metadata"]["labels"] = labels
    if shared:
        # Upstream the defaulted labels are the template's own map: what joins one joins both.
        metadata["labels"] = dict(labels)
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {})[CONTROLLER_UID] = metadata["uid"]


_NON_NEGATIVE = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "ttlSecondsAfterFinished",
)


def job_faults(job: Obj) -> list[Fault]:
    """Faults of a defaulted job."""
    spec = job["spec"]
    found = [
        invalid_value(f"spec.{name}", spec[name], "must be greater than or equal to 0")
        for name in _NON_NEGATIVE
        if spec.get(name) is not None and spec[name] < 0
    ]
    indexed = spec["completionMode"] == "Indexed"
    if spec["completionMode"] not in ("NonIndexed", "Indexed"):
        found.append(
            unsupported("spec.completionMode", spec["completionMode"], ("NonIndexed", "Indexed"))
        )
    if indexed:
        found += _indexed_faults(job)
    elif "backoffLimitPerIndex" in spec:
        why = "requires indexed completion mode"
        found.append(invalid_value("spec.backoffLimitPerIndex", spec["backoffLimitPerIndex"], why))
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        found.append(required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    found += template_faults(spec["template"], "spec.template")
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy not in ("OnFailure", "Never"):
        found.append(
            required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
            if policy == "Always"
            else unsupported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never"))
        )
    found += _failure_policy_faults(spec)
    return found


def _indexed_faults(job: Obj) -> list[Fault]:
    spec = job["spec"]
    if spec.get("completions") is None:
        return [required("spec.completions", "when completion mode is Indexed")]
    if (spec.get("parallelism") or 0) > MAX_INDEXED:
        why = f"must be less than or equal to {MAX_INDEXED} when completion mode is Indexed"
        return [invalid_value("spec.parallelism", spec["parallelism"], why)]
    last = f"{job['metadata'].get('name', '')}-{max(0, spec['completions'] - 1)}"
    return [
        invalid_value(
            "metadata.name",
            job["metadata"].get("name", ""),
            f"will not able to create pod with invalid DNS label: {why}",
        )
        for why in dns_label_faults(last)
    ]


_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")


def _failure_policy_faults(spec: Obj) -> list[Fault]:
    policy = spec.get("podFailurePolicy")
    if policy is None:
        return []
    found: list[Fault] = []
    if spec["template"]["spec"]["restartPolicy"] != "Never":
        why = 'only "Never" is supported when podFailurePolicy is specified'
        found.append(
            invalid_value(
                "spec.template.spec.restartPolicy", spec["template"]["spec"]["restartPolicy"], why
            )
        )
    for index, rule in enumerate(policy.get("rules") or ()):
        where = f"spec.podFailurePolicy.rules[{index}]"
        if not rule.get("action"):
            found.append(required(f"{where}.action", f"valid values: {list(_ACTIONS)}"))
        elif rule["action"] not in _ACTIONS:
            found.append(unsupported(f"{where}.action", rule["action"], _ACTIONS))
        if bool(rule.get("onExitCodes")) == bool(rule.get("onPodConditions")):
            why = "specifying one of OnExitCodes and OnPodConditions is required"
            found.append(invalid_value(where, "", why))
    return found


_IMMUTABLE = (
    "selector",
    "template",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
    "successPolicy",
)


def job_update_faults(new: Obj, old: Obj) -> list[Fault]:
    """Changes of a job's spec that no update may make."""
    spec, before = new["spec"], old["spec"]
    found: list[Fault] = []
    if spec.get("completions") != before.get("completions"):
        elastic = (
            spec["completionMode"] == "Indexed"
            and spec.get("completions") is not None
            and spec.get("completions") == spec.get("parallelism")
        )
        if not elastic:
            indexed = spec["completionMode"] == "Indexed" and spec.get("completions") is not None
            why = "field is immutable"
            if indexed:
                why = "can only be modified in tandem with spec.parallelism"
            found.append(invalid_value("spec.completions", spec.get("completions"), why))
    found += [
        invalid_value(f"spec.{name}", spec.get(name), "field is immutable")
        for name in _IMMUTABLE
        if spec.get(name) != before.get(name)
        and not (name == "template" and _only_scheduling(new, old))
    ]
    return found


_SCHEDULING = ("nodeSelector", "tolerations", "affinity", "schedulingGates")


def _only_scheduling(new: Obj, old: Obj) -> bool:
    """Whether a suspended job that never started only changed where its pods may go."""
    if not old["spec"].get("suspend") or (old.get("status") or {}).get("startTime"):
        return False

    def rest(job: Obj) -> Mapping[str, object]:
        template = job["spec"]["template"]
        metadata = {
            name: value
            for name, value in template["metadata"].items()
            if name not in ("labels", "annotations")
        }
        spec = {name: item for name, item in template["spec"].items() if name not in _SCHEDULING}
        return {"metadata": metadata, "spec": spec}

    return rest(new) == rest(old)


def finished(job: Obj) -> bool:
    """Whether the job is Complete or Failed."""
    return has_condition(job, "Complete") or has_condition(job, "Failed")
