"""The whole client of an MLflow server."""

from __future__ import annotations

from mcp_tui.sources.mlflow.artifacts import Artifacts
from mcp_tui.sources.mlflow.experiments import Experiments
from mcp_tui.sources.mlflow.history import Histories
from mcp_tui.sources.mlflow.loggedmodels import LoggedModels
from mcp_tui.sources.mlflow.registry import Registry
from mcp_tui.sources.mlflow.runs import Runs
from mcp_tui.sources.mlflow.writes import RunWrites


class MlflowClient(Experiments, Runs, RunWrites, Histories, Artifacts, LoggedModels, Registry):
    """One MLflow server; each part is in a module of its own, over :class:`.wire.Wire`."""
