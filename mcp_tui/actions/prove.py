"""The effect of a write, seen through the watch: proven, or said to be unproven."""

from __future__ import annotations

import asyncio
import time

from mcp_tui.actions.kinds import kind_of
from mcp_tui.domain import kube as k
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Verb
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import Resource
from mcp_tui.sources.kubernetes.transport import KubeClient


class _RunPolicy(k.Kube, frozen=True, kw_only=True):
    suspend: bool | None = None


class _Spec(k.Kube, frozen=True, kw_only=True):
    suspend: bool | None = None
    active: bool = True
    run_policy: _RunPolicy = _RunPolicy()


class _Status(k.Kube, frozen=True, kw_only=True):
    active: int | None = None
    start_time: str | None = None
    conditions: tuple[k.Condition, ...] = ()
    job_status: str = ""
    job_deployment_status: str = ""


class Probe(k.Kube, frozen=True, kw_only=True):
    """Any job kind, or a Workload, as far as the proof of an action goes."""

    metadata: k.ObjectMeta = k.ObjectMeta()
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def suspended(self) -> bool:
        """Whether its specification holds it."""
        return bool(self.spec.suspend or self.spec.run_policy.suspend)

    @property
    def held(self) -> bool:
        """Whether its controller says that it is held, or that nothing of it runs."""
        condition = k.condition(self.status.conditions, "Suspended")
        said = condition is not None and condition.is_true
        return said or (self.suspended and not self.status.active)

    @property
    def taken_up(self) -> bool:
        """Whether a controller has said anything about it."""
        status = self.status
        return bool(
            status.start_time or status.conditions or status.active or status.job_deployment_status
        )


def _holds(verb: Verb, probe: Probe | None, *, workload: bool) -> str:
    """What proves a verb, in words, or nothing yet."""
    if verb in (Verb.CANCEL, Verb.DELETE):
        return "gone" if probe is None else ""
    if probe is None:
        return ""
    if workload:
        wanted = verb is Verb.RESUME
        return (
            f"its Workload is {'active' if wanted else 'inactive'}"
            if (probe.spec.active is wanted)
            else ""
        )
    if verb is Verb.SUSPEND:
        return "held: nothing of it runs" if probe.suspended and probe.held else ""
    if verb is Verb.RESUME:
        return "" if probe.suspended or not probe.taken_up or probe.held else "released"
    if probe.taken_up:
        return "held in the queue" if probe.suspended else "taken up by the cluster"
    return ""


async def prove(
    client: KubeClient,
    plan: Plan,
    target: Target,
    *,
    timeout: float,
) -> Outcome:
    """Watch a target until its action's effect is seen.

    Args:
        timeout: Seconds; after them the outcome is UNPROVEN, with what was seen last.
    """
    row = kind_of(target.kind)
    group, version, plural, name, uid = row.group, row.version, row.plural, target.name, target.uid
    workload = next((w for w in plan.writes if "/workloads/" in w.path), None)
    if workload is not None:
        parts = workload.path.strip("/").split("/")
        group, version, plural, name, uid = parts[1], parts[2], parts[5], parts[6], ""
    seen: dict[str, Probe] = {}
    changed = asyncio.Event()

    def sink(delta: Delta[Probe]) -> None:
        if delta.replace:
            seen.clear()
        for gone in delta.removes:
            seen.pop(gone, None)
        for probe in delta.upserts:
            seen[probe.metadata.uid] = probe
        changed.set()

    reflector = Reflector(
        client,
        Resource(group, version, plural, target.kind, True, Probe),
        namespace=target.namespace,
        field_selector=f"metadata.name={name}",
        sink=sink,
    )
    task = asyncio.create_task(reflector.run())
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            while True:
                if reflector.health.synced:
                    probe = seen.get(uid) if uid else next(iter(seen.values()), None)
                    words = _holds(plan.verb, probe, workload=workload is not None)
                    if words:
                        took = time.monotonic() - started
                        return Outcome(
                            target=target,
                            status=OutcomeStatus.PROVEN,
                            message=f"{words}, seen after {took:.1f} s",
                        )
                changed.clear()
                # The first complete list may change nothing, so it is looked at now and then too.
                try:
                    async with asyncio.timeout(0.2):
                        await changed.wait()
                except TimeoutError:
                    pass
    except TimeoutError:
        health = reflector.health
        why = health.message or f"{plan.until} was not seen"
        return Outcome(
            target=target,
            status=OutcomeStatus.UNPROVEN,
            message=f"accepted, but after {timeout:.0f} s unproven: {why}",
        )
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
