"""What the Runs pane follows, on the real MLflow server."""

from __future__ import annotations

import asyncio
import io
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from mcp_tui.config import Endpoint
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.store.experimentwatch import ExperimentWatch
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.pictures import picture_of
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.store.turn import Turn
from mcp_tui.tui.live.artifacts import head_lines
from tests.cluster import Ground

pytestmark = pytest.mark.real

API = "/api/2.0/mlflow"
START = 1_700_000_000_000


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    gate = Gate(read_only=False)
    caller = connect("mlflow", Endpoint(url=ground.mlflow), gate=gate, env={})
    made = MlflowClient(caller, deadline=60)
    yield made
    await made.aclose()


@pytest.fixture
async def experiment(mlflow: MlflowClient) -> str:
    return (await mlflow.ensure_experiment(f"watch {secrets.token_hex(6)}")).experiment_id


async def run_of(mlflow: MlflowClient, experiment: str, n: int, **tags: str) -> str:
    made = await mlflow.create_run(
        experiment, run_name=f"r{n}", tags=tags, start_time_ms=START + n * 1_000
    )
    return made.run_id


async def log(mlflow: MlflowClient, run_id: str, key: str, value: float, step: int = 0) -> None:
    body = {"run_id": run_id, "key": key, "value": value, "timestamp": START, "step": step}
    await mlflow.call("POST", f"{API}/runs/log-metric", body)


async def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "never came true"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(mlflow: MlflowClient, experiment: str, **more: Any) -> AsyncIterator[RunWatch]:
    made = RunWatch(
        mlflow,
        [experiment],
        more.pop("columns", ("metrics.a b/c",)),
        health=MlflowHealth(),
        on_change=lambda _: None,
        turn=Turn(),
        **more,
    )
    made.start()
    try:
        yield made
    finally:
        await made.stop()


def names(made: RunWatch) -> set[str]:
    return {row.name for row in made.list.rows.values()}


async def test_what_is_logged_and_what_starts_comes_by_itself(
    mlflow: MlflowClient, experiment: str
) -> None:
    first = await run_of(mlflow, experiment, 1)
    async with watching(mlflow, experiment) as made:
        await until(lambda: made.done)
        assert names(made) == {"r1"}
        made.visible([first])
        await log(mlflow, first, "a b/c", 0.25)
        await until(lambda: made.list.rows[first].values == (0.25,))
        await run_of(mlflow, experiment, 2)
        await until(lambda: "r2" in names(made))
        await mlflow.call("POST", f"{API}/runs/delete", {"run_id": first})
        made.refresh()
        await until(lambda: names(made) == {"r2"})
    async with watching(mlflow, experiment, deleted=True) as binned:
        await until(lambda: binned.done)
        assert names(binned) == {"r1"}


async def test_the_server_sorts_by_a_metric_of_any_name_and_says_what_it_refuses(
    mlflow: MlflowClient, experiment: str
) -> None:
    for n, value in enumerate((0.2, 0.9, 0.5)):
        await log(mlflow, await run_of(mlflow, experiment, n), "a b/c", value)
    async with watching(mlflow, experiment) as made:
        await until(lambda: made.done)
        made.ask(("metrics.`a b/c` > 0.3",), ("metrics.`a b/c` DESC",))
        await until(lambda: made.done)
        assert not made.refused
        assert [row.values for row in made.list.rows.values()] == [(0.9,), (0.5,)]
        made.ask(("metrics.f1 === 3",), ())
        await until(lambda: made.refused)
        made.ask(("",), ())
        await until(lambda: made.done)
        assert len(made.list) == 3


async def test_nested_runs_hang_on_their_parent(mlflow: MlflowClient, experiment: str) -> None:
    parent = await run_of(mlflow, experiment, 1)
    child = await run_of(mlflow, experiment, 2, **{"mlflow.parentRunId": parent})
    async with watching(mlflow, experiment) as made:
        await until(lambda: made.done)
        assert made.list.children(parent) == [child]
        assert made.list.rows[parent].family == made.list.rows[child].started


async def test_an_experiment_is_counted_when_it_is_on_screen_and_its_end_is_said(
    mlflow: MlflowClient, experiment: str
) -> None:
    await run_of(mlflow, experiment, 1)
    made = ExperimentWatch(mlflow, health=MlflowHealth(), on_change=lambda: None, turn=Turn())
    made.start()
    try:
        await until(lambda: made.synced)
        assert made.rows[experiment].count is None
        made.visible([experiment])
        await until(lambda: made.rows[experiment].count == 1)
        assert made.rows[experiment].running == 1
        async with watching(mlflow, experiment) as runs:
            await until(lambda: runs.done)
            body = {"experiment_id": experiment}
            await mlflow.call("POST", f"{API}/experiments/delete", body)
            runs.refresh()
            await until(lambda: runs.gone)
            made.refresh()
            await until(lambda: experiment not in made.rows)
    finally:
        await made.stop()


async def test_a_picture_among_the_artifacts(mlflow: MlflowClient, experiment: str) -> None:
    run_id = await run_of(mlflow, experiment, 1)
    file = io.BytesIO()
    Image.effect_noise((900, 600), 80).save(file, "PNG")
    assert len(file.getvalue()) > 300_000, "more than comes at first"
    for name, content in {"a b/\u2764\ufe0f.png": file.getvalue(), "e.png": b""}.items():
        root = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run_id}/artifacts"
        await mlflow._caller.call("PUT", f"{root}/{quote(name)}", body=content, deadline=30)
    picture = await picture_of(mlflow, run_id, quote("a b/\u2764\ufe0f.png"))
    assert picture.said == "PNG, 900 x 600" and (picture.columns, picture.rows) == (320, 213)
    with pytest.raises(McpTuiError, match="it is empty"):
        await picture_of(mlflow, run_id, "e.png")
    with pytest.raises(McpTuiError):
        await picture_of(mlflow, run_id, "none.png")


async def test_heads_of_artifacts_as_they_can_be_looked_at(
    mlflow: MlflowClient, experiment: str
) -> None:
    run_id = await run_of(mlflow, experiment, 1)
    files = {
        "a.json": b'{"f1": 0.9, "\xe2\x80\xaex": [1, 2]}',
        "t.csv": b"id,label\n1,ok\n2,\x1b[2Jbad\n",
        "b.bin": b"\x00\x01" * 40,
        "i.png": b"\x89PNG" + b"\x00" * 40,
        "long.txt": b"line\n" * 40_000,
        "e.txt": b"",
        "x.parquet": b"no parquet",
    }
    for name, content in files.items():
        path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run_id}/artifacts/{name}"
        await mlflow._caller.call("PUT", path, body=content, deadline=30)
    shown: dict[str, list[str]] = {}
    for name in files:
        lines = await head_lines(mlflow, run_id, name)
        shown[name] = ["".join(cell.text for cell in line) for line in lines]
    assert shown["a.json"][:2] == ["{", '  "f1": 0.9,']
    assert shown["t.csv"] == ["id  label", "1   ok", "2   bad"]
    assert "not text, 80 bytes" in shown["b.bin"][0]
    assert "an image" in shown["i.png"][0]
    assert "the head of 200,000 bytes" in shown["long.txt"][-1]
    assert shown["e.txt"] in ([""], ["empty"])
    assert "not a Parquet file" in shown["x.parquet"][0] or "pyarrow" in shown["x.parquet"][0]
    assert not any("\x1b" in line or "\u202e" in line for lines in shown.values() for line in lines)
