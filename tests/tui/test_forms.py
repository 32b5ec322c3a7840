"""The forms: a retry with changes, and the common fields of a submission. Nothing typed is lost."""

from __future__ import annotations

import asyncio

import pytest
from textual import events

from mcp_tui.domain.plan import Confirmation, OutcomeStatus
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.tui.model import FormField
from mcp_tui.tui.screens import formplanning
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.retry import RetryScreen
from mcp_tui.tui.screens.submit import SubmitScreen
from mcp_tui.tui.widgets.form import Form
from tests.tui.fake import FakeBackend
from tests.tui.harness import console, screen_lines, screen_text, until

TEXT = """\
name: ranker   # of the team
image: registry/train
code:
  url: https://git.example.com/a.git
command: python train.py
"""


# -- a retry --------------------------------------------------------------------------------


async def test_a_retry_is_filled_in_with_what_the_job_has_and_advises_only() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        text = screen_text(app)
        assert "nothing changes" in text
        assert "it ran out of memory with 64Gi: 128Gi is twice" in text
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.changes == {}, "advice is not filled in"


async def test_what_changes_is_told_and_planned() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        await pilot.press("ctrl+u", *"128Gi", "tab", "tab", *"4h", "down", "backspace", "3")
        text = screen_text(app)
        assert "2 changes" in text
        assert "was 64Gi" in text
        assert "takes none of its own" not in text
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.changes == {"memory": "128Gi", "retries": "3"}
        assert backend.actions.planned[0][0] == "retry"


@pytest.mark.parametrize("closes", ["enter", "escape"])
async def test_once_it_is_sent_the_list_is_back_and_the_next_retry_begins_anew(
    closes: str,
) -> None:
    backend = FakeBackend()
    backend.actions.confirmation = Confirmation.YES
    backend.actions.release.set()
    async with console(backend) as (app, pilot):
        for status in (OutcomeStatus.FAILED, OutcomeStatus.PROVEN):
            backend.actions.outcome = status
            if app.screen is app.pane:
                await pilot.press("t")
                await until(pilot, lambda: "64Gi" in screen_text(app))
                await pilot.press("backspace")
            await pilot.press("ctrl+o")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            screen = app.screen
            assert isinstance(screen, ConfirmScreen)
            screen._opened = screen.clock() - 5
            await pilot.press("tab")
            await pilot.press("enter")
            await until(pilot, lambda s=screen: s.state == "done")
            await pilot.press(closes)
            refused = status is OutcomeStatus.FAILED
            assert isinstance(app.screen, RetryScreen) is refused
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        assert "nothing changes" in screen_text(app)


async def test_a_fault_that_does_not_fit_beside_its_field_is_read_below() -> None:
    async with console(FakeBackend(), (34, 24)) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        await pilot.press("ctrl+u", *"lots", "tab", "enter")
        await until(pilot, lambda: "! 'lots' is" in screen_text(app))
        lines = screen_lines(app)
        at = next(n for n, line in enumerate(lines) if "! 'lots'" in line)
        assert lines[at].endswith("..")
        below = " ".join(line.strip() for line in lines[at + 1 :])
        assert "'lots' is no quantity; such as 128Gi" in below


async def test_a_wrong_value_is_shown_at_its_field_and_stays() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        await pilot.press("ctrl+u", *"lots", "tab", "enter")
        await until(pilot, lambda: "is no quantity" in screen_text(app))
        form = app.screen.query_one(Form)
        assert form.fields[form.at].id == "memory", "the fault is in front"
        lines = screen_lines(app)
        at = next(n for n, line in enumerate(lines) if "lots" in line)
        assert "'lots' is no quantity; such as 128Gi" in lines[at + 1]
        await pilot.press("escape", "t")
        await until(pilot, lambda: "lots" in screen_text(app))
        await pilot.press("backspace")
        assert "is no quantity" not in screen_text(app)


async def test_a_retry_goes_on_without_a_run() -> None:
    backend = FakeBackend()
    backend.actions.mlflow_down = True
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "go on without a run" in screen_text(app))
        assert isinstance(app.screen, RetryScreen)
        await pilot.press("ctrl+r", "ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.with_run is False


async def test_a_job_that_cannot_be_asked_says_so_in_place_of_its_fields() -> None:
    backend = FakeBackend()

    async def away(key: str) -> object:
        raise UnreachableError("no answer", where="dev")

    backend.actions.retry_fields = away  # type: ignore[method-assign,assignment]  # a fault
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "dev: no answer" in screen_text(app))
        await pilot.press("x", "enter", "ctrl+o", "escape")
        assert app.screen is app.pane
        assert not backend.actions.planned


async def test_fields_that_never_come_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formplanning, "ASKING", 0.01)
    backend = FakeBackend()

    async def hangs(key: str) -> list[FormField]:
        await asyncio.Event().wait()
        raise AssertionError(key)

    backend.actions.retry_fields = hangs  # type: ignore[method-assign]  # of this one
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "no answer in 0 s; Esc, and the same key" in screen_text(app))
        await pilot.press("escape")
        assert app.screen is app.pane


async def test_one_job_is_retried_at_a_time() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("space", "space", "t")
        assert "one job is retried at a time, and 2 are marked" in screen_text(app)


