"""The parts of a run that its detail shows, each fetched when it is looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_tui.domain import keys
from mcp_tui.domain.artifact import shown_uri
from mcp_tui.domain.picture import Picture
from mcp_tui.domain.reltime import absolute, ago, duration
from mcp_tui.domain.run import Run
from mcp_tui.domain.runfacts import number
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import McpTuiError, UnreachableError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.lineage import Lineage, lineage
from mcp_tui.tui.cells import fit
from mcp_tui.tui.live.artifacts import head_lines
from mcp_tui.tui.live.bests import Bests
from mcp_tui.tui.live.ranked import split
from mcp_tui.tui.live.runs_model import LiveRuns
from mcp_tui.tui.model import Cell, Line, Tone
from mcp_tui.tui.model_runs import ArtifactLine

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend
    from mcp_tui.tui.live.context import Live

_FRESH: Final = 1.0
_NAMES: Final = 500
_NAMED: Final = 60.0
"""Seconds after which the name of an experiment is asked for again."""
_TONES: Final[dict[str, Tone]] = {
    "RUNNING": "running",
    "FINISHED": "done",
    "FAILED": "failed",
    "KILLED": "failed",
}
_NEWEST: Final = 6
_HIDDEN: Final = ("mlflow.log-model", "mlflow.loggedArtifacts")


class LiveRunDetails:
    """Implements :class:`mcp_tui.tui.model_runs.RunDetails`."""

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend
        self._names: dict[str, str] = {}
        self._read: tuple[str, float, Run] | None = None
        self._experiments: dict[str, tuple[float, str]] = {}
        self._bests = Bests(backend.spawn)

    # -- which ------------------------------------------------------------------------------

    def name_of(self, key: str) -> str:
        """Its name where it is known, else its id."""
        runs = self._runs()
        known = runs.runs.name_of(key) if runs is not None and runs.runs.exists(key) else ""
        return known or self._names.get(key) or split(key)[1][:8]

    def _runs(self) -> LiveRuns | None:
        part = self._backend.parts.part("runs")
        return part if isinstance(part, LiveRuns) else None

    def run_of(self, job: str) -> str:
        """The key of a job's run."""
        view = self._backend.jobs.view(job)
        return f"{view.key.context}/{view.run_id}" if view is not None and view.run_id else ""

    def job_of(self, key: str) -> str:
        """The key of a run's job in the Jobs pane; of one that is not there, nothing."""
        context, run_id = split(key)
        live = self._backend.lives.get(context)
        if live is None:
            return ""
        found = live.store.jobs_of_run(run_id)
        uid = found[0].key.uid if found else ""
        if not uid:
            row = runs.runs.row_of(key) if (runs := self._runs()) is not None else None
            read = self._read[2] if self._read is not None and self._read[0] == key else None
            uid = row.job.uid if row is not None else ""
            uid = uid or (read.tags.get(keys.TAG_UID, "") if read is not None else "")
        return f"{context}/{uid}" if uid and live.store.table.get(uid) is not None else ""

    def _client(self, key: str) -> tuple[Live, MlflowClient, str]:
        live, run_id = self._backend.live_of(key)
        if live.connection.mlflow is None:
            raise UnreachableError("no MLflow is configured or found for this context")
        return live, live.connection.mlflow, run_id

    async def _run(self, key: str) -> Run:
        """The run; several tabs that want it at once ask once."""
        now = time.monotonic()
        if self._read is not None and self._read[0] == key and now - self._read[1] < _FRESH:
            return self._read[2]
        _, mlflow, run_id = self._client(key)
        run = await mlflow.get_run(run_id)
        self._read = (key, time.monotonic(), run)
        while len(self._names) >= _NAMES:
            del self._names[next(iter(self._names))]
        self._names[key] = one_line(run.name)
        return run

    # -- overview ---------------------------------------------------------------------------

    async def overview(self, key: str) -> Sequence[Line]:
        """Who, when, how long, of which code and data, by which job, and what came of it."""
        live, mlflow, _ = self._client(key)
        run = await self._run(key)
        now = time.time()
        experiment, versions = await asyncio.gather(
            self._experiment(mlflow, live.name, run), self._registered(mlflow, run)
        )
        joined = self._joined(live, run, now)
        lines = _headline(run, joined, now)
        tags = run.tags
        ended = run.info.end_time or 0
        until = ended / 1000 if ended else now
        started = run.info.start_time / 1000
        facts = [
            ("experiment", experiment),
            ("user", run.user),
            ("started", absolute(started) if started else ""),
            ("ended", absolute(ended / 1000) if ended else ""),
            ("took" if ended else "since", duration(max(0.0, until - started)) if started else ""),
            ("progress", _progress(run)),
            ("job", joined.job.words() if joined.job is not None else ""),
            ("pods", _pods(joined)),
            ("source", tags.get("mlflow.source.name", "")),
            ("commit", " ".join(filter(None, (tags.get(keys.TAG_COMMIT, ""),
                                              tags.get(keys.TAG_BRANCH, ""))))),
            ("repository", tags.get(keys.TAG_REPO, "")),
            ("nested in", run.parent_run_id),
            ("artifacts", shown_uri(run.info.artifact_uri)),
            ("models", _models(run)),
            ("run", run.run_id),
        ]  # fmt: skip
        lines += [_fact(name, clean_line(text, limit=500)) for name, text in facts if text]
        lines += _datasets(run)
        lines += versions
        lines += _newest(run)
        return lines

    async def _experiment(self, mlflow: MlflowClient, context: str, run: Run) -> str:
        experiment_id = run.info.experiment_id
        of = f"{context}/{experiment_id}"
        read_at, name = self._experiments.get(of, (float("-inf"), ""))
        if time.monotonic() - read_at >= _NAMED:  # it may have been renamed
            try:
                name = one_line((await mlflow.get_experiment(experiment_id)).name)
            except McpTuiError:
                return f"{name} ({experiment_id})" if name else experiment_id
            self._experiments[of] = time.monotonic(), name
        return f"{name} ({experiment_id})"

    @staticmethod
    async def _registered(mlflow: MlflowClient, run: Run) -> list[Line]:
        """Versions that were made from it; a server without a registry has none."""
        try:
            found = await mlflow.versions_of_run(run.run_id)
        except McpTuiError as error:
            return [(), _fact("versions", error.line(), "attention")]
        lines: list[Line] = []
        for n, version in enumerate(found):
            text = f"{one_line(version.name)} {version.version}"
            if version.status and version.status != "READY":
                text += f"  {version.status.lower()}"
            lines.append(_fact("" if n else "registered", text, "accent"))
        return [(), *lines] if lines else []

    def _joined(self, live: Live, run: Run, now: float) -> Lineage:
        def covers(context: str, namespace: str) -> bool:
            of = self._backend.lives.get(context)
            return of is not None and of.feed.synced and of.feed.namespace in (None, namespace)

        stores = {live.name: live.store}
        stores |= {name: other.store for name, other in self._backend.lives.items()}
        return lineage(run, now=now, jobs=stores, covers=covers, context=live.name)

    # -- params, metrics, tags --------------------------------------------------------------

    async def params(self, key: str) -> Sequence[Line]:
        """Its parameters."""
        run = await self._run(key)
        return _pairs(run.params)

    async def tags(self, key: str) -> Sequence[Line]:
        """Its tags, but for those in which MLflow keeps whole documents."""
        run = await self._run(key)
        return _pairs({k: v for k, v in run.tags.items() if not k.startswith(_HIDDEN)})

    async def metrics(self, key: str) -> Sequence[Line]:
        """The last value of each metric, the best it ever had, and at which steps."""
        _, mlflow, _ = self._client(key)
        run = await self._run(key)
        bests, all_ = await self._bests.soon(mlflow, run, self._backend.config.metrics)
        now = time.time()
        listed = sorted(run.data.metrics, key=lambda m: (m.key.startswith("system/"), m.key))
        width = min(30, max((len(m.key) for m in listed), default=0))
        lines: list[Line] = []
        if listed:
            head = f"{'METRIC':<{width}}  {'LAST':>8}  {'STEP':>8}  {'BEST':>9}  {'STEP':>8}  AGO"
            lines.append((Cell(head, "heading"),))
        for metric in listed:
            when = ago(metric.timestamp / 1000, now) if metric.timestamp else ""
            best = bests.get(one_line(metric.key))
            about = "~" if best is not None and best.about else ""
            told = "" if best is None else f"{about}{number(best.value)}"
            step = "" if best is None else f"{best.step:,}"
            lines.append(
                (
                    Cell(f"{fit(metric.key, width, cut='middle')}  "),
                    Cell(f"{number(metric.number):>8}", "strong"),
                    Cell(f"  {metric.step:>8,}", "dim"),
                    Cell(f"  {told:>9}", "done"),
                    Cell(f"  {step:>8}  {when}", "dim"),
                )
            )
        if any(best.about for best in bests.values()):
            lines.append((Cell("~ the best of a sample: not every point was read", "dim"),))
        if not all_:
            lines.append((Cell("the best are still being read", "dim"),))
        return lines

    # -- artifacts --------------------------------------------------------------------------

    async def artifacts(self, key: str, ref: str) -> Sequence[ArtifactLine]:
        """One level of its artifacts."""
        _, mlflow, run_id = self._client(key)
        page = await mlflow.list_artifacts(run_id, ref)
        return [
            ArtifactLine(
                ref=file.ref,
                name=file.name,
                is_dir=file.is_dir,
                size=file.size,
                kind="folder" if file.is_dir else file.preview.value,
            )
            for file in page.files
        ]

    async def artifact(self, key: str, ref: str) -> Sequence[Line]:
        """The head of an artifact."""
        _, mlflow, run_id = self._client(key)
        return await head_lines(mlflow, run_id, ref)

    async def picture(self, key: str, ref: str) -> Picture:
        """An artifact that is a picture."""
        from mcp_tui.store.pictures import picture_of

        _, mlflow, run_id = self._client(key)
        return await picture_of(mlflow, run_id, ref)

    async def download(
        self, key: str, ref: str, to: Path, progress: Callable[[int, int | None], None]
    ) -> int:
        """Write an artifact into a new file."""
        _, mlflow, run_id = self._client(key)
        return await mlflow.download_artifact(run_id, ref, to, progress=progress)


