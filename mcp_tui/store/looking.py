"""What the rows on screen need beside the watches: pods and events, use, places in queues.

No field selector finds a waiting reason, and CrashLoopBackOff is phase Running: so the pods of
jobs with fewer ready pods than there should be are listed, and seldom those of kinds whose status
tells nothing of it; those due longest first and few at a time. What a failed job left is asked for
once: its pods do not come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

from mcp_tui.domain.jobview import JobState, JobView
from mcp_tui.domain.kube import Pod
from mcp_tui.domain.kube_custom import PendingWorkload
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.podlabels import POD_LABEL, pods_selector
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.kubernetes.resources import POD_METRICS, PODS, VISIBILITY, Served
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.events import asker, events_of
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.queues import pending
from mcp_tui.store.turn import Turn
from mcp_tui.store.usage import measure, places

T = TypeVar("T")

PODS_EVERY: Final = 5.0
# Of a row whose pods stay as they are, they are listed ever less often: what is news shows in the
# job's own status, too, and in the watches of pods that wait or fail.
PODS_SELDOM: Final = 300.0
_FOCUS_SELDOM: Final = 20.0
AT_ONCE: Final = 3
# Calls that one look may make for pods and events; what is left waits for the next.
CALLS_A_LOOK: Final = 16
PODS_A_LIST: Final = 200
# Names of jobs in a list's selector: a URL of some 4 kB at most.
_NAMES_A_LIST: Final = 50
_DENIED_FOR: Final = 60.0
_BUSY_FOR: Final = 10.0
# What is used, and places in queues: aggregated APIs, each with a server of its own that may hang.
ASIDE_EVERY: Final = 15.0
_ASIDE_DEADLINE: Final = 3.0
_SILENT_FOR: Final = 60.0
# Seconds for which a place that was told stands.
_TOLD_FOR: Final = 60.0
_MEASURED: Final = 60
_REMEMBERED: Final = 4_096
_NEVER: Final = -1e9
# Kinds whose status does not tell pods that work from pods whose containers crash.
_COUNT_RUNNING: Final = frozenset({"PyTorchJob", "RayJob"})
_EVERYWHERE: Final = ("", "")


class Looking:
    """Fetches for the rows on screen.

    Args:
        kube: The cluster's client.
        store: Filled by this.
        said: Where troubles are said, by what they are about.
        on_change: Called when something came, or a trouble did.
        on_silence: Called when a call got no answer.
        turn: Waited for before each call.

    Attributes:
        visible: The jobs on screen.
        focus: The one under the cursor.
        served: What kinds the cluster has.
    """

    def __init__(
        self,
        kube: KubeClient,
        store: JobStore,
        said: dict[str, str],
        on_change: Callable[[], None],
        on_silence: Callable[[], None],
        turn: Turn,
    ) -> None:
        self._kube = kube
        self._store = store
        self._said = said
        self._changed = on_change
        self._on_silence = on_silence
        self._turn = turn
        self.visible: tuple[str, ...] = ()
        self.focus: str | None = None
        self.served: Served = frozenset()
        # Of what was seen of a job then, and when.
        self._looked: dict[str, tuple[str, float]] = {}
        self._events_for: dict[str, str] = {}
        # Seconds until the pods of a job that says nothing new are listed again.
        self._rests: dict[str, float] = {}
        # Until when something is not asked again, by what and where.
        self._not_before: dict[tuple[str, str], float] = {}
        self._calls = 0
        self._aside_at = _NEVER
        # Who asks while another look is under way waits for what that brings.
        self._one_look, self._one_look_aside = asyncio.Lock(), asyncio.Lock()
        # When the places in a queue were told.
        self._told_at: dict[tuple[str, str], float] = {}

    @property
    def uids(self) -> tuple[str, ...]:
        """The jobs looked at, that under the cursor first."""
        focus = (self.focus,) if self.focus else ()
        return tuple(dict.fromkeys((*focus, *self.visible)))

    def refresh(self) -> None:
        """Everything is due."""
        self._looked.clear()
        self._events_for.clear()
        self._rests.clear()
        self._not_before.clear()

    async def look(self) -> None:
        """Fetch what is due of pods and events; when this returns it is there, whoever asked."""
        async with self._one_look:
            now = time.monotonic()
            self._calls = 0
            await self._look_at_pods(now)
        if len(self._looked) > _REMEMBERED:
            seen = set(self.visible)
            self._looked = {k: v for k, v in self._looked.items() if k in seen}
            self._events_for = {k: v for k, v in self._events_for.items() if k in seen}
            self._rests = {k: v for k, v in self._rests.items() if k in seen}

    async def look_aside(self) -> None:
        """Fetch what is used and the places in queues if they are due; causes wait for neither."""
        async with self._one_look_aside:
            now = time.monotonic()
            if now - self._aside_at < ASIDE_EVERY:
                return
            self._aside_at = now
            await asyncio.gather(self._look_at_used(now), self._look_at_places(now))

    async def _look_at_pods(self, now: float) -> None:
        """The pods of the rows that are due, then the events of those that still lack a cause."""
        listed: list[JobView] = []
        groups = list(_together(self._due(now)))
        for start in range(0, len(groups), AT_ONCE):
            if self._calls >= CALLS_A_LOOK:
                break
            batch = groups[start : start + AT_ONCE]
            for view in chain.from_iterable(batch):
                self._looked[view.key.uid] = (_version(view), now)
            done = await asyncio.gather(*(self._fetch_pods(group) for group in batch))
            listed += chain.from_iterable(done)
        wanting = [view for view in listed if self._needs_events(view)]
        for start in range(0, len(wanting), AT_ONCE):
            batch_of = wanting[start : start + AT_ONCE]
            if self._calls >= CALLS_A_LOOK:
                for view in batch_of:
                    # Its turn is the next look's, before others'.
                    self._looked.pop(view.key.uid, None)
                continue
            await asyncio.gather(*(self._fetch_events(view) for view in batch_of))

    def _due(self, now: float) -> list[JobView]:
        """The rows whose pods are to be listed, those listed longest ago first."""
        wanted: list[tuple[float, JobView]] = []
        for uid in self.uids:
            view = self._store.table.get(uid)
            if view is None or not _needs_pods(view):
                continue
            if not self._may("pods", view.key.namespace, now):
                continue
            version, at = self._looked.get(uid, ("", _NEVER))
            news = version != _version(view)
            rest = PODS_EVERY if news else self._rests.get(uid, PODS_EVERY)
            if uid == self.focus:
                rest = min(rest, _FOCUS_SELDOM)
            again = view.state is not JobState.FAILED and now - at >= rest
            if again or (news and (uid == self.focus or now - at >= PODS_EVERY)):
                wanted.append((at if uid != self.focus else 2 * _NEVER, view))
        wanted.sort(key=lambda pair: pair[0])
        return [view for _, view in wanted]

    def _may(self, what: str, namespace: str, now: float) -> bool:
        """Whether something may be asked for: it was not refused just now, nor the server busy."""
        where = ((what, namespace), _EVERYWHERE)
        return all(now >= self._not_before.get(place, _NEVER) for place in where)

    async def _fetch_pods(self, group: Sequence[JobView]) -> Sequence[JobView]:
        """List the pods of jobs that are asked for together.

        Returns:
            The jobs whose pods are known now.
        """
        try:
            pods = await self._list_pods(group)
        except McpTuiError as error:
            self._failed("pods", group, error)
            return ()
        for view in group:
            uid = view.key.uid
            if self._store.set_pods(uid, pods.get(view.key.name, ())):
                self._rests.pop(uid, None)
            else:
                self._rests[uid] = min(PODS_SELDOM, 2 * self._rests.get(uid, PODS_EVERY))
        self._said.pop("pods", None)
        self._changed()
        return group

    def _failed(self, what: str, views: Iterable[JobView], error: McpTuiError) -> None:
        """Say it, and ask again when there is hope; all views are of one namespace."""
        for view in views:
            namespace = view.key.namespace
            self._forget(view)
        if isinstance(error, ApiError):
            refused = error.status in (401, 403)
            place = (what, namespace) if refused or error.status == 404 else _EVERYWHERE
            wait = _DENIED_FOR if refused else error.retry_after or _BUSY_FOR
            self._not_before[place] = time.monotonic() + wait
            self._said[what] = f"{what}: {error.line()}"
        else:
            # The health of the jobs tells how the server is; a cause is a thing more.
            self._not_before[_EVERYWHERE] = time.monotonic() + _BUSY_FOR
            if isinstance(error, UnreachableError):
                self._on_silence()
        self._changed()

    def _forget(self, view: JobView) -> None:
        """What could not be asked is still to be asked."""
        uid = view.key.uid
        self._looked[uid] = ("", self._looked.get(uid, ("", _NEVER))[1])
        self._events_for.pop(uid, None)

    async def _list_pods(self, group: Sequence[JobView]) -> Mapping[str, Sequence[Pod]]:
        """Pods by the name of the job; those of a job of very many are the first of them."""
        key = group[0].key
        names = {view.key.name for view in group}
        page = await self._list(key.namespace, pods_selector(key.kind, names))
        if len(group) == 1:
            return {key.name: page.items}
        if page.metadata.continue_:
            # More than their statuses say: which of them are whole is not known.
            pages = [await self._list_pods((view,)) for view in group]
            return {name: pods for page in pages for name, pods in page.items()}
        found: dict[str, list[Pod]] = {name: [] for name in names}
        for pod in page.items:
            found.setdefault(pod.metadata.labels.get(POD_LABEL[key.kind], ""), []).append(pod)
        return found

    async def _list(self, namespace: str, selector: str) -> ObjectList[Pod]:
        self._calls += 1
        await self._turn.comes()
        params = {"labelSelector": selector, "limit": str(PODS_A_LIST)}
        return await self._kube.get(PODS.path(namespace), ObjectList[Pod], params=params)

    def _needs_events(self, view: JobView) -> bool:
        if _whole(view):
            return False
        known = view.cause is not None and view.cause.evidence and view.key.uid != self.focus
        if view.state is JobState.FAILED:
            known = not _needs_pods(view)
        asked = self._events_for.get(view.key.uid) == _version(view)
        if known or asked:
            return False
        return self._may("events", view.key.namespace, time.monotonic())

    async def _fetch_events(self, view: JobView) -> None:
        uid, namespace = view.key.uid, view.key.namespace
        self._events_for[uid] = _version(view)
        job = self._store.job(uid)
        if job is None:
            return
        children, pods = self._store.children(uid), self._store.pods(uid)
        ask = asker(self._kube, namespace, self._begin_call)
        try:
            events = await events_of(ask, job, children, pods)
        except McpTuiError as error:
            self._failed("events", (view,), error)
            return
        self._store.set_events(uid, events)
        self._said.pop("events", None)
        self._changed()

    async def _begin_call(self) -> None:
        self._calls += 1
        await self._turn.comes()

    async def _look_at_used(self, now: float) -> None:
        """What running jobs on screen use, where the cluster has a metrics API."""
        if not self._may("used", "", now):
            return
        running = []
        for uid in self.visible[:_MEASURED] if POD_METRICS in self.served else ():
            view = self._store.table.get(uid)
            if view is not None and view.ready:
                running.append(view)
        if not running:
            self._said.pop("used", None)
        for start in range(0, len(running), AT_ONCE):
            batch = running[start : start + AT_ONCE]
            calls = [measure(self._kube, view) for view in batch]
            found = await self._aside("used", "the metrics API", calls)
            if found is None:
                for view in running[start:]:
                    self._store.set_used(view.key.uid, None)
                return
            for view, used in zip(batch, found, strict=True):
                self._store.set_used(view.key.uid, used)

    async def _aside(
        self, what: str, whose: str, calls: Iterable[Coroutine[Any, Any, T | None]]
    ) -> list[T | None] | None:
        """Ask an aggregated API; None when it hangs, which says nothing of the API server."""
        try:
            async with asyncio.timeout(_ASIDE_DEADLINE):
                found = await asyncio.gather(*calls)
        except TimeoutError:
            self._not_before[what, ""] = time.monotonic() + _SILENT_FOR
            self._said[what] = f"{whose} gives no answer within {_ASIDE_DEADLINE:g} s"
            self._changed()
            return None
        self._said.pop(what, None)
        return found

    async def _look_at_places(self, now: float) -> None:
        """Places in the queues of the jobs that wait on screen, as Kueue tells them."""
        versions = sorted(v for group, v, plural in self.served if group == VISIBILITY and plural)
        for queue, at in [*self._told_at.items()]:
            if not versions or now - at >= _TOLD_FOR:
                self._tell(queue, None, now)
        if not self._may("places", "", now):
            return
        wanted = set()
        for uid in self.visible if versions else ():
            workload = self._store.workload(uid)
            if workload is not None and pending(workload):
                wanted.add((workload.metadata.namespace, workload.spec.queue_name))
        asked = sorted(wanted)[:AT_ONCE]
        calls = [places(self._kube, versions[-1], *queue) for queue in asked]
        found = await self._aside("places", "Kueue's visibility API", calls)
        found = found or [None] * len(asked)
        for queue, told in zip(asked, found, strict=True):
            self._tell(queue, told, now)

    def _tell(
        self, queue: tuple[str, str], told: Iterable[PendingWorkload] | None, now: float
    ) -> None:
        """Take what is told of a LocalQueue; None when nothing is, and it is worked out again."""
        if told is None:
            self._told_at.pop(queue, None)
            self._store.queues.untell(*queue)
        else:
            self._told_at[queue] = now
            self._store.queues.tell(*queue, told)


def _together(views: Iterable[JobView]) -> Iterator[list[JobView]]:
    """Jobs whose pods one list tells: of one kind and namespace, and not more than it holds.

    One call for each row cost a fifth of a core while a screenful of rows changed.
    """
    open_groups: dict[tuple[str, str], tuple[list[JobView], int]] = {}
    for view in views:
        place = (view.key.kind, view.key.namespace)
        group, held = open_groups.get(place, ([], 0))
        expected = max(1, view.wanted + view.failed)
        if group and (held + expected > PODS_A_LIST or len(group) == _NAMES_A_LIST):
            yield group
            group, held = [], 0
        group.append(view)
        open_groups[place] = (group, held + expected)
    yield from (group for group, _ in open_groups.values())


def _needs_pods(view: JobView) -> bool:
    """Whether pods that no watch tells of may say more of a row."""
    if view.state in (JobState.DONE, JobState.SUSPENDED):
        return False
    if view.state is JobState.FAILED:
        cause = view.cause
        # Of a job whose pods are gone, events may still say what became of them.
        return cause is None or not cause.evidence or not cause.pod
    return not _whole(view) or view.key.kind in _COUNT_RUNNING


def _whole(view: JobView) -> bool:
    """Whether a job runs with all its pods, as its status counts them."""
    return view.state is JobState.RUNNING and not view.short


def _version(view: JobView) -> str:
    """What a change of a job's own status shows in: its pods are looked at again then."""
    return f"{view.state} {view.active}/{view.wanted} {view.ready} {view.failed} {view.restarts}"
