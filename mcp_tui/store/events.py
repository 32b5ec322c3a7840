"""The Events of one job: asked for by name, told apart from those of its namesakes.

Events name what they are about, and names come again: a job made anew, and a PyTorchJob's pods,
bear those of the ones before. Of pods that are gone the controllers' own Events give the names.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from mcp_tui.domain.kinds import AnyJob
from mcp_tui.domain.kube import Event, Pod, epoch
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.sources.kubernetes.resources import EVENTS
from mcp_tui.sources.kubernetes.transport import KubeClient

# Objects below the root whose Events are asked for: each costs a call.
_CHILDREN: Final = 2
_PODS: Final = 3
_PAGE: Final = "100"
# How the controllers of Jobs and of PyTorchJobs say that they made a pod.
_MADE: Final = frozenset({"SuccessfulCreate", "SuccessfulCreatePod"})
_MADE_POD: Final = re.compile(r"[Cc]reated pod: ([a-z0-9][a-z0-9.-]{0,252})$")

Ask = Callable[[str], Awaitable[Sequence[Event]]]
"""Gives the Events of one name."""


def asker(
    kube: KubeClient, namespace: str, before: Callable[[], Awaitable[None]] | None = None
) -> Ask:
    """How the Events of one name are asked for; ``before`` is awaited before each call."""

    async def ask(name: str) -> Sequence[Event]:
        if before is not None:
            await before()
        params = {"fieldSelector": f"involvedObject.name={name}", "limit": _PAGE}
        return (await kube.get(EVENTS.path(namespace), ObjectList[Event], params=params)).items

    return ask


async def events_of(
    ask: Ask,
    job: AnyJob,
    children: Sequence[AnyJob] = (),
    pods: Sequence[Pod] = (),
    *,
    most_pods: int = _PODS,
) -> tuple[Event, ...]:
    """What is said of a job, of what stands below it, and of its pods that wait or failed.

    Args:
        ask: Asks for one name's Events.
        job: The root.
        children: What is known below it, from the outside in.
        pods: Those known; when none are, those that the controllers say they made.
        most_pods: Pods asked for.

    Raises:
        McpTuiError: They cannot be asked for.
    """
    found: list[Event] = []
    for name in dict.fromkeys(o.metadata.name for o in (job, *children[:_CHILDREN])):
        found += await ask(name)
    if pods:
        ailing = [p for p in pods if p.status.phase not in ("Running", "Succeeded")] or pods
        names = [pod.metadata.name for pod in ailing]
    else:
        names = made_pods(mine(found, job, children, pods))
    for name in islice(dict.fromkeys(names), most_pods):
        found += await ask(name)
    return mine(found, job, children, pods)


def made_pods(events: Iterable[Event]) -> list[str]:
    """The pods that controllers say they made, the newest first."""
    made = [
        (event.last_seen or 0.0, match[1])
        for event in events
        if event.reason in _MADE and (match := _MADE_POD.search(event.message)) is not None
    ]
    return [name for _, name in sorted(made, reverse=True)]


def mine(
    events: Iterable[Event], job: AnyJob, children: Sequence[AnyJob], pods: Sequence[Pod]
) -> tuple[Event, ...]:
    """Those of this very job; of what is not known (any more), those that came after its birth."""
    known = {o.metadata.uid for o in (job, *children)} | {p.metadata.uid for p in pods}
    taken = {(o.kind, o.metadata.name) for o in (job, *children)}
    taken |= {("Pod", pod.metadata.name) for pod in pods}
    born = epoch(job.metadata.creation_timestamp) or 0.0

    def belongs(event: Event) -> bool:
        about = event.involved_object
        if about.uid in known:
            return True
        if about.uid and (about.kind, about.name) in taken:
            return False
        return (event.last_seen or 0.0) >= born

    return tuple(event for event in events if belongs(event))
