"""The columns of the Jobs pane, in the order in which they stand."""

from __future__ import annotations

from mcp_tui.tui.model import Column

JOB_COLUMNS: tuple[Column, ...] = (
    Column("state", "STATE", 11, 11, priority=0, kind="state"),
    Column("context", "CONTEXT", 6, 12, priority=4),
    Column("namespace", "NAMESPACE", 9, 20, priority=7),
    Column("name", "NAME", 18, 48, priority=0, kind="name"),
    Column("done", "DONE", 6, 8, align="right", priority=3),
    Column("since", "SINCE", 5, 6, align="right", priority=2),
    Column("owner", "OWNER", 8, 16, priority=8),
    Column("queue", "QUEUE", 8, 18, priority=9),
    Column("accelerators", "GPU", 5, 7, align="right", priority=6),
    Column("memory", "MEMORY", 9, 15, align="right", priority=10),
    Column("cpu", "CPU", 7, 9, align="right", priority=11),
    Column("commit", "COMMIT", 8, 8, priority=12),
    Column("run", "RUN", 8, 8, priority=13),
    Column("why", "WHY / NEWEST", 24, 0, priority=1, sortable=False, comfort=36),
)
"""The lower a priority, the later a column goes when the screen narrows."""
