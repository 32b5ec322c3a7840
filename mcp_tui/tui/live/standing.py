"""What stands in place of rows: what is waited for, what is broken, or why there are none."""

from __future__ import annotations

import time
from collections.abc import Iterable

from mcp_tui.domain.text import word
from mcp_tui.sources.base import AILING
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.model import Phase


def of_jobs(lives: Iterable[Live], namespace: str) -> tuple[Phase, tuple[str, ...]]:
    """Of the list of jobs; the namespace is empty where all are looked at."""
    lines: list[str] = []
    waiting = False
    for live in lives:
        health = live.feed.health()
        name = live.name
        if health.state in AILING:
            lines.append(f"{name}: {health.message}")
            if health.retry_at is not None:
                left = max(0.0, health.retry_at - time.monotonic())
                lines.append(f"tried again in {left:.0f} s")
            lines.append(f"mcp-tui doctor --context {word(name)} says more")
        elif not live.feed.synced:
            waiting = True
            seconds = time.monotonic() - health.since
            lines.append(f"listing the jobs of {name}, since {seconds:.0f} s")
            if live.feed.login:
                lines.append(live.feed.login)
    if lines:
        return ("loading" if waiting else "broken"), tuple(lines)
    where = f"in {namespace}" if namespace else "anywhere"
    hint = "s submits one" + (", 0 shows all namespaces" if namespace else "")
    return "ready", (f"no jobs {where}; {hint}",)
