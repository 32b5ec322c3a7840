"""MLflow's REST API over httpx: 4 ms of CPU for a page of runs where its client takes 30.

Reads may be repeated by the caller; a write is sent once. When its answer never came,
:class:`UnknownOutcomeError` says so, and :meth:`MlflowClient.find_run_by_plan` looks for what it
made by the client-made tag. MLflow has no compare-and-set and no count.
"""

from __future__ import annotations

from mcp_tui.sources.mlflow.client import MlflowClient
from mcp_tui.sources.mlflow.experiments import ExperimentPage
from mcp_tui.sources.mlflow.loggedmodels import LoggedModelPage
from mcp_tui.sources.mlflow.runs import IDS_PER_SEARCH, RunPage, RunSearch, View
from mcp_tui.sources.mlflow.wire import AJAX, API, PAGE, Wire, given, pairs

__all__ = [
    "AJAX",
    "API",
    "IDS_PER_SEARCH",
    "PAGE",
    "ExperimentPage",
    "LoggedModelPage",
    "MlflowClient",
    "RunPage",
    "RunSearch",
    "View",
    "Wire",
    "given",
    "pairs",
]
