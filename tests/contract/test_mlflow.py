"""The MLflow client against the real server, and through the fault proxy."""

from __future__ import annotations

import asyncio
import math
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.domain import keys
from mcp_tui.domain.run import Metric
from mcp_tui.errors import (
    ApiError,
    McpTuiError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.endpoint import DirectCaller, connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Cut, Drip, Fault, FaultProxy, Lie, Lost, Stall

pytestmark = pytest.mark.real

NOW = 1_700_000_000_000


def client(url: str, *, deadline: float = 20.0, read_only: bool = False, **endpoint: str) -> Any:
    env = {"TOKEN": "s3cr3t-token", "PASSWORD": "s3cr3t-password", "EMPTY": ""}
    caller = connect(
        "mlflow", Endpoint(url=url, **endpoint), gate=Gate(read_only=read_only), env=env
    )
    return MlflowClient(caller, deadline=deadline)


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    made: MlflowClient = client(ground.mlflow)
    yield made
    await made.aclose()


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.mlflow) as made:
        yield made


@pytest.fixture
async def experiment(mlflow: MlflowClient) -> str:
    name = f"contract {secrets.token_hex(6)}"
    return (await mlflow.ensure_experiment(name)).experiment_id


async def run_of(mlflow: MlflowClient, experiment: str, **tags: str) -> str:
    run = await mlflow.create_run(experiment, run_name="r", tags=tags, start_time_ms=NOW)
    return run.run_id


async def test_the_server_says_its_version(mlflow: MlflowClient) -> None:
    assert (await mlflow.version()).startswith("3.")


async def test_an_experiment_is_made_once_and_found_again(mlflow: MlflowClient) -> None:
    name = f'a/b\'s "x" `{secrets.token_hex(6)}` é'
    assert await mlflow.get_experiment_by_name(name) is None
    first, second = await asyncio.gather(
        mlflow.ensure_experiment(name), mlflow.ensure_experiment(name)
    )
    assert first.experiment_id == second.experiment_id
    assert first.name == name
    with pytest.raises(ApiError) as caught:
        await mlflow.create_experiment(name)
    assert (caught.value.status, caught.value.reason) == (400, "RESOURCE_ALREADY_EXISTS")


async def test_a_deleted_experiment_is_said_not_used(mlflow: MlflowClient) -> None:
    name = f"gone {secrets.token_hex(6)}"
    made = await mlflow.create_experiment(name)
    await mlflow.call("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": made})
    with pytest.raises(UsageError, match="is deleted in MLflow"):
        await mlflow.ensure_experiment(name)


async def test_a_run_lives_from_birth_to_end(mlflow: MlflowClient, experiment: str) -> None:
    run = await mlflow.create_run(
        experiment, run_name="churn-1", tags={keys.TAG_PLAN_ID: "p1"}, start_time_ms=NOW
    )
    assert (run.info.status, run.info.start_time, run.is_over) == ("RUNNING", NOW, False)
    assert run.newest_step is None
    points = [
        Metric(key="loss", value=0.5, timestamp=NOW + 1, step=1),
        Metric(key="loss", value=0.25, timestamp=NOW + 2, step=7),
    ]
    await mlflow.log_batch(
        run.run_id, params={"lr": "0.1", "total_steps": "100"}, tags={"a": "b"}, metrics=points
    )
    await mlflow.set_tag(run.run_id, keys.TAG_CAUSE, "x" * 9_000)
    await mlflow.log_inputs(run.run_id, [{"name": "d", "digest": "1", "source": "s3://b/d"}])
    await mlflow.update_run(run.run_id, status="FAILED", end_time_ms=NOW + 5)
    seen = await mlflow.get_run(run.run_id)
    assert seen.is_over
    assert seen.info.end_time == NOW + 5
    assert seen.params == {"lr": "0.1", "total_steps": "100"}
    assert (seen.total_steps, seen.newest_step) == (100, 7)
    assert seen.metrics["loss"].number == 0.25
    assert seen.metrics["loss"].timestamp == NOW + 2
    assert seen.tags["a"] == "b"
    assert len(seen.tags[keys.TAG_CAUSE]) == 8_000
    assert seen.inputs.dataset_inputs[0].dataset.name == "d"


async def test_a_parameter_cannot_be_changed(mlflow: MlflowClient, experiment: str) -> None:
    run = await run_of(mlflow, experiment)
    await mlflow.log_batch(run, params={"lr": "1"})
    await mlflow.log_batch(run, params={"lr": "1"})
    with pytest.raises(ApiError) as caught:
        await mlflow.log_batch(run, params={"lr": "2"})
    assert caught.value.reason == "INVALID_PARAMETER_VALUE"


