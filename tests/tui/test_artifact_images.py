"""A picture among a run's artifacts, in the terminal's cells."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw
from textual.pilot import Pilot

from mcp_tui.domain.picture import UPPER
from mcp_tui.tui.app import Console
from mcp_tui.tui.widgets.picture import PictureView
from tests.tui.fake import FakeBackend
from tests.tui.harness import console, make, screen_lines, screen_text, until

KEYS = ("3", "enter", "enter", "shift+tab")

# The pictures are named after what they show, not after this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot:UserWarning")


def confusion(cells: int = 5, size: int = 40) -> bytes:
    """A confusion matrix, as one may log it."""
    edge = size * cells
    image = Image.new("RGB", (edge, edge), "white")
    draw = ImageDraw.Draw(image)
    for row in range(cells):
        for column in range(cells):
            share = 0.9 if row == column else 0.25 * ((row * 3 + column * 5) % 4) / 3
            colour = (round(247 - 239 * share), round(251 - 203 * share), round(255 - 148 * share))
            at = (column * size, row * size)
            draw.rectangle((*at, at[0] + size - 1, at[1] + size - 1), fill=colour)
    return saved(image)


def curve() -> bytes:
    """A dark curve and its axes on white paper."""
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    draw.line((60, 20, 60, 430, 620, 430), fill="black", width=12)
    draw.line((60, 430, 120, 160, 240, 80, 620, 30), fill="#1f4f9f", width=16, joint="curve")
    return saved(image)


def saved(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def with_image(data: bytes) -> FakeBackend:
    """A backend whose runs have it as their last artifact."""
    backend = FakeBackend()
    backend.run_details.image = data
    return backend


async def opened(app: Console, pilot: Pilot[int], shown: str) -> None:
    for key in KEYS:
        await pilot.press(key)
    await until(pilot, lambda: "roc.png" in screen_text(app))
    await pilot.press("G", "enter")
    await until(pilot, lambda: shown in screen_text(app))


def drawn(app: Console) -> list[str]:
    """The picture's lines."""
    view = app.screen.query_one(PictureView)
    top = view.region.y
    return screen_lines(app)[top : top + view.size.height]


async def test_it_fills_the_room_and_is_drawn_again_at_another_size() -> None:
    async with console(with_image(confusion())) as (app, pilot):
        await opened(app, pilot, "PNG, 200 x 200")
        lines = drawn(app)
        # As high as the room, and twice as many cells wide as lines.
        assert all(line.strip() == UPPER * 2 * len(lines) for line in lines)
        style = app.screen.query_one(PictureView).render_line(0)
        colours = {s.style.color.triplet for s in style if s.style and s.text[0] == UPPER}  # type: ignore[union-attr]  # has one
        assert (32, 68, 122) in colours, "true colours"
        before = len(lines)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: len(drawn(app)) == before + 16)
        assert all(line.strip() == UPPER * 2 * (before + 16) for line in drawn(app))
        await pilot.resize_terminal(20, 5)
        await until(pilot, lambda: len(drawn(app)) <= 2)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: drawn(app) == lines)


@pytest.mark.parametrize("options", [{"no_color": True}, {"theme": "ansi16"}, {"ascii": True}])
async def test_without_colours_or_signs_it_is_ascii(options: dict[str, object]) -> None:
    async with console(with_image(curve()), **options) as (app, pilot):
        await opened(app, pilot, "PNG, 640 x 480")
        text = "\n".join(drawn(app))
        assert UPPER not in text and text.isascii()
        assert "@" in text and text.count(" ") > len(text) / 2, "lines, and blank paper"


async def test_it_can_be_left_saved_and_copied() -> None:
    backend = with_image(curve())
    async with console(backend) as (app, pilot):
        await opened(app, pilot, "PNG, 640 x 480")
        for key in ("j", "G", "slash", "x", "enter", "n", "w"):
            await pilot.press(key)
        assert drawn(app)[0].strip().startswith(UPPER)
        await pilot.press("W", "enter")
        await until(pilot, lambda: "saved 2Ki to roc.png" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "report.json" in screen_text(app))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (b"\x1b[2J\x1b]0;x\x07", "it is no PNG"),
        (curve()[:-200], "it is damaged"),
    ],
)
async def test_a_bad_one_says_why(data: bytes, why: str) -> None:
    async with console(with_image(data)) as (app, pilot):
        await opened(app, pilot, why)
        assert "the picture cannot be shown" in screen_text(app)


PICTURES: dict[str, tuple[bytes, str, dict[str, object]]] = {
    "artifact-image-80x24": (confusion(), "PNG, 200 x 200", {}),
    "artifact-image-ascii-80x24": (curve(), "PNG, 640 x 480", {"ascii": True, "no_color": True}),
}


@pytest.mark.parametrize("name", list(PICTURES))
def test_picture(name: str, snap_compare: Callable[..., bool]) -> None:
    data, shown, options = PICTURES[name]
    app = make(with_image(data), **options)

    async def before(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.ready)
        await opened(app, pilot, shown)
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=before)
