"""The Prometheus client against the real server, and through the fault proxy."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.errors import ApiError, RefusedError, UnreachableError, UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.prometheus import PrometheusClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Cut, Fault, FaultProxy, Stall

pytestmark = pytest.mark.real


def client(url: str, *, deadline: float = 20.0) -> PrometheusClient:
    # Read-only: everything that this client ever asks is on the allow-list.
    caller = connect("prometheus", Endpoint(url=url), gate=Gate(read_only=True), env={})
    return PrometheusClient(caller, deadline=deadline)


@pytest.fixture
async def prometheus(ground: Ground) -> AsyncIterator[PrometheusClient]:
    made = client(ground.prometheus)
    yield made
    await made.aclose()


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(ground.prometheus) as made:
        yield made


async def test_it_is_ready_and_says_its_version(prometheus: PrometheusClient) -> None:
    assert await prometheus.ready()
    # A server built from its module, as the ground's, has no version of its own.
    assert (await prometheus.build_info()).go_version.startswith("go")


async def test_a_vector_and_a_scalar(prometheus: PrometheusClient) -> None:
    now = time.time()
    vector = await prometheus.query('label_replace(vector(3), "a", "b", "", "")', at=now)
    assert [(s.labels, s.value) for s in vector.samples] == [({"a": "b"}, 3.0)]
    assert vector.samples[0].at == pytest.approx(now, abs=0.01)
    assert (await prometheus.query("1 + 1")).single == 2.0


async def test_no_data_is_not_zero(prometheus: PrometheusClient) -> None:
    answer = await prometheus.query("a_metric_that_is_not_there")
    assert answer.samples == ()
    assert answer.single is None


async def test_nan_and_infinity(prometheus: PrometheusClient) -> None:
    assert math.isnan((await prometheus.query("vector(0) / 0")).single or 0.0)
    assert (await prometheus.query("vector(1) / 0")).single == math.inf
    assert (await prometheus.query("vector(-1) / 0")).single == -math.inf


async def test_a_range_has_its_points(prometheus: PrometheusClient) -> None:
    answer = await prometheus.query_range("vector(7)", start=1000, end=1060, step=15)
    assert answer.series[0].points == tuple((1000.0 + 15 * i, 7.0) for i in range(5))


async def test_a_range_with_too_many_points_gets_a_larger_step(
    prometheus: PrometheusClient,
) -> None:
    answer = await prometheus.query_range("vector(7)", start=0, end=10**6, step=1)
    assert 10_000 < len(answer.series[0].points) <= 11_001


@pytest.mark.parametrize(
    ("expression", "status", "reason", "says"),
    [
        ("sum(", 400, "bad_data", "parse error"),
        ("label_replace(vector(1), 'a', '', '', '(')", 422, "execution", "invalid regular"),
    ],
)
async def test_the_servers_own_words(
    prometheus: PrometheusClient, expression: str, status: int, reason: str, says: str
) -> None:
    with pytest.raises(ApiError) as caught:
        await prometheus.query(expression)
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert says in caught.value.what


async def test_warnings_are_kept(prometheus: PrometheusClient, proxy: FaultProxy) -> None:
    body = (
        b'{"status":"success","warnings":["partial \\u001b[2Jresponse for ab12-cd34-ef56"],'
        b'"data":{"resultType":"vector","result":[]}}'
    )
    proxy.add(Fault(act=Answer(200, body), path="query"))
    known = Endpoint(url=proxy.url, token_env="TOKEN")
    env = {"TOKEN": "ab12-cd34-ef56"}
    through = PrometheusClient(connect("prometheus", known, gate=Gate(read_only=True), env=env))
    assert (await through.query("up")).warnings == ("partial response for ***",)
    await through.aclose()


async def test_hostile_labels_are_harmless(prometheus: PrometheusClient) -> None:
    nasty = 'label_replace(vector(1), "a", "x\\u001b]0;owned\\u0007y\\u202ez", "", "")'
    answer = await prometheus.query(nasty)
    assert answer.samples[0].labels == {"a": "xyz"}


@pytest.mark.parametrize("expression", ['"text"', "up[1m]"])
async def test_other_results_are_a_usage_error(
    prometheus: PrometheusClient, expression: str
) -> None:
    with pytest.raises(UsageError, match="ask for a vector or scalar"):
        await prometheus.query(expression)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (Cut(), "connection broke"),
        (Stall(), "no answer within 1 s"),
        (Answer(200, b"<title>Log in</title>", (("Content-Type", "text/html"),)), "Log in"),
        (Answer(200, b"[]"), "not Prometheus'"),
        (Answer(200, b'{"data":{"resultType":"vector","result":7}}'), "not Prometheus'"),
    ],
)
async def test_what_breaks_is_unreachable(proxy: FaultProxy, act: Any, says: str) -> None:
    proxy.add(Fault(act=act))
    through = client(proxy.url, deadline=1 if isinstance(act, Stall) else 20)
    with pytest.raises(UnreachableError, match=says):
        await through.query("up")
    await through.aclose()


async def test_a_query_timeout_keeps_its_message_and_is_not_repeated(proxy: FaultProxy) -> None:
    body = b'{"status":"error","errorType":"timeout","error":"query timed out in expression"}'
    proxy.add(Fault(act=Answer(503, body), path="/query"))
    proxy.add(Fault(act=Answer(503, b"Service Unavailable", ()), path="ready"))
    through = client(proxy.url)
    with pytest.raises(ApiError, match="query timed out in expression"):
        await through.query("up")
    assert proxy.count("/query") == 1
    assert await through.ready() is False
    await through.aclose()


async def test_nothing_but_the_allow_list_leaves(proxy: FaultProxy) -> None:
    through = client(proxy.url)
    with pytest.raises(RefusedError):
        await through._caller.call("POST", "/api/v1/admin/tsdb/delete_series")
    with pytest.raises(RefusedError):
        await through._caller.call("POST", "/-/quit")
    assert proxy.calls == []
    await through.aclose()
