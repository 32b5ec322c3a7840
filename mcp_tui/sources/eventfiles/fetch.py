"""Finds event files among a run's artifacts, fetches their heads, and has them read."""

from __future__ import annotations

import asyncio
import posixpath
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from mcp_tui.domain.artifact import Artifact
from mcp_tui.domain.eventlines import event_key, is_event_file, prefixes
from mcp_tui.domain.history import History
from mcp_tui.domain.quantity import format_bytes
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.eventfiles.child import ensure_reader, parse
from mcp_tui.sources.mlflow import MlflowClient

MOST_FILES: Final = 64
MOST_LISTINGS: Final = 100
DEEPEST: Final = 8
MOST_OF_FILE: Final = 64 * 1024**2
MOST_BYTES: Final = 128 * 1024**2
"""Of all files of one run."""

DEADLINE: Final = 120.0
"""Seconds for finding and fetching the files of one run."""

_PART: Final = 4 * 1024**2
_AT_ONCE: Final = 4


class EventScalars(msgspec.Struct, frozen=True, kw_only=True):
    """The scalars of a run's event files.

    Attributes:
        lines: By the name that they have among the metrics.
        files: How many event files there are.
        notes: What could not be read, in a line each.
    """

    lines: dict[str, History] = {}
    files: int = 0
    notes: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Event files of a run.

    Attributes:
        files: In TensorBoard's order: by folder and name.
        more: Whether the search ended at a bound.
    """

    files: tuple[Artifact, ...] = ()
    more: bool = False


async def read_events(client: MlflowClient, run_id: str) -> EventScalars:
    """Read the scalars of a run's event files; empty where it has none.

    Raises:
        UsageError: There are some, and TensorBoard is not installed or cannot read them.
        UnreachableError: The server or the reader took too long.
        ApiError: The server cannot list or give them.
    """
    try:
        async with asyncio.timeout(DEADLINE):
            found = await find_events(client, run_id)
    except TimeoutError:
        raise _late(client) from None
    if not found.files:
        return EventScalars()
    ensure_reader()
    with tempfile.TemporaryDirectory(prefix="mcp-tui-events-") as folder:
        try:
            async with asyncio.timeout(DEADLINE):
                paths, cut = await _fetch(client, run_id, found.files, Path(folder))
        except TimeoutError:
            raise _late(client) from None
        return await _read(run_id, found, paths, cut)


def _late(client: MlflowClient) -> UnreachableError:
    return UnreachableError(f"event files did not come within {DEADLINE:g} s", where=client.where)


async def find_events(client: MlflowClient, run_id: str) -> Found:
    """The event files among a run's artifacts: level by level, up to a bound."""
    files: list[Artifact] = []
    level, listings, more = [""], 0, False
    for _ in range(DEEPEST):
        below: list[str] = []
        while level and not more:
            part, level = level[:_AT_ONCE], level[_AT_ONCE:]
            if (listings := listings + len(part)) > MOST_LISTINGS:
                more = True
                break
            for page in await asyncio.gather(*(client.list_artifacts(run_id, r) for r in part)):
                more = more or bool(page.next_page_token)
                below += [each.ref for each in page.files if each.is_dir]
                files += [f for f in page.files if not f.is_dir and is_event_file(f.name)]
        level = below
    files.sort(key=lambda file: (posixpath.dirname(file.path), file.name))
    return Found(
        files=tuple(files[:MOST_FILES]), more=more or len(files) > MOST_FILES or bool(level)
    )


async def _fetch(
    client: MlflowClient, run_id: str, files: Sequence[Artifact], folder: Path
) -> tuple[list[Path], dict[int, int]]:
    """Their heads as files of ours, and how much came of those that are longer."""
    paths: list[Path] = []
    cut: dict[int, int] = {}
    room = MOST_BYTES
    for number, file in enumerate(files):
        # No part of a name from outside is part of a path here.
        path = folder / f"{number:04}"
        paths.append(path)
        size, most = 0, min(MOST_OF_FILE, room)
        while size < most:
            wanted = min(_PART, most - size)
            part = await client.artifact_head(run_id, file.ref, start=size, most=wanted)
            await asyncio.to_thread(_append, path, part.data)
            size += len(part.data)
            if len(part.data) < wanted or (part.total is not None and size >= part.total):
                break
        else:
            cut[number] = size
            await asyncio.to_thread(_append, path, b"")
        room -= size
    return paths, cut


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def _read(
    run_id: str, found: Found, paths: Sequence[Path], cut: Mapping[int, int]
) -> EventScalars:
    folders: dict[str, list[int]] = {}
    for number, file in enumerate(found.files):
        folders.setdefault(posixpath.dirname(file.path), []).append(number)
    before = prefixes(folders)
    lines: dict[str, History] = {}
    notes: list[str] = []
    for folder, numbers in folders.items():
        read = await parse([paths[n] for n in numbers])
        short = cut.keys() & set(numbers)
        for tag, line in read.lines.items():
            key = event_key(before[folder], tag)
            if short:
                line = msgspec.structs.replace(line, sampled=True, cut=True, total=None)
            lines.setdefault(key, msgspec.structs.replace(line, run_id=run_id, key=key))
        for fault in read.faults:
            number = numbers[fault.file]
            if number not in cut:
                notes.append(f"{found.files[number].path}: {fault.what}")
        notes += [
            f"{found.files[n].path}: only its first {format_bytes(cut[n])} were read"
            for n in sorted(short)
        ]
        if read.left_out:
            notes.append(f"{folder or 'event files'}: {read.left_out:,} tags were left out")
    if found.more:
        notes.append(f"there are more artifacts than were looked at: {len(found.files)} were read")
    return EventScalars(lines=lines, files=len(found.files), notes=tuple(notes))