def _fact(name: str, text: str, tone: Tone = "") -> Line:
    return (Cell(f"{name:<11}", "heading"), Cell(text, tone))


def _headline(run: Run, joined: Lineage, now: float) -> list[Line]:
    status = one_line(run.info.status)
    moment = run.info.end_time if run.is_over and run.info.end_time else run.info.start_time
    since = ago(moment / 1000, now) if moment else ""
    told = f"{status.lower()} {since} ago" if run.is_over else f"{status.lower()} for {since}"
    lines: list[Line] = [
        (
            Cell(f"{one_line(run.name) or run.run_id[:8]}  ", "strong"),
            Cell(told, "attention" if joined.dead else _TONES.get(status, "waiting")),
        )
    ]
    if run.is_deleted:
        lines.append((Cell("in the bin: read-only until it is restored", "attention"),))
    if joined.note:
        lines.append((Cell(clean_line(joined.note), "attention"),))
    elif run.tags.get(keys.TAG_CAUSE):
        from mcp_tui.domain.cause_line import Cause

        cause = Cause.from_text(run.tags[keys.TAG_CAUSE])
        if cause is not None:
            lines.append((Cell(clean_line(cause.sentence()), "failed"),))
    return [*lines, ()]


def _progress(run: Run) -> str:
    if run.newest_step is None:
        return ""
    total = f" of {run.total_steps:,}" if run.total_steps else ""
    return f"step {run.newest_step:,}{total}"


