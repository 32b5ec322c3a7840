"""The dialog: what it asks, what it ignores, and what it says became of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual import events

from mcp_tui.actions.template import placeholder
from mcp_tui.domain.plan import Confirmation, OutcomeStatus, Plan, Tier, Verb, Write
from mcp_tui.errors import RefusedError
from mcp_tui.tui.app import Console
from mcp_tui.tui.model import Line
from mcp_tui.tui.screens.confirm import PASTED, ConfirmScreen
from mcp_tui.tui.theme import ASCII_SIGNS
from mcp_tui.tui.widgets.planbox import diff_lines, plan_lines
from tests.tui.fake import FakeBackend
from tests.tui.harness import NAMED, at_once, changed, console, screen_text, until

WORD = "dev/ranker-train-0412"


class Clock:
    """Moved by hand, and by each key."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.step = 0.1

    def __call__(self) -> float:
        return self.now

    def key(self, event: events.Key) -> float:
        """When a key came."""
        del event
        self.now += self.step
        return self.now


async def dialog(app: Console, pilot: object, *, deaf: bool = False) -> tuple[ConfirmScreen, Clock]:
    """Open the cancel dialog with a clock of ours, past its deaf time unless asked not to."""
    await pilot.press("x")  # type: ignore[attr-defined]  # a pilot
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))  # type: ignore[arg-type]  # a pilot
    screen = app.screen
    assert isinstance(screen, ConfirmScreen)
    clock = Clock()
    screen.clock = clock
    screen.when = clock.key
    screen._opened = clock.now
    if not deaf:
        clock.now += 1
    return screen, clock


async def slowly(pilot: object, clock: Clock, keys: str) -> None:
    clock.step = 0.1
    for key in keys:
        await pilot.press(NAMED.get(key, key))  # type: ignore[attr-defined]  # a pilot


async def test_the_typed_word_applies_and_nothing_else_does() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen, clock = await dialog(app, pilot)
        assert f"type    {WORD}" in screen_text(app)
        await pilot.press("enter")
        await slowly(pilot, clock, "dev/other")
        await pilot.press("enter")
        assert "that is not it" in screen_text(app)
        assert not backend.actions.applied
        await pilot.press("ctrl+u")
        await slowly(pilot, clock, WORD)
        await pilot.press("enter")
        await until(pilot, lambda: "waiting until the job is gone" in screen_text(app))
        assert len(backend.actions.applied) == 1
        await pilot.press("enter")
        assert len(backend.actions.applied) == 1, "a second Enter sends nothing"
        backend.actions.release.set()
        await until(pilot, lambda: screen.state == "done")
        assert "proven: ranker-train-0412" in screen_text(app)
        await pilot.press("enter")
        assert len(app.screen_stack) == 1


async def test_the_safe_choice_has_the_focus() -> None:
    backend = FakeBackend()
    backend.actions.confirmation = Confirmation.YES
    async with console(backend) as (app, pilot):
        await dialog(app, pilot)
        assert "[ Leave ]" in screen_text(app)
        await pilot.press("enter")
        assert len(app.screen_stack) == 1
        assert not backend.actions.applied
        await dialog(app, pilot)
        await pilot.press("right", "right", "left")
        assert "[ Leave ]" in screen_text(app)
        await pilot.press("enter")
        assert len(app.screen_stack) == 1
        assert not backend.actions.applied
        for key in ("tab", "right"):
            backend.actions.applied.clear()
            await dialog(app, pilot)
            await pilot.press(key)
            assert "[ Apply ]" in screen_text(app)
            await pilot.press("enter")
            await until(pilot, lambda: backend.actions.applied)
            backend.actions.release.set()
            await until(pilot, lambda: "Enter close" in screen_text(app))
            await pilot.press("enter")


async def test_a_held_key_confirms_nothing() -> None:
    backend = FakeBackend()
    backend.actions.confirmation = Confirmation.YES
    async with console(backend) as (app, pilot):
        screen, clock = await dialog(app, pilot, deaf=True)
        clock.step = 0.03
        for _ in range(40):
            await pilot.press("tab")
            await pilot.press("enter")
        assert app.screen is screen and not screen.agree
        assert not backend.actions.applied
        clock.now += 0.6
        await pilot.press("tab", "enter")
        await until(pilot, lambda: backend.actions.applied)
        backend.actions.release.set()


async def test_pastes_confirm_nothing() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen, clock = await dialog(app, pilot)
        screen.box.post_message(events.Paste(WORD + "\n"))
        await until(pilot, lambda: "pastes are ignored" in screen_text(app))
        assert screen.typed == ""
        # The word typed by hand, then a line end that came with its last letter.
        clock.now += 1
        await slowly(pilot, clock, WORD)
        clock.step = 0.01
        await pilot.press("enter")
        assert not backend.actions.applied
        assert screen.typed == ""
        assert "pastes are ignored" in screen_text(app)