async def test_nan_and_infinity_are_gaps_not_zeros(mlflow: MlflowClient, experiment: str) -> None:
    run = await run_of(mlflow, experiment)
    odd = [
        Metric(key=key, value=value, timestamp=NOW, step=1)
        for key, value in (("nan", "NaN"), ("inf", "Infinity"), ("neg", "-Infinity"))
    ]
    await mlflow.log_batch(run, metrics=odd)
    metrics = (await mlflow.get_run(run)).metrics
    assert math.isnan(metrics["nan"].number)
    assert metrics["inf"].number == math.inf
    assert metrics["neg"].number == -math.inf


async def test_two_identical_creates_make_two_runs(mlflow: MlflowClient, experiment: str) -> None:
    """Why a write is never repeated blindly."""
    one = await run_of(mlflow, experiment, **{keys.TAG_PLAN_ID: "twice"})
    two = await run_of(mlflow, experiment, **{keys.TAG_PLAN_ID: "twice"})
    assert one != two
    found = await mlflow.runs_by_plan("twice", [experiment])
    assert {run.run_id for run in found} == {one, two}


async def test_a_lost_answer_is_an_unknown_outcome_and_the_run_is_found_by_its_plan(
    mlflow: MlflowClient, proxy: FaultProxy, experiment: str
) -> None:
    plan = secrets.token_hex(16)
    proxy.add(Fault(act=Lost(), path="runs/create"))
    through = client(proxy.url)
    with pytest.raises(UnknownOutcomeError, match="may or may not"):
        await through.create_run(
            experiment, run_name="r", tags={keys.TAG_PLAN_ID: plan}, start_time_ms=NOW
        )
    await through.aclose()
    assert len([c for c in proxy.calls if "runs/create" in c.target]) == 1
    found = await mlflow.runs_by_plan(plan, [experiment])
    assert len(found) == 1
    again = await mlflow.find_run_by_plan(plan, ["", experiment])
    assert again is not None
    assert again.run_id == found[0].run_id
    assert await mlflow.find_run_by_plan("other", [experiment]) is None
    assert await mlflow.find_run_by_plan(plan, []) is None


async def test_an_experiment_whose_answer_was_lost_is_found(
    proxy: FaultProxy, mlflow: MlflowClient
) -> None:
    name = f"lost {secrets.token_hex(6)}"
    proxy.add(Fault(act=Lost(), path="experiments/create"))
    through = client(proxy.url)
    made = await through.ensure_experiment(name)
    await through.aclose()
    found = await mlflow.get_experiment_by_name(name)
    assert found is not None
    assert made.experiment_id == found.experiment_id


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (Answer(504, b"<html><title>Gateway Time-out</title>", (("Content-Type", "text/html"),)),
         UnknownOutcomeError, "Gateway Time-out"),
        (Answer(502, b""), UnknownOutcomeError, "may or may not"),
        (Cut(), UnknownOutcomeError, "may or may not"),
        (Cut(after_bytes=5), UnknownOutcomeError, "may or may not"),
        (Stall(), UnknownOutcomeError, "no answer within 1 s"),
        (Drip(bytes_per_second=20), UnknownOutcomeError, "no answer within 1 s"),
        (Lie(whole=lambda _: b"<html>"), UnknownOutcomeError, "not MLflow's"),
        (Answer(200, b"<title>Log in</title>", (("Content-Type", "text/html"),)),
         UnknownOutcomeError, "Log in"),
        (Answer(503, b""), ApiError, "not available"),
        (Answer(401, b""), ApiError, "check the credentials configured for MLflow"),
        (Answer(403, b"Invalid Host header - possible DNS rebinding attack detected",
                (("Content-Type", "text/plain"),)), ApiError, "--allowed-hosts"),
        (Answer(308, b"", (("Location", "https://u:p@sso.example.com/?token=s3cr3t"),)),
         ApiError, "redirect to sso.example.com"),
    ],
)  # fmt: skip
async def test_a_write_that_goes_wrong_is_told_apart(
    proxy: FaultProxy, experiment: str, act: Any, error: type[McpTuiError], says: str
) -> None:
    proxy.add(Fault(act=act, path="runs/create"))
    through = client(proxy.url, deadline=1 if isinstance(act, Stall | Drip) else 20)
    with pytest.raises(error) as caught:
        await through.create_run(experiment, run_name="r", tags={}, start_time_ms=NOW)
    await through.aclose()
    assert says in caught.value.line()
    assert "s3cr3t" not in caught.value.line()
    assert len([c for c in proxy.calls if "runs/create" in c.target]) == 1


