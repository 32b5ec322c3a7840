"""Whose logs: all pods merged, a rank, a pod, a container, or the attempt before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType

from mcp_tui.errors import McpTuiError
from mcp_tui.tui.fetching import within
from mcp_tui.tui.model import Column, LogOptions, PodLine
from mcp_tui.tui.screens.choose import Choice, ChooseScreen

DEADLINE = 20.0
"""Seconds after which the pods are said not to answer."""

TYPING = 1.0
"""Seconds within which digits make one number."""


def choices(lines: Sequence[PodLine]) -> list[Choice[LogOptions]]:
    """The ways to read a job's logs, from the tree of its pods; all merged comes first."""
    pods = [line for line in lines if line.pod and not line.container]
    containers = [line for line in lines if line.container]
    found = [Choice(LogOptions(), "all pods, merged")]
    if any(line.restarts for line in containers):
        found.append(Choice(LogOptions(previous=1), "all pods, the attempt before"))
    # Of a rank that was tried again the newest pod comes last, and speaks for it.
    ranks = {line.rank: line for line in pods if line.rank is not None}
    for rank, line in sorted(ranks.items(), key=lambda item: item[0] or 0):
        found.append(Choice(LogOptions(rank=rank), f"rank {rank}", line.state, line.pod))
    for line in pods:
        found.append(Choice(LogOptions(line.pod), f"pod {line.pod}", line.state, line.why))
        for inner in (c for c in containers if c.pod == line.pod):
            options = LogOptions(line.pod, inner.container)
            found.append(Choice(options, f"  container {inner.container}", inner.state, inner.why))
            if inner.restarts:
                before = LogOptions(line.pod, inner.container, previous=1)
                found.append(Choice(before, f"  container {inner.container}, the attempt before"))
    return found


class ChooseLogs(ChooseScreen[LogOptions], inherit_bindings=False):
    """Asks whose logs are wanted; the answer is what they are asked for with.

    Args:
        key: The job.
        name: What it is called.
    """

    KEY_WORDS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Enter", "read"),
        ("0-9", "rank"),
        ("Esc", "back"),
    )
    NOTE: ClassVar[str] = "asking for the pods"
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name", "WHOSE LOGS", 24, 64, kind="name", sortable=False),
        Column("state", "STATE", 11, 24, kind="state", priority=1, sortable=False),
        Column("why", "WHY", 10, 0, priority=2, sortable=False),
    )
    BINDINGS: ClassVar[list[BindingType]] = ChooseScreen.BINDINGS

    def __init__(self, key: str, name: str) -> None:
        # At once what needs no pods.
        super().__init__(f"whose logs of {name}?", choices(()))
        self.key = key
        self._typed = ""
        self._typed_at = 0.0

    def on_mount(self) -> None:
        """Ask for the pods."""
        self.run_worker(self._fetch(), group="pods", exclusive=True, exit_on_error=False)

    async def _fetch(self) -> None:
        try:
            async with within(DEADLINE, "the pods did not come"):
                lines = await self.console.backend.details.pods(self.key)
        except McpTuiError as error:
            self.tell(error.line())
            return
        there = any(line.pod for line in lines)
        self.tell("" if there else "no pods: gone with their job, or not yet made")
        self.offer(choices(lines))

    def on_key(self, event: events.Key) -> None:
        """Digits go to a rank."""
        if event.character is None or event.character not in "0123456789":
            return
        event.stop()
        event.prevent_default()
        late = event.time - self._typed_at > TYPING
        self._typed = (("" if late else self._typed) + event.character)[-6:]
        self._typed_at = event.time
        if not self.table.go_to_key(repr(LogOptions(rank=int(self._typed)))):
            self.tell(f"no rank {int(self._typed)}")
