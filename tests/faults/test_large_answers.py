"""A write that was done, and whose answer is too large to be read: nobody calls that not done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_tui.errors import UnknownOutcomeError, UnreachableError
from mcp_tui.sources import endpoint
from tests.cluster import Ground
from tests.faults.acting import BATCH, MLFLOW, acting, job
from tests.faults.proxy import Fault, Lie

LARGE = Lie(whole=lambda body: body[:-1] + b" " * 5_000 + b"}")


async def test_a_write_whose_answer_is_too_large_is_of_unknown_outcome(
    ground: Ground, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MAX_BYTES", 5_000)
    async with acting(ground, namespace, tmp_path) as actor:
        kube, mlflow = actor.engine.kube, actor.engine.mlflow_client
        assert mlflow is not None
        path = BATCH.format(namespace)
        actor.kube.add(Fault(LARGE, path="/jobs"))
        body = json.dumps(job("a")).encode()
        with pytest.raises(UnknownOutcomeError, match=r"larger than .* may or may not have been"):
            await kube.request("POST", path, body=body, max_bytes=5_000)
        made = await actor.api("GET", path)
        assert [each["metadata"]["name"] for each in made["items"]] == ["a"]
        # A dry run and a read did nothing that would have to be looked for.
        for method, params in (("POST", {"dryRun": "All"}), ("GET", {})):
            sent = body.replace(b'"a"', b'"b"') if method == "POST" else None
            with pytest.raises(UnreachableError, match="larger than") as caught:
                await kube.request(method, path, params=params, body=sent, max_bytes=5_000)
            assert not isinstance(caught.value, UnknownOutcomeError)
        run_id = await actor.run()
        actor.mlflow.add(Fault(LARGE, path="/mlflow/"))
        with pytest.raises(UnknownOutcomeError, match=r"larger than .* may or may not have been"):
            await mlflow.update_run(run_id, status="KILLED", end_time_ms=1)
        assert await actor.status_of(run_id) == "KILLED"
        with pytest.raises(UnreachableError, match="larger than") as caught:
            await mlflow.call("GET", f"{MLFLOW}/runs/get", params=[("run_id", run_id)])
        assert not isinstance(caught.value, UnknownOutcomeError)
