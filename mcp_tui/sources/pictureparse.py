"""Makes a picture small: run as a process of its own, the file on stdin, its answer on stdout.

Nothing here trusts a file. It is read as one of a few kinds, whatever its name says; how many
pixels it has is looked at before any of them is made.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from mcp_tui.domain.picture import Picture
from mcp_tui.domain.text import one_line
from mcp_tui.sources.bounds import bound

if TYPE_CHECKING:
    from PIL import Image

MEMORY: Final = 1024**3
"""Bytes of address space."""

MOST_PIXELS: Final = 40_000_000
WIDEST: Final = 320
HIGHEST: Final = 240
"""Pixels that are given back, at most: what the cells of a large terminal have room for."""

KINDS: Final = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: a picture, or why it is none."""

    picture: Picture | None = None
    fault: str = ""


def parse(data: bytes) -> Parsed:
    """A file's picture, in the size in which it is drawn."""
    # WebP is no kind that Pillow knows of by itself.
    from PIL import Image, UnidentifiedImageError, WebPImagePlugin  # noqa: F401

    if not data:
        return Parsed(fault="it is empty")
    Image.MAX_IMAGE_PIXELS = None  # ours is asked below, in our words
    try:
        with Image.open(io.BytesIO(data), formats=KINDS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                return Parsed(
                    fault=f"it has {width:,} x {height:,} pixels, only those of up to "
                    f"{MOST_PIXELS:,} are shown"
                )
            return Parsed(picture=_small(image))
    except UnidentifiedImageError:
        return Parsed(fault="it is no PNG, JPEG, GIF, WebP or BMP, or its head is damaged")
    except MemoryError:
        return Parsed(fault="it takes more memory than it may")
    except Exception as error:  # noqa: BLE001 - Pillow's are of all kinds
        why = one_line(str(error))[:200] or type(error).__name__
        return Parsed(fault=f"it is damaged: {why}")


def _small(image: Image.Image) -> Picture:
    from PIL import Image as Making

    width, height = image.size
    moves = bool(getattr(image, "is_animated", False))
    kind = image.format or ""
    image.draft("RGB", (2 * WIDEST, 2 * HIGHEST))  # a JPEG is made small as it is read
    small = _coloured(image)
    small.thumbnail((WIDEST, HIGHEST), Making.Resampling.BOX, reducing_gap=None)
    if small.mode == "RGBA":  # on paper: figures without a ground are made for it
        paper = Making.new("RGBA", small.size, "white")
        small = Making.alpha_composite(paper, small).convert("RGB")
    return Picture(
        kind="WebP" if kind == "WEBP" else kind,
        width=width,
        height=height,
        moves=moves,
        columns=small.width,
        rows=small.height,
        pixels=small.tobytes(),
    )


def _coloured(image: Image.Image) -> Image.Image:
    """In eight bits of three colours, or of four with what is see-through."""
    if image.mode.startswith(("I", "F")):  # values of any range: from their least to their most
        values = image.convert("I").convert("F") if ";" in image.mode else image.convert("F")
        low, high = values.getextrema()
        assert isinstance(low, float) and isinstance(high, float)
        scale = 255 / (high - low) if high > low else 0.0
        return values.point(lambda v: v * scale - low * scale).convert("L").convert("RGB")
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    return image.convert("RGBA" if clear else "RGB")


def main() -> None:
    """Read a file from stdin, and write what it is."""
    bound(MEMORY)
    sys.stdout.buffer.write(msgspec.msgpack.encode(parse(sys.stdin.buffer.read())))


if __name__ == "__main__":
    main()
