"""Whose logs: chosen from the list and from the detail, before a pod was ever opened."""

from __future__ import annotations

from mcp_tui.errors import UnreachableError
from mcp_tui.tui.model import LogOptions, PodLine
from mcp_tui.tui.screens.chooselogs import ChooseLogs, choices
from mcp_tui.tui.screens.detail import DetailScreen
from tests.tui.fake import FakeBackend
from tests.tui.harness import console, screen_lines, screen_text, until

POD = "ranker-train-0412-1"


def test_all_merged_comes_first_then_ranks_pods_and_attempts_before() -> None:
    lines = [
        PodLine(0, "job a"),
        PodLine(1, "pod a-1-old", "Failed", pod="a-1-old", rank=1),
        PodLine(1, "pod a-10", "Running", pod="a-10", rank=10),
        PodLine(1, "pod a-1-new", "Running", pod="a-1-new", rank=1),
        PodLine(2, "train", "Running", pod="a-1-new", container="train", restarts=2),
        PodLine(2, "proxy", "Running", pod="a-1-new", container="proxy"),
    ]
    found = {choice.text: choice.answer for choice in choices(lines)}
    assert list(found)[:4] == [
        "all pods, merged",
        "all pods, the attempt before",
        "rank 1",
        "rank 10",
    ]
    assert found["all pods, merged"] == LogOptions()
    assert found["rank 10"] == LogOptions(rank=10)
    assert found["pod a-1-old"] == LogOptions("a-1-old")
    assert found["  container proxy"] == LogOptions("a-1-new", "proxy")
    assert found["  container train, the attempt before"] == LogOptions(
        "a-1-new", "train", previous=1
    )
    rank = next(choice for choice in choices(lines) if choice.text == "rank 1")
    assert (rank.state, rank.why) == ("Running", "a-1-new"), "its newest pod"


def test_a_job_without_pods_still_has_its_merged_log() -> None:
    assert [choice.answer for choice in choices([PodLine(0, "job a")])] == [LogOptions()]


async def test_a_rank_is_chosen_from_the_list() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("L")
        await until(pilot, lambda: "rank 1" in screen_text(app))
        assert "whose logs of ml/ranker-train-0412?" in screen_text(app)
        await pilot.press("1", "enter")
        await until(pilot, lambda: "CUDA out of memory" in screen_text(app))
        assert isinstance(app.screen, DetailScreen)
        assert backend.details.log_options == [LogOptions(rank=1)]
        assert "rank 1" in screen_lines(app)[2]
        await pilot.press("escape")
        assert app.pane is not None and app.screen is app.pane


async def test_the_attempt_before_is_chosen_in_the_detail_and_in_its_logs() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("enter", "L")
        await until(pilot, lambda: "container train, the attempt before" in screen_text(app))
        await pilot.press("G", "enter")
        await until(pilot, lambda: backend.details.log_options)
        assert backend.details.log_options[-1] == LogOptions(POD, "train", previous=1)
        await until(pilot, lambda: "attempt -1" in screen_lines(app)[2])
        await pilot.press("L")
        await until(pilot, lambda: "all pods, merged" in screen_text(app))
        await pilot.press("g", "enter")
        await until(pilot, lambda: backend.details.log_options[-1] == LogOptions())
        assert "attempt" not in screen_lines(app)[2]


async def test_leaving_asks_for_nothing_and_a_number_that_is_no_rank_is_said() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 24)) as (app, pilot):
        await pilot.press("L")
        await until(pilot, lambda: "rank 1" in screen_text(app))
        await pilot.press("7", "7")
        assert "no rank 77" in screen_text(app)
        await pilot.press("q")
        assert app.screen is app.pane
        assert backend.details.log_options == []


async def test_the_merged_logs_are_there_though_the_pods_cannot_be_asked_for() -> None:
    backend = FakeBackend()

    async def away(key: str) -> object:
        raise UnreachableError("no answer", where="dev")

    backend.details.pods = away  # type: ignore[method-assign,assignment]  # a fault
    async with console(backend) as (app, pilot):
        await pilot.press("L")
        await until(pilot, lambda: "dev: no answer" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: backend.details.log_options == [LogOptions()])


async def test_it_fits_a_small_screen() -> None:
    async with console(FakeBackend(), (40, 8)) as (app, pilot):
        await pilot.press("L")
        await until(pilot, lambda: "all pods, merged" in screen_text(app))
        await pilot.resize_terminal(20, 5)
        await pilot.press("G")
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: "the attempt before" in screen_text(app))
        assert isinstance(app.screen, ChooseLogs)
