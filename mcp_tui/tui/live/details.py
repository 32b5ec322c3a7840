"""The parts of a job that its detail shows, each fetched when it is looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_tui.actions.kinds import kind_of
from mcp_tui.domain.jobview import JobState, JobView
from mcp_tui.domain.kube import Event, Pod
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.quantity import format_bytes, format_cpu
from mcp_tui.domain.reltime import absolute, ago, duration
from mcp_tui.domain.roots import Node, rank_of, tree_of
from mcp_tui.domain.runfacts import number
from mcp_tui.domain.text import clean, clean_line, one_line
from mcp_tui.errors import GoneError, McpTuiError
from mcp_tui.sources.kubernetes.resources import EVENTS, PODS
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.tui.live.loglines import log_lines
from mcp_tui.tui.live.shell import LiveTerminals
from mcp_tui.tui.model import Cell, Line, LogLine, LogOptions, PodLine, Tone

if TYPE_CHECKING:
    from mcp_tui.tui.live.context import Live

_PREVIEW_LOG = 8
# A burst is shown from its newest lines; what waits must not grow without bound.
_WAITING_LINES = 20_000
_ADDED_LABELS = frozenset(
    {
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
    }
)
_BAD = frozenset(
    {"Error", "OOMKilled", "Failed", "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull"}
)


def _fact(name: str, text: str, tone: Tone = "") -> Line:
    return (Cell(f"{name:<11}", "heading"), Cell(text, tone))


class LiveDetails(LiveTerminals):
    """Implements :class:`mcp_tui.tui.model.DetailProvider`, and what goes into containers."""

    _log_end: tuple[object, list[Line]] | None = None

    def _find(self, key: str) -> tuple[Live, JobView]:
        live, _ = self._backend.live_of(key)
        view = self._backend.jobs.view(key)
        if view is None:
            raise GoneError(f"{self._backend.jobs.name_of(key)} is gone")
        return live, view

    async def overview(self, key: str) -> Sequence[Line]:
        """Why first, then what it is."""
        live, view = self._find(key)
        now = time.time()
        lines = self._headline(view, now)
        facts: list[tuple[str, str]] = [
            ("kind", f"{view.key.kind} in {view.key.namespace} of {view.key.context}"),
            ("created", absolute(view.created)),
            ("started", absolute(view.started) if view.started else ""),
            ("finished", absolute(view.finished) if view.finished else ""),
            ("took", duration(view.duration) if view.duration is not None else ""),
            ("progress", view.progress.counts() if view.progress is not None else ""),
            (
                "pods",
                f"{view.active} active, {view.ready} ready, {view.succeeded} succeeded, "
                f"{view.failed} failed",
            ),
            ("indexes", f"failed: {view.failed_indexes}" if view.failed_indexes else ""),
            ("asks for", self._asks(view)),
            ("image", view.image),
            ("commit", " ".join(filter(None, (view.commit, view.branch, view.git_url)))),
            ("run", view.run_id + (f" ({view.run_note})" if view.run_note else "")),
            ("owner", view.owner),
            ("queue", self._queue(live, view)),
            ("parent", view.parent),
            ("labels", _labels(view.labels)),
            ("uid", view.key.uid),
        ]
        lines += [_fact(name, clean_line(text)) for name, text in facts if text]
        return lines

    @staticmethod
    def _headline(view: JobView, now: float) -> list[Line]:
        tone: Tone = {
            JobState.FAILED: "failed",
            JobState.STALLED: "attention",
            JobState.RUNNING: "running",
            JobState.DONE: "done",
        }.get(view.state, "waiting")  # type: ignore[assignment]  # dict.get widens the literals
        lines: list[Line] = [
            (
                Cell(f"{view.key.name}  ", "strong"),
                Cell(_for_how_long(view, now), tone),
            )
        ]
        if view.why:
            lines.append((Cell(view.why, tone if view.state is not JobState.DONE else ""),))
        cause = view.cause
        if cause is not None and cause.sentence() != view.why:
            lines.append((Cell(clean_line(cause.sentence())),))
        if cause is not None and not cause.evidence:
            lines.append((Cell("the evidence is gone: its pods and events are deleted", "dim"),))
        lines.append(())
        return lines

    @staticmethod
    def _asks(view: JobView) -> str:
        parts = []
        if view.cpu:
            parts.append(f"cpu {format_cpu(view.cpu)}")
        if view.memory:
            parts.append(f"memory {format_bytes(view.memory)}")
        if view.accelerators:
            parts.append(f"{view.accelerators:g} {', '.join(view.accelerator_kinds)}")
        return ", ".join(parts)

    @staticmethod
    def _queue(live: Live, view: JobView) -> str:
        if not view.queue:
            return ""
        place = f", place {view.queue_position}" if view.queue_position is not None else ""
        workload = live.store.workload(view.key.uid)
        holders = live.store.queues.holders(workload) if workload and place else []
        held = f"; quota is held by {', '.join(holders)}" if holders else ""
        return view.queue + place + held

    async def preview(self, key: str) -> Sequence[Line]:
        """The headline, the run's newest, the last log lines, the next keys."""
        live, view = self._find(key)
        lines = self._headline(view, time.time())
        asks = self._asks(view)
        if asks:
            lines.append(_fact("asks for", asks))
        if view.commit:
            lines.append(_fact("commit", f"{view.commit[:12]} {view.branch}"))
        run = live.store.run(view.run_id)
        if run is not None:
            newest = "  ".join(m.text() for m in run.metrics[:3])
            lines.append(_fact("run", f"{run.run_id[:8]} {run.status.lower()}  {newest}"))
        if view.active or view.failed:
            lines += await self._end_of_log(live, view)
        keys = {
            JobState.FAILED: "t retry   l logs   Enter detail",
            JobState.DONE: "o run   l logs   a delete",
            JobState.SUSPENDED: "z resume   x cancel",
        }.get(view.state, "l logs   x cancel   z suspend")
        lines += [(), (Cell(keys, "key"),)]
        return lines

    async def _end_of_log(self, live: Live, view: JobView) -> list[Line]:
        """The last log lines; of a job that is over they are fetched once."""
        key = (view.key.uid, view.state.value, view.failed)
        if self._log_end is not None and self._log_end[0] == key:
            return self._log_end[1]
        lines = await self._last_lines(live, view)
        self._log_end = (key, lines) if view.state.over else None
        return lines

    async def _last_lines(self, live: Live, view: JobView) -> list[Line]:
        query = LogQuery(
            namespace=view.key.namespace,
            selector=pod_selector(view.key.kind, view.key.name),
            follow=False,
            tail=_PREVIEW_LOG,
        )
        found: list[Line] = [()]
        try:
            async for batch in JobLogs(live.connection.kube, query).batches():
                found += [(Cell(record.text, "dim"),) for record in batch]
        except McpTuiError as error:
            return [(), (Cell(f"no log: {error.what}", "dim"),)]
        return found[:1] + found[1:][-_PREVIEW_LOG:]

    async def pods(self, key: str) -> Sequence[PodLine]:
        """The tree job -> replicas -> pods -> containers."""
        live, view = self._find(key)
        job = live.store.job(view.key.uid)
        if job is None:
            raise GoneError(f"{view.key.name} is gone")
        pods = await self._pods_of(live, view)
        if pods or not view.state.over:
            # Pods that are gone say nothing of why the job ended: what was seen of them stays.
            live.store.set_pods(view.key.uid, pods)
        lines: list[PodLine] = []
        _walk(tree_of(job, live.store.children(view.key.uid), pods), 0, "", lines)
        ranks = {pod.metadata.name: rank_of(pod) for pod in pods}
        return [replace(line, rank=ranks.get(line.pod)) for line in lines]

    @staticmethod
    async def _pods_of(live: Live, view: JobView) -> tuple[Pod, ...]:
        page = await live.connection.kube.get(
            PODS.path(view.key.namespace),
            ObjectList[Pod],
            params={
                "labelSelector": pod_selector(view.key.kind, view.key.name),
                "limit": "500",
            },
        )
        return tuple(page.items)

    async def events(self, key: str) -> Sequence[Line]:
        """Events of the job, what it owns and its pods, newest first."""
        live, view = self._find(key)
        uids = {view.key.uid, *(c.metadata.uid for c in live.store.children(view.key.uid))}
        names = {view.key.name}
        pods = await self._pods_of(live, view)
        uids |= {p.metadata.uid for p in pods}
        names |= {p.metadata.name for p in pods[:20]}
        found: dict[str, Event] = {}
        for name in sorted(names):
            page = await live.connection.kube.get(
                EVENTS.path(view.key.namespace),
                ObjectList[Event],
                params={"fieldSelector": f"involvedObject.name={name}", "limit": "200"},
            )
            for event in page.items:
                mine = event.involved_object.uid in uids or event.involved_object.name == name
                if mine:
                    found[event.metadata.uid] = event
        now = time.time()
        ordered = sorted(found.values(), key=lambda e: e.last_seen or 0.0, reverse=True)
        if not ordered:
            return ((Cell("no events: the server keeps them for about an hour", "dim"),),)
        return [_event_line(event, now) for event in ordered]

    async def yaml(self, key: str) -> str:
        """The object as YAML, without managedFields."""
        obj = await self._object(key)
        obj.get("metadata", {}).pop("managedFields", None)
        # Elsewhere: of a large object it takes seconds.
        return await asyncio.to_thread(_as_yaml, obj)

    async def _object(self, key: str) -> dict[str, Any]:
        live, view = self._find(key)
        row = kind_of(view.key.kind)
        path = row.path(view.key.namespace, view.key.name)
        obj = await live.connection.kube.get(path, dict[str, Any])
        return {"apiVersion": row.api_version, "kind": row.kind, **obj}

    async def describe(self, key: str) -> str:
        """The object in words: its facts, its pods, its events."""
        lines = [_plain(line) for line in await self.overview(key)]
        lines += ["", "Pods"]
        lines += [
            f"  {'  ' * pod.depth}{pod.text}  {pod.state}  {pod.why}".rstrip()
            for pod in await self.pods(key)
        ]
        lines += ["", "Events, newest first"]
        lines += [f"  {_plain(line)}" for line in await self.events(key)]
        return "\n".join(lines)

    async def run(self, key: str) -> Sequence[Line]:
        """The linked MLflow run."""
        live, view = self._find(key)
        mlflow = live.connection.mlflow
        if not view.run_id:
            return ((Cell("no MLflow run is linked to this job", "dim"),),)
        if mlflow is None:
            return (
                _fact("run", view.run_id),
                (Cell("no MLflow is configured for this context", "attention"),),
            )
        run = await mlflow.get_run(view.run_id)
        info = run.info
        lines: list[Line] = [
            _fact("run", f"{info.run_id} {one_line(info.run_name)}"),
            _fact("status", info.status + (f" ({view.run_note})" if view.run_note else "")),
            _fact("experiment", info.experiment_id),
            _fact("started", absolute(info.start_time / 1000) if info.start_time else ""),
            _fact("where", clean_line(mlflow.where)),
            (),
            (Cell("metrics, newest", "heading"),),
        ]
        for metric in sorted(run.data.metrics, key=lambda m: m.key):
            value = number(metric.number)
            lines.append(_fact(f"  {one_line(metric.key)}", f" {value}  at step {metric.step:,}"))
        if not run.data.metrics:
            lines.append((Cell("  none yet", "dim"),))
        lines += _pairs("parameters", run.params)
        shown = {k: v for k, v in run.tags.items() if not k.startswith("mlflow.log-model")}
        lines += _pairs("tags", shown)
        return lines

    async def logs(self, key: str, options: LogOptions) -> AsyncIterator[Sequence[LogLine]]:
        """Batches of log lines while the job runs."""
        live, view = self._find(key)
        query = LogQuery(
            namespace=view.key.namespace,
            selector=pod_selector(view.key.kind, view.key.name),
            pod=options.pod,
            container=options.container,
            rank=options.rank,
            follow=not options.previous,
            previous=options.previous > 0,
            tail=options.tail,
            keep=_WAITING_LINES,
        )

        def is_over() -> bool:
            current = self._backend.jobs.view(key)
            return current is None or current.state.over

        async for lines in log_lines(live.connection.kube, query, is_over):
            yield lines


