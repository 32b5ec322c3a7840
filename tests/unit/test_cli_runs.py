"""What the commands about runs ask for, and what they say of a run."""

from __future__ import annotations

import csv
import io
import math

import pytest

from mcp_tui.cli.curves import _rows, _size
from mcp_tui.cli.runs import _order
from mcp_tui.cli.runviews import as_csv, document, shown
from mcp_tui.domain.direction import Directions
from mcp_tui.domain.history import history_of
from mcp_tui.domain.run import Metric, Pair, Run, RunData, RunInfo
from mcp_tui.errors import UsageError
from mcp_tui.store.runs import RunTracker


@pytest.mark.parametrize(
    ("sort", "clause"),
    [
        ("", "attributes.start_time DESC"),
        ("metrics.f1", "metrics.f1 DESC"),
        ("metrics.loss", "metrics.loss ASC"),
        ("metrics.odd", "metrics.odd ASC"),
        ("-metrics.loss", "metrics.loss DESC"),
        ("metrics.val loss asc", "metrics.`val loss` ASC"),
        ("metrics.`a/b` desc", "metrics.`a/b` DESC"),
        ("params.lr", "params.lr ASC"),
        ("end_time", "attributes.end_time DESC"),
        ("run_name", "attributes.run_name ASC"),
    ],
)
def test_what_is_sorted_by_has_its_best_first(sort: str, clause: str) -> None:
    assert _order(sort, Directions(lower=("odd",))) == (clause,)


@pytest.mark.parametrize("sort", ["weather.today", "metrics.", ".", "dataset.name", "-"])
def test_what_cannot_be_sorted_by_is_refused(sort: str) -> None:
    with pytest.raises(UsageError):
        _order(sort, Directions())


@pytest.mark.parametrize("text", ["80", "80x", "x24", "19x24", "80x4", "1001x24", "-80x24"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        _size(text)
    assert _size("80x24") == (80, 24)


def test_a_spreadsheet_runs_nothing_and_json_has_no_nan() -> None:
    run = Run(
        info=RunInfo(run_id="a" * 32, run_name="=cmd()", status="FINISHED", start_time=1_500),
        data=RunData(
            metrics=(Metric(key="f1", value="NaN", step=3),
                     Metric(key="loss", value=1.797e308)),
            params=(Pair(key="lr", value="-0.1"),),
        ),
    )  # fmt: skip
    view = shown(run, RunTracker(), {})
    [row] = list(csv.DictReader(io.StringIO(as_csv([view]))))
    assert row["name"] == "'=cmd()" and row["params.lr"] == "'-0.1"
    assert (row["metrics.f1"], row["started"]) == ("NaN", "1.5")
    found = document(view)
    assert found["metrics"] == {"f1": "NaN", "loss": "Infinity"} and found["ended"] is None


def test_points_are_in_the_order_of_their_axis_and_smoothed_in_it() -> None:
    points = [
        Metric(key="m", value=value, step=step, timestamp=at)
        for value, step, at in ((1.0, 1, 3_000), (2.0, 2, 1_000), (math.inf, 3, 2_000))
    ]
    history = history_of("r", "m", points)
    run = Run(info=RunInfo(run_id="r", start_time=1_000))
    by_step = list(_rows(run, "m", history, 0.0, "step"))
    assert [row[3] for row in by_step] == [1, 2, 3] and by_step[0][7] is None
    by_time = list(_rows(run, "m", history, 0.5, "time"))
    assert [row[3] for row in by_time] == [2, 3, 1]
    assert [row[5] for row in by_time] == [0.0, 1.0, 2.0]
    assert by_time[1][6] == "Infinity"
    assert by_time[0][7] == 2.0 and by_time[2][7] == pytest.approx(4 / 3)
