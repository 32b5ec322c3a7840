"""A server that hangs is told: its age is seen to grow, and its rows are stale before long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from mcp_tui.sources.base import HealthState, SourceHealth
from mcp_tui.tui.bar import bar_cells, crumbs_cells, reason, trouble
from mcp_tui.tui.live.context import source_state
from mcp_tui.tui.model import Cell
from tests.tui.fake import FakeBackend

SPOKE = 1_000.0


def health(state: HealthState, message: str = "", retry_at: float | None = None) -> SourceHealth:
    return SourceHealth(
        name="jobs", state=state, spoke_at=SPOKE, message=message, retry_at=retry_at
    )


def words(source: SourceHealth, now: float) -> str:
    state = replace(FakeBackend().state(), sources=(source_state("k8s", source, now),))
    return "".join(cell.text for cell in bar_cells(state, 80))


def test_the_age_of_a_silent_server_is_seen_to_grow() -> None:
    live = health(HealthState.LIVE)
    told = [words(live, SPOKE + age).split("k8s ")[1] for age in (3, 14, 27, 31, 66)]
    assert told == ["3s", "10s", "20s", "30s", "1m"]


@pytest.mark.parametrize(("age", "stale"), [(61.0, False), (75.0, False), (91.0, True)])
def test_a_bookmark_that_did_not_come_is_told(age: float, stale: bool) -> None:
    assert ("! k8s STALE" in words(health(HealthState.LIVE), SPOKE + age)) is stale


def test_a_server_that_was_asked_and_did_not_answer_is_stale_to_the_second() -> None:
    hangs = health(HealthState.RETRYING, "no answer in 6 s", SPOKE + 25)
    assert "! k8s STALE 21s" in words(hangs, SPOKE + 21)
    assert "! k8s STALE 22s" in words(hangs, SPOKE + 22)
    state = replace(FakeBackend().state(), sources=(source_state("k8s", hangs, SPOKE + 21),))
    assert trouble(state) == "k8s: no answer in 6 s; again in 4 s"


def test_a_server_that_still_sends_its_list_is_not_stale() -> None:
    assert words(health(HealthState.CONNECTING), SPOKE + 3).rstrip().endswith("k8s ..")


@pytest.mark.parametrize(
    "text",
    [
        "GET /apis/batch/v1/jobs at dev: nothing listens",
        "MLflow at http://127.0.0.1:5000 POST /api/2.0/mlflow/runs/search: nothing listens",
        "nothing listens",
    ],
)
def test_on_one_line_the_reason_matters_more_than_the_call(text: str) -> None:
    assert reason(text) == "nothing listens"


@pytest.mark.parametrize(
    ("crumbs", "width", "all_", "cut"),
    [
        (("Runs", "ctr"), 40, True, False),
        (("Runs", "teams/ranking/experiments/ctr"), 40, False, True),
        (("Runs", "teams/ranking/experiments/ctr"), 56, True, True),
        (("Runs", "漢字" * 20, "run"), 60, True, True),
        (("Runs", "ctr"), 20, False, False),
    ],
)
def test_a_long_name_leaves_room_for_the_counts(
    crumbs: tuple[str, ...], width: int, all_: bool, cut: bool
) -> None:
    right = (Cell("12 runs"), Cell("  newest first"))
    line = "".join(cell.text for cell in crumbs_cells(crumbs, right, width))
    assert cell_len(line) <= width
    assert "12 runs" in line and ("newest first" in line) == all_
    assert crumbs[0] in line and crumbs[-1][-3:] in line
    assert (".." in line) == cut


LONG = "arn:aws:eks:eu-west-1:123456789012:cluster/prod-ml"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_is_wrong_is_said_before_long_names(width: int, count: int) -> None:
    hangs = health(HealthState.RETRYING, "no answer in 6 s", SPOKE + 25)
    names = ["k8s", "mlflow", "prometheus", "models", "runs"][:count]
    state = replace(
        FakeBackend().state(),
        contexts=(LONG,),
        user="alice.smith@example.com",
        sources=tuple(source_state(name, hangs, SPOKE + 41) for name in names),
    )
    text = "".join(cell.text for cell in bar_cells(state, width))
    assert cell_len(text) <= width
    assert "! k8s STALE 41s" in text
    shown = sum(f"! {name} STALE" in text for name in names)
    assert shown == count or text.endswith(f"+{count - shown}"), text
    assert "prod-ml"[-4:] in text, "what tells it from others"
    if width == 200 and count == 1:
        assert "alice.smith@" in text


def test_of_a_plugin_it_is_said_what_it_wants_before_how_it_is_called() -> None:
    said = 'aws eks get-token --cluster: x: the credential plugin wants input: "Code:"'
    assert reason(said) == 'the credential plugin wants input: "Code:"'