async def test_a_read_that_goes_wrong_is_unreachable_not_unknown(
    proxy: FaultProxy, experiment: str
) -> None:
    proxy.add(Fault(act=Cut(after_bytes=1), path="runs/search"))
    proxy.add(Fault(act=Answer(200, b"[1]"), path="runs/get"))
    through = client(proxy.url)
    with pytest.raises(UnreachableError) as caught:
        await through.search_runs([experiment])
    assert not isinstance(caught.value, UnknownOutcomeError)
    with pytest.raises(UnreachableError, match="not MLflow's"):
        await through.get_run("0" * 32)
    await through.aclose()


async def test_a_kept_connection_that_was_closed_is_no_error_for_a_read(
    proxy: FaultProxy, experiment: str
) -> None:
    through = client(proxy.url)
    await through.search_runs([experiment])
    proxy.add(Fault(act=Cut(), path="runs/search", times=1))
    assert (await through.search_runs([experiment])).runs == ()
    await through.aclose()


async def test_a_kept_connection_that_was_closed_never_sends_a_write_again(
    proxy: FaultProxy, experiment: str
) -> None:
    through = client(proxy.url)
    await through.search_runs([experiment])
    proxy.add(Fault(act=Cut(), path="runs/create", times=1))
    with pytest.raises(UnknownOutcomeError):
        await through.create_run(experiment, run_name="r", tags={}, start_time_ms=NOW)
    assert proxy.count("runs/create") == 1
    await through.aclose()


async def test_nobody_there_and_a_silent_server_end_soon() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = client(f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(UnreachableError, match="is MLflow running"):
            await gone.version()
        # Nothing left: a write that could not connect is not unknown.
        with pytest.raises(UnreachableError) as caught:
            await gone.create_experiment("x")
        assert not isinstance(caught.value, UnknownOutcomeError)
        closed.listen()
        silent = client(f"http://127.0.0.1:{closed.getsockname()[1]}", deadline=0.3)
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"no answer within 0\.3 s"):
            await silent.version()
        assert time.monotonic() - began < 5
        await gone.aclose()
        await silent.aclose()


async def test_something_else_on_that_port_is_said(ground: Ground) -> None:
    wrong = client(ground.prometheus)
    with pytest.raises(McpTuiError) as caught:
        await wrong.version()
    assert "MLflow" in caught.value.line()
    await wrong.aclose()


async def test_hostile_names_are_harmless(mlflow: MlflowClient, experiment: str) -> None:
    nasty = "a\x1b]0;owned\x07b\x1b[2Jc\u202ed[@click=app.quit]x"
    run = await mlflow.create_run(
        experiment, run_name=nasty, tags={"note\x1b[31m": nasty}, start_time_ms=NOW
    )
    await mlflow.log_batch(run.run_id, params={"p": nasty})
    page = await mlflow.search_runs([experiment])
    seen = repr(page)
    assert "abc" in seen
    for bad in ("\\x1b", "\\x07", "\\u202e", "owned"):
        assert bad not in seen
    with pytest.raises(ApiError) as caught:
        await mlflow.get_run(nasty)
    assert "\x1b" not in caught.value.line()


async def test_newest_asks_by_fifty_and_only_for_run_ids(
    mlflow: MlflowClient, proxy: FaultProxy, experiment: str
) -> None:
    runs = [await run_of(mlflow, experiment) for _ in range(3)]
    through = client(proxy.url)
    unknown = [f"{i:032x}" for i in range(60)]
    found = await through.newest([*runs, *unknown, "x' OR 1=1", ""], [experiment, ""])
    assert set(found) == set(runs)
    assert len([c for c in proxy.calls if "runs/search" in c.target]) == 2
    assert await through.newest(runs, []) == {}
    await through.aclose()


async def test_an_unknown_experiment_is_an_empty_page(mlflow: MlflowClient) -> None:
    assert (await mlflow.search_runs(["987654321"])).runs == ()


async def test_pages_follow_each_other(mlflow: MlflowClient, experiment: str) -> None:
    runs = {await run_of(mlflow, experiment) for _ in range(3)}
    first = await mlflow.search_runs([experiment], max_results=2)
    second = await mlflow.search_runs([experiment], max_results=2, page_token=first.next_page_token)
    assert {run.run_id for run in (*first.runs, *second.runs)} == runs
    assert second.next_page_token == ""


async def test_history_is_bounded_and_has_a_tail(mlflow: MlflowClient, experiment: str) -> None:
    run = await run_of(mlflow, experiment)
    await mlflow.log_batch(
        run, metrics=[Metric(key="loss", value=i / 2, timestamp=NOW, step=i) for i in range(500)]
    )
    whole = await mlflow.history([run], "loss", max_points=50)
    assert 40 <= len(whole) <= 110
    assert (whole[0].step, whole[-1].step) == (0, 499)
    tail = await mlflow.history([run], "loss", start_step=490, end_step=499)
    assert [m.step for m in tail] == list(range(490, 500))


