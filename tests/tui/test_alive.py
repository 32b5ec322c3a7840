"""What is on screen stays true: behind a dialog, in the preview, in an open detail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.segment import Segments

from mcp_tui.errors import UnreachableError
from mcp_tui.tui.bar import bar_cells
from mcp_tui.tui.live.jobs_model import JobsModel
from mcp_tui.tui.model import Cell, Line, LogLine, Phase, SourceState
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.detail import DetailScreen
from mcp_tui.tui.screens.submit import SubmitScreen
from tests.tui.fake import NOW, FakeBackend, FakeDetails, FakeJob
from tests.tui.harness import changed, console, screen_text, until


async def test_clock_and_health_go_on_behind_a_dialog() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        backend.current = replace(
            backend.current, now=NOW + 120, sources=(SourceState("k8s", "down", 90.0, "refused"),)
        )
        await changed(app, backend, pilot)
        assert app.pane is not None
        assert "03:04Z  ! k8s DOWN 90s" in app.pane.line_bar.text
        await until(pilot, lambda: "03:04Z" in screen_text(app))


async def test_a_submission_can_go_on_without_a_run() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        screen = app.screen
        assert isinstance(screen, SubmitScreen)
        screen.editor.text = "no mlflow"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "ctrl-r goes on without a run" in screen_text(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "without an MLflow run" in screen_text(app))
        assert screen.editor.text == "no mlflow"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.with_run is False


async def test_a_long_message_is_read_whole() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        app.say(f"refused: {'because ' * 20}; mcp-tui doctor says more", "error")
        await until(pilot, lambda: "doctor says more" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "? all keys" in screen_text(app))
        assert "because" not in screen_text(app)


class Moving(FakeDetails):
    """Details whose words change, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.word = "first"
        self.fault = ""

    async def overview(self, key: str) -> Sequence[Line]:
        if self.fault:
            raise UnreachableError(self.fault)
        return (*((Cell(f"line {n}"),) for n in range(60)), (Cell(f"at the end {self.word}"),))

    async def preview(self, key: str) -> Sequence[Line]:
        return ((Cell(f"preview {self.word}"),),)


async def test_an_open_detail_follows_its_object_and_keeps_its_place() -> None:
    backend = FakeBackend()
    backend.details = details = Moving()
    async with console(backend) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DetailScreen))
        await until(pilot, lambda: "line 0" in screen_text(app))
        await pilot.press("G")
        await until(pilot, lambda: "at the end first" in screen_text(app))
        details.word = "second"
        backend.current = replace(backend.current, now=NOW + 6)
        await changed(app, backend, pilot)
        await until(pilot, lambda: "at the end second" in screen_text(app))
        details.fault = "the server is away"
        backend.current = replace(backend.current, now=NOW + 12)
        await changed(app, backend, pilot)
        await until(pilot, lambda: "not refreshed: the server is away" in screen_text(app))
        assert "at the end second" in screen_text(app)


async def test_the_preview_follows_its_object() -> None:
    backend = FakeBackend()
    backend.details = details = Moving()
    async with console(backend, size=(160, 40)) as (app, pilot):
        await until(pilot, lambda: "preview first" in screen_text(app))
        details.word = "second"
        backend.current = replace(backend.current, now=NOW + 11)
        await changed(app, backend, pilot)
        await until(pilot, lambda: "preview second" in screen_text(app))


async def test_a_defect_in_the_console_ends_it_with_one_line(tmp_path: object) -> None:
    said = ""
    with pytest.raises(LookupError):
        async with console(FakeBackend(), state_dir=str(tmp_path)) as (app, _):
            try:
                raise LookupError("no such [thing]")
            except LookupError as error:
                app._handle_exception(error)
            for segments in app._exit_renderables:
                assert isinstance(segments, Segments)
                said += "".join(segment.text for segment in segments.segments)
    assert "no such [thing]" in said and "Traceback" not in said and "locals" not in said
    assert "details in" in said


