"""The virtual table: what it asks for, what it draws, and whom the cursor and marks follow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_tui.tui.widgets.vtable import VTable
from tests.tui.fake import JOBS, FakeBackend, FakeJob, many
from tests.tui.harness import changed, console, screen_lines, screen_text, until


def table_of(app: object) -> VTable:
    pane = app.pane  # type: ignore[attr-defined]  # the console
    return pane.table


def name_under_cursor(app: object) -> str:
    table = table_of(app)
    assert table.cursor_key is not None
    return table.model.name_of(table.cursor_key).partition("/")[2]


async def test_only_visible_rows_are_asked_for_and_drawn() -> None:
    backend = FakeBackend(many(100_000))
    async with console(backend) as (app, pilot):
        table = table_of(app)
        assert table.rows_drawn == table.page == 19
        asked = backend.model.asked_rows
        await pilot.press("G")
        assert name_under_cursor(app).startswith("job-")
        assert table.cursor == 99_999
        assert backend.model.asked_rows - asked < 200


async def test_one_changed_cell_draws_one_row_and_an_unseen_one_none() -> None:
    backend = FakeBackend(many(10_000))
    async with console(backend) as (app, pilot):
        table = table_of(app)
        before = table.rows_drawn
        backend.model.change("job-000006", why="step 7 loss 0.5")
        await changed(app, backend, pilot)
        assert table.rows_drawn - before == 1
        assert "step 7 loss 0.5" in screen_text(app)
        before = table.rows_drawn
        backend.model.change("job-009000", why="far away")
        await changed(app, backend, pilot)
        assert table.rows_drawn == before


async def test_moving_the_cursor_draws_two_rows() -> None:
    backend = FakeBackend(many(1_000))
    async with console(backend) as (app, pilot):
        table = table_of(app)
        before = table.rows_drawn
        await pilot.press("j")
        assert table.rows_drawn - before == 2


async def test_the_cursor_follows_its_object_when_rows_move() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("j", "j", "j", "j")
        assert name_under_cursor(app) == "ctr-hourly-2311"
        backend.model.change("ctr-hourly-2311", state="failed")
        await changed(app, backend, pilot)
        assert name_under_cursor(app) == "ctr-hourly-2311"
        assert table_of(app).cursor == 1


async def test_the_cursor_stays_in_place_when_its_object_goes() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("j", "j")
        backend.model.remove("embed-v3-nightly")
        await changed(app, backend, pilot)
        assert table_of(app).cursor == 2
        assert name_under_cursor(app) == "sweep-lr-17"
        for job in JOBS:
            backend.model.remove(job.name)
        await changed(app, backend, pilot)
        assert table_of(app).cursor_key is None
        assert "no jobs in ml; s submits one" in screen_text(app)


async def test_the_scroll_follows_the_top_row() -> None:
    backend = FakeBackend(many(600))
    async with console(backend) as (app, pilot):
        await pilot.press("pagedown", "pagedown")
        table = table_of(app)
        top = table.visible_keys[0]
        first = FakeJob("aaa-new", "failed")
        backend.model.put((first, *backend.model.jobs.values()))
        await changed(app, backend, pilot)
        assert table.visible_keys[0] == top
        await pilot.press("g")
        assert table.visible_keys[0] == first.id


async def test_new_rows_above_are_seen_when_at_the_top() -> None:
    backend = FakeBackend(many(600))
    async with console(backend) as (app, pilot):
        under = name_under_cursor(app)
        backend.model.put((FakeJob("aaa-new", "failed"), *backend.model.jobs.values()))
        await changed(app, backend, pilot)
        assert "aaa-new" in screen_lines(app)[4]
        assert name_under_cursor(app) == under


async def test_marks_survive_a_filter_and_are_said() -> None:
    backend = FakeBackend()
    async with console(backend, (100, 24)) as (app, pilot):
        await pilot.press("space", "space", "/", *"hourly", "enter")
        text = screen_text(app)
        assert "2 marked (1 hidden by the filter)" in text
        assert set(table_of(app).chosen()) == {JOBS[0].id, JOBS[1].id}
        await pilot.press("x")
        await until(pilot, lambda: backend.actions.planned)
        assert set(backend.actions.planned[0][1]) == {JOBS[0].id, JOBS[1].id}
        await until(pilot, lambda: "1 of them hidden by the filter" in screen_text(app))
        assert "dev/2-jobs" in screen_text(app)


async def test_a_mark_goes_with_its_object() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("space")
        backend.model.remove("ranker-train-0412")
        await changed(app, backend, pilot)
        assert not table_of(app).marks


@pytest.mark.parametrize("columns", [80, 120, 200])
async def test_a_heading_is_whole_also_where_its_column_is_what_is_sorted_by(columns: int) -> None:
    async with console(FakeBackend(), (columns, 24)) as (app, pilot):
        table = table_of(app)
        titles = screen_lines(app)[3].split()
        assert {"NAME", "SINCE"} <= set(titles)
        for _ in table.model.columns:
            await pilot.press(">")
            assert screen_lines(app)[3].replace(" v", "v").replace("v", "").split() == titles


async def test_sorting_is_shown_in_the_heading_and_in_words() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press(">", ">")
        assert "NAME v" in screen_lines(app)[3]
        assert "by name" in screen_lines(app)[2]
        await pilot.press("!")
        assert "NAME ^" in screen_lines(app)[3]
        assert "by name, reversed" in screen_lines(app)[2]
        await pilot.press("<", "<")
        assert backend.model.sort == ("", False)


async def test_it_lives_through_every_size() -> None:
    backend = FakeBackend(many(5_000))
    async with console(backend) as (app, pilot):
        await pilot.press(*"jjjjjjjj")
        under = name_under_cursor(app)
        for size in ((200, 50), (20, 5), (1, 1), (80, 24), (10, 2), (132, 43), (80, 23)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert name_under_cursor(app) == under
            table = table_of(app)
            if table.page > 1:
                assert table.top <= table.cursor < table.top + table.page
        assert under in screen_text(app)


async def test_a_held_key_moves_and_ends_where_it_should() -> None:
    backend = FakeBackend(many(1_000))
    async with console(backend) as (app, pilot):
        await pilot.press(*(["j"] * 60))
        assert table_of(app).cursor == 60
        await pilot.press("ctrl+u", "ctrl+d", "home", "k", "k")
        assert table_of(app).cursor == 0


HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07gone",
    "[/x] [bold]not bold[/bold]",
    "[@click=app.quit]click[/]",
    "abc\u202edef\u2066",
    "tab\there\nnewline\rreturn",
    "emoji 😀👩\u200d🚀 text",
    "漢字の名前がとても長いので切られます",
    "combining e\u0301\u0301\u0301",
    "\x9b31m c1 \x00 nul \x7f",
)


async def test_hostile_strings_are_text_and_nothing_else() -> None:
    jobs = [
        FakeJob(text, "failed", why=text, since=text, key=f"k{n}") for n, text in enumerate(HOSTILE)
    ]
    backend = FakeBackend(jobs, user=HOSTILE[0], contexts=(HOSTILE[2],), namespace=HOSTILE[5])
    async with console(backend, (100, 24)) as (app, pilot):
        lines = screen_lines(app)
        text = "\n".join(lines)
        assert "[/x] [bold]not bold[/bold]" in text
        assert "[@click=app.quit]click[/]" in text
        for bad in "\x1b\x9b\x00\x07\x7f\u202e\u2066\u200d\t\r":
            assert bad not in text
        strips = app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {100}
        assert all(
            not (segment.style and segment.style.meta)
            for y in range(4, 14)
            for segment in table_of(app).render_line(y - 3)
        ), "no click action came out of a name"
        await pilot.press("enter")
        await until(pilot, lambda: "OOMKilled" in screen_text(app))


async def test_stale_rows_are_dimmed_and_keep_their_place() -> None:
    backend = FakeBackend([replace(job, stale=True) for job in JOBS])
    async with console(backend) as (app, _):
        table = table_of(app)
        plain, dim = app.palette[""], app.palette[""] + app.palette["dim"]
        assert plain != dim
        assert all(segment.style == dim for segment in table.render_line(2))


async def test_click_and_wheel() -> None:
    backend = FakeBackend(many(500))
    async with console(backend) as (app, pilot):
        await pilot.click("#table", offset=(5, 4))
        assert table_of(app).cursor == 3
        await pilot.click("#table", offset=(5, 0))
        assert table_of(app).cursor == 3
