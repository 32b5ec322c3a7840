"""The registry's part of the MLflow client, against the real server and through the fault proxy."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from mcp_tui.actions.promoting import wanted_of_run
from mcp_tui.domain.alias import PREFIX
from mcp_tui.domain.mlmodel import columns
from mcp_tui.errors import ApiError, RefusedError, UnknownOutcomeError, UsageError
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.mlflow.registry import MAX_TAG
from mcp_tui.sources.mlflow.signature import signature
from tests.cluster import Ground
from tests.faults.acting import mlflow_client
from tests.faults.proxy import Answer, Cut, Fault, FaultProxy, Lie, Lost

pytestmark = pytest.mark.real


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    made = mlflow_client(str(ground.mlflow))
    yield made
    await made.aclose()


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(str(ground.mlflow)) as made:
        yield made


@pytest.fixture
async def faulty(proxy: FaultProxy) -> AsyncIterator[MlflowClient]:
    made = mlflow_client(proxy.url, deadline=5.0)
    yield made
    await made.aclose()


@pytest.fixture
async def name(mlflow: MlflowClient) -> str:
    """A model of three versions, whose name has signs that a filter must quote."""
    name = f"it's a ranker {secrets.token_hex(4)}"
    await mlflow.ensure_model(name)
    for number in range(3):
        await mlflow.create_version(name, f"s3://bucket/{name}/{number}", plan_id=f"p{number}")
    return name


async def test_a_model_is_made_once_and_its_versions_are_read_in_pages(
    mlflow: MlflowClient, name: str
) -> None:
    assert (await mlflow.ensure_model(name)).name == name
    with pytest.raises(ApiError) as caught:
        await mlflow.create_model(name)
    assert caught.value.reason == "RESOURCE_ALREADY_EXISTS"
    assert [v.version for v in await mlflow.versions_of(name)] == ["3", "2", "1"]
    page = await mlflow.search_versions(f'name = "{name}"', max_results=2)
    rest = await mlflow.search_versions(
        f'name = "{name}"', max_results=2, page_token=page.next_page_token or ""
    )
    assert len(page.model_versions) == 2 and len(rest.model_versions) == 1
    models = await mlflow.search_models(f'name = "{name}"')
    assert [m.name for m in models.registered_models] == [name]
    assert await mlflow.get_model(f"none-{name}") is None
    assert await mlflow.get_version(name, "99") is None
    with pytest.raises(UsageError):
        await mlflow.get_version(name, "1 or 1=1")


async def test_aliases_and_tags_are_set_and_taken_away(mlflow: MlflowClient, name: str) -> None:
    await mlflow.set_alias(name, "champion", "2")
    model = await mlflow.get_model(name)
    assert model is not None and model.alias == {"champion": "2"} and model.newest == 3
    version = await mlflow.get_version(name, "2")
    assert version is not None and version.aliases == ("champion",)
    with pytest.raises(ApiError):
        await mlflow.set_alias(name, "champion", "99")
    await mlflow.delete_alias(name, "champion")
    await mlflow.delete_alias(name, "champion")
    await mlflow.set_version_tag(name, "1", f"{PREFIX}x", "y" * MAX_TAG)
    version = await mlflow.get_version(name, "1")
    assert version is not None and version.tag[f"{PREFIX}x"] == "y" * MAX_TAG
    with pytest.raises(UsageError):
        await mlflow.set_version_tag(name, "1", "k", "y" * (MAX_TAG + 1))
    await mlflow.delete_version_tag(name, "1", f"{PREFIX}x")
    version = await mlflow.get_version(name, "1")
    assert version is not None and f"{PREFIX}x" not in version.tag


async def test_versions_of_a_run_are_found(mlflow: MlflowClient, name: str) -> None:
    experiment = await mlflow.create_experiment(f"registry-{secrets.token_hex(6)}")
    run = await mlflow.create_run(experiment, run_name="r", tags={}, start_time_ms=1)
    source = f"{run.info.artifact_uri}/model"
    made = await mlflow.create_version(name, source, plan_id="p", run_id=run.run_id)
    assert made.run_id == run.run_id
    other = await mlflow.create_run(experiment, run_name="other", tags={}, start_time_ms=2)
    source = f"{other.info.artifact_uri}/model"
    second = await mlflow.create_version(name, source, plan_id="q", run_id=other.run_id)
    assert [v.version for v in await mlflow.versions_of_run(run.run_id)] == [made.version]
    both = await mlflow.versions_of_runs([other.run_id, run.run_id, "f" * 32, "no id"])
    assert {(v.run_id, v.version) for v in both} == {
        (run.run_id, made.version),
        (other.run_id, second.version),
    }
    assert await mlflow.versions_of_runs(["f" * 32]) == await mlflow.versions_of_runs([]) == ()


MLMODEL = b"""
flavors: {sklearn: {}}
signature:
  inputs: '[{"type": "double", "name": "age"}]'
  outputs: '[{"type": "long"}]'
"""


class Plain:
    """What the product's functions read by."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    async def mlflow(self, method: str, path: str, body: Any) -> dict[str, Any]:
        return await self._client.call(method, path, body)


