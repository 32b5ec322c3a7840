"""What speaks for a version: its gates against what is live, and what it was made of."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from mcp_tui.actions.evidence import Evidence
from mcp_tui.actions.models import Wanted
from mcp_tui.actions.weighing import Weighing, weigh
from mcp_tui.domain.alias import Intent, aliases_on_record, intent_key, intent_value
from mcp_tui.domain.artifact import ArtifactPage
from mcp_tui.domain.gaterules import parse
from mcp_tui.domain.run import Metric, Pair, Run, RunData, RunInfo
from mcp_tui.errors import ApiError
from mcp_tui.sources.mlflow import MlflowClient

GATES = (parse("f1_macro >= 0.90"), parse("f1_macro drops by at most 0.01"))


class Client:
    """Runs by id; no artifacts."""

    def __init__(self, **f1: float) -> None:
        self.f1 = f1
        self.asked: list[str] = []

    async def get_run(self, run_id: str) -> Run:
        self.asked.append(run_id)
        if run_id not in self.f1:
            raise ApiError("no such run", status=404)
        return Run(
            info=RunInfo(run_id=run_id, run_name=run_id, status="FINISHED"),
            data=RunData(
                metrics=(Metric(key="f1_macro", value=self.f1[run_id], timestamp=1),),
                tags=(Pair(key="mlflow.source.git.commit", value="9c1f2ab"),),
            ),
        )

    async def list_artifacts(self, owner: str, ref: str = "") -> ArtifactPage:
        return ArtifactPage(files=())

    async def artifact_head(self, *_: object, **__: object) -> object:
        raise ApiError("no such file", status=404)


class Wire:
    """One model of three versions, made by the runs a, b and one that is gone."""

    def __init__(self, **aliases: str) -> None:
        self.aliases = aliases

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        assert method == "GET"
        if "model-versions/search" in path:
            runs = {"1": "a", "2": "b", "3": "gone", "4": ""}
            return {
                "model_versions": [
                    {"name": "m", "version": v, "run_id": r, "source": f"s{v}"}
                    for v, r in runs.items()
                ]
            }
        aliases = [{"alias": a, "version": v} for a, v in self.aliases.items()]
        return {"registered_model": {"name": "m", "aliases": aliases}}


async def found(
    wire: Wire, client: Client, version: str, *, alias: str = "champion", gates: bool = True
) -> Evidence:
    by = Weighing(alias=alias, gates=GATES if gates else ())
    return await weigh(cast("MlflowClient", client), wire, "m", Wanted(version=version), by)


async def test_a_version_is_held_against_what_the_alias_points_to() -> None:
    client = Client(a=0.95, b=0.92)
    evidence = await found(Wire(champion="1"), client, "2")
    assert [g.passed for g in evidence.gates] == [True, False]
    assert "is not >= 0.94" in evidence.gates[1].said
    assert evidence.made == {"commit": "9c1f2ab"}
    # Another alias has another champion.
    evidence = await found(Wire(champion="1", challenger="2"), client, "1", alias="challenger")
    assert [g.passed for g in evidence.gates] == [True, True]


async def test_an_alias_that_is_not_set_is_held_against_the_champion() -> None:
    evidence = await found(Wire(champion="1"), Client(a=0.95, b=0.92), "2", alias="staging")
    assert [g.passed for g in evidence.gates] == [True, False]


async def test_without_a_champion_a_gate_that_speaks_of_one_cannot_be_told() -> None:
    evidence = await found(Wire(), Client(a=0.95), "1")
    assert [g.passed for g in evidence.gates] == [True, None]
    evidence = await found(Wire(champion="3"), Client(a=0.95), "1")
    assert [g.passed for g in evidence.gates] == [True, None], "its run is gone"


async def test_where_nothing_is_known_of_the_run_no_gate_passes() -> None:
    for version, said in (("3", "its run is gone"), ("4", "does not say which run made it")):
        evidence = await found(Wire(champion="1"), Client(a=0.95), version)
        assert [g.passed for g in evidence.gates] == [None, None]
        assert all(said in g.said for g in evidence.gates)
        assert not evidence.made


async def test_without_gates_nothing_is_evaluated() -> None:
    client = Client(a=0.95, b=0.92)
    evidence = await found(Wire(champion="1"), client, "2", gates=False)
    assert not evidence.gates and evidence.made and client.asked == ["b"]


async def test_a_run_that_is_yet_to_be_registered_is_weighed_too() -> None:
    client = Client(a=0.95, b=0.97)
    by = Weighing(gates=GATES)
    wanted = Wanted(source="runs:/b/model", run_id="b")
    evidence = await weigh(cast("MlflowClient", client), Wire(champion="1"), "m", wanted, by)
    assert [g.passed for g in evidence.gates] == [True, True]


def test_every_alias_that_was_moved_on_record_is_known() -> None:
    def tag(plan: str, **fields: Any) -> dict[str, str]:
        base = Intent(verb="promote", model="m", alias="champion", came="", to="1", seq=1, at=1.0)
        return {intent_key(plan * 32): intent_value(msgspec.structs.replace(base, **fields))}

    tags = [
        tag("a") | tag("b", alias="canary") | {"mcp-tui.alias.rubbish": "{", "other": "x"},
        tag("c", alias="gone", came="1", to="", seq=2) | tag("d", model="another", alias="theirs"),
    ]
    assert aliases_on_record("m", tags) == ["canary", "champion", "gone"]
