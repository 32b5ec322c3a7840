"""The columns of the Jobs pane, in the order in which they stand."""

from __future__ import annotations

from mcp_tui.tui.model import Column

JOB_COLUMNS: tuple[Column, ...] = (
    Column("state", "STATE", 11, 11, priority=0, kind="state"),
    Column("context", "CONTEXT", 4, 16, priority=3, kind="name", comfort=8, short="CTX"),
    Column("namespace", "NAMESPACE", 9, 24, priority=3, kind="name", comfort=14, short="NS"),
    Column("name", "NAME", 18, 56, priority=0, kind="name", comfort=30),
    Column("done", "DONE", 6, 8, align="right", priority=4),
    Column("since", "SINCE", 5, 6, align="right", priority=2),
    Column("owner", "OWNER", 8, 16, priority=6),
    Column("queue", "QUEUE", 8, 18, priority=7),
    Column("accelerators", "GPU", 4, 7, align="right", priority=5),
    Column("memory", "MEMORY", 9, 15, align="right", priority=8),
    Column("cpu", "CPU", 7, 9, align="right", priority=9),
    Column("commit", "COMMIT", 8, 8, priority=10),
    Column("run", "RUN", 8, 8, priority=11),
    Column("why", "WHY / NEWEST", 20, 0, priority=1, sortable=False, comfort=64),
)
"""The lower a priority, the later a column goes when the screen narrows.

What tells two rows apart (CONTEXT, NAMESPACE) outlasts DONE; from OWNER and GPU on a column comes
in only where names and causes have their comfort, and only while some row has something in it.
"""
