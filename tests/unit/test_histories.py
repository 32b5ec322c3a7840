"""How long a server may take to sample metrics: it reads a million points in some seconds."""

from __future__ import annotations

from typing import Any

from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.reply import Reply

METRIC = "loss"


class Caller:
    """Answers nothing, and notes how many runs were asked for and for how long."""

    where = "MLflow"

    def __init__(self) -> None:
        self.calls: list[tuple[int, float]] = []

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        runs = sum(name == "run_ids" for name, _ in options["params"])
        self.calls.append((runs, options["deadline"]))
        return Reply(200, {"content-type": "application/json"}, b"{}")


async def test_every_run_of_a_call_has_its_time() -> None:
    caller = Caller()
    client = MlflowClient(caller, deadline=10)  # type: ignore[arg-type]  # as much as is used
    runs = [f"{number:032x}" for number in range(23)]
    await client.histories(runs, METRIC)
    assert [count for count, _ in caller.calls] == [10, 10, 3]
    # Four seconds for each, on a machine that has other things to do.
    assert all(deadline >= 10 + 4 * count for count, deadline in caller.calls)
    assert all(deadline <= 60 for _, deadline in caller.calls)
