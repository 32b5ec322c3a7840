"""What is looked at before a plan may be applied: permission, the server's own dry run, MLflow.

Nothing is written. A check that could not be made is UNKNOWN and blocks nothing, except that a
server that cannot be reached fails its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from mcp_tui.actions.template import fill, words
from mcp_tui.domain.plan import Check, CheckStatus, Plan, Write
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.mlflow import MlflowClient

T = TypeVar("T")

MODE: Final = "mode"
RBAC: Final = "rbac"
DRY_RUN: Final = "dry run"
MLFLOW: Final = "mlflow"
REACHABLE: Final = "reachable"
"""Names of checks; the last two fail when a server cannot be reached."""

_RBAC_VERBS: Final = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
# Stands in for what a dry run cannot know yet: valid where an id or a uid is wanted.
_DUMMIES: Final = {
    "run_id": "0" * 32,
    "experiment_id": "0",
    "uid": "00000000-0000-0000-0000-000000000000",
}
# A few hundred marked jobs must not become a few hundred calls at once.
_AT_ONCE: Final = 8


async def check(plan: Plan, kube: KubeClient, mlflow: MlflowClient | None) -> Plan:
    """The plan with its checks filled in."""
    if kube.gate.read_only:
        refused = Check(name=MODE, status=CheckStatus.FAILED, message="read-only: nothing is sent")
        return msgspec.structs.replace(plan, checks=(*plan.checks, refused))
    writes = [w for w in plan.writes if w.system == "kubernetes"]
    allowed = await _few(_allowed(kube, w) for w in _distinct(writes))
    checks = [*plan.checks, *_merged(allowed)]
    if not any(c.status is CheckStatus.FAILED for c in allowed):
        dry = _merged(await _few(_dry_run(kube, w) for w in writes))
        checks += [c for c in dry if c.status is not CheckStatus.PASSED] or dry
    if any(w.system == "mlflow" for w in plan.writes):
        checks.append(await _mlflow_answers(plan, mlflow))
    return msgspec.structs.replace(plan, checks=tuple(checks))


async def _few(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All answers in order, few calls at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with slots:
            return await call

    return list(await asyncio.gather(*(one(call) for call in calls)))


def _merged(checks: Sequence[Check]) -> list[Check]:
    """Each thing said once, however many objects it is about."""
    return list(dict.fromkeys(checks))


async def _allowed(kube: KubeClient, write: Write) -> Check:
    group, resource, namespace, name = _resource_of(write.path)
    verb = _RBAC_VERBS[write.method]
    what = clean_line(f"{verb} {resource}{'.' + group if group else ''} in {namespace}")
    try:
        answer = await kube.can_i(verb, group, resource, namespace, name)
    except ApiError as error:
        return Check(name=RBAC, status=CheckStatus.UNKNOWN, message=error.line())
    except McpTuiError as error:
        return _failed(RBAC, error.line(), error)
    if answer.allowed:
        return Check(name=RBAC, status=CheckStatus.PASSED, message=f"you may {what}")
    reason = f" ({answer.reason})" if answer.reason else ""
    return Check(name=RBAC, status=CheckStatus.FAILED, message=f"you may not {what}{reason}")


async def _dry_run(kube: KubeClient, write: Write) -> Check:
    path, _, query = fill(write.path, _DUMMIES).partition("?")
    body = fill(write.body, _DUMMIES)
    if write.method == "DELETE":
        # A server that is given DeleteOptions takes no options from the query: a dry run that is
        # asked for there alone deletes.
        body = {**(body or {}), "dryRun": ["All"]}
    try:
        await kube.send(
            write.method,
            path,
            body,
            dict[str, Any],
            params=[*parse_qsl(query), ("dryRun", "All")],
            content_type=write.content_type,
        )
    except McpTuiError as error:
        return _failed(DRY_RUN, f"{words(write.summary)}: {error.line()}", error)
    return Check(name=DRY_RUN, status=CheckStatus.PASSED, message="dry run accepted by the server")


def _failed(name: str, message: str, error: McpTuiError) -> Check:
    name = REACHABLE if isinstance(error, UnreachableError) else name
    return Check(name=name, status=CheckStatus.FAILED, message=message)


async def _mlflow_answers(plan: Plan, mlflow: MlflowClient | None) -> Check:
    needed = any(w.system == "mlflow" and not w.optional for w in plan.writes)
    bad = CheckStatus.FAILED if needed else CheckStatus.WARNING
    if mlflow is None:
        return Check(name=MLFLOW, status=bad, message="no MLflow is configured")
    try:
        await mlflow.version()
    except McpTuiError as error:
        return Check(name=MLFLOW, status=bad, message=error.line())
    return Check(name=MLFLOW, status=CheckStatus.PASSED, message="MLflow answers")


def _distinct(writes: Sequence[Write]) -> list[Write]:
    """One write of each permission that is needed; names count, as RBAC may name objects."""
    seen: dict[tuple[str, str], Write] = {}
    for write in writes:
        seen.setdefault((write.method, write.path), write)
    return list(seen.values())


def _resource_of(path: str) -> tuple[str, str, str, str]:
    """Group, resource, namespace and name of a namespaced path."""
    parts = path.partition("?")[0].strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1]
    rest = parts[parts.index("namespaces") + 1 :]
    return group, rest[1], rest[0], rest[2] if len(rest) > 2 else ""
