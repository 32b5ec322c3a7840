"""The lines of a job's log as they are shown, and among them what keeps others away."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from mcp_tui.domain.kube import Pod
from mcp_tui.domain.roots import rank_of
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store.joblogs import JobLogs, LogQuery
from mcp_tui.tui.model import LogLine


async def log_lines(
    client: KubeClient, query: LogQuery, is_over: Callable[[], bool]
) -> AsyncIterator[Sequence[LogLine]]:
    """Batches of lines while the job runs.

    Args:
        client: The cluster's client.
        query: Which lines.
        is_over: Whether the job has ended, or is gone.

    Raises:
        McpTuiError: Nothing can be read, for a reason that is not among the lines.
    """
    notes: list[str] = []
    reader = JobLogs(client, query, notes.append)

    def noted() -> list[LogLine]:
        told = [LogLine(words, tone="attention") for words in notes]
        notes.clear()
        return told

    seen: set[str] = set()
    if is_over():
        reader.done.set()
    try:
        # Also while no line comes: a log that cannot be read ends with its job, and says why.
        async for batch in reader.batches(idle=True):
            if is_over():
                reader.done.set()
            seen.update(record.pod for record in batch)
            names = _short_names(reader.pods, seen) if len(seen) > 1 else {}
            lines = [LogLine(r.text, r.at, names.get(r.pod, "")) for r in batch]
            if lines or notes:
                yield [*lines, *noted()]
    except McpTuiError as error:
        if error.line() not in reader.errors:
            raise
    if notes:
        yield noted()


def _short_names(pods: Iterable[Pod], seen: Iterable[str]) -> dict[str, str]:
    """What stands before the lines of each pod: its rank where no other pod has that one."""
    ranks = {pod.metadata.name: rank_of(pod) for pod in pods}
    times = Counter(ranks.values())
    names: dict[str, str] = {}
    for name in seen:
        rank = ranks.get(name)
        names[name] = name if rank is None or times[rank] > 1 else f"rank {rank}"
    return names