def _for_how_long(view: JobView, now: float) -> str:
    """``failed 14m ago``, or ``running for 3h``."""
    since = ago(view.since, now)
    return (
        f"{view.state.value} {since} ago" if view.state.over else f"{view.state.value} for {since}"
    )


def _labels(labels: Mapping[str, str]) -> str:
    """Labels as people set them: what the job controller adds says nothing."""
    own = ((k, v) for k, v in sorted(labels.items()) if k not in _ADDED_LABELS)
    return "  ".join(f"{k}={v}" for k, v in own)


def _plain(line: Line) -> str:
    return "".join(cell.text for cell in line)


def _pairs(title: str, pairs: Mapping[str, str]) -> list[Line]:
    lines: list[Line] = [(), (Cell(title, "heading"),)]
    lines += [
        _fact(f"  {one_line(k)}", f" {clean_line(v, limit=500)}") for k, v in sorted(pairs.items())
    ]
    return lines if pairs else []


def _event_line(event: Event, now: float) -> Line:
    tone: Tone = "attention" if event.type == "Warning" else ""
    times = f" x{event.times}" if event.times > 1 else ""
    about = f"{event.involved_object.kind.lower()}/{event.involved_object.name}"
    return (
        Cell(f"{ago(event.last_seen, now):<9} ", "dim"),
        Cell(f"{one_line(event.reason)}{times}  ", tone or "strong"),
        Cell(f"{clean_line(about)}  ", "dim"),
        Cell(one_line(event.message), tone),
    )


