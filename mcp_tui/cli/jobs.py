"""``mcp-tui job ls|show|logs``: what the Jobs pane shows, as text."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from mcp_tui.cli.follow import Follow, follow
from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.session import Session, open_session
from mcp_tui.cli.settings import Chosen, chosen, configuration
from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.quantity import format_bytes, format_cpu
from mcp_tui.domain.reltime import absolute, age, duration
from mcp_tui.errors import ExitCode, McpTuiError, RefusedError, UnreachableError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from mcp_tui.store.rows import row_of
from mcp_tui.store.select import parse_filter

_MOST_LOOKED_AT = 50
_STYLES = {
    JobState.FAILED: "failed",
    JobState.STALLED: "attention",
    JobState.WAITING: "waiting",
    JobState.SUSPENDED: "waiting",
    JobState.RUNNING: "running",
    JobState.DONE: "done",
}


def _columns(*, contexts: bool, namespaces: bool) -> list[Column[JobView]]:
    columns: list[Column[JobView]] = [
        Column("STATE", lambda v: f"{v.state.ascii} {v.state.value}", style=_style)
    ]
    if contexts:
        columns.append(Column("CONTEXT", lambda v: v.key.context))
    columns.append(Column("NAMESPACE", lambda v: v.key.namespace, wide=not namespaces))
    columns += [
        Column("KIND", lambda v: v.key.kind, wide=True),
        Column("NAME", lambda v: v.key.name),
        Column("DONE", lambda v: v.done_text()),
        Column("SINCE", lambda v: age(time.time() - v.since)),
        Column("TOOK", lambda v: duration(v.duration) if v.duration is not None else "", wide=True),
        Column("OWNER", lambda v: v.owner, wide=True),
        Column("QUEUE", lambda v: v.queue, wide=True),
        Column("CPU", lambda v: format_cpu(v.cpu) if v.cpu else "", wide=True),
        Column("MEMORY", lambda v: format_bytes(v.memory) if v.memory else "", wide=True),
        Column("GPU", lambda v: f"{v.accelerators:g}" if v.accelerators else "", wide=True),
        Column("COMMIT", lambda v: v.commit[:8], wide=True),
        Column("RUN", lambda v: v.run_id[:8], wide=True),
        Column("WHY / NEWEST", lambda v: v.why),
    ]
    return columns


def _style(view: JobView) -> str:
    return _STYLES[view.state]


async def ls(args: argparse.Namespace) -> int:
    """List jobs, by urgency; with ``--watch`` go on with a line a change."""
    predicate = parse_filter(args.filter)
    contexts = chosen(args)
    config = configuration(args)
    printer = Printer(color=False if config.no_color else None)
    changed = asyncio.Event()
    feeds = [_Feed(c, args.selector, changed.set) for c in contexts]
    try:
        problems = await asyncio.gather(*(feed.settle(args.timeout) for feed in feeds))
        views = [v for feed in feeds for v in feed.views()]
        views = [v for v in views if predicate is None or predicate(row_of(v))]
        views.sort(key=lambda v: (v.urgency, v.key))
        errors = [p for p in problems if p is not None]
        for error in errors:
            printer.note(f"mcp-tui: {error.line()}")
        if len(errors) == len(feeds):
            return int(errors[0].exit_code)
        columns = _columns(
            contexts=len(contexts) > 1, namespaces=any(c.namespace is None for c in contexts)
        )
        _print(views, columns, args, printer)
        if not views and args.output in ("table", "wide"):
            where = contexts[0].namespace
            scope = f"in {where}; -A looks everywhere" if where else "in any namespace"
            printer.note(f"no jobs {scope}")
        if args.watch:
            await _go_on(feeds, changed, columns, args, printer, predicate)
        return int(errors[0].exit_code) if errors else ExitCode.OK
    finally:
        await asyncio.gather(*(feed.close() for feed in feeds))


def _print(
    views: Sequence[JobView],
    columns: Sequence[Column[JobView]],
    args: argparse.Namespace,
    printer: Printer,
) -> None:
    if args.output in ("json", "yaml"):
        printer.data(list(views), args.output)
    elif args.output == "name":
        for view in views:
            printer.line(f"{view.key.kind.lower()}/{view.key.name}")
    elif views:
        printer.table(views, columns, wide=args.output == "wide")


async def _go_on(
    feeds: Sequence[_Feed],
    changed: asyncio.Event,
    columns: Sequence[Column[JobView]],
    args: argparse.Namespace,
    printer: Printer,
    predicate: Any,
) -> None:
    seen = {str(v.key): v for feed in feeds for v in feed.views()}
    while True:
        changed.clear()
        fresh = {str(v.key): v for feed in feeds for v in feed.views()}
        news = [
            view
            for key, view in fresh.items()
            if (key not in seen or (seen[key].state, seen[key].why) != (view.state, view.why))
            and (predicate is None or predicate(row_of(view)))
        ]
        gone = [view for key, view in seen.items() if key not in fresh]
        seen = fresh
        if args.output in ("table", "wide"):
            printer.table(news, columns, wide=args.output == "wide", header=False)
            for view in gone:
                printer.line(f"- gone  {view.key.name}")
        else:
            _print(news, columns, args, printer)
        await changed.wait()
        await asyncio.sleep(0.2)


class _Feed:
    """One context's jobs, opened for a list."""

    def __init__(self, context: Chosen, selector: str, on_change: Any) -> None:
        self.context = context
        self.connection = Connection(context.info, context.config)
        self.store = JobStore(context.name)
        self.feed = JobsFeed(
            self.connection,
            context.namespace,
            self.store,
            on_change,
            label_selector=selector,
        )
        self.feed.start()

    async def settle(self, timeout: float) -> McpTuiError | None:
        """Wait for a complete list; returns why there is none."""
        complete = await self.feed.settle(timeout)
        health = self.feed.health()
        if health.state is HealthState.DENIED:
            return RefusedError(health.message, where=self.context.name)
        if not self.feed.synced:
            what = health.message or self.feed.discovery_error or "no answer"
            return UnreachableError(
                what,
                where=self.context.name,
                hint=f"mcp-tui doctor --context {self.context.name} says more",
            )
        _ = complete
        views = self.views()
        urgent = sorted(views, key=lambda v: v.urgency)[:_MOST_LOOKED_AT]
        self.feed.visible([v.key.uid for v in urgent])
        await self.feed.look()
        if self.connection.mlflow is not None:
            await self.feed.look_at_runs(self.connection.mlflow)
        return None

    def views(self) -> list[JobView]:
        """The rows as they are now."""
        self.store.flush(time.time())
        return list(self.store.table.values())

    async def close(self) -> None:
        """End it."""
        await self.feed.stop()
        await self.connection.aclose()


