"""Runs as documents (JSON, YAML), as lines of CSV and as the columns of a printed table."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.cli.output import Column, cut
from mcp_tui.domain import keys
from mcp_tui.domain.lineage import JobLink, disagreement, is_dead
from mcp_tui.domain.reltime import age, duration
from mcp_tui.domain.run import Run
from mcp_tui.domain.runfacts import MetricFact
from mcp_tui.domain.tabular import Cell, to_csv
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.store.runs import RunTracker

STATES: Final[Mapping[str, tuple[str, str, str]]] = {
    "RUNNING": (">", "running", "running"),
    "SCHEDULED": ("~", "scheduled", "waiting"),
    "FINISHED": (".", "finished", "done"),
    "FAILED": ("X", "failed", "failed"),
    "KILLED": ("X", "killed", "failed"),
}
"""By MLflow's word: a sign, ours, and its style."""

SHORT: Final = 8
"""Digits of a run's id that are enough to name it by, unless another begins so too."""
_METRICS: Final = 3
_ROOMY: Final = 120
_HEAD: Final = (
    "run_id", "name", "experiment", "experiment_id", "status", "started", "ended", "user", "job",
)  # fmt: skip


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it is shown.

    Attributes:
        experiment: Its experiment's name; the id where that is not known.
        metrics: The newest, those that matter first.
        job: None where it names none.
        note: Where the run and its job contradict each other.
        dead: It says that it is under way, and its job has ended or is gone.
    """

    run: Run
    experiment: str
    metrics: tuple[MetricFact, ...] = ()
    job: JobLink | None = None
    note: str = ""
    dead: bool = False

    @property
    def mark(self) -> tuple[str, str, str]:
        """A sign, the state in a word, and its style."""
        info = self.run.info
        if self.run.is_deleted:
            return "-", "deleted", "dim"
        if self.dead:
            return "!", "job over", "attention"
        word = one_line(info.status).lower()
        return STATES.get(info.status, ("?", word or "unknown", "waiting"))


def shown(
    run: Run, tracker: RunTracker, names: Mapping[str, str], job: JobLink | None = None
) -> Shown:
    """A run with what is known of it."""
    experiment = run.info.experiment_id
    return Shown(
        run=run,
        experiment=names.get(experiment) or experiment,
        metrics=tracker.facts(run).metrics,
        job=job,
        note=disagreement(run, job, now=time.time()),
        dead=is_dead(run, job),
    )


def plain(value: float) -> float | str:
    """A metric for JSON, which knows neither NaN nor infinities."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def seconds(milliseconds: int) -> float | None:
    """A time in epoch seconds; None for what was never set."""
    return milliseconds / 1000 if milliseconds else None


def document(view: Shown) -> Mapping[str, Any]:
    """A run as a script reads it; times are epoch seconds."""
    run = view.run
    return {
        "run_id": run.run_id,
        "name": run.name,
        "experiment": view.experiment,
        "experiment_id": run.info.experiment_id,
        "status": run.info.status,
        "deleted": run.is_deleted,
        "started": seconds(run.info.start_time),
        "ended": seconds(run.info.end_time),
        "user": run.user,
        "parent": run.parent_run_id,
        "job": job_document(view),
        "metrics": {m.key: plain(m.number) for m in run.data.metrics},
        "params": run.params,
        "tags": run.tags,
    }


def job_document(view: Shown) -> Mapping[str, Any] | None:
    """A run's job as a script reads it."""
    if view.job is None:
        return None
    job = view.job
    return {
        **job.key._asdict(),
        "state": job.view.state.value if job.view is not None else "gone" if job.gone else "",
        "why": job.view.why if job.view is not None else "",
        "note": view.note,
        "dead": view.dead,
    }


def as_csv(views: Sequence[Shown]) -> str:
    """Runs as CSV: a column for each metric and parameter that any of them has."""
    metrics = sorted({m.key for view in views for m in view.run.data.metrics})
    params = sorted({p.key for view in views for p in view.run.data.params})
    head = [*_HEAD, *(f"metrics.{m}" for m in metrics), *(f"params.{p}" for p in params)]
    rows: list[list[Cell]] = []
    for view in views:
        run, info = view.run, view.run.info
        logged, given = run.metrics, run.params
        row: list[Cell] = [run.run_id, run.name, view.experiment, info.experiment_id, info.status,
                           seconds(info.start_time), seconds(info.end_time), run.user,
                           view.job.key.name if view.job else ""]  # fmt: skip
        row += [plain(logged[m].number) if m in logged else None for m in metrics]
        row += [given.get(p) for p in params]
        rows.append(row)
    return to_csv(head, rows)


def columns(*, experiments: bool, room: int) -> list[Column[Shown]]:
    """The columns of a list; the experiment where there may be several, and the rest where there is
    room for it: ``room`` is in cells."""
    narrow = room < _ROOMY
    return [
        Column("STATE", lambda v: f"{v.mark[0]} {v.mark[1]}", style=lambda v: v.mark[2]),
        Column("NAME", lambda v: cut(clean_line(v.run.name) or "-", 40)),
        Column("RUN", lambda v: v.run.run_id[:SHORT]),
        Column("EXPERIMENT", lambda v: cut(clean_line(v.experiment), 30), wide=not experiments),
        Column("SINCE", lambda v: _since(v.run)),
        Column("TOOK", lambda v: _took(v.run), wide=True),
        Column("USER", lambda v: cut(one_line(v.run.user), 24), wide=narrow),
        Column("JOB", _job, wide=narrow),
        Column("COMMIT", lambda v: one_line(v.run.tags.get(keys.TAG_COMMIT, ""))[:8], wide=True),
        Column("WHY / NEWEST", newest),
    ]


def _since(run: Run) -> str:
    moment = run.info.end_time if run.is_over and run.info.end_time else run.info.start_time
    return age(time.time() - moment / 1000) if moment else "-"


def _took(run: Run) -> str:
    info = run.info
    if not info.start_time:
        return ""
    end = info.end_time / 1000 if info.end_time else time.time()
    return duration(end - info.start_time / 1000)


def _job(view: Shown) -> str:
    if view.job is None:
        return ""
    key = view.job.key
    return f"{key.namespace}/{key.name}" if key.namespace else key.name


def newest(view: Shown) -> str:
    """Why it is as it is, and the newest of its metrics."""
    texts = [metric.text() for metric in view.metrics[:_METRICS]]
    return "  ".join(filter(None, (view.note, *texts)))
