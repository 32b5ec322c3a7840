"""The labels, annotations and run tags that the console writes, and others' that it reads."""

from __future__ import annotations

from typing import Final

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "mcp-tui"

# Labels: values of at most 63 characters of [A-Za-z0-9._-].
PLAN_ID: Final = "mcp-tui.io/plan-id"
COMMIT: Final = "mcp-tui.io/commit"
RUN_ID: Final = "mcp-tui.io/run-id"
RUN_VARIABLE: Final = "MLFLOW_RUN_ID"
"""The variable by which MLflow's client, and any trainer, knows the run that it logs to."""

# Annotations: free text, such as a branch with a slash in it.
GIT_URL: Final = "mcp-tui.io/git-url"
GIT_BRANCH: Final = "mcp-tui.io/git-branch"
EXPERIMENT_ID: Final = "mcp-tui.io/experiment-id"
EXPERIMENT: Final = "mcp-tui.io/experiment"
PARENT: Final = "mcp-tui.io/parent"
SUBMITTED_BY: Final = "mcp-tui.io/submitted-by"
CONFIG: Final = "mcp-tui.io/config"

# Tags of an MLflow run.
TAG_PLAN_ID: Final = "mcp-tui.plan-id"
TAG_CLUSTER: Final = "mcp-tui.cluster"
TAG_NAMESPACE: Final = "mcp-tui.namespace"
TAG_KIND: Final = "mcp-tui.kind"
TAG_NAME: Final = "mcp-tui.name"
TAG_UID: Final = "mcp-tui.uid"
TAG_CAUSE: Final = "mcp-tui.cause"
TAG_COMMIT: Final = "mlflow.source.git.commit"
TAG_BRANCH: Final = "mlflow.source.git.branch"
TAG_REPO: Final = "mlflow.source.git.repoURL"
# One a parameter of the job.
TAG_PARAM: Final = "mcp-tui.param."
TAG_USER: Final = "mlflow.user"
TAG_RUN_NAME: Final = "mlflow.runName"
TAG_PARENT_RUN: Final = "mlflow.parentRunId"
DATA_CONTEXT: Final = "mlflow.data.context"

# The parameter of a run that says how many steps there will be.
TOTAL_STEPS: Final = "total_steps"

# Kueue's.
QUEUE_NAME: Final = "kueue.x-k8s.io/queue-name"
PRIORITY_CLASS: Final = "kueue.x-k8s.io/priority-class"

# Set by Kubernetes on pods.
JOB_NAME: Final = "batch.kubernetes.io/job-name"
COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"