async def heard(app: Console, pilot: object) -> ConfirmScreen:
    """Open the cancel dialog by the real clock, past its deaf time."""
    await pilot.press("x")  # type: ignore[attr-defined]  # a pilot
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))  # type: ignore[arg-type]  # a pilot
    screen = app.screen
    assert isinstance(screen, ConfirmScreen)
    screen._opened = screen.clock() - 5
    return screen


PASTES = [
    f"{WORD}\r",
    f"{WORD}\r\r",
    f"{WORD}\r{WORD}\r",
    f"{WORD}\rtrailing",
    f"kubectl delete job\r{WORD}\r",
    "rm -rf",
    WORD[:-1],
    "abc",
    "ab\r",
]


@pytest.mark.parametrize("text", PASTES)
async def test_a_paste_without_brackets_confirms_nothing_and_leaves_nothing(text: str) -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen = await heard(app, pilot)
        now = screen.clock()
        for character in text:
            # As it comes: all at once, each dealt with only when the one before was.
            event = events.Key(NAMED.get(character, character), character)
            event.time = now
            app.post_message(event)
            await pilot.pause(0.03)
        await until(pilot, lambda: not screen._pasted and screen._settling is None)
        assert screen.typed == ""
        assert screen.note == PASTED
        assert not backend.actions.applied
        # Not even with a line end some time later.
        await pilot.press("enter")
        assert screen.state == "asking" and not backend.actions.applied


async def test_the_word_sent_at_once_waits_for_an_enter_of_its_own() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen = await heard(app, pilot)
        at_once(app, WORD)
        await until(pilot, lambda: screen.typed == WORD and not screen._pasted)
        assert not backend.actions.applied
        await pilot.press("enter")
        await until(pilot, lambda: backend.actions.applied)
        backend.actions.release.set()


async def test_a_quick_hand_is_no_paste() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        _, clock = await dialog(app, pilot)
        for n, key in enumerate(WORD):
            # Two keys rolled over, then the way to the next two.
            clock.step = 0.01 if n % 2 else 0.06
            await pilot.press(NAMED.get(key, key))
        clock.step = 0.06
        await pilot.press("enter")
        await until(pilot, lambda: backend.actions.applied)
        backend.actions.release.set()


async def test_a_paste_does_not_choose_either() -> None:
    backend = FakeBackend()
    backend.actions.confirmation = Confirmation.YES
    async with console(backend) as (app, pilot):
        screen = await heard(app, pilot)
        at_once(app, "a\t\r")
        at_once(app, "?")
        await pilot.pause(0.2)
        assert app.screen is screen and not screen.agree
        assert not backend.actions.applied


async def test_a_blocked_plan_cannot_be_applied() -> None:
    backend = FakeBackend()
    backend.actions.blocked = True
    for confirmation in (Confirmation.TYPED, Confirmation.YES):
        backend.actions.confirmation = confirmation
        async with console(backend) as (app, pilot):
            _, clock = await dialog(app, pilot)
            assert "blocked" in screen_text(app)
            assert "owned by Kueue" in screen_text(app)
            await slowly(pilot, clock, WORD)
            await pilot.press("enter", "tab", "enter", "tab", "enter")
            assert not backend.actions.applied


async def test_tab_shows_the_diff_and_the_json() -> None:
    async with console(FakeBackend()) as (app, pilot):
        screen, _ = await dialog(app, pilot)
        await pilot.press("tab")
        assert screen.view == "diff"
        assert "DELETE /apis/batch/v1/namespaces/ml/jobs/ranker" in screen_text(app)
        await pilot.press("tab")
        assert '"verb": "cancel"' in screen_text(app)
        await pilot.press("down", "pagedown")
        assert screen.box.top > 0
        await pilot.press("tab")
        assert screen.view == "plan"


@pytest.mark.parametrize("lines", [lambda plan: plan_lines(plan, ASCII_SIGNS), diff_lines])
def test_what_is_not_known_yet_is_told_in_words(lines: Callable[[Plan], list[Line]]) -> None:
    run = placeholder("run_id")
    write = Write(
        system="mlflow",
        method="POST",
        path="/api/2.0/mlflow/runs/set-tag",
        summary=f"tag run {run}",
        diff=(f"+ run_id: {run}",),
    )
    plan = Plan(
        id="p", verb=Verb.SUBMIT, context="dev", tier=Tier.DEV, targets=(), writes=(write,),
        until=f"run {run} is there",
    )  # fmt: skip
    text = "\n".join(cell.text for line in lines(plan) for cell in line)
    assert "{{" not in text
    assert "+ run_id: (the new run)" in text


