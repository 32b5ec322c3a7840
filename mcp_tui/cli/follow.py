"""Follows one job to its end: state, progress, newest metrics, log lines, and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from typing import Final

import msgspec

from mcp_tui.actions.keep import end_run, keep_cause
from mcp_tui.cli import forget_output
from mcp_tui.cli.output import Printer
from mcp_tui.cli.session import Session
from mcp_tui.cli.views import document
from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.podlabels import pod_selector
from mcp_tui.domain.reltime import duration
from mcp_tui.domain.runfacts import RunFacts
from mcp_tui.domain.text import word
from mcp_tui.errors import ExitCode, McpTuiError, UsageError
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.store.jobwatch import JobWatch

_BAR: Final = 24
_SETTLE: Final = 6.0
_LOG_DRAIN: Final = 10.0
_TICK: Final = 1.0


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """What is followed and how.

    Attributes:
        timeout: Seconds without an answer of the cluster after which it gives up; None never does.
        output: ``json`` and ``yaml`` print a document a change.
        owns_run: We made the run, so that it is ended when the job fails without doing so.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    logs: bool = False
    timeout: float | None = None
    output: str = "table"
    owns_run: bool = True


def check_options(args: argparse.Namespace) -> None:
    """Refuse what would be passed over when a job is followed, or is not.

    Raises:
        UsageError: Two options that do not go together.
    """
    if args.logs and not args.watch:
        raise UsageError(
            "log lines come with --watch only",
            where="--logs",
            hint="add it; mcp-tui job logs NAME prints those that are there",
        )
    if args.logs and args.output in ("json", "yaml"):
        raise UsageError(
            f"log lines are no {args.output.upper()}",
            where="--logs",
            hint="leave -o out; mcp-tui job logs NAME -f prints them beside it",
        )
    if args.watch and args.output == "name":
        raise UsageError("a name does not change", where="--watch", hint="-o table, json or yaml")


async def follow(session: Session, what: Follow) -> int:
    """Follow a job until it ended, is gone, or the cluster stays silent for too long.

    Returns:
        0 succeeded, 1 failed, 4 silent for ``timeout``, 5 deleted by somebody else, 130
        interrupted (the job goes on, and how to look at it again is said), 141 nobody reads it.
    """
    try:
        return await _Follower(session, what).run()
    except BrokenPipeError:
        # Whoever waits for the end of the pipe must not take it for the job's.
        forget_output()
        return ExitCode.CUT_OFF


