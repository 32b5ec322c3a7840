"""Changes to a run's record on the real server: done once, seen, taken back, found when lost."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcp_tui.config import Endpoint
from mcp_tui.domain.run import Run
from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.errors import ApiError, UnknownOutcomeError, UsageError
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.mlflow import MlflowClient
from tests.cluster import Ground
from tests.faults.proxy import Answer, Cut, Fault, FaultProxy, Lost

pytestmark = pytest.mark.real

NOW = 1_700_000_000_000
EDITS = [
    (EditKind.SET_TAG, "a/b c.d:e-f", "x \U0001f600 \\ ' \" `\nline"),
    (EditKind.SET_TAG, "kept", "other"),
    (EditKind.DELETE_TAG, "kept", ""),
    (EditKind.RENAME, "", "new / name \U0001f600 '\"`"),
    (EditKind.DELETE, "", ""),
]


def client(url: str) -> MlflowClient:
    gate = Gate(read_only=False)
    return MlflowClient(connect("mlflow", Endpoint(url=url), gate=gate, env={}), deadline=60)


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
async def run(mlflow: MlflowClient) -> str:
    experiment = (await mlflow.ensure_experiment(f"edits {secrets.token_hex(6)}")).experiment_id
    made = await mlflow.create_run(
        experiment, run_name="old", tags={"kept": "as it was"}, start_time_ms=NOW
    )
    await mlflow.update_run(made.run_id, status="FINISHED", end_time_ms=NOW + 5)
    return made.run_id


def essence(run: Run) -> Any:
    """All of a run but for what MLflow may order otherwise."""
    return run.info, sorted(run.tags.items()), run.params


@pytest.mark.parametrize(("kind", "key", "value"), EDITS)
async def test_a_change_is_done_seen_and_taken_back(
    mlflow: MlflowClient, run: str, kind: EditKind, key: str, value: str
) -> None:
    edit = RunEdit(kind=kind, run_id=run, key=key, value=value)
    before = await mlflow.get_run(run)
    assert not await mlflow.is_done(edit)
    back = edit.back(before)
    assert back is not None
    await mlflow.edit_run(edit)
    assert await mlflow.is_done(edit)
    after = await mlflow.get_run(run)
    # Nothing else is touched: a run that is renamed stays finished, and so on.
    assert (after.info.status, after.info.end_time) == ("FINISHED", NOW + 5)
    await mlflow.edit_run(edit)  # twice is the same as once
    await mlflow.edit_run(back)
    assert essence(await mlflow.get_run(run)) == essence(before)


async def test_a_name_is_the_tag_too(mlflow: MlflowClient, run: str) -> None:
    await mlflow.edit_run(RunEdit(kind=EditKind.RENAME, run_id=run, value="new"))
    seen = await mlflow.get_run(run)
    assert (seen.name, seen.tags["mlflow.runName"]) == ("new", "new")
    with pytest.raises(UsageError, match="empty name"):
        await mlflow.edit_run(RunEdit(kind=EditKind.RENAME, run_id=run, value=" "))


async def test_a_deleted_run_takes_no_changes_until_it_is_restored(
    mlflow: MlflowClient, run: str
) -> None:
    await mlflow.edit_run(RunEdit(kind=EditKind.DELETE, run_id=run))
    tag = RunEdit(kind=EditKind.SET_TAG, run_id=run, key="a", value="b")
    with pytest.raises(ApiError, match="must be in the 'active' state"):
        await mlflow.edit_run(tag)
    await mlflow.edit_run(RunEdit(kind=EditKind.RESTORE, run_id=run))
    await mlflow.edit_run(tag)
    assert await mlflow.is_done(tag)


async def test_a_run_that_is_not_there_is_said(mlflow: MlflowClient) -> None:
    for kind, key, value in EDITS:
        with pytest.raises(ApiError) as caught:
            await mlflow.edit_run(RunEdit(kind=kind, run_id="0" * 32, key=key, value=value))
        assert caught.value.status == 404


@pytest.mark.parametrize(
    ("act", "done"),
    [(Lost(), True), (Answer(504, b""), False), (Cut(), False), (Cut(after_bytes=0), True)],
)
@pytest.mark.parametrize(("kind", "key", "value"), EDITS)
async def test_a_lost_answer_is_looked_for_and_not_sent_again(
    proxy: FaultProxy, run: str, kind: EditKind, key: str, value: str, act: Any, done: bool
) -> None:
    through = client(proxy.url)
    edit = RunEdit(kind=kind, run_id=run, key=key, value=value)
    proxy.add(Fault(act=act, method="POST"))
    with pytest.raises(UnknownOutcomeError, match="look at the run: ") as caught:
        await through.edit_run(edit)
    assert "may or may not" in caught.value.line()
    assert proxy.count(method="POST") == 1
    assert await through.is_done(edit) is done
    await through.aclose()