def _models(run: Run) -> str:
    """The logged models of MLflow 3 that came of it."""
    made = [one_line(link.model_id) for link in run.outputs.model_outputs]
    more = f" and {len(made) - _NEWEST:,} more" if len(made) > _NEWEST else ""
    return ", ".join(made[:_NEWEST]) + more


def _pods(joined: Lineage) -> str:
    view = joined.job.view if joined.job is not None else None
    if view is None:
        return ""
    counts = (
        (view.active, "active"),
        (view.ready, "ready"),
        (view.succeeded, "succeeded"),
        (view.failed, "failed"),
    )
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    return "; ".join(filter(None, (told or "none", view.why)))


def _datasets(run: Run) -> list[Line]:
    lines: list[Line] = []
    for n, each in enumerate(run.datasets):
        data = each.dataset
        context = f" for {one_line(each.context)}" if each.context else ""
        text = f"{one_line(data.name)} @ {one_line(data.digest)}{context}"
        lines.append(_fact("" if n else "data", text))
        if data.source:
            source = clean_line(data.address, limit=300)
            lines.append(_fact("", f"{one_line(data.source_type)} {source}", "dim"))
    return [(), *lines] if lines else []


def _newest(run: Run) -> list[Line]:
    shown = [m for m in run.data.metrics if not m.key.startswith("system/")]
    shown.sort(key=lambda m: (-m.timestamp, m.key))
    lines: list[Line] = [
        _fact("" if n else "metrics", f"{one_line(m.key)} {number(m.number)} at step {m.step:,}")
        for n, m in enumerate(shown[:_NEWEST])
    ]
    if len(shown) > _NEWEST:
        lines.append(_fact("", f"and {len(shown) - _NEWEST:,} more: Tab", "dim"))
    return [(), *lines] if lines else []


def _pairs(pairs: dict[str, str]) -> list[Line]:
    width = min(40, max(map(len, pairs), default=0))
    return [
        (Cell(f"{one_line(k):<{width}}  ", "heading"), Cell(clean_line(v, limit=8_192)))
        for k, v in sorted(pairs.items())
    ]