class _Follower:
    def __init__(self, session: Session, what: Follow) -> None:
        self.session = session
        self.what = what
        self.screen = _Lines(session.printer, what.output)
        self.changed = asyncio.Event()
        self.watch = JobWatch(
            session.connection,
            kind=what.kind,
            namespace=what.namespace,
            name=what.name,
            uid=what.uid,
            on_change=self.changed.set,
        )
        self.logs: JobLogs | None = None
        self.silent_since: float | None = None
        self.mlflow_silent = False
        self.last: JobView | None = None
        self.kept = ""

    async def run(self) -> int:
        reading = asyncio.create_task(self._read_logs()) if self.what.logs else None
        self.watch.start()
        try:
            code = await self._until_end()
            if reading is not None and self.logs is not None:
                self.logs.done.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOG_DRAIN):
                        await asyncio.shield(reading)
            with self.session.printer.at_best():
                await self._end(code)
            return code
        except asyncio.CancelledError:
            self.screen.close()
            self.screen.note(
                f"interrupted: the job goes on; look at it again with: {self._again()}"
            )
            raise
        finally:
            self.screen.close()
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            await self.watch.stop()

    def _again(self) -> str:
        name = self.what.name if self.what.kind == "Job" else f"{self.what.kind}/{self.what.name}"
        return (
            f"mcp-tui --context {word(self.session.chosen.name)} -n {word(self.what.namespace)} "
            f"job show {word(name)} --watch"
        )

    async def _until_end(self) -> int:
        while True:
            self.changed.clear()
            view = self.watch.view()
            if view is not None:
                self.last = view
                self._show(view)
                if view.state is JobState.DONE:
                    return ExitCode.OK
                if view.state is JobState.FAILED:
                    return ExitCode.JOB_FAILED
            if self.watch.gone:
                return await self._gone()
            if self._gave_up():
                return ExitCode.UNREACHABLE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self.changed.wait()

    async def _gone(self) -> int:
        """Deleted by its own time to live after its end, or by somebody while it ran."""
        self.watch.verdict = await self.watch.judge()
        if self.watch.verdict is JobState.DONE:
            return ExitCode.OK
        return ExitCode.JOB_FAILED if self.watch.verdict is JobState.FAILED else ExitCode.GONE

    def _gave_up(self) -> bool:
        """Say that the cluster is silent, and whether it has been so for too long."""
        now = time.monotonic()
        if not self.watch.failing:
            if self.silent_since is not None:
                self.screen.note(f"the cluster answers again after {now - self.silent_since:.0f} s")
            self.silent_since = None
            return False
        if self.silent_since is None:
            self.silent_since = now
            self.screen.note(f"{self.watch.health.message}; trying again")
        limit = self.what.timeout
        if limit is None or now - self.silent_since < limit:
            return False
        self.screen.note(
            f"gave up after {now - self.silent_since:.0f} s without an answer: "
            f"{self.watch.health.message}; the job may go on: {self._again()}"
        )
        return True

    def _show(self, view: JobView) -> None:
        run = self.watch.store.run(view.run_id)
        if self.what.output != "table":
            self.screen.data(view)
            return
        if self.watch.mlflow_error and not self.mlflow_silent:
            self.screen.note(f"MLflow does not answer, trying again: {self.watch.mlflow_error}")
        elif self.mlflow_silent and not self.watch.mlflow_error:
            self.screen.note("MLflow answers again")
        self.mlflow_silent = bool(self.watch.mlflow_error)
        if self.watch.defect:
            self.screen.once(self.watch.defect)
        self.screen.status(view, run)

    async def _end(self, code: int) -> None:
        view, verdict = self.last, self.watch.verdict
        if verdict is not None:
            how = "succeeded" if verdict is JobState.DONE else "failed"
            self.screen.result(f"{how}: deleted after its end, which its Events tell")
            return
        if view is None:
            if code == ExitCode.GONE:
                self.screen.note(f"{self.what.name} was deleted by somebody else")
            return
        if code in (ExitCode.OK, ExitCode.JOB_FAILED):
            view = await self._settled(view)
            await self._keep(view)
            # What was just kept is part of what is said last.
            await self.watch.refresh_run()
            view = self.watch.view() or view
        run = self.watch.store.run(view.run_id)
        if self.what.output != "table":
            self.screen.data(view, final=True)
        else:
            self.screen.status(view, run)
        self.screen.close()
        if code == ExitCode.JOB_FAILED:
            why = view.cause.line() if view.cause is not None else view.why
            gone = view.cause is None or not view.cause.evidence
            self.screen.result(
                f"failed: {why or 'no cause is known'}"
                + (" (the evidence is gone)" if gone else "")
            )
        elif code == ExitCode.OK:
            self.screen.result(f"succeeded: {view.why}" if view.why else "succeeded")
        elif code == ExitCode.GONE:
            self.screen.result(f"{self.what.name} was deleted by somebody else while {view.state}")

    async def _settled(self, view: JobView) -> JobView:
        """The row once the last pods' statuses and metrics are in: the cause comes with them."""
        deadline = time.monotonic() + _SETTLE
        while time.monotonic() < deadline:
            await self.watch.refresh_run()
            fresh = self.watch.view()
            view = fresh or view
            sure = view.state is JobState.DONE or (view.cause is not None and view.cause.evidence)
            run_seen = not view.run_id or self.watch.store.run(view.run_id) is not None
            if sure and (run_seen or self.watch.mlflow_error):
                break
            await asyncio.sleep(0.5)
        return view

    async def _keep(self, view: JobView) -> None:
        mlflow = self.session.connection.mlflow
        if mlflow is None or not view.run_id:
            return
        run = self.watch.store.run(view.run_id)
        problems = [await keep_cause(mlflow, view, run)]
        if self.what.owns_run:
            problems.append(await end_run(mlflow, view, run, now=time.time()))
        for problem in filter(None, problems):
            self.screen.note(f"the cause is not kept in the run: {problem}")

    async def _read_logs(self) -> None:
        self.logs = JobLogs(
            self.session.connection.kube,
            LogQuery(
                namespace=self.what.namespace,
                selector=pod_selector(self.what.kind, self.what.name),
                follow=True,
            ),
            on_note=lambda words: self.screen.note(f"logs: {words}"),
        )
        try:
            async for batch in self.logs.batches():
                several = len({(r.pod, r.container) for r in batch}) > 1
                for record in batch:
                    prefix = f"[{record.pod} {record.container}] " if several else ""
                    self.screen.log(prefix + record.text)
        except McpTuiError:
            return  # Each trouble was said when it came.


