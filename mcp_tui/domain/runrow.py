"""A run as a row of a long list: what is shown of it, and no more than that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sys import intern
from typing import Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.cause_line import Cause
from mcp_tui.domain.direction import Direction, usual
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean_line, one_line

Value = float | str | None

KINDS: Final = ("metrics.", "params.", "tags.")
"""What a chosen column's name begins with."""

_GUESSED_METRICS: Final = 3
_GUESSED_PARAMS: Final = 2
_LONGEST: Final = 200
_TELLING: Final = ("val", "eval", "test")


class JobRef(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The job that a run's tags name; all empty where they name none."""

    cluster: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


NO_JOB: Final = JobRef()


class RunRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row. Times are milliseconds since 1970.

    Attributes:
        values: Of the chosen columns, in their order; empty while they were not read.
        family: The newest start among it and the runs nested in it.
        lost: Its parent is not known, or is nested in it: it stands at the top.
    """

    run_id: str
    experiment_id: str
    name: str = ""
    status: str = ""
    user: str = ""
    started: int = 0
    ended: int = 0
    touched: int = 0
    parent: str = ""
    step: int | None = None
    total: int | None = None
    job: JobRef = NO_JOB
    cause: str = ""
    deleted: bool = False
    values: tuple[Value, ...] = ()
    family: int = 0
    lost: bool = False

    @property
    def is_over(self) -> bool:
        """Whether MLflow was told that the run has ended."""
        return self.status in ("FINISHED", "FAILED", "KILLED")


def row_of(run: Run, columns: Sequence[str]) -> RunRow:
    """The row of a run, with the values of these columns."""
    tags = run.tags
    return RunRow(
        run_id=run.run_id,
        # What many rows share is kept once: a list may grow to 100,000 of them.
        experiment_id=intern(run.info.experiment_id),
        name=one_line(run.name),
        status=intern(one_line(run.info.status)),
        user=intern(one_line(run.user)),
        started=run.info.start_time,
        ended=run.info.end_time,
        touched=run.touched,
        parent=run.parent_run_id if run.parent_run_id != run.run_id else "",
        step=run.newest_step,
        total=run.total_steps,
        job=job_ref(tags),
        cause=_cause(tags.get(keys.TAG_CAUSE, "")),
        deleted=run.is_deleted,
        values=values_of(run, columns),
        family=run.info.start_time,
    )


def job_ref(tags: Mapping[str, str]) -> JobRef:
    """The job that a run's tags name."""
    if not tags.get(keys.TAG_UID) and not tags.get(keys.TAG_NAME):
        return NO_JOB
    return JobRef(
        cluster=one_line(tags.get(keys.TAG_CLUSTER, "")),
        kind=one_line(tags.get(keys.TAG_KIND, "")),
        namespace=one_line(tags.get(keys.TAG_NAMESPACE, "")),
        name=one_line(tags.get(keys.TAG_NAME, "")),
        uid=one_line(tags.get(keys.TAG_UID, "")),
    )


def _cause(text: str) -> str:
    """The kept cause in one line."""
    kept = Cause.from_text(text) if text else None
    return one_line(text) if kept is None else kept.line()


def values_of(run: Run, columns: Sequence[str]) -> tuple[Value, ...]:
    """What a run has of these columns: a metric's newest value, a parameter, a tag."""
    if not columns:
        return ()
    metrics, params, tags = run.metrics, run.params, run.tags
    found: list[Value] = []
    for column in columns:
        kind, _, name = column.partition(".")
        if kind == "metrics":
            metric = metrics.get(name)
            found.append(None if metric is None else metric.number)
        else:
            text = (params if kind == "params" else tags).get(name)
            found.append(None if text is None else intern(clean_line(text, limit=_LONGEST)))
    return tuple(found)


def guessed_columns(runs: Sequence[Run]) -> tuple[str, ...]:
    """The columns of runs for which nobody chose any.

    Metrics that have a direction, those of a validation first, and parameters that differ.
    """
    metrics: dict[str, int] = {}
    params: dict[str, set[str]] = {}
    for run in runs:
        for metric in run.data.metrics:
            metrics[metric.key] = metrics.get(metric.key, 0) + 1
        for pair in run.data.params:
            params.setdefault(pair.key, set()).add(pair.value)

    def rank(name: str) -> tuple[bool, bool, int, str]:
        telling = any(part in name.lower() for part in _TELLING)
        return usual(name) is Direction.NEITHER, not telling, -metrics[name], name

    chosen = sorted((m for m in metrics if not m.startswith("system/")), key=rank)
    differ = sorted(
        (p for p, values in params.items() if len(values) > 1 and p != keys.TOTAL_STEPS),
        key=lambda name: (max(map(len, params[name])) > 20, name),
    )
    return (
        *(f"metrics.{name}" for name in chosen[:_GUESSED_METRICS]),
        *(f"params.{name}" for name in differ[:_GUESSED_PARAMS]),
    )
