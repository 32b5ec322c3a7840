"""Runs logged to a real MLflow server by plain HTTP, with what evaluations leave."""

from __future__ import annotations

import csv
import io
import json
import random
import secrets
import time
from collections.abc import Mapping, Sequence

import httpx

from tests.cluster import Ground

Row = tuple[str, str, str]
CLASSES = ("bird", "cat", "dog")


def predicted(seed: int, n: int, right: float) -> list[Row]:
    """Id, true and predicted class by a classifier of that worth, always of the same examples."""
    world, own = random.Random(1), random.Random(seed)
    rows = []
    for number in range(n):
        label = world.choice(CLASSES)
        wrong = own.choice([each for each in CLASSES if each != label])
        rows.append((f"e{number}", label, label if own.random() < right else wrong))
    own.shuffle(rows)
    return rows


def predictions_csv(rows: Sequence[Row]) -> bytes:
    """As a program would write them."""
    out = io.StringIO()
    csv.writer(out).writerows([("example_id", "label", "prediction"), *rows])
    return out.getvalue().encode()


class Logged:
    """An experiment of its own on the ground's server."""

    def __init__(self, ground: Ground) -> None:
        self.http = httpx.Client(base_url=ground.mlflow, timeout=60, trust_env=False)
        name = f"eval-{secrets.token_hex(4)}"
        self.experiment = self.post("experiments/create", {"name": name})["experiment_id"]

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, str]:
        """One call of the API."""
        reply = self.http.post(f"/api/2.0/mlflow/{path}", json=body)
        assert reply.is_success, reply.text
        found: dict[str, str] = reply.json()
        return found

    def run(
        self,
        name: str,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        digest: str = "d1",
    ) -> str:
        """A finished run; its id."""
        now = int(time.time() * 1000)
        run_id: str = self.post(
            "runs/create",
            {"experiment_id": self.experiment, "run_name": name, "start_time": now},
        )["run"]["info"]["run_id"]  # type: ignore[index]  # of nested objects
        batch = {
            "run_id": run_id,
            "metrics": [
                {"key": k, "value": v, "timestamp": now, "step": 1}
                for k, v in (metrics or {}).items()
            ],
            "params": [{"key": k, "value": v} for k, v in (params or {}).items()],
            "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()],
        }
        self.post("runs/log-batch", batch)
        if digest:
            dataset = {
                "name": "held-out",
                "digest": digest,
                "source_type": "uri",
                "source": json.dumps({"uri": "s3://b/held-out"}),
            }
            context = [{"key": "mlflow.data.context", "value": "evaluation"}]
            self.post(
                "runs/log-inputs",
                {"run_id": run_id, "datasets": [{"dataset": dataset, "tags": context}]},
            )
        for path, data in (files or {}).items():
            where = f"{self.experiment}/{run_id}/artifacts/{path}"
            reply = self.http.put(f"/api/2.0/mlflow-artifacts/artifacts/{where}", content=data)
            assert reply.is_success, reply.text
        self.post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": now + 1})
        return run_id

    def version(self, model: str, run_id: str, alias: str = "") -> str:
        """A version of a registered model; its number."""
        self.http.post("/api/2.0/mlflow/registered-models/create", json={"name": model})
        version: str = self.post(
            "model-versions/create",
            {"name": model, "source": f"runs:/{run_id}/model", "run_id": run_id},
        )["model_version"]["version"]  # type: ignore[index]  # of nested objects
        if alias:
            body = {"name": model, "alias": alias, "version": version}
            self.post("registered-models/alias", body)
        return version
