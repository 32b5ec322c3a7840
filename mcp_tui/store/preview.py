"""The head of an artifact as lines: text, JSON, YAML, tables, and what is said of the rest."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from mcp_tui.domain.artifact import ArtifactPart, Preview, preview_of
from mcp_tui.domain.quantity import format_bytes
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import McpTuiError
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.sources.tables import read_head

Role = Literal["", "dim", "heading"]


class HeadLine(NamedTuple):
    """A line of a head; what is said of it is ``dim``, the names of columns are a ``heading``."""

    text: str
    role: Role = ""


LINES: Final = 2_000
ROWS: Final = 200
_WIDEST: Final = 32
_PARQUET: Final = 4 * 1024 * 1024


async def head_lines(
    mlflow: MlflowClient, run_id: str, ref: str, *, more: str = "W downloads"
) -> Sequence[HeadLine]:
    """The head of an artifact, as it can be looked at.

    Args:
        mlflow: Whose it is.
        run_id: Of the run, or of the logged model.
        ref: Which, as it is listed.
        more: How all of it is had, in words.

    Raises:
        McpTuiError: It cannot be read, or is no path inside the run's artifacts.
    """
    kind = preview_of(ref)
    if kind is Preview.PARQUET:
        return await _parquet(await mlflow.artifact_head(run_id, ref, most=_PARQUET), more)
    part = await mlflow.artifact_head(run_id, ref)
    return await asyncio.to_thread(_lines, kind, part, more)


def _lines(kind: Preview, part: ArtifactPart, more: str) -> list[HeadLine]:
    size = _size(part)
    if kind in (Preview.IMAGE, Preview.BINARY) and (kind is Preview.IMAGE or _is_binary(part.data)):
        what = "an image" if kind is Preview.IMAGE else "not text"
        return [_said(f"{what}, {size or 'of unknown size'}; {more} it")]
    text = part.data.decode("utf-8", "replace")
    if not part.is_whole:
        # The last line may be cut in its middle.
        text = text.rpartition("\n")[0] or text
    if kind is Preview.JSON and part.is_whole:
        text = _json(text)
    if kind is Preview.TABLE:
        lines = _table(text, "\t" if "\t" in text[:1000].split("\n")[0] else ",")
    else:
        lines = [HeadLine(clean_line(line, limit=8_192)) for line in text.split("\n")]
    cut = len(lines) > LINES or not part.is_whole
    lines = lines[:LINES]
    if cut:
        lines.append(_said(f"... the head of {size or 'more'}; {more} all of it"))
    return lines or [_said("empty")]


def _size(part: ArtifactPart) -> str:
    return "" if part.total is None else f"{part.total:,} bytes"


def _said(text: str) -> HeadLine:
    return HeadLine(text, "dim")


def _is_binary(data: bytes) -> bool:
    head = data[:8_192]
    if b"\x00" in head:
        return True
    odd = sum(byte < 9 or 13 < byte < 32 for byte in head)
    return odd * 20 > len(head)


def _json(text: str) -> str:
    """Indented, if it is JSON that fits; else as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _table(text: str, separator: str) -> list[HeadLine]:
    try:
        rows = [row for row, _ in zip(csv.reader(io.StringIO(text), delimiter=separator),
                                      range(ROWS + 1), strict=False)]  # fmt: skip
    except csv.Error:
        return [HeadLine(clean_line(line)) for line in text.split("\n")]
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[HeadLine]:
    """Columns below one another, the first row as their heads."""
    cells = [[clean_line(cell, limit=200) for cell in row] for row in rows]
    widths: list[int] = []
    for row in cells:
        widths += [0] * (len(row) - len(widths))
        for n, cell in enumerate(row):
            widths[n] = min(_WIDEST, max(widths[n], len(cell)))
    lines: list[HeadLine] = []
    for at, row in enumerate(cells):
        text = "  ".join(_cut(cell, widths[n]) for n, cell in enumerate(row)).rstrip()
        lines.append(HeadLine(text, "heading" if at == 0 else ""))
    return lines


def _cut(cell: str, width: int) -> str:
    return f"{cell[: width - 2]}.." if len(cell) > width else cell.ljust(width)


async def _parquet(part: ArtifactPart, more: str) -> list[HeadLine]:
    """The first rows; needs all of the file, since what it holds is written at its end."""
    size = _size(part)
    if not part.is_whole:
        return [_said(f"a Parquet file of {size}: only those up to {format_bytes(_PARQUET)} are "
                      f"shown; {more} it")]  # fmt: skip
    try:
        head = await read_head(part.data)
    except McpTuiError as error:
        return [_said(f"{error.what} ({size}); {more} it")]
    lines = await asyncio.to_thread(_aligned, [head.names, *head.rows])
    columns = f"{head.columns:,} columns"
    if len(head.names) < head.columns:
        columns = f"{len(head.names):,} of {columns}"
    return [*lines, _said(f"{len(head.rows):,} of {head.total:,} rows, {columns}, {size}")]