async def test_a_server_that_ignores_the_bound_is_thinned_here(
    mlflow: MlflowClient, proxy: FaultProxy, experiment: str
) -> None:
    run = await run_of(mlflow, experiment)
    points = [
        f'{{"key":"m","value":{i},"step":{i},"run_id":"{run}"}}'.encode() for i in range(5_000)
    ]
    body = b'{"metrics":[' + b",".join(points) + b"]}"
    proxy.add(Fault(act=Answer(200, body), path="bulk-interval"))
    through = client(proxy.url)
    seen = await through.history([run], "m", max_points=100)
    assert len(seen) <= 101
    assert (seen[0].step, seen[-1].step) == (0, 4_999)
    await through.aclose()


READS: list[Callable[[MlflowClient, str], Any]] = [
    lambda c, e: c.version(),
    lambda c, e: c.get_experiment_by_name("none"),
    lambda c, e: c.search_experiments(max_results=1),
    lambda c, e: c.search_runs([e]),
    lambda c, e: c.runs_by_plan("p", [e]),
    lambda c, e: c.newest(["0" * 32], [e]),
    lambda c, e: c.history(["0" * 32], "m"),
]
WRITES: list[Callable[[MlflowClient, str], Any]] = [
    lambda c, e: c.create_experiment("never"),
    lambda c, e: c.create_run(e, run_name="r", tags={}, start_time_ms=NOW),
    lambda c, e: c.update_run("0" * 32, status="KILLED"),
    lambda c, e: c.set_tag("0" * 32, "a", "b"),
    lambda c, e: c.log_batch("0" * 32, tags={"a": "b"}),
    lambda c, e: c.log_inputs("0" * 32, [{"name": "d"}]),
    lambda c, e: c.call("POST", "/api/2.0/mlflow/runs/delete", {"run_id": e}),
]


async def test_read_only_lets_reads_pass_and_nothing_else_leave(
    proxy: FaultProxy, experiment: str
) -> None:
    through = client(proxy.url, read_only=True)
    for read in READS:
        await read(through, experiment)
    before = len(proxy.calls)
    assert before == len(READS)
    for write in WRITES:
        with pytest.raises(RefusedError, match="read-only"):
            await write(through, experiment)
    assert len(proxy.calls) == before
    await through.aclose()


async def _headers_seen(**endpoint: str) -> str:
    """The request as a server sees it."""
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n3.1.0"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        made = client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/pre/", **endpoint)
        assert await made.version() == "3.1.0"
        await made.aclose()
    return (await seen).decode()


async def test_credentials_are_sent_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cr3t-file\n")
    assert "GET /pre/version " in await _headers_seen()
    assert "Bearer s3cr3t-token" in await _headers_seen(token_env="TOKEN")
    assert "Bearer s3cr3t-file" in await _headers_seen(token_file=str(file))
    basic = await _headers_seen(username="u", password_env="PASSWORD")
    assert "Basic dTpzM2NyM3QtcGFzc3dvcmQ=" in basic
    hidden = client("http://127.0.0.1:9", token_env="TOKEN")
    assert "s3cr3t" not in f"{hidden!r} {hidden._caller!r} {hidden.where}"


@pytest.mark.parametrize(
    "endpoint",
    [
        {"token_env": "EMPTY"},
        {"token_env": "ABSENT"},
        {"token_file": "/nonexistent/token"},
        {"token_file": "a\0b"},
        {"token_file": "~nobody-has-this-name/token"},
    ],
)
async def test_a_credential_that_is_not_there_is_said(endpoint: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match="the token"):
        await client("http://127.0.0.1:9", **endpoint).version()


@pytest.mark.parametrize("name", ["/nonexistent/ca", "a\0b", "~nobody-has-this-name/ca"])
async def test_an_authority_that_cannot_be_read_is_said(name: str) -> None:
    with pytest.raises(UsageError, match="ca_file cannot be used"):
        await client("https://127.0.0.1:9", ca_file=name).version()


def test_an_endpoint_without_an_address_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="has no address"):
        connect("mlflow", Endpoint(service="a/b:80"), gate=Gate(read_only=False), env={})
    with pytest.raises(UsageError, match="must not carry credentials") as caught:
        DirectCaller(
            "mlflow", Endpoint(url="http://u:s3cr3t@h/"), gate=Gate(read_only=False), env={}
        )
    assert "s3cr3t" not in caught.value.line()