def _walk(node: Node, depth: int, pod: str, lines: list[PodLine]) -> None:
    kind = node.kind
    if kind == "Pod":
        pod = node.name
    why = []
    if node.exit_code is not None and (node.exit_code or node.state in _BAD):
        why.append(f"exit {node.exit_code}")
    if node.restarts:
        why.append(f"{node.restarts} restart{'' if node.restarts == 1 else 's'}")
    if node.node:
        why.append(f"on {node.node}")
    if node.message:
        why.append(one_line(node.message))
    lines.append(
        PodLine(
            depth=depth,
            text=f"{kind.lower()} {node.name}",
            state=node.state,
            why=", ".join(why),
            pod=pod,
            container=node.name if "ontainer" in kind else "",
            restarts=node.restarts,
        )
    )
    for child in node.children:
        _walk(child, depth + 1, pod, lines)


_YAML: Final = 2_000_000
"""The most characters of YAML that are shown."""


def _as_yaml(obj: dict[str, Any]) -> str:
    import yaml

    text = yaml.safe_dump(_short(obj), sort_keys=False, allow_unicode=True, width=1000)
    return clean(text, limit=_YAML)


def _short(value: Any) -> Any:
    """Without what would not be shown of its texts."""
    if isinstance(value, str):
        return value if len(value) <= _YAML else value[:_YAML]
    if isinstance(value, list):
        return [_short(each) for each in value]
    return {k: _short(v) for k, v in value.items()} if isinstance(value, dict) else value
