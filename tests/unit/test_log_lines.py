"""What the Logs tab is given where a log cannot be read, or not all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from mcp_tui.domain.kube import Pod
from mcp_tui.errors import ApiError, GoneError, McpTuiError
from mcp_tui.sources.base import HealthState
from mcp_tui.sources.kubernetes.podlog import LogRecord
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.store import joblogs
from mcp_tui.store.joblogs import LogQuery
from mcp_tui.tui.live.loglines import log_lines
from mcp_tui.tui.model import LogLine

DENIED = ApiError("pods/log is forbidden", status=403, where="dev")
QUERY = LogQuery(namespace="ml", selector="job-name=train")


def pod(name: str) -> Pod:
    running = {"name": "main", "state": {"running": {}}}
    return msgspec.convert(
        {
            "metadata": {"name": name, "uid": name},
            "spec": {"containers": [{"name": "main"}]},
            "status": {"phase": "Running", "containerStatuses": [running]},
        },
        Pod,
    )


Log = dict[str, Sequence[str] | McpTuiError]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has pods and, by pod, the lines of each or why they cannot be read."""

    def have(logs: Log, *, health: HealthState = HealthState.LIVE) -> None:
        class Watch:
            def __init__(self, *_: object, sink: Callable[[Any], None], **__: object) -> None:
                self.health = SimpleNamespace(state=health, message="pods is forbidden")
                self.synced = health is HealthState.LIVE
                if self.synced:
                    sink(SimpleNamespace(removes=(), upserts=tuple(map(pod, logs))))

            async def run(self) -> None:
                await asyncio.Event().wait()

        async def read_log(
            client: object, namespace: str, name: str, container: str, **_: object
        ) -> AsyncIterator[list[LogRecord]]:
            given = logs[name]
            if isinstance(given, McpTuiError):
                raise given
            yield [LogRecord(text, "", name, container) for text in given]

        monkeypatch.setattr(joblogs, "Reflector", Watch)
        monkeypatch.setattr(joblogs, "read_log", read_log)

    monkeypatch.setattr(joblogs, "_QUIET", 0.01)
    return have


async def shown(is_over: Callable[[], bool], until: int = 1_000) -> list[LogLine]:
    found: list[LogLine] = []
    async with asyncio.timeout(20):
        async for batch in log_lines(cast("KubeClient", None), QUERY, is_over):
            assert batch, "nothing is shown of an empty batch"
            found += batch
            if len(found) >= until:
                break
    return found


async def test_a_log_that_may_not_be_read_says_so_while_the_job_runs(
    cluster: Callable[..., None],
) -> None:
    cluster({"a": DENIED, "b": DENIED})
    assert await shown(lambda: False, 1) == [LogLine(DENIED.line(), tone="attention")]


async def test_it_ends_with_its_job_though_no_line_ever_came(
    cluster: Callable[..., None],
) -> None:
    cluster({"a": DENIED})
    asked = []

    def is_over() -> bool:
        asked.append(None)
        return len(asked) > 5

    assert await shown(is_over) == [LogLine(DENIED.line(), tone="attention")], "said once"


async def test_what_can_be_read_is_shown_and_what_cannot_is_said_beside_it(
    cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ApiError("kubelet cannot be reached", status=502)
    cluster({"a": ["step 1"], "b": away})
    found = await shown(lambda: True)
    assert {(each.text, each.tone) for each in found} == {
        ("step 1", ""),
        ("kubelet cannot be reached", "attention"),
    }
    monkeypatch.setattr(joblogs, "_READERS", 1)
    cluster({"a": ["step 1"], "b": ["step 2"]})
    found = await shown(lambda: True)
    assert {each.text for each in found if not each.tone} == {"step 1", "step 2"}
    assert [each.text for each in found if each.tone] == [
        "only 1 containers are read at once; choose a pod"
    ]


async def test_pods_that_may_not_be_listed_are_said(cluster: Callable[..., None]) -> None:
    cluster({}, health=HealthState.DENIED)
    assert await shown(lambda: False) == [LogLine("pods is forbidden", tone="attention")]


async def test_a_fault_that_is_in_no_line_is_raised(
    cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster({})

    async def batches(*_: object, **__: object) -> AsyncIterator[list[LogRecord]]:
        yield []
        raise GoneError("the connection is closed")

    monkeypatch.setattr(joblogs.JobLogs, "batches", batches)
    with pytest.raises(GoneError):
        await shown(lambda: False)
