"""What serves the demo's model versions: objects that name one, in the ways that people do.

The embedded plane stores them and runs nothing for them: there is no controller of theirs, and
their status is what one would have written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mcp_tui.config import ContextConfig
from mcp_tui.demo.experiments.record import Made
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import ApiError
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig

_IMAGE: Final = "ghcr.io/acme/mlserver:1.7"
_MERGE: Final = "application/merge-patch+json"
_NAMESPACE: Final = "ml"


def objects(cancer: Mapping[str, Made]) -> list[tuple[str, dict[str, Any]]]:
    """Path of the collection and body, with its status."""
    apps, kserve, argo = "apps/v1", "serving.kserve.io/v1beta1", "argoproj.io/v1alpha1"
    digits = _workload(
        apps, "Deployment", "digits-api", 3, "models:/digits-classifier/3",
        {"mcp-tui.io/model": "digits-classifier", "mcp-tui.io/model-version": "3"},
    )  # fmt: skip
    old = _workload(
        apps, "Deployment", "digits-kiosk", 1, "models:/digits-classifier/1",
        {"mlflow.org/model-uri": "models:/digits-classifier/1"},
    )  # fmt: skip
    # It follows the alias, and serves another version after a promotion.
    batch = _workload(
        apps, "Deployment", "digits-batch", 1, "models:/digits-classifier@champion", {}
    )
    batch["metadata"]["namespace"] = "research"
    shadow = {
        "apiVersion": kserve,
        "kind": "InferenceService",
        "metadata": {"name": "digits-shadow", "labels": {"team": "digits"}},
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "model": {
                    "modelFormat": {"name": "mlflow"},
                    "storageUri": "models:/digits-classifier/4",
                },
            }
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "url": "http://digits-shadow.ml.svc",
        },
    }
    uri = f"runs:/{cancer['logistic'].run_id}/model"
    rollout = _workload(argo, "Rollout", "cancer-screen", 2, uri, {"mlflow.org/model-uri": uri})
    rollout["spec"]["strategy"] = {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}
    rollout["status"] |= {"phase": "Healthy", "HPAReplicas": 2}
    return [
        (f"/apis/{apps}/namespaces/{_NAMESPACE}/deployments", digits),
        (f"/apis/{apps}/namespaces/{_NAMESPACE}/deployments", old),
        (f"/apis/{apps}/namespaces/research/deployments", batch),
        (f"/apis/{kserve}/namespaces/{_NAMESPACE}/inferenceservices", shadow),
        (f"/apis/{argo}/namespaces/{_NAMESPACE}/rollouts", rollout),
    ]


def _workload(
    api: str, kind: str, name: str, replicas: int, uri: str, annotations: Mapping[str, str]
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    container = {
        "name": "server",
        "image": _IMAGE,
        "env": [{"name": "MLSERVER_MODEL_URI", "value": uri}],
        "ports": [{"containerPort": 8080}],
    }
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "labels": labels, "annotations": dict(annotations)},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": dict(annotations)},
                "spec": {"containers": [container]},
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    }


async def serve(directory: Path, cancer: Mapping[str, Made]) -> None:
    """Make the objects in the embedded plane; one that is there is left as it is."""
    kube = load_kubeconfig({}, directory / "kubeconfig")
    settings = ContextConfig(name="demo", tier=Tier.DEV)
    connection = Connection(kube.context("demo"), settings, env={})
    try:
        for path, body in objects(cancer):
            try:
                await connection.kube.send("POST", path, body, dict[str, Any])
            except ApiError as error:
                if error.status != 409:
                    raise
                continue
            status = f"{path}/{body['metadata']['name']}/status"
            await connection.kube.send(
                "PATCH", status, {"status": body["status"]}, dict[str, Any], content_type=_MERGE
            )
    finally:
        await connection.aclose()