async def test_a_plan_that_comes_after_one_went_back_asks_nothing() -> None:
    backend = FakeBackend()
    plan = backend.actions.plan
    started: list[object] = []

    async def slow(*args: object, **kwargs: object) -> object:
        started.append(None)
        await backend.actions.release.wait()
        return await plan(*args, **kwargs)  # type: ignore[arg-type]  # as given

    backend.actions.plan = slow  # type: ignore[method-assign,assignment]  # a slow server
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "64Gi" in screen_text(app))
        await pilot.press("ctrl+o")
        await until(pilot, lambda: started)
        await pilot.press("escape")
        backend.actions.release.set()
        await pilot.pause(0.1)
        assert app.screen is app.pane


# -- a submission ---------------------------------------------------------------------------


async def opened(app: object, pilot: object, text: str = TEXT) -> SubmitScreen:
    """The submit screen with a text."""
    await pilot.press("s")  # type: ignore[attr-defined]  # a pilot
    await until(pilot, lambda: isinstance(app.screen, SubmitScreen))  # type: ignore[attr-defined,arg-type]  # a pilot
    screen = app.screen  # type: ignore[attr-defined]  # the console
    assert isinstance(screen, SubmitScreen)
    screen.editor.text = text
    return screen


async def test_the_form_changes_the_text_and_leaves_the_rest_alone() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen = await opened(app, pilot)
        await pilot.press("ctrl+t")
        assert "submit / form" in screen_text(app)
        await pilot.press("ctrl+u", *"ctr", "tab", "tab", "tab", *"main")
        assert "branch, tag or full commit" in screen_text(app)
        await pilot.press("ctrl+t")
        assert screen.editor.text == TEXT.replace("ranker", "ctr").replace(
            "a.git\n", "a.git\n  ref: main\n"
        )
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))


async def test_enter_in_the_form_plans_the_same_text() -> None:
    backend = FakeBackend()
    planned: list[str] = []
    plan = backend.actions.plan_submit

    async def told(text: str, *, with_run: bool = True) -> object:
        planned.append(text)
        return await plan(text, with_run=with_run)

    backend.actions.plan_submit = told  # type: ignore[method-assign,assignment]  # listened to
    async with console(backend) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("ctrl+t", "end", "2", "ctrl+r", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert planned == [TEXT.replace("ranker", "ranker2")]
        assert backend.actions.with_run is False


async def test_what_was_typed_in_the_form_is_there_again() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("ctrl+t", "end", "2")
        # Not even what is no text yet.
        form = app.screen.query_one(Form)
        while form.fields[form.at].id != "parameters":
            await pilot.press("tab")
        await pilot.press(*"lr")
        await pilot.press("escape", "s")
        await until(pilot, lambda: "ranker2" in screen_text(app))
        assert "submit / form" in screen_text(app), "as it was left"
        assert "  lr" in screen_text(app).replace("*", " ")
        await pilot.press("enter")
        await until(pilot, lambda: "'lr' is not name=value" in screen_text(app))
        await pilot.press("ctrl+t")
        assert "submit / form" in screen_text(app), "it would be lost"


async def test_a_fault_is_shown_at_its_field_or_else_in_the_text() -> None:
    from mcp_tui.domain.trainconfig import parse_train_config

    backend = FakeBackend()

    async def check(text: str, *, with_run: bool = True) -> object:
        parse_train_config(text)
        raise UsageError("no branch 'nope'", where="https://git.example.com/a.git")

    backend.actions.plan_submit = check  # type: ignore[method-assign,assignment]  # a real check
    async with console(backend, (100, 30)) as (app, pilot):
        screen = await opened(app, pilot, TEXT.replace("registry/train", "a b"))
        await pilot.press("ctrl+t", "ctrl+o")
        await until(pilot, lambda: "`image` is not" in screen_text(app))
        assert screen.form.fields[screen.form.at].id == "image"
        await pilot.press("ctrl+u", *"a", "ctrl+o")
        await until(pilot, lambda: "no branch 'nope'" in screen_text(app))
        assert screen.form.fields[screen.form.at].id == "code.ref"
        await pilot.press("ctrl+t")
        screen.editor.text += "retries: many\n"
        await pilot.press("ctrl+t", "ctrl+o")
        await until(pilot, lambda: "line 6, column 10" in screen_text(app))
        assert not screen.as_form, "the form does not show it"


async def test_a_text_that_is_no_config_is_mended_as_text() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen = await opened(app, pilot, "name: [\n")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "not YAML" in screen_text(app))
        assert not screen.as_form and "name: [" in screen.editor.text


# -- the widget -----------------------------------------------------------------------------


async def test_a_form_scrolls_to_its_field_takes_pastes_and_stays_in_its_width() -> None:
    backend = FakeBackend()
    many = tuple(FormField(f"f{n}", f"field {n}", f"v{n}") for n in range(40))

    async def fields(key: str) -> object:
        return many

    backend.actions.retry_fields = fields  # type: ignore[method-assign,assignment]  # a long one
    async with console(backend) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "v0" in screen_text(app))
        await pilot.press("up")
        assert "> field 39" in screen_text(app) and "field 0 " not in screen_text(app)
        form = app.screen.query_one(Form)
        form.post_message(events.Paste("one\x1b[31m" + "x" * 1_000_000 + "\ntwo"))
        await until(pilot, lambda: "xxx" in screen_text(app))
        assert len(form.values["f39"]) < 5_000 and "\x1b" not in form.values["f39"]
        assert all(len(line) <= 80 for line in screen_lines(app))
        await pilot.resize_terminal(20, 5)
        await pilot.press("ctrl+u", "q", "tab", "z")
        await pilot.resize_terminal(80, 24)
        assert form.values["f39"] == "q" and form.values["f0"] == "v0z"
