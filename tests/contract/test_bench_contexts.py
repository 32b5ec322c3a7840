"""The bench's several contexts, at the size of a few jobs: each way of hanging lets others live."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.bench import contexts
from tests.conftest import Plane

JOBS = 3


@pytest.fixture
def at(embedded: Plane, tmp_path: Path) -> Any:
    """The embedded plane with some jobs, as the bench knows a ground."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    with embedded.client() as client:
        client.post("/api/v1/namespaces", json={"metadata": {"name": "several"}})
        for number in range(JOBS):
            body = {
                "metadata": {"name": f"still-{number}"},
                "spec": {"suspend": True, "template": template},
            }
            client.post("/apis/batch/v1/namespaces/several/jobs", json=body)
        jobs = client.get("/apis/batch/v1/jobs").raise_for_status().json()["items"]
    dev = SimpleNamespace(server=embedded.server, ca=embedded.ca, tokens={"admin": embedded.token})
    return SimpleNamespace(dev=dev, directory=tmp_path, jobs=len(jobs))


@pytest.mark.parametrize("words", contexts.HUNG)
def test_the_living_one_is_there_beside_each(
    at: Any, tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "SETTLE", 0.1)
    names = contexts.HUNG[words]
    env: Mapping[str, str] = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with contexts.kubeconfig(cast(Any, at)) as path:
        cost = contexts.open_on(names, path, env=env, rows=at.jobs, rounds=1)
    assert cost.first > 0 and cost.resident > 0


def test_those_that_hang_are_named_first_and_last() -> None:
    """Who opened contexts one after the other would be found out by one that comes first."""
    first = {names[0] for names in contexts.HUNG.values()}
    assert {contexts.HANGS, contexts.WAITS, contexts.NAMES[0]} == first
    assert all(contexts.NAMES[0] in names for names in contexts.HUNG.values())
