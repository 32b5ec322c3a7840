"""What the console reads of MLflow: experiments, runs, histories and models, on the real server."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.domain.run import Metric, Run
from mcp_tui.domain.runfilter import parse
from mcp_tui.domain.runtree import nest
from mcp_tui.errors import ApiError, UnreachableError, UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Fault, FaultProxy

pytestmark = pytest.mark.real

NOW = 1_700_000_000_000
HTML = (("Content-Type", "text/html"),)


def client(url: str, *, deadline: float = 60.0) -> MlflowClient:
    gate = Gate(read_only=False)
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
async def through(proxy: FaultProxy) -> AsyncIterator[MlflowClient]:
    made = client(proxy.url)
    yield made
    await made.aclose()


@pytest.fixture
async def experiment(mlflow: MlflowClient) -> str:
    return (await mlflow.ensure_experiment(f"reads {secrets.token_hex(6)}")).experiment_id


async def run_of(
    mlflow: MlflowClient, experiment: str, name: str = "r", start: int = NOW, **tags: str
) -> str:
    made = await mlflow.create_run(experiment, run_name=name, tags=tags, start_time_ms=start)
    return made.run_id


# Experiments


async def test_experiments_come_in_pages_deleted_ones_apart(mlflow: MlflowClient) -> None:
    mark = secrets.token_hex(6)
    made = [await mlflow.create_experiment(f"{mark} a/b {n} \U0001f600") for n in range(3)]
    await mlflow.call("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": made[0]})
    own = f"name LIKE '{mark}%'"
    order = ["name ASC"]
    first = await mlflow.search_experiments(filter_=own, order_by=order, max_results=1)
    rest = await mlflow.search_experiments(
        filter_=own, order_by=order, max_results=1, page_token=first.next_page_token
    )
    assert [each.experiment_id for each in (*first.experiments, *rest.experiments)] == made[1:]
    assert rest.next_page_token == ""
    gone = await mlflow.search_experiments(filter_=own, view="DELETED_ONLY")
    assert [(each.experiment_id, each.is_deleted) for each in gone.experiments] == [(made[0], True)]
    assert len((await mlflow.search_experiments(filter_=own, view="ALL")).experiments) == 3
    seen = await mlflow.get_experiment(made[0])
    assert (seen.name, seen.is_deleted) == (f"{mark} a/b 0 \U0001f600", True)
    with pytest.raises(ApiError) as caught:
        await mlflow.get_experiment("987654321")
    assert caught.value.status == 404


async def test_an_experiment_deleted_while_it_is_looked_at(
    mlflow: MlflowClient, experiment: str
) -> None:
    """Its runs go with it: an ongoing search ends, and a watched run says that it is deleted."""
    runs = [await run_of(mlflow, experiment, start=NOW + n) for n in range(3)]
    search = mlflow.runs_in_order([experiment], page=2)
    assert len(await search.next_page()) == 2
    await mlflow.call("POST", "/api/2.0/mlflow/experiments/delete", {"experiment_id": experiment})
    assert await search.next_page() == ()
    assert search.done
    seen = await mlflow.newest(runs, [experiment])
    assert all(run.is_deleted for run in seen.values())


# Runs


async def test_a_search_is_read_page_by_page_in_order(
    mlflow: MlflowClient, experiment: str
) -> None:
    runs = [await run_of(mlflow, experiment, start=NOW + n) for n in range(5)]
    search = mlflow.runs_in_order([experiment], page=2)
    pages = [await search.next_page() for _ in range(4)]
    assert [[run.run_id for run in page] for page in pages] == [
        [runs[4], runs[3]],
        [runs[2], runs[1]],
        [runs[0]],
        [],
    ]
    assert (search.done, search.read) == (True, 5)
    short = mlflow.runs_in_order([experiment], page=3, first=1)
    pages = [await short.next_page() for _ in range(3)]
    assert [[run.run_id for run in page] for page in pages] == [
        [runs[4]],
        [runs[3], runs[2], runs[1]],
        [runs[0]],
    ]
    none = mlflow.runs_in_order([])
    assert await none.next_page() == ()
    assert none.done


async def test_a_new_run_moves_no_known_run_into_the_list_again(
    mlflow: MlflowClient, experiment: str
) -> None:
    """Pages are places in a list that grows at its top."""
    runs = [await run_of(mlflow, experiment, start=NOW + n) for n in range(4)]
    search = mlflow.runs_in_order([experiment], page=2)
    await search.next_page()
    await run_of(mlflow, experiment, start=NOW + 9)
    rest = [run.run_id for _ in range(3) for run in await search.next_page()]
    assert rest == [runs[1], runs[0]]


@pytest.mark.parametrize("order", ["attributes.start_time DESC", "metrics.`a b/f1` DESC",
                                   "metrics.`a b/f1` ASC", "params.p DESC", "tags.t ASC",
                                   "attributes.run_name ASC"])  # fmt: skip
async def test_an_or_is_merged_as_the_server_would_order_it(
    mlflow: MlflowClient, experiment: str, order: str
) -> None:
    values: list[float | str] = [0.5, "NaN", 0.9, 0.1, "Infinity", 0.5, 0.9]
    for n, value in enumerate(values):
        tag = {"t": "abc"[n % 3]} if n != 3 else {}
        run = await run_of(mlflow, experiment, f"n{n % 4}", NOW + n % 3, **tag)
        if n != 5:
            point = Metric(key="a b/f1", value=value, timestamp=NOW, step=0)
            await mlflow.log_batch(run, metrics=[point], params={"p": f"{n % 2}"})
    by = [order]
    whole = (await mlflow.search_runs([experiment], order_by=by)).runs
    filters = parse("tags.t = 'a' OR tags.t != 'a' OR (attributes.run_name LIKE 'n%')")
    assert len(filters) == 3
    search = mlflow.runs_in_order([experiment], filters, order_by=by, page=2)
    seen: list[Run] = []
    while page := await search.next_page():
        seen += page
    assert [run.run_id for run in seen] == [run.run_id for run in whole]
    assert len(seen) == 7


async def test_a_page_that_failed_is_asked_for_again(
    mlflow: MlflowClient, proxy: FaultProxy, through: MlflowClient, experiment: str
) -> None:
    for n in range(3):
        await run_of(mlflow, experiment, start=NOW + n, t="ab"[n % 2])
    filters = ("tags.t = 'a'", "tags.t = 'b'")
    search = through.runs_in_order([experiment], filters, page=1)
    proxy.add(Fault(act=Answer(500, b"<title>Oops</title>", HTML), path="search", nth=2))
    with pytest.raises(ApiError):
        await search.next_page()
    seen: list[str] = []
    while page := await search.next_page():
        seen += [run.tags["t"] for run in page]
    assert seen == ["a", "b", "a"]


async def test_a_server_whose_pages_have_no_end_is_left(
    proxy: FaultProxy, through: MlflowClient, experiment: str
) -> None:
    body = json.dumps({"runs": [{"info": {"run_id": "a" * 32}}], "next_page_token": "same"})
    proxy.add(Fault(act=Answer(200, body.encode()), path="runs/search"))
    search = through.runs_in_order([experiment])
    assert len(await search.next_page()) == 1
    assert await search.next_page() == ()
    assert proxy.count("runs/search") == 2


async def test_new_runs_are_polled_for(mlflow: MlflowClient, experiment: str) -> None:
    old = await run_of(mlflow, experiment, start=NOW - 3_600_000)
    known = await run_of(mlflow, experiment, start=NOW)
    new = await run_of(mlflow, experiment, start=NOW + 5)
    seen = [run.run_id for run in (await mlflow.started_since([experiment], NOW)).runs]
    assert seen == [new, known]
    assert old not in seen
    filtered = await mlflow.started_since([experiment], NOW, "attributes.status = 'FAILED'")
    assert filtered.runs == ()


async def test_views_part_active_from_deleted_runs(mlflow: MlflowClient, experiment: str) -> None:
    active, gone = [await run_of(mlflow, experiment, start=NOW + n) for n in range(2)]
    await mlflow.call("POST", "/api/2.0/mlflow/runs/delete", {"run_id": gone})

    async def seen(view: Any) -> list[str]:
        return [run.run_id for run in (await mlflow.search_runs([experiment], view=view)).runs]

    assert await seen("ACTIVE_ONLY") == [active]
    assert await seen("DELETED_ONLY") == [gone]
    assert await seen("ALL") == [gone, active]


async def test_nested_runs_are_found_and_make_a_tree(mlflow: MlflowClient, experiment: str) -> None:
    parent = await run_of(mlflow, experiment, "parent")
    child = await run_of(mlflow, experiment, "child", NOW, **{"mlflow.parentRunId": parent})
    grandchild = await run_of(mlflow, experiment, "last", NOW, **{"mlflow.parentRunId": child})
    assert [r.run_id for r in (await mlflow.children(parent, [experiment])).runs] == [child]
    nodes = nest((await mlflow.search_runs([experiment])).runs)
    assert [(n.run.run_id, n.depth) for n in nodes] == [(parent, 0), (child, 1), (grandchild, 2)]
    with pytest.raises(UsageError):
        await mlflow.children("x' OR '", [experiment])


async def test_a_run_with_10000_metrics_and_long_texts(
    mlflow: MlflowClient, experiment: str
) -> None:
    run = await run_of(mlflow, experiment, "emoji \U0001f600 \\ / \"'`")
    for start in range(0, 10_000, 1_000):
        await mlflow.log_batch(
            run,
            metrics=[
                Metric(key=f"layer/{n} x.y:z-_", value=n, timestamp=NOW, step=n)
                for n in range(start, start + 1_000)
            ],
        )
    await mlflow.log_batch(run, params={"p/ä ö": "\U0001f600" * 3_000})
    await mlflow.set_tag(run, "note", "x" * 8_000)
    seen = await mlflow.get_run(run)
    assert len(seen.metrics) == 10_000
    assert seen.metrics["layer/9999 x.y:z-_"].number == 9_999
    assert seen.name == "emoji \U0001f600 \\ / \"'`"
    assert seen.params["p/ä ö"] == "\U0001f600" * 3_000
    assert len(seen.tags["note"]) == 8_000
    page = await mlflow.search_runs([experiment], "metrics.`layer/9999 x.y:z-_` > 9998")
    assert len(page.runs[0].metrics) == 10_000


async def test_data_sets_and_their_context_come_with_a_run(
    mlflow: MlflowClient, experiment: str
) -> None:
    run = await run_of(mlflow, experiment)
    dataset = {"name": "clicks", "digest": "31", "source_type": "s3", "source": '{"uri":"s3://x"}'}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    body = {"run_id": run, "datasets": [{"dataset": dataset, "tags": tags}]}
    await mlflow.call("POST", "/api/2.0/mlflow/runs/log-inputs", body)
    (seen,) = (await mlflow.get_run(run)).datasets
    assert (seen.dataset.name, seen.dataset.digest, seen.context) == ("clicks", "31", "training")
    assert seen.dataset.source == '{"uri":"s3://x"}'
    page = await mlflow.search_runs([experiment], "dataset.digest = '31'")
    assert page.runs[0].datasets == (seen,)


# Histories


async def test_odd_points_are_gaps_that_are_counted(mlflow: MlflowClient, experiment: str) -> None:
    run = await run_of(mlflow, experiment)
    odd: list[tuple[float | str, int, int]] = [
        (1, NOW, 1), ("NaN", NOW + 1, 2), ("Infinity", NOW + 2, 3), ("-Infinity", NOW + 3, 4),
        (6, NOW + 9, -6), (7, 0, 9), (8, NOW - 5, 2), (1, NOW, 1),
    ]  # fmt: skip
    points = [Metric(key="m", value=v, timestamp=t, step=s) for v, t, s in odd]
    await mlflow.log_batch(run, metrics=points)
    seen = (await mlflow.histories([run], "m"))[run]
    assert seen.steps == (-6, 1, 2, 2, 3, 4, 9)
    assert [v if math.isfinite(v) else None for v in seen.values] == [6, 1, 8, None, None, None, 7]
    assert (seen.nan, seen.infinite, seen.repeated, seen.odd_times) == (1, 2, 1, 1)
    assert (seen.total, seen.sampled) == (7, False)


async def test_many_runs_in_few_calls_and_strangers_are_empty(
    mlflow: MlflowClient, proxy: FaultProxy, through: MlflowClient, experiment: str
) -> None:
    runs = [await run_of(mlflow, experiment) for _ in range(2)]
    for n, run in enumerate(runs):
        points = [Metric(key="m", value=n, timestamp=NOW + s, step=s) for s in range(900)]
        await mlflow.log_batch(run, metrics=points)
    strangers = [f"{n:032x}" for n in range(60)]
    seen = await through.histories([*runs, *strangers, "no id", runs[0]], "m", max_points=100)
    assert list(seen) == [*runs, *strangers]
    assert proxy.count("bulk-interval") == 7
    assert [len(seen[run]) for run in runs] == [100, 100]
    assert seen[runs[1]].sampled
    assert (seen[runs[1]].steps[0], seen[runs[1]].last_step) == (0, 899)
    assert set(seen[runs[1]].values) == {1.0}
    assert len(seen[strangers[0]]) == 0
    window = (await mlflow.histories(runs, "m", steps=(10, 19)))[runs[0]]
    assert (window.steps, window.sampled) == (tuple(range(10, 20)), False)
    assert (await mlflow.tail(runs[0], "m", 898)).steps == (898, 899)
    assert len(await mlflow.tail(runs[0], "none", 0)) == 0


async def test_how_many_points_there_are_is_estimated(
    mlflow: MlflowClient, experiment: str
) -> None:
    run = await run_of(mlflow, experiment)
    for start in range(0, 9_000, 1_000):
        points = [
            Metric(key="m", value=s, timestamp=NOW + s, step=s * 10)
            for s in range(start, start + 1_000)
        ]
        await mlflow.log_batch(run, metrics=points)
    seen = (await mlflow.histories([run], "m", max_points=320))[run]
    assert seen.total is None
    counted = await mlflow.counted(seen)
    assert counted.about
    assert counted.total is not None
    assert abs(counted.total - 9_000) < 450
    assert counted.said().startswith("320 of about ")
    whole = (await mlflow.histories([run], "m", steps=(0, 90), max_points=320))[run]
    assert await mlflow.counted(whole) == whole


async def test_a_server_that_ignores_the_bound_keeps_its_spikes_here(
    proxy: FaultProxy, through: MlflowClient
) -> None:
    run = "a" * 32
    points = [{"key": "m", "value": 1.0, "step": n, "run_id": run, "timestamp": NOW + n}
              for n in range(20_000)]  # fmt: skip
    points[12_345]["value"] = 99.0
    body = json.dumps({"metrics": points}).encode()
    proxy.add(Fault(act=Answer(200, body), path="bulk-interval"))
    seen = (await through.histories([run], "m", max_points=100))[run]
    assert len(seen) <= 100
    assert seen.sampled
    assert 99.0 in seen.values
    assert (seen.steps[0], seen.last_step) == (0, 19_999)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"<title>404 Not Found</title>", HTML),
        Answer(404, b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"}'),
    ],
)
async def test_a_server_that_cannot_sample_is_read_in_pages(
    mlflow: MlflowClient,
    proxy: FaultProxy,
    through: MlflowClient,
    experiment: str,
    answer: Answer,
) -> None:
    proxy.add(Fault(act=answer, path="bulk-interval"))
    run = await run_of(mlflow, experiment)
    for start in range(0, 6_000, 1_000):
        points = [Metric(key="m", value=s, timestamp=NOW + s, step=s)
                  for s in range(start, start + 1_000)]  # fmt: skip
        await mlflow.log_batch(run, metrics=points)
    seen = (await through.histories([run, "f" * 32], "m", max_points=500))[run]
    assert proxy.count("metrics/get-history[?]") == 3  # two pages, and a run that is not there
    assert len(seen) <= 500
    assert (seen.steps[0], seen.last_step, seen.cut) == (0, 5_999, False)
    assert seen.sampled
    window = (await through.histories([run], "m", steps=(5, 9)))[run]
    assert window.steps == (5, 6, 7, 8, 9)
    assert proxy.count("bulk-interval") == 1  # it is not asked again


async def test_pages_of_points_are_bounded_and_it_is_said(
    proxy: FaultProxy, through: MlflowClient
) -> None:
    proxy.add(Fault(act=Answer(404, b"", HTML), path="bulk-interval"))
    points = [{"key": "m", "value": 1, "step": n, "timestamp": NOW + n} for n in range(5_000)]
    for page in range(9):
        body = json.dumps({"metrics": points, "next_page_token": f"t{page}"}).encode()
        proxy.add(Fault(act=Answer(200, body), path="get-history[?]", times=1))
    run = "a" * 32
    seen = (await through.histories([run], "m"))[run]
    assert proxy.count("get-history[?]") == 5
    assert seen.cut
    assert "the rest was not read" in seen.said()


async def test_an_error_of_the_interval_endpoint_is_no_missing_endpoint(
    proxy: FaultProxy, through: MlflowClient
) -> None:
    proxy.add(Fault(act=Answer(500, b"<title>Oops</title>", HTML), path="bulk-interval"))
    with pytest.raises(ApiError):
        await through.histories(["a" * 32], "m")
    assert proxy.count("get-history[?]") == 0


# Logged models


async def test_logged_models_are_found_by_experiment_and_run(
    mlflow: MlflowClient, experiment: str
) -> None:
    run = await run_of(mlflow, experiment)
    made = []
    for n in range(3):
        body = {
            "experiment_id": experiment,
            "name": f"m{n}",
            "model_type": "sklearn",
            "source_run_id": run if n else "",
            "tags": [{"key": "k", "value": "v"}],
        }
        answer = await mlflow.call("POST", "/api/2.0/mlflow/logged-models", body)
        made.append(answer["model"]["info"]["model_id"])
    outputs = {"run_id": run, "models": [{"model_id": made[1], "step": 7}]}
    await mlflow.call("POST", "/api/2.0/mlflow/runs/outputs", outputs)
    first = await mlflow.search_logged_models([experiment], max_results=2)
    rest = await mlflow.search_logged_models(
        [experiment], max_results=2, page_token=first.next_page_token
    )
    assert {m.model_id for m in (*first.models, *rest.models)} == set(made)
    own = await mlflow.search_logged_models([experiment], run_id=run)
    assert {model.model_id for model in own.models} == set(made[1:])
    seen = await mlflow.get_logged_model(made[1])
    assert (seen.info.name, seen.info.source_run_id, seen.tags) == ("m1", run, {"k": "v"})
    assert seen.state == "pending"
    assert (await mlflow.get_run(run)).outputs.model_outputs[0].model_id == made[1]
    with pytest.raises(ApiError) as caught:
        await mlflow.get_logged_model("m-" + "0" * 32)
    assert caught.value.status == 404
    with pytest.raises(UsageError):
        await mlflow.get_logged_model("../runs")


async def test_a_server_without_logged_models_is_not_an_error(
    proxy: FaultProxy, through: MlflowClient, experiment: str
) -> None:
    proxy.add(Fault(act=Answer(404, b"<title>404 Not Found</title>", HTML), path="logged-models"))
    page = await through.search_logged_models([experiment])
    assert (page.models, page.served) == ((), False)
    proxy.clear()
    gone = b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}'
    proxy.add(Fault(act=Answer(404, gone), path="logged-models"))
    with pytest.raises(ApiError, match="no such experiment"):
        await through.search_logged_models([experiment])


async def test_a_false_number_of_pages_or_junk_is_unreachable(
    proxy: FaultProxy, through: MlflowClient, experiment: str
) -> None:
    proxy.add(Fault(act=Answer(200, b"<title>Log in</title>", HTML), path="mlflow"))
    for ask in (
        through.search_experiments(),
        through.runs_in_order([experiment]).next_page(),
        through.histories(["a" * 32], "m"),
        through.search_logged_models([experiment]),
    ):
        with pytest.raises(UnreachableError, match="Log in"):
            await ask
