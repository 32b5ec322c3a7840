"""``mcp-tui job logs``: a job's log lines, merged over its pods."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Collection, Sequence

from mcp_tui.cli.output import Printer
from mcp_tui.cli.session import Session, open_session
from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.keys import COMPLETION_INDEX
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.text import clean_line, word
from mcp_tui.errors import ExitCode, GoneError, McpTuiError, UsageError
from mcp_tui.sources.kubernetes.podlog import LogRecord
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.store.jobwatch import JobWatch

_WAITS = (JobState.WAITING, JobState.STALLED, JobState.SUSPENDED)
_KNOWN = 5.0


async def logs(args: argparse.Namespace) -> int:
    """Print a job's logs; with ``--follow`` wait for them, and say what is waited for.

    Where only some of them can be read the others are printed, and the exit code says that not all
    were: 3 for what was refused, 4 for all else.

    Raises:
        UsageError: It has no such pod, container or rank.
        GoneError: Its pods are gone, and its logs with them.
    """
    async with open_session(args) as session:
        seen = await session.find(args.name, session.engine())
        lines = _Lines(session.printer, stamps=args.timestamps)
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
            # Who does not follow is told at the end, of what is missing alone.
            on_note=lines.trouble if args.follow else lambda _words: None,
        )
        changed = asyncio.Event()
        watch = JobWatch(
            session.connection,
            kind=seen.kind.kind,
            namespace=seen.namespace,
            name=seen.name,
            uid=seen.uid,
            on_change=changed.set,
        )
        watch.start()
        ending = asyncio.create_task(_end_with(reader, watch, lines)) if args.follow else None
        try:
            async for batch in reader.batches():
                lines.show(batch)
            if not lines.count:
                _explain(args, reader, await _view(watch, changed), session)
        except McpTuiError:
            if not reader.failures:
                raise
        finally:
            if ending is not None:
                ending.cancel()
            await watch.stop()
        return _said(reader, session.printer, told=reader.errors if args.follow else ())


def _said(reader: JobLogs, printer: Printer, *, told: Collection[str]) -> ExitCode:
    """Say what could not be read and was not ``told`` as it came; the exit code."""
    for error, count in reader.failures:
        if error.line() in told:
            continue
        printer.note(f"mcp-tui: {error.line()}" + (f" ({count} logs)" if count > 1 else ""))
    if not reader.failures:
        return ExitCode.OK
    refused = reader.failures[0][0].exit_code is ExitCode.REFUSED
    return ExitCode.REFUSED if refused else ExitCode.UNREACHABLE


class _Lines:
    """Prints log lines, each with its pod once there are several, and what is missing of them."""

    def __init__(self, printer: Printer, *, stamps: bool) -> None:
        self.printer = printer
        self.count = 0
        self._stamps = stamps
        self._pods: set[str] = set()
        self._said = ""

    def show(self, batch: Sequence[LogRecord]) -> None:
        """A batch, in its order."""
        for record in batch:
            self._pods.add(record.pod)
            prefix = f"[{record.pod}] " if len(self._pods) > 1 else ""
            stamp = f"{record.stamp} " if self._stamps else ""
            self.printer.line(f"{prefix}{stamp}{record.text}")
            self.count += 1

    def trouble(self, words: str) -> None:
        """Something of the logs cannot be read, or not yet."""
        self.printer.note(f"mcp-tui: {words}")

    def waits(self, view: JobView) -> None:
        """Say once what is waited for."""
        text = f"{view.state.value}: {view.why}" if view.why else view.state.value
        if not self.count and text != self._said:
            self._said = text
            self.printer.note(f"{text}; its log is waited for")


async def _end_with(reader: JobLogs, watch: JobWatch, lines: _Lines) -> None:
    """Let a followed log end when the job has; say why it has not begun."""
    while True:
        view = watch.view()
        if watch.gone or (view is not None and view.state.over):
            reader.done.set()
            return
        if view is not None and view.state in _WAITS:
            lines.waits(view)
        await asyncio.sleep(0.5)


async def _view(watch: JobWatch, changed: asyncio.Event) -> JobView | None:
    try:
        async with asyncio.timeout(_KNOWN):
            while (view := watch.view()) is None and not watch.gone:
                changed.clear()
                await changed.wait()
            return view
    except TimeoutError:
        return None


def _explain(
    args: argparse.Namespace, reader: JobLogs, view: JobView | None, session: Session
) -> None:
    """Say why there was nothing to print.

    Raises:
        UsageError: What was asked for is not there.
        GoneError: The pods are gone.
    """
    pods = reader.pods
    name = clean_line(args.name)
    if args.pod and not pods:
        raise UsageError(f"{name} has no pod {clean_line(args.pod)!r}")
    if pods and args.rank is not None:
        ranks = sorted(p.metadata.labels.get(COMPLETION_INDEX, "") for p in pods)
        if str(args.rank) not in ranks:
            known = ", ".join(r for r in ranks if r) or "none"
            raise UsageError(f"{name} has no pod of rank {args.rank}", hint=f"there are {known}")
    if pods and args.container:
        containers = dict.fromkeys(
            c.name for p in pods for c in (*p.spec.init_containers, *p.spec.containers)
        )
        if args.container not in containers:
            raise UsageError(
                f"{name} has no container {clean_line(args.container)!r}",
                hint=f"there are {', '.join(containers)}",
            )
    if args.previous and pods:
        session.printer.note("no container has been started a second time")
    elif view is not None and view.state in _WAITS:
        why = f"{view.state.value}: {view.why}" if view.why else view.state.value
        session.printer.note(f"no log lines yet; {why}; -f waits for them")
    elif pods:
        session.printer.note("no log lines: its containers have written nothing")
    elif view is not None and view.state.over:
        raise GoneError(
            f"the pods of {name} are gone, and their logs with them",
            hint=f"mcp-tui job show {word(name)} says what is kept",
        )
    else:
        session.printer.note("no log lines: it has no pods")