async def test_an_error_that_nobody_waits_for_is_said_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a timer, or of a task that nobody looks at: asyncio would print its traceback."""

    def fails(error: Exception) -> None:
        raise error

    async with console(FakeBackend(), state_dir=str(tmp_path)) as (app, pilot):
        loop = asyncio.get_running_loop()
        loop.call_soon(fails, UnreachableError("told elsewhere"))
        loop.call_exception_handler({"message": "somebody did not close it"})
        loop.call_soon(fails, LookupError("no such [thing]"))
        await until(pilot, lambda: "defect beside the screen: LookupError" in screen_text(app))
        assert "no such [thing]" in screen_text(app)
        assert "told elsewhere" not in screen_text(app)
        assert "Traceback" in (tmp_path / "defect.txt").read_text()
        assert not caplog.records
        await pilot.press("j")
        assert app.is_running


def test_healthy_sources_of_several_contexts_stand_together_where_room_is_short() -> None:
    state = replace(
        FakeBackend().state(),
        contexts=("dev", "prod"),
        sources=(
            SourceState("dev:k8s", "live", 3.0),
            SourceState("dev:mlflow", "live", 1.0),
            SourceState("prod:k8s", "live", 7.0),
            SourceState("prod:mlflow", "retrying", 50.0, "refused"),
        ),
    )
    text = "".join(cell.text for cell in bar_cells(state, 80))
    assert "k8s 7s" in text and "! prod:mlflow STALE 50s" in text and len(text) <= 80


def test_a_context_that_never_spoke_does_not_hide_behind_those_that_do() -> None:
    state = replace(
        FakeBackend().state(),
        contexts=("dev", "prod"),
        sources=(
            SourceState("dev:k8s", "live", 3.0),
            SourceState("dev:prometheus", "live", 1.0),
            SourceState("prod:k8s", "connecting"),
            SourceState("prod:prometheus", "live", 1.0),
        ),
    )
    assert "prod:k8s .." in "".join(cell.text for cell in bar_cells(state, 80))


async def test_the_cursor_waits_at_the_top_until_the_whole_list_is_there() -> None:
    backend = FakeBackend()
    backend.model.phase = "loading"
    async with console(backend) as (app, pilot):
        assert app.pane is not None
        table = app.pane.table
        more = [FakeJob(f"a-{n}", "failed") for n in range(40)]
        backend.model.put([*more, *backend.model.jobs.values()])
        await changed(app, backend, pilot)
        assert (table.cursor, table.top) == (0, 0)
        backend.model.phase = "ready"
        await changed(app, backend, pilot)
        backend.model.put([FakeJob("aa", "failed"), *backend.model.jobs.values()])
        await changed(app, backend, pilot)
        assert table.cursor_key == "uid-ml-a-0" and table.cursor == 1, "now it follows its object"


def test_the_list_is_loading_until_all_of_it_came() -> None:
    said: list[Phase] = ["loading"]
    model = JobsModel(lambda: (said[-1], ()), lambda _: False)
    model._ranking.rows["dev/1"] = None  # type: ignore[assignment]  # a row
    assert model.phase == "loading"
    said.append("ready")
    assert model.phase == "ready"
    said.append("broken")
    assert model.phase == "ready", "its rows are still there"


async def test_a_key_anywhere_tells_that_somebody_is_there() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DetailScreen))
        app._attended_at = 0.0
        before = backend.attended
        await pilot.press("j", "j", "j")
        assert backend.attended - before in {1, 2}, "and not with every one"


async def test_a_log_that_says_nothing_is_told_to_say_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcp_tui.tui.screens.detail.NOTHING_YET", 0.05)
    backend = FakeBackend()

    async def silent(key: str, options: object) -> AsyncIterator[Sequence[LogLine]]:
        yield await backend.details.feed.get()

    backend.details.logs = silent  # type: ignore[method-assign,assignment]  # a job that waits
    async with console(backend) as (app, pilot):
        await pilot.press("l")
        await until(pilot, lambda: "no log lines yet" in screen_text(app))
        backend.details.feed.put_nowait([LogLine("the first")])
        await until(pilot, lambda: "the first" in screen_text(app))
        assert "no log lines yet" not in screen_text(app)