async def show(args: argparse.Namespace) -> int:
    """Show one job; with ``--watch`` follow it to its end."""
    async with open_session(args) as session:
        seen = await session.find(args.name, session.engine())
        if args.watch:
            return await follow(
                session,
                Follow(
                    kind=seen.kind.kind,
                    namespace=seen.namespace,
                    name=seen.name,
                    uid=seen.uid,
                    logs=args.logs,
                    timeout=args.timeout,
                    output="json" if args.output == "json" else "table",
                    owns_run=False,
                ),
            )
        view = await _look(session, seen.kind.kind, seen.name, seen.uid)
        if args.output in ("json", "yaml"):
            session.printer.data(view, args.output)
        elif args.output == "name":
            session.printer.line(f"{view.key.kind.lower()}/{view.key.name}")
        else:
            for line in _described(view):
                session.printer.line(line)
        return ExitCode.OK


async def _look(session: Session, kind: str, name: str, uid: str) -> JobView:
    changed = asyncio.Event()
    watch = JobWatch(
        session.connection,
        kind=kind,
        namespace=session.namespace,
        name=name,
        uid=uid,
        on_change=changed.set,
    )
    watch.start()
    try:
        deadline = time.monotonic() + 5.0
        view = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                while (view := watch.view()) is None and not watch.gone:
                    changed.clear()
                    await changed.wait()
                # The cause and the run come a moment after the object.
                while view is not None and time.monotonic() < deadline:
                    await watch.refresh_run()
                    view = watch.view() or view
                    known = view.state is JobState.DONE or view.cause is not None
                    if known or view.state in (JobState.RUNNING, JobState.SUSPENDED):
                        break
                    await asyncio.sleep(0.2)
        if view is None:
            raise UnreachableError(watch.health.message or "no answer", where=session.chosen.name)
        return view
    finally:
        await watch.stop()


def _described(view: JobView) -> list[str]:
    facts: list[tuple[str, str]] = [
        ("job", f"{view.key.kind} {view.key.namespace}/{view.key.name}"),
        ("context", view.key.context),
        ("state", f"{view.state.value} since {absolute(view.since)}"),
        ("why", view.why),
        ("cause", view.cause.sentence() if view.cause is not None else ""),
        ("progress", view.progress.counts() if view.progress is not None else ""),
        ("created", absolute(view.created)),
        ("started", absolute(view.started) if view.started else ""),
        ("finished", absolute(view.finished) if view.finished else ""),
        ("took", duration(view.duration) if view.duration is not None else ""),
        ("pods", f"{view.active} active, {view.ready} ready, {view.failed} failed"),
        ("owner", view.owner),
        ("queue", view.queue),
        ("image", view.image),
        ("code", " ".join(filter(None, (view.git_url, view.branch, view.commit)))),
        ("run", view.run_id + (f" ({view.run_note})" if view.run_note else "")),
        ("parent", view.parent),
    ]
    return [f"{name:<9} {text}" for name, text in facts if text]


async def logs(args: argparse.Namespace) -> int:
    """Print a job's logs, merged over its pods."""
    async with open_session(args) as session:
        seen = await session.find(args.name, session.engine())
        reader = JobLogs(
            session.connection.kube,
            LogQuery(
                namespace=seen.namespace,
                selector=pod_selector(seen.kind.kind, seen.name),
                pod=args.pod,
                container=args.container,
                rank=args.rank,
                follow=args.follow,
                previous=args.previous,
                tail=args.tail,
            ),
        )
        watch = None
        if args.follow:
            watch = JobWatch(
                session.connection,
                kind=seen.kind.kind,
                namespace=seen.namespace,
                name=seen.name,
                uid=seen.uid,
                on_change=lambda: None,
            )
            watch.start()
        ending = asyncio.create_task(_end_with(reader, watch)) if watch is not None else None
        pods: set[str] = set()
        lines = 0
        try:
            async for batch in reader.batches():
                for record in batch:
                    pods.add(record.pod)
                    prefix = f"[{record.pod}] " if len(pods) > 1 else ""
                    stamp = f"{record.stamp} " if args.timestamps else ""
                    session.printer.line(f"{prefix}{stamp}{record.text}")
                    lines += 1
        finally:
            if ending is not None:
                ending.cancel()
            if watch is not None:
                await watch.stop()
        if not lines:
            session.printer.note("no log lines: its pods are gone, or have not started")
        return ExitCode.OK


async def _end_with(reader: JobLogs, watch: JobWatch) -> None:
    """Let a followed log end when the job has."""
    while True:
        view = watch.view()
        if watch.gone or (view is not None and view.state.over):
            reader.done.set()
            return
        await asyncio.sleep(0.5)
