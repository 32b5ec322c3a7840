"""Every call of the MLflow client against a server that is down, silent, slow, or somebody else."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.errors import ApiError, McpTuiError, RefusedError, UnknownOutcomeError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.proxy import Act, Answer, Cut, Drip, Fault, FaultProxy, Lost, Stall
from tests.joined.mlflow import MLFLOW_CALLS, MlflowCall, Subject

pytestmark = pytest.mark.real

HTML = (("Content-Type", "text/html"),)
HOSTILE = b"<html><title>Gate\x1b[2Jway \xe2\x80\xaesays no</title></html>"
STATUSES = (401, 403, 404, 408, 429, 500, 502, 503, 504)
ACTS: dict[str, Act] = {
    **{f"{status}": Answer(status, HOSTILE, HTML) for status in STATUSES},
    "login page": Answer(200, b"<html><title>Log in</title></html>", HTML),
    "no json": Answer(200, b"[}"),
    "other json": Answer(200, b"[1, 2]"),
    "cut": Cut(),
    "cut within": Cut(after_bytes=1),
    "silent": Stall(),
    "slow drip": Drip(bytes_per_second=1, piece=1),
}
# After these nobody knows whether a write was done.
UNKNOWN = ("502", "504", "login page", "no json", "other json", "cut", "cut within", "silent",
           "slow drip", "lost")  # fmt: skip
SLOW = ("silent", "slow drip")


def client(url: str, *, deadline: float = 60.0, read_only: bool = False) -> MlflowClient:
    gate = Gate(read_only=read_only)
    return MlflowClient(connect("mlflow", Endpoint(url=url), gate=gate, env={}), deadline=deadline)


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    made = client(ground.mlflow)
    yield made
    await made.aclose()


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.mlflow) as made:
        yield made


@pytest.fixture
async def subject(mlflow: MlflowClient, tmp_path: Path) -> Subject:
    name = f"calls-{secrets.token_hex(6)}"
    experiment = (await mlflow.ensure_experiment(name)).experiment_id
    run = (await mlflow.create_run(experiment, run_name="r", tags={}, start_time_ms=1)).run_id
    body = {"experiment_id": experiment, "name": "m", "source_run_id": run}
    made = await mlflow.call("POST", "/api/2.0/mlflow/logged-models", body)
    await mlflow.create_model(name)
    await mlflow.create_version(name, f"runs:/{run}/m", plan_id="subject", run_id=run)
    folder = tmp_path / "to"
    folder.mkdir()
    return Subject(experiment, run, made["model"]["info"]["model_id"], name, folder)


async def outcome(call: MlflowCall, mlflow: MlflowClient, subject: Subject) -> Any:
    """What a call returns, or its error; anything that is not for users is a defect."""
    try:
        return await call.ask(mlflow, subject)
    except McpTuiError as error:
        return error


@pytest.mark.parametrize("call", MLFLOW_CALLS, ids=lambda call: call.name)
async def test_each_fault_is_one_error_and_no_write_is_sent_twice(
    call: MlflowCall, proxy: FaultProxy, subject: Subject
) -> None:
    acts = {**ACTS, **({"lost": Lost()} if call.write else {})}
    for name, act in acts.items():
        proxy.clear()
        proxy.calls.clear()
        proxy.add(Fault(act=act, path=call.write))
        through = client(proxy.url, deadline=0.5 if name in SLOW else 60.0)
        seen = await outcome(call, through, subject)
        await through.aclose()
        if name.isdigit() and int(name) in call.answers:
            assert not isinstance(seen, McpTuiError), name
            continue
        if call.asks_itself and not isinstance(seen, McpTuiError):
            continue
        if call.method == "artifact_head" and name in ("login page", "no json", "other json"):
            continue  # an artifact may hold anything
        if call.method == "download_artifact" and not isinstance(seen, McpTuiError):
            for each in subject.folder.iterdir():
                each.unlink()
            continue
        if call.method == "current_user" and name == "cut within":
            assert seen == ""  # this server has no users: a 404 says so, whatever of it came
            continue
        assert isinstance(seen, McpTuiError), (name, seen)
        line = seen.line()
        assert "MLflow" in line, (name, line)
        assert "\x1b" not in line + repr(seen.what), (name, line)
        assert "\u202e" not in line, (name, line)
        if not call.write:
            assert not isinstance(seen, UnknownOutcomeError), (name, line)
        else:
            assert proxy.count(call.write, "POST") <= 1, name
            if name in UNKNOWN and not call.asks_itself:
                assert isinstance(seen, UnknownOutcomeError), (name, line)
            if name in ("401", "403", "404", "429"):
                assert isinstance(seen, ApiError), (name, line)
                assert seen.status == int(name)
        assert list(subject.folder.iterdir()) == []


@pytest.mark.parametrize("call", MLFLOW_CALLS, ids=lambda call: call.name)
async def test_nobody_there_is_said_at_once(call: MlflowCall, subject: Subject) -> None:
    gone = client("http://127.0.0.1:1")
    seen = await outcome(call, gone, subject)
    await gone.aclose()
    assert isinstance(seen, McpTuiError)
    assert not isinstance(seen, UnknownOutcomeError)
    assert "is MLflow running" in seen.line()


@pytest.mark.parametrize("call", MLFLOW_CALLS, ids=lambda call: call.name)
async def test_read_only_lets_each_read_pass_and_no_write(
    call: MlflowCall, proxy: FaultProxy, subject: Subject
) -> None:
    through = client(proxy.url, read_only=True)
    seen = await outcome(call, through, subject)
    await through.aclose()
    assert isinstance(seen, RefusedError) == bool(call.write), seen
    if call.write:
        assert proxy.count(call.write, "POST") == 0
    else:
        assert proxy.calls
