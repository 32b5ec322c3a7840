"""Shells in containers and forwarded ports: actions that no dry run can preview.

Both are reached by GET and can change anything. They are planned, checked, confirmed, written down
and recorded as every action is; what is done through them is not seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from mcp_tui.actions.apply import begin, end
from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Scope, Seen, new_plan_id
from mcp_tui.actions.record import record
from mcp_tui.domain import keys
from mcp_tui.domain.kube import ContainerStatus, Pod
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.plan import (
    Check,
    CheckStatus,
    Confirmation,
    Outcome,
    OutcomeStatus,
    Plan,
    Tier,
    Verb,
    Write,
)
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, GoneError, McpTuiError, RefusedError, UsageError
from mcp_tui.sources.kubernetes.resources import PODS
from mcp_tui.sources.kubernetes.transport import KubeClient

SHELL: Final = ("sh", "-c", "exec $(command -v bash || command -v ash || echo sh)")
"""The best shell that a container has, found by the one that every image with a shell has."""

_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
_PHASES: Final = {"Running": 0, "Pending": 1}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a shell is opened or a port leads to. ``container`` is empty for a port."""

    namespace: str
    pod: str
    uid: str
    container: str = ""

    @property
    def words(self) -> str:
        """It in words."""
        pod = f"pod {clean_line(self.pod)}"
        return f"container {clean_line(self.container)} of {pod}" if self.container else pod


async def find_place(
    kube: KubeClient, seen: Seen, *, pod: str = "", container: str = "", any_container: bool = False
) -> Place:
    """The container of a job that is meant: of the first pod that runs, its main one.

    Args:
        kube: The cluster's client.
        seen: The job.
        pod: A pod of the job, by name; empty for the first that runs.
        container: One of its containers; empty for the main one.
        any_container: A port is asked for: no container is looked for.

    Raises:
        GoneError: The job has no such pod, or no pod that runs.
        UsageError: The pod has no such container.
        RefusedError: The container does not run.
    """
    page = await kube.get(
        PODS.path(seen.namespace),
        ObjectList[Pod],
        params={"labelSelector": pod_selector(seen.kind.kind, seen.name), "limit": "500"},
    )
    pods = [p for p in page.items if not pod or p.metadata.name == pod]
    job = f"{seen.kind.kind} {clean_line(seen.name)}"
    if not pods:
        raise GoneError(
            f"{job} has no pod {clean_line(pod)}" if pod else f"{job} has no pods",
            hint="it may have ended, or wait to be started",
        )
    found = min(pods, key=_first)
    name = clean_line(found.metadata.name)
    if found.status.phase != "Running":
        state = f"pod {name} is {clean_line(found.status.phase or 'Pending')}"
        raise GoneError(
            state if pod else f"no pod of {job} runs: {state}", hint="only a running one can be"
        )
    place = Place(namespace=seen.namespace, pod=found.metadata.name, uid=found.metadata.uid)
    if any_container:
        return place
    chosen = _container(found, container)
    state = _not_running(found, chosen)
    if state:
        raise RefusedError(f"container {chosen} of pod {name} {state}")
    return msgspec.structs.replace(place, container=chosen)


def _first(pod: Pod) -> tuple[int, bool, int, str]:
    index = pod.metadata.labels.get(keys.COMPLETION_INDEX, "")
    return (
        _PHASES.get(pod.status.phase, 2),
        pod.metadata.deletion_timestamp is not None,
        int(index) if index.isdigit() else 0,
        pod.metadata.name,
    )


def _container(pod: Pod, wanted: str) -> str:
    names = [c.name for c in (*pod.spec.containers, *pod.spec.init_containers)]
    if wanted:
        if wanted not in names:
            raise UsageError(
                f"pod {clean_line(pod.metadata.name)} has no container {clean_line(wanted)}",
                hint=f"it has {', '.join(clean_line(n) for n in names)}",
            )
        return wanted
    marked = pod.metadata.annotations.get(_DEFAULT_CONTAINER, "")
    return marked if marked in names else names[0]


def _not_running(pod: Pod, name: str) -> str:
    """Why a container cannot be entered, in words; empty when it runs."""
    statuses: Sequence[ContainerStatus] = (
        *pod.status.container_statuses,
        *pod.status.init_container_statuses,
    )
    status = next((s for s in statuses if s.name == name), None)
    if status is None:
        return "has not started"
    if status.state.running is not None:
        return ""
    if status.state.terminated is not None:
        return f"has ended with exit code {status.state.terminated.exit_code}"
    waiting = status.state.waiting
    reason = clean_line(waiting.reason) if waiting is not None else ""
    return f"waits ({reason})" if reason else "has not started"


def exec_write(place: Place, command: Sequence[str], summary: str) -> Write:
    """The call that opens a shell, as a plan shows it."""
    pairs = [("container", place.container), *(("command", word) for word in command)]
    return Write(
        system="kubernetes",
        method="GET",
        path=f"{PODS.path(place.namespace, place.pod, 'exec')}?{urlencode(pairs, quote_via=quote)}",
        summary=summary,
    )


def plan_shell(scope: Scope, seen: Seen, place: Place, command: Sequence[str] = ()) -> Plan:
    """Plan a command, or a shell, in a container of a job."""
    words = clean_line(" ".join(command), limit=200) if command else "a shell"
    return _plan(
        Verb.SHELL,
        scope,
        seen,
        exec_write(place, command or SHELL, f"run {words} in {place.words}"),
        until="it ends",
        back="none: what is done in there is done",
    )


