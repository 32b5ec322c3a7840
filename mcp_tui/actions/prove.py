"""The effect of a write, seen through the watch: proven, or said to be unproven."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from mcp_tui.actions.kinds import kind_of
from mcp_tui.domain import kube as k
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Target, Verb
from mcp_tui.errors import ExitCode
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.reflector import Delta, Reflector
from mcp_tui.sources.kubernetes.resources import Resource
from mcp_tui.sources.kubernetes.transport import KubeClient

# A proof is waited for by a person: without the watch verb it is asked for more often than a list
# of everything would be, as it is about one object.
_TIMING: Final = Timing(poll=2.0)


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

    def says(self, condition: str) -> bool:
        """Whether a condition is true."""
        found = k.condition(self.status.conditions, condition)
        return found is not None and found.is_true

    @property
    def suspended(self) -> bool:
        """Whether its specification holds it."""
        return bool(self.spec.suspend or self.spec.run_policy.suspend)

    @property
    def taken_up(self) -> bool:
        """Whether a controller has said anything about it."""
        status = self.status
        return bool(
            status.start_time or status.conditions or status.active or status.job_deployment_status
        )

    @property
    def held(self) -> bool:
        """Whether its controller says that it is held."""
        return self.says("Suspended") or self.status.job_deployment_status == "Suspended"


def holds(verb: Verb, kind: str, probe: Probe | None) -> str:
    """What proves a verb, in words; empty while nothing does.

    Args:
        kind: Of the object that is watched: a job's, or ``Workload``.
        probe: The object; None when it is not there.
    """
    if verb in (Verb.CANCEL, Verb.DELETE):
        return "gone" if probe is None else ""
    if probe is None:
        return ""
    if kind == "Workload":
        return _workload_holds(verb, probe)
    if verb is Verb.SUSPEND:
        # The Job controller counts pods; of other kinds only their controllers' word counts.
        idle = not probe.status.active if kind == "Job" else not probe.taken_up
        return "held: nothing of it runs" if probe.suspended and (probe.held or idle) else ""
    if verb is Verb.RESUME:
        return "" if probe.suspended or not probe.taken_up or probe.held else "released"
    if probe.taken_up:
        return "held in the queue" if probe.suspended else "taken up by the cluster"
    return ""


def _workload_holds(verb: Verb, probe: Probe) -> str:
    if verb is Verb.RESUME:
        return (
            "its Workload is active: the queue decides when it starts" if probe.spec.active else ""
        )
    quiet = not probe.says("Admitted") and not probe.says("QuotaReserved")
    return "its Workload is inactive and holds no quota" if not probe.spec.active and quiet else ""


class Watched:
    """What is watched for one target: the job itself, or its Workload."""

    def __init__(self, plan: Plan, index: int, target: Target) -> None:
        row = kind_of(target.kind)
        self.target = target
        self.kind, self.uid, self.name = target.kind, target.uid, target.name
        self.resource = Resource(row.group, row.version, row.plural, target.kind, True, Probe)
        for write in plan.writes:
            # By its place: a namespace, or a job, may be called ``workloads`` too.
            match write.path.strip("/").split("/"):
                case ["apis", "kueue.x-k8s.io" as group, version, "namespaces", _,
                      "workloads" as plural, name] if write.target == index:  # fmt: skip
                    self.kind, self.uid, self.name = "Workload", "", name
                    self.resource = Resource(group, version, plural, "Workload", True, Probe)

    @property
    def where(self) -> tuple[str, str, str, str]:
        """Targets of the same list are watched together."""
        r = self.resource
        return (r.group, r.version, r.plural, self.target.namespace)


async def prove(
    client: KubeClient, plan: Plan, targets: Mapping[int, Target], *, timeout: float
) -> dict[int, Outcome]:
    """Watch targets until their action's effect is seen.

    Args:
        targets: By their index in the plan.
        timeout: Seconds, for all of them; then an outcome is UNPROVEN, with what was seen last.
    """
    groups: dict[tuple[str, str, str, str], dict[int, Watched]] = {}
    for index, target in targets.items():
        watched = Watched(plan, index, target)
        groups.setdefault(watched.where, {})[index] = watched
    proofs = await asyncio.gather(
        *(_Proof(client, plan, group).run(timeout) for group in groups.values())
    )
    return {index: outcome for proof in proofs for index, outcome in proof.items()}


class _Proof:
    """One list or watch, and the targets that it is about."""

    def __init__(self, client: KubeClient, plan: Plan, group: Mapping[int, Watched]) -> None:
        first = next(iter(group.values()))
        self._plan = plan
        self._waiting = dict(group)
        self._outcomes: dict[int, Outcome] = {}
        self._seen: dict[str, Probe] = {}
        self._changed = asyncio.Event()
        self._started = time.monotonic()
        self._reflector = Reflector(
            client,
            first.resource,
            namespace=first.target.namespace,
            field_selector=f"metadata.name={first.name}" if len(group) == 1 else "",
            sink=self._sink,
            on_health=lambda _: self._changed.set(),
            timing=_TIMING,
        )

    async def run(self, timeout: float) -> dict[int, Outcome]:
        task = asyncio.create_task(self._reflector.run())
        try:
            async with asyncio.timeout(timeout):
                while self._waiting:
                    self._changed.clear()
                    self._look()
                    if self._waiting:
                        await self._changed.wait()
        except TimeoutError:
            why = self._reflector.health.message or f"{self._plan.until} was not seen"
            for index in list(self._waiting):
                said = f"accepted, but after {timeout:.0f} s unproven: {why}"
                self._settle(index, OutcomeStatus.UNPROVEN, said)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return self._outcomes

    def _sink(self, delta: Delta[Probe]) -> None:
        if delta.replace:
            self._seen.clear()
        for gone in delta.removes:
            self._seen.pop(gone, None)
        for probe in delta.upserts:
            self._seen[probe.metadata.uid] = probe
        self._changed.set()

    def _look(self) -> None:
        if not self._reflector.health.synced:
            return
        for index, watched in list(self._waiting.items()):
            probe = self._find(watched)
            words = holds(self._plan.verb, watched.kind, probe)
            if words:
                took = time.monotonic() - self._started
                self._settle(index, OutcomeStatus.PROVEN, f"{words}, seen after {took:.1f} s")
            elif probe is None:
                # The list was made after the write was accepted: it was there, and is not now.
                gone = f"accepted, but somebody else deleted {watched.name} before it was proven"
                self._settle(index, OutcomeStatus.UNPROVEN, gone, code=ExitCode.GONE)

    def _find(self, watched: Watched) -> Probe | None:
        if watched.uid:
            return self._seen.get(watched.uid)
        return next((p for p in self._seen.values() if p.metadata.name == watched.name), None)

    def _settle(
        self,
        index: int,
        status: OutcomeStatus,
        message: str,
        *,
        code: ExitCode = ExitCode.UNREACHABLE,
    ) -> None:
        target = self._waiting.pop(index).target
        proven = status is OutcomeStatus.PROVEN
        self._outcomes[index] = Outcome(
            target=target,
            status=status,
            message=message,
            exit_code=int(ExitCode.OK if proven else code),
        )