class _Lines:
    """Status on one line that is redrawn on a terminal, and a line a change elsewhere."""

    def __init__(self, printer: Printer, output: str) -> None:
        self.printer = printer
        self.output = output
        self.live = output == "table" and printer.out.isatty() and os.environ.get("TERM") != "dumb"
        self.drawn = ""
        self.said = ""
        self.notes: set[str] = set()

    def status(self, view: JobView, run: RunFacts | None) -> None:
        """The state of the job."""
        text = status_line(view, run)
        if text == self.said:
            return
        self.said = text
        if self.live:
            self.drawn = text
            self.printer.draw(text)
        else:
            self.printer.line(text)

    def data(self, view: JobView, *, final: bool = False) -> None:
        """The row as one document a change: a line of JSON, or an entry of one YAML list."""
        text = msgspec.json.encode(document(view)).decode()
        if text == self.said and not final:
            return
        self.said = text
        if self.output == "yaml":
            self.printer.documents([document(view)], "yaml")
        else:
            self.printer.line(text)

    def log(self, text: str) -> None:
        """A log line, above the status."""
        self._clear()
        self.printer.line(text)
        self._redraw()

    def note(self, text: str) -> None:
        """A notice beside the result."""
        self._clear()
        self.printer.note(text)
        self._redraw()

    def once(self, text: str) -> None:
        """A notice that is not repeated."""
        if text not in self.notes:
            self.notes.add(text)
            self.note(text)

    def result(self, text: str) -> None:
        """The last line; beside the data, not in it."""
        self.close()
        self.printer.note(text)

    def close(self) -> None:
        """Leave the status line standing and go below it."""
        if self.drawn:
            self.drawn = ""
            self.printer.text("")

    def _clear(self) -> None:
        if self.drawn:
            self.printer.draw("")

    def _redraw(self) -> None:
        if self.drawn:
            self.printer.draw(self.drawn)


def status_line(view: JobView, run: RunFacts | None) -> str:
    """``running  [#####-----]  62%  6,200 of 10,000 steps  loss 0.412 falling; 9m left``."""
    parts = [f"{view.state.value:<9}", view.key.name]
    progress = view.progress
    if progress is not None:
        filled = int(progress.fraction * _BAR)
        parts.append(f"[{'#' * filled}{'-' * (_BAR - filled)}] {progress.text():>4}")
        if progress.unit != "percent":
            parts.append(progress.counts())
    elif run is not None and run.step is not None:
        parts.append(f"step {run.step:,}")
    if view.why:
        parts.append(view.why)
    if view.state.over and view.duration is not None:
        parts.append(f"({duration(view.duration)})")
    if view.run_note:
        parts.append(f"({view.run_note})")
    return "  ".join(parts)