async def test_leaving_while_it_goes_on_is_said_until_the_end() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        _, clock = await dialog(app, pilot)
        await slowly(pilot, clock, WORD)
        await pilot.press("enter")
        await until(pilot, lambda: backend.actions.applied)
        await pilot.press("escape")
        assert len(app.screen_stack) == 1
        from dataclasses import replace

        backend.current = replace(backend.current, now=backend.current.now + 12)
        await changed(app, backend, pilot)
        assert "cancel ranker-train-0412: unproven 12 s" in screen_text(app)
        backend.actions.release.set()
        await until(pilot, lambda: "cancel ranker-train-0412: proven" in screen_text(app))
        await pilot.press("j")
        assert "unproven" not in screen_text(app)


@pytest.mark.parametrize("insists", [False, True])
async def test_leaving_the_console_ends_in_order_what_is_begun(insists: bool) -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        _, clock = await dialog(app, pilot)
        await slowly(pilot, clock, WORD)
        await pilot.press("enter")
        await until(pilot, lambda: backend.actions.applied)
        await pilot.press("escape", "q", "y")
        await until(
            pilot, lambda: "ending what is begun; ctrl-c leaves at once" in screen_text(app)
        )
        assert app.is_running and not app._exit
        if insists:
            await pilot.press("ctrl+c")
        else:
            backend.actions.ended.set()
        await until(pilot, lambda: app._exit)
    told = [line.partition(": ")[2] for line in app.acting.last_words]
    first, last = "interrupted: ending what is begun", "it is unknown what became of it"
    assert told == ([first] if insists else [first, last])
    assert app.acting.last_words[0].startswith("cancel ranker-train-0412: ")


@pytest.mark.parametrize("status", list(OutcomeStatus))
async def test_every_outcome_is_said_in_a_word(status: OutcomeStatus) -> None:
    backend = FakeBackend()
    backend.actions.outcome = status
    backend.actions.release.set()
    async with console(backend) as (app, pilot):
        screen, clock = await dialog(app, pilot)
        await slowly(pilot, clock, WORD)
        await pilot.press("enter")
        await until(pilot, lambda: screen.state == "done")
        assert f"{status.value}: ranker-train-0412" in screen_text(app)


async def test_a_refusal_is_shown_in_the_box() -> None:
    backend = FakeBackend()

    async def refuse(plan: object, progress: object) -> object:
        raise RefusedError("jobs.batch is forbidden", where="dev")

    backend.actions.apply = refuse  # type: ignore[method-assign,assignment]  # a fault
    async with console(backend) as (app, pilot):
        screen, clock = await dialog(app, pilot)
        await slowly(pilot, clock, WORD)
        await pilot.press("enter")
        await until(pilot, lambda: screen.state == "done")
        assert "dev: jobs.batch is forbidden" in screen_text(app)


async def test_a_production_dialog_says_so_in_words() -> None:
    backend = FakeBackend(tier=Tier.PROD, contexts=("prod",))
    async with console(backend) as (app, pilot):
        await dialog(app, pilot)
        assert "PRODUCTION  prod  cancel ranker-train-0412" in screen_text(app)


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (200, 50)])
async def test_the_question_stays_on_screen_at_any_size(size: tuple[int, int]) -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        screen, clock = await dialog(app, pilot)
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert "type" in screen_text(app)
        await slowly(pilot, clock, WORD)
        await pilot.press("enter")
        await until(pilot, lambda: backend.actions.applied)
        backend.actions.release.set()
        await until(pilot, lambda: screen.state == "done")


async def test_the_submit_editor_keeps_its_text_and_shows_the_place_of_a_fault() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 24)) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: "name: ranker" in screen_text(app))
        editor = app.screen.editor
        editor.text = "name: x\n  bad: 1\n"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "line 2, column 3" in screen_text(app))
        assert "did you mean image" in screen_text(app)
        assert editor.cursor_location == (1, 2)
        await pilot.press("x", "q", ":")
        assert "xq:" in editor.text, "letters belong to the text"
        assert not backend.actions.planned
        await pilot.press("escape", "s")
        await until(pilot, lambda: "xq:" in screen_text(app))
        app.screen.editor.text = "name: y\n"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "submit" in screen_text(app)


async def test_a_retry_with_changes_is_a_command() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press(":", *"retry memory", "enter")
        assert "not a change: memory" in screen_text(app)
        await pilot.press(":", *"retry memory=128Gi", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert backend.actions.planned[0][0] == "retry"
        assert backend.actions.changes == {"memory": "128Gi"}