async def test_a_runs_model_is_found_and_its_copies_have_its_signature(
    ground: Ground, mlflow: MlflowClient, name: str
) -> None:
    experiment = await mlflow.create_experiment(f"registry-{secrets.token_hex(6)}")
    run = await mlflow.create_run(experiment, run_name="r", tags={}, start_time_ms=1)
    at = run.info.artifact_uri.partition(":/")[2].strip("/")
    url = f"{ground.mlflow}/api/2.0/mlflow-artifacts/artifacts/{at}/model/MLmodel"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as plain:
        (await plain.put(url, content=MLMODEL)).raise_for_status()
    wanted = await wanted_of_run(Plain(mlflow), run.run_id)
    assert wanted.source == f"{run.info.artifact_uri}/model"
    made = await mlflow.create_version(name, wanted.source, plan_id="p", run_id=run.run_id)
    copy = await mlflow.copy_version(name, made.version, f"{name} in prod", plan_id="c")
    for version in (made, copy):
        found = await signature(mlflow, version)
        assert found is not None and columns(found.inputs) == ("age: double",)
        assert columns(found.outputs) == ("long",) and found.flavors == ("sklearn",)
    elsewhere = await mlflow.get_version(name, "1")
    assert elsewhere is not None and await signature(mlflow, elsewhere) is None


async def test_a_logged_model_of_mlflow_3_is_found(
    ground: Ground, mlflow: MlflowClient, name: str
) -> None:
    experiment = await mlflow.create_experiment(f"registry-{secrets.token_hex(6)}")
    run = await mlflow.create_run(experiment, run_name="r", tags={}, start_time_ms=1)
    api = "/api/2.0/mlflow"
    body = {"experiment_id": experiment, "name": "model", "source_run_id": run.run_id}
    made = (await mlflow.call("POST", f"{api}/logged-models", body))["model"]["info"]
    output = [{"model_id": made["model_id"], "step": 3}]
    await mlflow.call("POST", f"{api}/runs/outputs", {"run_id": run.run_id, "models": output})
    wanted = await wanted_of_run(Plain(mlflow), run.run_id)
    assert (wanted.source, wanted.model_id) == (f"models:/{made['model_id']}", made["model_id"])
    version = await mlflow.create_version(
        name, wanted.source, plan_id="p", run_id=run.run_id, model_id=wanted.model_id
    )
    # MLflow 3.17 does not say the id again: the source is what names it.
    assert version.source == wanted.source and version.copied_from is None
    with pytest.raises(UsageError, match="has no model 'other'"):
        await wanted_of_run(Plain(mlflow), run.run_id, "other")


async def test_a_copy_is_made_once_and_carries_no_record(mlflow: MlflowClient, name: str) -> None:
    await mlflow.set_version_tag(name, "2", "owner", "ml")
    await mlflow.set_version_tag(name, "2", f"{PREFIX}x", "of the original")
    to = f"{name} in prod"
    first = await mlflow.copy_version(name, "2", to, plan_id="c1")
    second = await mlflow.copy_version(name, "2", to, plan_id="c2")
    assert first.version == second.version == "1"
    [copy] = await mlflow.versions_of(to)
    assert copy.copied_from == (name, "2")
    assert copy.tag == {"owner": "ml", "mcp-tui.plan-id": "c1"}


@pytest.mark.parametrize("spoilt", [Lost(), Lie(whole=lambda _: b"<html>")], ids=["lost", "html"])
async def test_a_version_whose_answer_was_lost_is_found_by_its_plan(
    faulty: MlflowClient, mlflow: MlflowClient, proxy: FaultProxy, name: str, spoilt: Lost | Lie
) -> None:
    fault = proxy.add(Fault(spoilt, path="model-versions/create"))
    made = await faulty.create_version(name, "s3://bucket/new", plan_id="lost")
    assert fault.hits == 1 and made.version == "4"
    assert len(await mlflow.versions_of(name)) == 4


async def test_a_version_that_never_arrived_is_unknown_and_not_sent_again(
    faulty: MlflowClient, mlflow: MlflowClient, proxy: FaultProxy, name: str
) -> None:
    proxy.add(Fault(Cut(), path="model-versions/create"))
    with pytest.raises(UnknownOutcomeError):
        await faulty.create_version(name, "s3://bucket/new", plan_id="cut")
    assert proxy.count("model-versions/create") == 1
    assert len(await mlflow.versions_of(name)) == 3


async def test_a_gateway_that_says_504_after_the_work_makes_no_second_version(
    faulty: MlflowClient, mlflow: MlflowClient, proxy: FaultProxy, name: str
) -> None:
    """MLflow's own client sends it again, and makes two."""
    proxy.add(Fault(Answer(504, b"<html>"), path="model-versions/create"))
    with pytest.raises(UnknownOutcomeError):
        await faulty.create_version(name, "s3://bucket/new", plan_id="504")
    assert proxy.count("model-versions/create") == 1


async def test_read_only_lets_every_read_pass_and_no_write(ground: Ground, name: str) -> None:
    client = mlflow_client(str(ground.mlflow), Gate(read_only=True))
    try:
        assert await client.get_model(name) and await client.versions_of(name)
        await client.search_models()
        for write in (
            client.create_model("x"),
            client.create_version(name, "s3://x", plan_id="p"),
            client.set_alias(name, "champion", "1"),
            client.delete_alias(name, "champion"),
            client.set_version_tag(name, "1", "a", "b"),
            client.delete_version_tag(name, "1", "a"),
        ):
            with pytest.raises(RefusedError):
                await write
    finally:
        await client.aclose()
