"""The columns of the Runs pane."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_tui.tui.model import Column

EXPERIMENT_COLUMNS: tuple[Column, ...] = (
    Column("name", "EXPERIMENT", 24, 0, priority=0, kind="name"),
    Column("context", "CONTEXT", 6, 16, priority=3, kind="name"),
    Column("count", "RUNS", 6, 8, align="right", priority=1),
    Column("running", "RUNNING", 7, 8, align="right", priority=2),
    Column("failed", "FAILED", 6, 8, align="right", priority=4),
    Column("newest", "NEWEST", 6, 7, align="right", priority=1),
)

_STATE = Column("state", "STATE", 11, 11, priority=0, kind="state")
_NAME = Column("name", "NAME", 16, 48, priority=0, kind="name", comfort=24)
_EXPERIMENT = Column("experiment", "EXPERIMENT", 10, 28, priority=3, kind="name")
_SINCE = Column("since", "SINCE", 5, 6, align="right", priority=1)
_JOB = Column("job", "JOB", 8, 28, priority=4, kind="name")
_USER = Column("user", "USER", 6, 16, priority=6)
_WHY = Column("why", "WHY / NEWEST", 14, 0, priority=2, sortable=False, comfort=16)


def run_columns(chosen: Sequence[str], *, several: bool) -> tuple[Column, ...]:
    """The columns of runs.

    Args:
        chosen: Metrics, parameters and tags, by names such as ``metrics.f1``.
        several: The runs of several experiments are shown together.
    """
    own = tuple(
        Column(
            name,
            title_of(name),
            min(9, max(6, len(title_of(name)))),
            max(9, min(16, len(title_of(name)) + 2)),
            align="right" if name.startswith("metrics.") else "left",
            priority=3,
        )
        for name in chosen
    )
    return (_STATE, _NAME, *((_EXPERIMENT,) if several else ()), _SINCE, *own, _JOB, _USER, _WHY)


def title_of(name: str) -> str:
    """``F1`` of ``metrics.f1``."""
    return name.partition(".")[2].upper()