def plan_forward(scope: Scope, seen: Seen, place: Place, local: int, remote: int) -> Plan:
    """Plan a local port that leads to a port of a job's pod."""
    mine = f"127.0.0.1:{local}" if local else "a free local port"
    return _plan(
        Verb.FORWARD,
        scope,
        seen,
        Write(
            system="kubernetes",
            method="GET",
            path=f"{PODS.path(place.namespace, place.pod, 'portforward')}?ports={remote}",
            summary=f"forward {mine} to port {remote} of {place.words}",
        ),
        until="the forward is ended",
        back="ending the forward closes the port",
    )


def _plan(verb: Verb, scope: Scope, seen: Seen, write: Write, *, until: str, back: str) -> Plan:
    return Plan(
        id=new_plan_id(),
        verb=verb,
        context=scope.context,
        tier=scope.tier,
        targets=(seen.target(scope),),
        writes=(write,),
        confirmation=Confirmation.TYPED if scope.tier is Tier.PROD else Confirmation.NONE,
        until=until,
        back=back,
        notes=("no dry run can preview what is done through it",),
    )


async def check(engine: Engine, plan: Plan, place: Place) -> Plan:
    """Fill in the checks that can be made without doing it: read-only, and permission.

    Servers from 1.35 ask for ``create`` as well as ``get``, older ones for ``get`` alone: a missing
    ``create`` is a warning, and the server's answer decides.
    """
    sub = "exec" if plan.verb is Verb.SHELL else "portforward"
    if engine.kube.gate.read_only:
        refused = Check(
            name="mode",
            status=CheckStatus.FAILED,
            message=f"read-only: {plan.verb.value} is a write that is reached by GET",
        )
        return msgspec.structs.replace(plan, checks=(refused,))
    get, create = await asyncio.gather(
        _allowed(engine.kube, "get", sub, place, CheckStatus.FAILED),
        _allowed(engine.kube, "create", sub, place, CheckStatus.WARNING),
    )
    only = get.status is CheckStatus.FAILED
    return msgspec.structs.replace(plan, checks=(get,) if only else (get, create))


async def _allowed(
    kube: KubeClient, verb: str, sub: str, place: Place, otherwise: CheckStatus
) -> Check:
    what = f"{verb} pods/{sub} in {clean_line(place.namespace)}"
    try:
        answer = await kube.can_i(verb, "", "pods", place.namespace, place.pod, sub)
    except ApiError as error:
        return Check(name="rbac", status=CheckStatus.UNKNOWN, message=error.line())
    if answer.allowed:
        return Check(name="rbac", status=CheckStatus.PASSED, message=f"you may {what}")
    reason = f" ({one_line(answer.reason)})" if answer.reason else ""
    return Check(name="rbac", status=otherwise, message=f"you may not {what}{reason}")


class Record:
    """An action that is under way: what it comes to is said here.

    Attributes:
        message: How it ended, for the journal.
        status: How it ended, for the journal.
        warnings: What could not be written down at the end, a line each.
    """

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self.message = "interrupted before its outcome was known"
        self.status = OutcomeStatus.UNKNOWN
        self.warnings: list[str] = []
        self._engine = engine
        self._plan = plan

    def outcome(self) -> tuple[Outcome, ...]:
        """What it has come to so far."""
        target = self._plan.targets[0]
        return (Outcome(target=target, status=self.status, message=self.message),)

    def ended(self, message: str) -> None:
        """It did what was asked and came to its end."""
        self.message, self.status = message, OutcomeStatus.PROVEN

    def failed(self, message: str) -> None:
        """It was refused, or broke."""
        self.message, self.status = message, OutcomeStatus.FAILED

    async def announce(self, message: str) -> str:
        """Leave a Kubernetes Event on the job, so that others see who is inside.

        Returns:
            Why it could not be left, in a line; empty when it was. The action goes on without.
        """
        target = self._plan.targets[0]
        said = Outcome(target=target, status=OutcomeStatus.PROVEN, message=message)
        try:
            async with asyncio.timeout(5.0):
                await record(
                    self._engine.kube, self._plan, target, said, user=await self._engine.user()
                )
        except TimeoutError:
            return "not recorded as an Event: no answer within 5 s"
        except McpTuiError as error:
            return f"not recorded as an Event: {error.line()}"
        return ""


@contextlib.asynccontextmanager
async def recorded(engine: Engine, plan: Plan) -> AsyncIterator[Record]:
    """Write an action down before it begins and when it ended, however it ends.

    Raises:
        RefusedError: A check blocks the plan.
        UsageError: The journal cannot be written; nothing was sent then.
    """
    if plan.blocked:
        raise RefusedError(plan.blocked[0].message, where=f"{plan.verb.value} {plan.context}")
    begun = Record(engine, plan)
    user = await engine.user()
    await begin(engine.journal, plan, begun.outcome, user)
    try:
        yield begun
    except McpTuiError as error:
        begun.failed(error.line())
        raise
    finally:
        begun.warnings += await end(engine.journal, plan, begun.outcome())


def ports(text: str) -> tuple[int, int]:
    """``LOCAL:REMOTE``, or one port for a free local one; ``0`` local is a free one too.

    Raises:
        UsageError: It is neither.
    """
    local, colon, remote = text.partition(":")
    if not colon:
        local, remote = "0", local
    if all(p.isascii() and p.isdigit() and len(p) < 6 for p in (local, remote)):
        pair = int(local), int(remote)
        if pair[0] <= 65_535 and 0 < pair[1] <= 65_535:
            return pair
    raise UsageError(
        f"{clean_line(text)!r} is not [LOCAL:]REMOTE", hint="write ports, such as 8080:80 or 80"
    )
