"""Contexts whose names begin alike: a row's key says exactly one of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcp_tui.config import Config
from mcp_tui.errors import UsageError
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig
from mcp_tui.store.experimentwatch import ExperimentRow
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.live.experiment_rows import ExperimentRows
from mcp_tui.tui.live.runs_acts import LiveRunActions

NAMES = ("x", "x/y", "x/y/z")


def nothing() -> Kubeconfig:
    raise AssertionError("no kubeconfig is read")


class Feed:
    """What a context's feed was told to attend to."""

    def __init__(self) -> None:
        self.focused: str | None = None
        self.shown: list[str] = []

    def focus(self, uid: str | None) -> None:
        self.focused = uid

    def visible(self, uids: list[str]) -> None:
        self.shown = uids


@pytest.fixture(params=[NAMES, NAMES[::-1]], ids=["short first", "long first"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> LiveBackend:
    it = LiveBackend(Config(state_dir=tmp_path), nothing, (), None, {})
    it.lives = {
        name: cast(
            Any,
            SimpleNamespace(
                name=name,
                feed=Feed(),
                engine=SimpleNamespace(mlflow_client=None),
                connection=SimpleNamespace(mlflow=f"MLflow of {name}"),
            ),
        )
        for name in request.param
    }
    return it


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_of_one_context(backend: LiveBackend, name: str) -> None:
    live, uid = backend.live_of(f"{name}/u-1")
    assert (live.name, uid) == (name, "u-1")
    acting = LiveRunActions(backend)._live([f"{name}/r-1", f"{name}/r-2"])
    assert acting.name == name
    assert cast(Any, acting.engine.mlflow_client) == f"MLflow of {name}"


@pytest.mark.parametrize("key", ["x/z/u-1", "y/u-1", "u-1", ""])
def test_a_key_of_no_open_context_is_refused(backend: LiveBackend, key: str) -> None:
    with pytest.raises(UsageError, match="not open any more"):
        backend.live_of(key)


def test_only_the_context_of_a_row_attends_to_it(backend: LiveBackend) -> None:
    def feed(name: str) -> Feed:
        return cast(Feed, backend.lives[name].feed)

    backend.focus("x/y/u-1")
    assert [feed(name).focused for name in NAMES] == [None, "u-1", None]
    backend.visible(["x/u-0", "x/y/u-1", "x/y/z/u-2", "x/y/u-3"])
    assert [feed(name).shown for name in NAMES] == [["u-0"], ["u-1", "u-3"], ["u-2"]]
    backend.focus(None)
    assert [feed(name).focused for name in NAMES] == [None] * 3


def test_experiments_of_one_context_do_not_go_with_anothers() -> None:
    rows = ExperimentRows(lambda _: False)
    row = ExperimentRow(experiment_id="1", name="e")
    rows.take("x/y", {"1": row})
    rows.take("x", {"2": row})
    assert rows.exists("x/y/1") and rows.exists("x/2")
    rows.take("x", {})
    assert rows.exists("x/y/1") and not rows.exists("x/2")
