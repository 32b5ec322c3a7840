"""Every call that the MLflow client offers stands in ``tests/joined/mlflow.py``."""

from __future__ import annotations

import inspect

import pytest

from mcp_tui.sources.mlflow import MlflowClient, Wire
from tests.joined.mlflow import MLFLOW_CALLS, MlflowCall


def missing(calls: tuple[MlflowCall, ...]) -> set[str]:
    """Public methods of the client that are not called, but for the wire's own."""
    known = {call.method for call in calls} | (set(vars(Wire)) - {"version", "current_user"})
    return {
        name
        for name, found in inspect.getmembers(MlflowClient, inspect.isfunction)
        if not name.startswith("_") and name not in known
    }


def test_no_call_is_forgotten() -> None:
    assert missing(MLFLOW_CALLS) == set()
    names = [call.name for call in MLFLOW_CALLS]
    assert len(set(names)) == len(names)
    for call in MLFLOW_CALLS:
        assert hasattr(MlflowClient, call.method), call.name


@pytest.mark.parametrize("call", MLFLOW_CALLS, ids=lambda call: call.name)
def test_one_that_forgets_to_join_is_found(call: MlflowCall) -> None:
    rest = tuple(each for each in MLFLOW_CALLS if each.method != call.method)
    assert call.method in missing(rest)
