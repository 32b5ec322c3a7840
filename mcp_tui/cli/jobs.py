"""``mcp-tui job ls|show|logs``: what the Jobs pane shows, as text."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcp_tui.cli.output import Column, Printer
from mcp_tui.cli.settings import Chosen, chosen, configuration
from mcp_tui.cli.views import columns, described, document, print_views, reference
from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.kube import Job
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.text import word
from mcp_tui.errors import (
    ApiError,
    ExitCode,
    McpTuiError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.resources import JOBS
from mcp_tui.store.feed import JobsFeed
from mcp_tui.store.jobs import JobStore
from mcp_tui.store.jobwatch import JobWatch
from mcp_tui.store.rows import row_of
from mcp_tui.store.select import Predicate, parse_filter

_MOST_LOOKED_AT = 50
_LOOKS = 4


async def ls(args: argparse.Namespace) -> int:
    """List jobs, by urgency; with ``--watch`` go on with a line a change."""
    predicate = parse_filter(args.filter)
    contexts = chosen(args)
    config = configuration(args)
    printer = Printer(color=False if config.no_color else None)
    changed = asyncio.Event()
    feeds = [_Feed(c, args.selector, changed.set, predicate) for c in contexts]
    try:
        problems = await asyncio.gather(*(feed.settle(args.timeout) for feed in feeds))
        views = [v for feed in feeds for v in feed.views()]
        views = [v for v in views if _passes(v, predicate)]
        views.sort(key=lambda v: (v.urgency, v.key))
        errors = [p for p in problems if p is not None]
        for error in errors:
            printer.note(f"mcp-tui: {error.line()}")
        if len(errors) == len(feeds):
            return int(errors[0].exit_code)
        shown = columns(
            contexts=len(contexts) > 1, namespaces=any(c.namespace is None for c in contexts)
        )
        print_views(views, shown, args.output, printer)
        if not views and args.output in ("table", "wide"):
            where = contexts[0].namespace
            scope = f"in {where}; -A looks everywhere" if where else "in any namespace"
            chosen_of = "that match " if args.selector or args.filter else ""
            printer.note(f"no jobs {chosen_of}{scope}")
        if args.watch:
            await _go_on(feeds, changed, shown, args, printer, predicate)
        return int(errors[0].exit_code) if errors else ExitCode.OK
    finally:
        await asyncio.gather(*(feed.close() for feed in feeds))


async def _go_on(
    feeds: Sequence[_Feed],
    changed: asyncio.Event,
    shown: Sequence[Column[JobView]],
    args: argparse.Namespace,
    printer: Printer,
    predicate: Predicate | None,
) -> None:
    seen = {str(v.key): v for feed in feeds for v in feed.views()}
    while True:
        changed.clear()
        fresh = {str(v.key): v for feed in feeds for v in feed.views()}
        news = [
            view
            for key, view in fresh.items()
            if (key not in seen or (seen[key].state, seen[key].why) != (view.state, view.why))
            and _passes(view, predicate)
        ]
        gone = [v for key, v in seen.items() if key not in fresh and _passes(v, predicate)]
        seen = fresh
        if args.output in ("table", "wide"):
            for view in gone:
                printer.line(f"- gone  {view.key.name}")
            printer.table(news, shown, wide=args.output == "wide", header=False)
        elif args.output in ("json", "yaml"):
            # What is gone first: another of its name may be among the news.
            told: list[Mapping[str, Any]] = [{**document(view), "gone": True} for view in gone]
            told += [document(view) for view in news]
            for each in told:
                if args.output == "json":
                    printer.line(msgspec.json.encode(each).decode())
                else:
                    printer.documents([each], "yaml")
        else:
            print_views(news, shown, args.output, printer)
        await changed.wait()
        await asyncio.sleep(0.2)


def _passes(view: JobView, predicate: Predicate | None) -> bool:
    return predicate is None or predicate(row_of(view))


def _looked_at(views: Sequence[JobView], predicate: Predicate | None) -> list[str]:
    """The jobs whose causes are asked for: those that will be shown first, the most urgent first.

    The rest too, as far as there is room: a filter may ask for what is not known before.
    """
    order = sorted(views, key=lambda v: (not _passes(v, predicate), v.urgency))
    return [v.key.uid for v in order[:_MOST_LOOKED_AT]]


class _Feed:
    """One context's jobs, opened for a list."""

    def __init__(
        self, context: Chosen, selector: str, on_change: Any, predicate: Predicate | None
    ) -> None:
        self.context = context
        self.selector = selector
        self.predicate = predicate
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
        """Wait for a complete list; returns why there is none.

        A server that is not there is said at once, not after ``timeout`` seconds.
        """
        waiting = asyncio.create_task(self.feed.settle(timeout))
        asking = asyncio.create_task(self._refusal())
        try:
            await asyncio.wait({waiting, asking}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not self.feed.synced:
                return asking.result()
            await waiting
        finally:
            for task in (waiting, asking):
                task.cancel()
            await asyncio.gather(waiting, asking, return_exceptions=True)
        health = self.feed.health()
        if not self.feed.synced:
            if health.state is HealthState.DENIED:
                return RefusedError(health.message)
            what = health.message or self.feed.discovery_error
            return UnreachableError(
                what or f"{self.context.name}: no answer within {timeout:g} s",
                hint=f"mcp-tui doctor --context {word(self.context.name)} says more",
            )
        self.feed.visible(_looked_at(self.views(), self.predicate))
        await self.feed.look()
        if self.connection.mlflow is not None:
            await self.feed.look_at_runs(self.connection.mlflow)
        return None

    async def _refusal(self) -> McpTuiError:
        """Ends when the server says what will not change by asking again, or is not there.

        A server that is merely busy (429, 5xx) is asked again by the reflector until the time is
        over.
        """
        path = JOBS.path(self.context.namespace)
        params = [("limit", "1")]
        if self.selector:
            params.append(("labelSelector", self.selector))
        while True:
            try:
                await self.connection.kube.get(path, ObjectList[Job], params=params)
            except ApiError as error:
                if error.status < 500 and error.status != 429:
                    return error
            except McpTuiError as error:
                return error
            else:
                await asyncio.Event().wait()
            await asyncio.sleep(1.0)

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
    # What acts is theirs; a list needs none of it, and is there sooner.
    from mcp_tui.cli.follow import Follow, check_options, follow
    from mcp_tui.cli.session import open_session

    check_options(args)
    if args.timeout is not None and not args.watch:
        raise UsageError("only --watch waits", where="--timeout", hint="add it, or leave this out")
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
                    output=args.output if args.output in ("json", "yaml") else "table",
                    owns_run=False,
                ),
            )
        view = await look(
            session.connection, seen.kind.kind, session.namespace, seen.name, seen.uid
        )
        if args.output in ("json", "yaml"):
            session.printer.data(document(view), args.output)
        elif args.output == "name":
            session.printer.line(reference(view))
        else:
            for line in described(view):
                session.printer.line(line)
        return ExitCode.OK


def _told(view: JobView) -> bool:
    """Whether nothing deeper is to come: of a failure, a pod is named."""
    if view.state in (JobState.DONE, JobState.RUNNING, JobState.SUSPENDED):
        return True
    cause = view.cause
    if cause is None or view.state is not JobState.FAILED:
        return cause is not None
    return cause.evidence and bool(cause.pod)


async def look(connection: Connection, kind: str, namespace: str, name: str, uid: str) -> JobView:
    """A job with its cause, which comes a moment after the object.

    Raises:
        UnreachableError: It could not be seen.
    """
    changed = asyncio.Event()
    watch = JobWatch(
        connection,
        kind=kind,
        namespace=namespace,
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
                looks = 0
                while view is not None and time.monotonic() < deadline:
                    await watch.refresh_run()
                    view = watch.view() or view
                    if _told(view) or (view.cause is not None and looks == _LOOKS):
                        break
                    # Its pods are on their way, or gone: then events may still tell the cause.
                    await watch.refresh_events()
                    looks += 1
                    await asyncio.sleep(0.2)
        if view is None:
            raise UnreachableError(watch.health.message or "no answer", where=connection.info.name)
        return view
    finally:
        await watch.stop()
