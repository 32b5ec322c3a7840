"""Approvals given, judged and asked for on the real MLflow and API server."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from mcp_tui.actions.models import Wanted
from mcp_tui.actions.promoting import wanted_copy
from mcp_tui.domain.approval import TAG, Level, Mode, Rule
from mcp_tui.domain.plan import Check, CheckStatus, Outcome, OutcomeStatus, Plan, Tier
from mcp_tui.errors import GoneError, RefusedError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.acting import Actor, acting, mlflow_client
from tests.faults.proxy import Fault, Lost

pytestmark = pytest.mark.real

NOW = 1_800_000_000.0
ASKED = {
    Tier.PROD: Rule(
        mode=Mode.LEVELS,
        levels=(
            Level(name="lead", people=("admin",)),
            Level(name="sre", groups=("mcp-tui:operators",)),
        ),
        configured=True,
    )
}


@pytest.fixture
async def mlflow(ground: Ground) -> AsyncIterator[MlflowClient]:
    made = mlflow_client(str(ground.mlflow))
    yield made
    await made.aclose()


async def put(ground: Ground, root: str, name: str, data: bytes) -> None:
    at = root.partition(":/")[2].strip("/")
    url = f"{ground.mlflow}/api/2.0/mlflow-artifacts/artifacts/{at}/model/{name}"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as plain:
        (await plain.put(url, content=data)).raise_for_status()


@pytest.fixture
async def made(ground: Ground, mlflow: MlflowClient) -> tuple[str, str]:
    """A model whose first version alice's run made, and where the run's artifacts are."""
    experiment = await mlflow.create_experiment(f"approvals-{secrets.token_hex(6)}")
    run = await mlflow.create_run(
        experiment, run_name="r", tags={"mlflow.user": "alice"}, start_time_ms=1
    )
    root = run.info.artifact_uri
    await put(ground, root, "MLmodel", b"flavors: {sklearn: {}}\n")
    await put(ground, root, "data/model.pkl", b"x" * 77)
    name = f"ranker {secrets.token_hex(4)}"
    await mlflow.ensure_model(name)
    await mlflow.create_version(name, f"{root}/model", plan_id="p", run_id=run.run_id)
    return name, root


@contextlib.asynccontextmanager
async def as_(ground: Ground, namespace: str, folder: Path, identity: str) -> AsyncIterator[Actor]:
    async with acting(
        ground, namespace, folder, identity=identity, tier=Tier.PROD, approvals=ASKED
    ) as it:
        yield it


async def given(actor: Actor, name: str, level: str, version: str = "1") -> Outcome:
    plan = await actor.engine.plan_approval(name, version, level, "looks good", now=NOW)
    plan = await actor.engine.check(plan)
    assert not plan.blocked, plan.blocked
    [outcome] = await actor.apply(plan)
    return outcome


def asked(plan: Plan) -> Check:
    [found] = [c for c in plan.checks if c.name == "approvals"]
    return found


async def test_two_people_approve_and_only_then_it_is_promoted(
    ground: Ground, namespace: str, tmp_path: Path, mlflow: MlflowClient, made: tuple[str, str]
) -> None:
    name, root = made
    async with (
        as_(ground, namespace, tmp_path, "admin") as admin,
        as_(ground, namespace, tmp_path, "operator") as operator,
    ):
        wanted = Wanted(version="1")
        plan = await admin.engine.plan_promotion(name, wanted, now=NOW)
        assert asked(plan).status is CheckStatus.FAILED and plan.blocked
        assert "approvals 0 of 2" in asked(plan).message
        assert (await given(admin, name, "lead")).status is OutcomeStatus.PROVEN
        plan = await admin.engine.plan_promotion(name, wanted, now=NOW)
        assert "approvals 1 of 2: sre  missing" in asked(plan).message
        outcome = await given(operator, name, "sre")
        assert outcome.message.endswith("approvals 2 of 2")
        plan = await admin.engine.plan_promotion(name, wanted, now=NOW)
        assert asked(plan).status is CheckStatus.PASSED, asked(plan)
        copied = await admin.engine.plan_promotion(
            f"{name} in prod", await wanted_copy(admin.engine, name, "1"), now=NOW
        )
        assert asked(copied).status is CheckStatus.PASSED
        version = await mlflow.get_version(name, "1")
        assert version is not None
        record = version.tag[f"{TAG}sre"]
        assert record.startswith("by=operator|group=mcp-tui:operators|mlflow=|at=2027-01-15T")
        # Another file, and both have expired.
        await put(ground, root, "data/more.bin", b"y")
        found = await admin.engine.approvals(name, "1")
        assert [each.standing for each in found.approvals.levels] == ["expired", "expired"]
        plan = await admin.engine.plan_promotion(name, wanted, now=NOW)
        assert asked(plan).status is CheckStatus.FAILED
        plan = await admin.engine.plan_promotion(name, wanted, now=NOW, override="the pager")
        assert asked(plan).status is CheckStatus.WARNING and plan.move is not None
        assert plan.move.intent.override == "the pager"


async def test_who_may_not_is_told_so(
    ground: Ground, namespace: str, tmp_path: Path, mlflow: MlflowClient, made: tuple[str, str]
) -> None:
    name, _ = made
    async with (
        as_(ground, namespace, tmp_path, "viewer") as viewer,
        as_(ground, namespace, tmp_path, "admin") as admin,
    ):
        for actor, level, said in (
            (viewer, "lead", "viewer is neither named for lead"),
            (viewer, "none", "there is no level 'none'; there are lead, sre"),
        ):
            plan = await actor.engine.plan_approval(name, "1", level, "x", now=NOW)
            assert [c.message.startswith(said) for c in plan.blocked] == [True], plan.blocked
        await given(admin, name, "lead")
        plan = await admin.engine.plan_approval(name, "1", "lead", "x", now=NOW)
        assert "given already, by admin" in plan.blocked[0].message
        with pytest.raises(UsageError, match="says why"):
            await admin.engine.plan_approval(name, "1", "sre", "  ", now=NOW)
        with pytest.raises(GoneError, match="version 9"):
            await admin.engine.plan_approval(name, "9", "lead", "x", now=NOW)
        await mlflow.create_version(name, "s3://elsewhere/x", plan_id="q")
        with pytest.raises(UsageError, match="does not serve the files"):
            await admin.engine.plan_approval(name, "2", "lead", "x", now=NOW)
        plan = await admin.engine.plan_promotion(name, Wanted(version="2"), now=NOW)
        assert "cannot be told" in asked(plan).message and plan.blocked


async def test_what_changes_between_plan_and_yes_is_not_approved(
    ground: Ground, namespace: str, tmp_path: Path, mlflow: MlflowClient, made: tuple[str, str]
) -> None:
    name, root = made
    async with as_(ground, namespace, tmp_path, "admin") as admin:
        plan = await admin.engine.plan_approval(name, "1", "lead", "x", now=NOW)
        await put(ground, root, "data/model.pkl", b"x" * 78)
        with pytest.raises(Exception, match="changed meanwhile"):
            await admin.apply(plan)
        plan = await admin.engine.plan_approval(name, "1", "lead", "x", now=NOW)
        await mlflow.set_version_tag(name, "1", f"{TAG}lead", "theirs")
        [outcome] = await admin.apply(plan)
        assert outcome.status is OutcomeStatus.FAILED and "meanwhile" in outcome.message
        assert not admin.sent("POST", "/model-versions/set-tag")


@pytest.mark.parametrize("what", ["a record is taken away", "a file is added"])
async def test_approvals_that_fall_between_plan_and_yes_move_nothing(
    ground: Ground,
    namespace: str,
    tmp_path: Path,
    mlflow: MlflowClient,
    made: tuple[str, str],
    what: str,
) -> None:
    name, root = made
    async with (
        as_(ground, namespace, tmp_path, "admin") as admin,
        as_(ground, namespace, tmp_path, "operator") as operator,
    ):
        await given(admin, name, "lead")
        await given(operator, name, "sre")
        plan = await admin.engine.check(
            await admin.engine.plan_promotion(name, Wanted(version="1"), now=NOW)
        )
        assert not plan.blocked
        if what == "a record is taken away":
            body = {"name": name, "version": "1", "key": f"{TAG}sre"}
            await mlflow.call("DELETE", "/api/2.0/mlflow/model-versions/delete-tag", body)
        else:
            await put(ground, root, "data/more.bin", b"y")
        with pytest.raises(RefusedError, match=r"not stand any more: approvals [01] of 2"):
            await admin.apply(plan)
        assert not admin.sent("POST", "/registered-models/alias")
        assert (await admin.engine.see_model(name)).aliases == {}
        if what == "a record is taken away":
            await given(operator, name, "sre")
            [outcome] = await admin.apply(plan)
            assert outcome.status is OutcomeStatus.PROVEN
            assert (await admin.engine.see_model(name)).aliases == {"champion": "1"}


async def test_a_lost_answer_is_looked_for(
    ground: Ground, namespace: str, tmp_path: Path, made: tuple[str, str]
) -> None:
    async with as_(ground, namespace, tmp_path, "admin") as admin:
        admin.mlflow.add(Fault(Lost(), path="/model-versions/set-tag"))
        assert (await given(admin, made[0], "lead")).status is OutcomeStatus.PROVEN
        assert admin.sent("POST", "/model-versions/set-tag") == 1
