"""Pictures: what cells they become, what is read of good files, and what is said of bad ones."""

from __future__ import annotations

import importlib.util
import io
import struct
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from mcp_tui.domain.artifact import ArtifactPart
from mcp_tui.domain.picture import RAMP, UPPER, Patch, Picture, fitted, half_blocks, shaded
from mcp_tui.errors import McpTuiError, UnreachableError, UsageError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.pictures import read_picture
from mcp_tui.store import pictures
from mcp_tui.store.pictures import picture_of

RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0),
)  # fmt: skip


def made(*rows: list[tuple[int, int, int]]) -> Picture:
    """A picture of these pixels."""
    pixels = bytes(value for row in rows for pixel in row for value in pixel)
    size = {"columns": len(rows[0]), "rows": len(rows)}
    return Picture(kind="PNG", width=len(rows[0]), height=len(rows), pixels=pixels, **size)


# Cells


def test_half_blocks_pair_the_rows() -> None:
    picture = made([RED, RED, GREEN], [BLUE, BLUE, WHITE], [BLACK, RED, RED])
    assert half_blocks(picture, 3, 2) == (
        (Patch(UPPER * 2, RED, BLUE), Patch(UPPER, GREEN, WHITE)),
        (Patch(UPPER, BLACK, None), Patch(UPPER * 2, RED, None)),
    )


def test_what_falls_together_is_its_mean() -> None:
    picture = made([BLACK, (200, 100, 50)], [(100, 20, 10), (100, 80, 20)])
    assert half_blocks(picture, 1, 1) == ((Patch(UPPER, (100, 50, 20), None),),)


def test_a_small_picture_fills_the_room() -> None:
    [line] = half_blocks(made([RED, GREEN]), 4, 1)
    assert line == (Patch(UPPER * 2, RED, RED), Patch(UPPER * 2, GREEN, GREEN))


def test_dark_lines_on_paper_are_drawn_and_bright_ones_on_black_too() -> None:
    paper = made(*[[WHITE, WHITE, BLACK, WHITE]] * 2)
    assert shaded(paper, 4, 1) == ((Patch("  @ "),),)
    night = made(*[[BLACK, (128, 128, 128), BLACK, WHITE, BLACK]] * 2)
    [[patch]] = shaded(night, 5, 1)
    assert patch.text == " + @ " and patch.upper is patch.lower is None


def test_one_tone_is_blank() -> None:
    for colour in (WHITE, BLACK, RED):
        [[patch]] = shaded(made(*[[colour, colour]] * 2), 2, 1)
        assert len(patch.text) == 2 and patch.text in ("  ", "@@")


@pytest.mark.parametrize(
    ("size", "room", "fits"),
    [
        ((640, 480), (80, 42), (56, 42)),
        ((640, 480), (20, 100), (20, 15)),
        ((40_000_000, 1), (80, 42), (80, 1)),
        ((1, 40_000_000), (80, 42), (1, 42)),
        ((28, 28), (80, 42), (42, 42)),
    ],
)
def test_the_shape_stays(
    size: tuple[int, int], room: tuple[int, int], fits: tuple[int, int]
) -> None:
    assert fitted(*size, *room) == fits


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 30), st.integers(0, 12), st.data())
def test_it_never_leaves_the_room(
    columns: int, rows: int, width: int, height: int, data: st.DataObject
) -> None:
    pixels = data.draw(st.binary(min_size=3 * columns * rows, max_size=3 * columns * rows))
    picture = Picture(
        kind="PNG", width=columns, height=rows, columns=columns, rows=rows, pixels=pixels
    )
    for lines in (half_blocks(picture, width, height), shaded(picture, width, height)):
        assert len(lines) <= height and bool(lines) == bool(width and height)
        widths = {sum(len(patch.text) for patch in line) for line in lines}
        assert len(widths) <= 1 and all(0 < each <= width for each in widths)
    assert {sign for [patch] in shaded(picture, width, height) for sign in patch.text} <= set(RAMP)


def test_a_picture_has_its_pixels() -> None:
    for columns, pixels in ((1, b"12"), (0, b"")):
        with pytest.raises(ValueError, match="pixels"):
            Picture(kind="PNG", width=1, height=1, columns=columns, rows=1, pixels=pixels)


# Files


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode: str = "RGB", size: tuple[int, int] = (6, 4), colour: object = RED) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]  # of whatever mode


def chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def bomb(width: int, height: int) -> bytes:
    """A PNG that says that it has very many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
async def test_each_kind_is_read_by_what_it_holds(kind: str) -> None:
    picture = await read_picture(saved(plain(colour=(250, 10, 10)), kind))
    assert picture.said == f"{'WebP' if kind == 'WEBP' else kind}, 6 x 4"
    assert (picture.columns, picture.rows) == (6, 4)
    assert all(abs(a - b) < 12 for a, b in zip(picture.pixels, (250, 10, 10) * 24, strict=True))


async def test_a_large_one_is_made_small_and_keeps_what_it_was() -> None:
    for kind in ("PNG", "JPEG"):
        picture = await read_picture(saved(plain(size=(4_000, 2_000)), kind))
        assert (picture.width, picture.height) == (4_000, 2_000)
        assert (picture.columns, picture.rows) == (320, 160)


async def test_the_first_of_several_is_shown() -> None:
    more = [plain(colour=BLUE), plain(colour=GREEN)]
    picture = await read_picture(saved(plain(), "GIF", save_all=True, append_images=more))
    assert picture.said == "GIF, 6 x 4, the first of several"
    assert picture.pixels[:3] == bytes(RED)


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (plain("RGBA", colour=(255, 0, 0, 0)), WHITE),
        (plain("LA", colour=(0, 255)), BLACK),
        (plain("1", colour=1), WHITE),
        (plain("P", colour=0).convert("P"), BLACK),
        (plain("L", colour=77), (77, 77, 77)),
        (plain("I;16", colour=40_000), BLACK),
    ],
)
async def test_every_mode_becomes_colours(image: Image.Image, pixel: tuple[int, int, int]) -> None:
    assert (await read_picture(saved(image))).pixels[:3] == bytes(pixel)


async def test_sixteen_bits_are_seen_from_their_least_to_their_most() -> None:
    image = plain("I;16", (2, 1), 1_000)
    image.putpixel((1, 0), 3_000)
    assert (await read_picture(saved(image))).pixels == bytes((*BLACK, *WHITE))


GOOD = saved(Image.effect_noise((200, 200), 50))
TALKS = PngImagePlugin.PngInfo()
TALKS.add_text("Comment", "\x1b[2J" * 1_000_000, zip=True)
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "text": (b"\x1b[31mno picture", "it is no PNG, JPEG, GIF, WebP or BMP"),
    "head": (b"\x89PNG\r\n\x1a\n", "it is no PNG"),
    "truncated": (GOOD[: len(GOOD) // 2], "it is damaged: image file is truncated"),
    "jpeg": (saved(plain(size=(900, 900)), "JPEG")[:2_000], "it is damaged: image file is tr"),
    "changed": (GOOD[:90] + bytes(400) + GOOD[490:], "it is damaged: "),
    "other": (saved(plain(), "PPM"), "it is no PNG, JPEG"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is no PNG, JPEG"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no PNG, JPEG"),
    "bomb": (bomb(60_000, 60_000), "it has 60,000 x 60,000 pixels, only those of up to 40,000,000"),
    "hollow": (bomb(6_000, 6_000), "it is damaged: image file is truncated"),
    "talks": (saved(plain(), pnginfo=TALKS), "it is damaged: Decompressed data too large"),
}


@pytest.mark.parametrize("name", list(BAD))
async def test_a_bad_file_gets_one_line(name: str) -> None:
    data, why = BAD[name]
    with pytest.raises(UsageError) as caught:
        await read_picture(data)
    line = caught.value.line()
    assert line.startswith(f"the picture cannot be shown: {why}")
    assert line.isprintable() and len(line) < 300


async def test_a_reader_that_hangs_is_ended() -> None:
    with pytest.raises(UnreachableError, match=r"the picture could not be read within 0\.001 s"):
        await read_picture(GOOD, deadline=0.001)


async def test_without_pillow_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"not installed; pip install pillow \(the extra images\)"):
        await read_picture(GOOD)
    server = Server(GOOD)
    with pytest.raises(UsageError, match="not installed"):
        await picture_of(server, "r", "a.png")
    assert not server.asked  # nothing is fetched that cannot be shown


def test_the_reader_brings_no_client_and_the_console_no_pillow() -> None:
    code = (
        "import sys; from mcp_tui.sources import pictureparse, pictures;"
        "from mcp_tui.store import pictures;"
        "print({'PIL', 'numpy', 'httpx', 'kubernetes'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()", said.stderr


# From the server


class Server(MlflowClient):
    """One artifact; remembers what was asked for."""

    def __init__(self, data: bytes, *, told: bool = True) -> None:
        self.data = data
        self.told = told
        self.asked: list[tuple[int, int]] = []

    async def artifact_head(
        self, owner: str, ref: str, *, most: int = 65_536, start: int = 0
    ) -> ArtifactPart:
        self.asked.append((start, most))
        total = len(self.data) if self.told else None
        return ArtifactPart(data=self.data[start : start + most], start=start, total=total)


@pytest.mark.parametrize("told", [True, False])
async def test_it_comes_in_parts(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_FIRST", 1_000)
    monkeypatch.setattr(pictures, "_PART", 7_000)
    server = Server(GOOD, told=told)
    assert (await picture_of(server, "r", "a.png")).said == "PNG, 200 x 200"
    assert server.asked[:3] == [(0, 1_000), (1_000, 7_000), (8_000, 7_000)]


async def test_a_large_one_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_FIRST", 1_000)
    server = Server(bytes(pictures.MOST + 1))
    with pytest.raises(McpTuiError, match="only those up to 16Mi are shown; W downloads it"):
        await picture_of(server, "r", "a.png")
    assert len(server.asked) == 1
    server = Server(bytes(2 * pictures.MOST), told=False)  # a server that does not say
    with pytest.raises(McpTuiError, match="a picture: only those up to 16Mi"):
        await picture_of(server, "r", "a.png")
    assert sum(most for _, most in server.asked) == pictures.MOST + 1
