"""The Kubernetes Event that an action leaves on its object, so that others see who did what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from mcp_tui.actions.kinds import kind_of
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Verb
from mcp_tui.domain.text import one_line
from mcp_tui.sources.kubernetes.transport import KubeClient

_PAST: Final[Mapping[Verb, str]] = {
    Verb.SUBMIT: "submitted",
    Verb.CANCEL: "cancelled",
    Verb.SUSPEND: "suspended",
    Verb.RESUME: "resumed",
    Verb.RETRY: "submitted again",
    Verb.DELETE: "deleted",
    Verb.SHELL: "shell opened",
    Verb.FORWARD: "port forwarded",
    Verb.PROMOTE: "promoted",
    Verb.ROLLBACK: "rolled back",
    Verb.APPROVE: "approved",
    Verb.TAG: "tagged",
    Verb.RENAME: "renamed",
    Verb.RESTORE: "restored",
}
# The API server takes 1,024 bytes.
_LONGEST: Final = 1_000


async def record(
    kube: KubeClient, plan: Plan, target: Target, outcome: Outcome, *, user: str
) -> None:
    """Leave the Event; raises McpTuiError when it cannot be made."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = one_line(outcome.message)
    if outcome.status is not OutcomeStatus.PROVEN:
        words = f"{outcome.status.value}: {words}"
    message = f"{_PAST[plan.verb]} by {user} with mcp-tui (plan {plan.id[:8]}): {words}"
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "generateName": f"{target.name[:40].rstrip('-.')}-mcp-tui-",
            "namespace": target.namespace,
            "labels": {keys.MANAGED_BY: keys.MANAGER, keys.PLAN_ID: plan.id},
        },
        "involvedObject": {
            "apiVersion": kind_of(target.kind).api_version,
            "kind": target.kind,
            "namespace": target.namespace,
            "name": target.name,
            "uid": target.uid,
        },
        "reason": f"Job{plan.verb.value.capitalize()}",
        "message": message.encode()[:_LONGEST].decode(errors="ignore"),
        "type": "Normal",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": keys.MANAGER},
        "reportingComponent": keys.MANAGER,
        "reportingInstance": "",
    }
    await kube.send("POST", f"/api/v1/namespaces/{target.namespace}/events", body, dict[str, Any])
