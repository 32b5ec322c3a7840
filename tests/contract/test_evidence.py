"""Runs looked at together, as the console reads them: on the real MLflow server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from mcp_tui.config import Config, Endpoint
from mcp_tui.domain.gaterules import parse
from mcp_tui.domain.gates import GateStatus
from mcp_tui.domain.run import Metric
from mcp_tui.errors import GoneError, UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.live.evidence import LiveEvidence
from tests.cluster import Ground
from tests.contract.evaluated import Logged, predicted, predictions_csv

pytestmark = pytest.mark.real

NOW = 1_700_000_000_000


@dataclass
class Backend:
    """As much of a backend as runs are looked up by."""

    lives: Mapping[str, object] = field(default_factory=dict)
    config: Config = field(default_factory=Config)

    def only(self) -> object:
        return next(iter(self.lives.values()))


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    endpoint = Endpoint(url=ground.mlflow)
    gate = Gate(read_only=False)
    made = MlflowClient(connect("mlflow", endpoint, gate=gate, env={}), deadline=60.0)
    yield made
    await made.aclose()


@pytest.fixture
def evidence(mlflow: MlflowClient) -> LiveEvidence:
    gates = (parse("f1_macro >= 0.80"), parse("no class recall drops by more than 0.02"))
    live = SimpleNamespace(
        name="dev",
        connection=SimpleNamespace(mlflow=mlflow),
        settings=SimpleNamespace(gates=gates),
    )
    return LiveEvidence(cast(LiveBackend, Backend({"dev": live})))


@pytest.fixture
async def experiment(mlflow: MlflowClient) -> str:
    return (await mlflow.ensure_experiment(f"evidence {secrets.token_hex(6)}")).experiment_id


async def logged(
    mlflow: MlflowClient, experiment: str, name: str, *values: float | str, start: int = 0
) -> str:
    made = await mlflow.create_run(experiment, run_name=name, tags={}, start_time_ms=NOW)
    await log(mlflow, made.run_id, *values, start=start)
    return made.run_id


async def log(mlflow: MlflowClient, run_id: str, *values: float | str, start: int) -> None:
    points = [
        Metric(key="loss", value=value, step=start + n, timestamp=NOW + 1_000 * (start + n))
        for n, value in enumerate(values)
    ]
    for at in range(0, len(points), 1_000):
        await mlflow.log_batch(run_id, metrics=points[at : at + 1_000])


async def test_curves_are_read_and_go_on_as_points_are_logged(
    mlflow: MlflowClient, experiment: str, evidence: LiveEvidence
) -> None:
    one = await logged(mlflow, experiment, "one", 3.0, "NaN", 1.0)
    other = await logged(mlflow, experiment, "other", 9.0)
    curves = await evidence.curves([f"dev/{one}", other])
    assert [run.label for run in curves.runs] == ["one", "other"]
    assert curves.metrics() == ("loss",)
    assert curves.first() == "loss"
    await curves.load(["loss"], 320)
    lines = curves.courses(["loss"])
    assert [len(line) for line in lines] == [3, 1]
    assert lines[0].extent("relative") == (0.0, 2.0)
    await log(mlflow, one, 0.5, start=3)
    told = await anext(aiter(curves.changes(["loss"])))
    assert told == ""
    after = curves.courses(["loss"])
    assert list(after[0].values[2:]) == [1.0, 0.5]
    assert after[1] is lines[1], "a line that did not change is the same"
    assert dict(curves.said(["loss"]))["one"] == "4; 1 NaN points"


async def test_a_long_history_is_sampled_counted_and_looked_at_closely(
    mlflow: MlflowClient, experiment: str, evidence: LiveEvidence
) -> None:
    run = await logged(mlflow, experiment, "long", *(float(n % 7) for n in range(3_000)))
    curves = await evidence.curves([run])
    await curves.load(["loss"], 320)
    assert await curves.count(["loss"])
    (line,) = curves.courses(["loss"])
    assert line.about or line.total == 3_000
    assert abs(line.total - 3_000) < 150
    assert await curves.look(["loss"], "step", (1_000.0, 1_100.0))
    (closer,) = curves.courses(["loss"])
    assert set(range(1_000, 1_101)) <= set(map(int, closer.steps))
    # By time the same part is found from the points that are known.
    assert await curves.look(["loss"], "relative", (500.0, 520.0))
    (closer,) = curves.courses(["loss"])
    assert set(range(500, 521)) <= set(map(int, closer.steps))
    assert not await curves.look(["loss"], "step", None)


async def test_what_is_no_run_is_said(evidence: LiveEvidence) -> None:
    with pytest.raises(UsageError, match="no run's id"):
        await evidence.curves(["nonsense"])
    with pytest.raises(GoneError, match="there is no run"):
        await evidence.curves(["f" * 32])
    with pytest.raises(GoneError, match="there is no"):
        await evidence.compare([f"no-model-{secrets.token_hex(4)}@champion"], "")


async def test_many_runs_are_read_in_one_search(
    mlflow: MlflowClient, experiment: str, evidence: LiveEvidence
) -> None:
    runs = [await logged(mlflow, experiment, f"r{n}", float(n)) for n in range(5)]
    found = await evidence.compare([f"dev/{run}" for run in reversed(runs)], runs[2])
    assert [run.name for run in found.runs] == ["r4", "r3", "r2", "r1", "r0"]
    assert found.baseline == f"dev/{runs[2]}"
    assert [run.metrics["loss"].number for run in found.runs] == [4, 3, 2, 1, 0]
    few = await evidence.compare(runs[:1], runs[1])
    assert [run.name for run in few.runs] == ["r1", "r0"], "the baseline comes first"


async def test_candidates_are_held_against_the_alias_champion(
    ground: Ground, evidence: LiveEvidence
) -> None:
    made = Logged(ground)
    name = f"pets-{secrets.token_hex(4)}"
    runs = {
        label: made.run(
            label, files={"predictions.csv": predictions_csv(predicted(seed, 300, right))}
        )
        for label, seed, right in (("champion", 2, 0.85), ("better", 3, 0.97), ("worse", 4, 0.6))
    }
    made.version(name, runs["champion"], alias="champion")
    made.version(name, runs["better"])
    found = await evidence.evaluate([runs["better"], runs["worse"]], "")
    assert found.keys[0] == f"dev/{runs['champion']}"
    assert found.champion.endswith("(alias champion)")
    verdicts = {
        row.key: [each and str(each.verdict) for each in row.differences]
        for row in found.table.rows
    }
    assert verdicts["accuracy"] == [None, "better", "worse"]
    assert [[each.status for each in one] for one in found.gates] == [
        [GateStatus.PASSED] * 2,
        [GateStatus.FAILED] * 2,
    ]
    named = await evidence.evaluate([runs["champion"]], f"{name}/2")
    assert named.champion.endswith("(named here)")
    # Copied to another model, it is the champion there; what was named says which is meant.
    made.version(f"a-{name}", runs["better"], alias="champion")
    for reference in (f"{name}/2", runs["better"]):
        found = await evidence.evaluate([reference], "")
        assert found.keys == (f"dev/{runs['champion']}", f"dev/{runs['better']}"), reference
    alone = await evidence.evaluate([f"a-{name}/1"], "")
    assert alone.keys == (f"dev/{runs['better']}",)
    assert alone.champion == f"a-{name}/1 (alias champion, alone: mark others too)"
    assert [len(one) for one in alone.gates] == [2], "its own gates are judged"
