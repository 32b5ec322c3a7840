"""The tree in the one table: what opens, what is asked for, and where the cursor stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from mcp_tui.domain.tree import Node
from mcp_tui.tui.model import Cell, Column
from mcp_tui.tui.theme import DEFAULT, UNICODE_SIGNS
from mcp_tui.tui.treerows import TreeRows
from mcp_tui.tui.widgets.tree import TreeTable
from tests.tui.harness import screen_lines, until

COLUMNS = (
    Column("name", "NAME", 12, 0, kind="name", sortable=False),
    Column("size", "SIZE", 8, 10, align="right", priority=1, sortable=False),
)


class Files(TreeRows[tuple[str, str]]):
    """Names and sizes."""

    def cells(self, item: tuple[str, str]) -> tuple[Cell, ...]:
        return Cell(item[0]), Cell(item[1], "dim")

    def text(self, item: tuple[str, str]) -> str:
        return item[0]


def file(key: str, size: str = "", *, branch: bool = False) -> Node[tuple[str, str]]:
    parent, _, name = key.rpartition("/")
    return Node(key, (name, size), parent, branch)


class TreeApp(App[int]):
    palette = DEFAULT
    signs = UNICODE_SIGNS

    def __init__(self) -> None:
        super().__init__()
        self.rows = Files(COLUMNS)
        self.table = TreeTable(self.rows)
        self.asked: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_tree_table_asked(self, event: TreeTable.Asked) -> None:
        self.asked.append(event.key)


@asynccontextmanager
async def opened(
    nodes: list[Node[tuple[str, str]]], size: tuple[int, int] = (40, 10)
) -> AsyncIterator[tuple[TreeApp, Pilot[int]]]:
    app = TreeApp()
    async with app.run_test(size=size) as pilot:
        app.rows.put_all(nodes)
        app.table.sync()
        await pilot.pause()
        yield app, pilot


RUNS = [
    file("sweep", branch=True),
    file("sweep/lr-1", "0.91"),
    file("sweep/lr-2", "0.93"),
    file("single", "0.88"),
]


async def test_opening_and_closing() -> None:
    async with opened(RUNS) as (app, pilot):
        assert screen_lines(app)[1] == " + sweep"
        assert screen_lines(app)[2].split() == ["single", "0.88"]
        assert app.table.toggle()
        await pilot.pause()
        lines = screen_lines(app)
        assert lines[1] == " - sweep"
        assert lines[2].startswith("     lr-1")
        app.table.unfold()
        assert app.table.cursor_key == "sweep/lr-1", "on an open one it goes in"
        assert not app.table.toggle(), "a leaf holds nothing"
        app.table.fold()
        assert app.table.cursor_key == "sweep", "on a leaf it goes out"
        app.table.fold()
        await pilot.pause()
        assert screen_lines(app)[1] == " + sweep"


async def test_children_are_asked_for_and_come() -> None:
    async with opened([file("model", branch=True), file("log.txt")]) as (app, pilot):
        app.table.unfold()
        await until(pilot, lambda: app.asked == ["model"])
        assert screen_lines(app)[2] == "     asking"
        app.rows.put_children("model", [file("model/MLmodel", "1 KB")])
        app.table.sync()
        await pilot.pause()
        assert screen_lines(app)[2].split() == ["MLmodel", "1", "KB"]
        app.table.fold()
        app.table.unfold()
        assert app.asked == ["model"], "they are known by now"


async def test_the_cursor_and_marks_stay_with_their_nodes() -> None:
    async with opened(RUNS) as (app, _):
        app.table.unfold_all()
        app.table.go_to_key("sweep/lr-2")
        app.rows.put_all([file("newer"), *RUNS])
        app.table.sync()
        assert app.table.cursor_key == "sweep/lr-2"
        app.table.toggle_mark()
        app.table.go_to_key("sweep/lr-2")
        app.table.fold_all()
        assert app.table.cursor_key == "sweep"
        assert list(app.table.marks) == ["sweep/lr-2"]
        assert app.table.hidden_marks == 1
        app.rows.put_all(RUNS[:2])
        app.table.sync()
        assert not app.table.marks, "a mark goes with its node"


async def test_a_filter_shows_what_holds_what_was_found() -> None:
    async with opened(RUNS) as (app, pilot):
        app.rows.set_filter("lr-2")
        app.table.sync()
        await pilot.pause()
        assert [line.split()[-2:] for line in screen_lines(app)[1:3]] == [
            ["-", "sweep"],
            ["lr-2", "0.93"],
        ]
        app.rows.set_filter("!lr")
        app.table.sync()
        assert app.table.visible_keys == ("sweep", "single")
        app.rows.set_filter("")
        app.table.sync()
        assert app.table.visible_keys == ("sweep", "single")


async def test_a_hundred_thousand_rows_draw_a_screenful() -> None:
    many = [file("top", branch=True), *(file(f"top/{n:06d}") for n in range(100_000))]
    async with opened(many) as (app, pilot):
        app.table.unfold()
        await pilot.pause()
        before = app.table.rows_drawn
        app.table.move_edge(1)
        await pilot.pause()
        assert app.table.cursor == 100_000
        assert app.table.rows_drawn - before <= 9
        before = app.table.rows_drawn
        app.rows.tree.update("top/099998", ("099998", "new"))
        app.table.sync()
        await pilot.pause()
        assert app.table.rows_drawn - before == 1


async def test_deep_rows_keep_room_for_their_names() -> None:
    path, nodes = "", []
    for n in range(60):
        path = f"{path}/d{n}" if path else f"d{n}"
        nodes.append(file(path, branch=True))
    async with opened(nodes, (40, 20)) as (app, pilot):
        app.table.unfold_all()
        app.table.move_edge(1)
        await pilot.pause()
        text = "\n".join(screen_lines(app))
        assert "58: - d58" in text
        assert "59: + d59" in text
