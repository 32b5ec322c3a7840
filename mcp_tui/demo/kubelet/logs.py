"""Container logs on disk: bounded, time-stamped per line, read by a follower without the writer.

One line is ``<RFC 3339 time, nanoseconds> <stdout|stderr> <F|P> <text>``, the layout that container
runtimes use; ``P`` marks a part of a line that goes on in the next record.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_ROTATE: Final = 10 * 1024 * 1024
_LONGEST: Final = 16 * 1024
_BLOCK: Final = 256 * 1024


def stamp(nanoseconds: int | None = None) -> bytes:
    """A time in UTC as RFC 3339 with nanoseconds; now unless given."""
    value = time.time_ns() if nanoseconds is None else nanoseconds
    seconds, fraction = divmod(value, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}Z".encode()


class LogWriter:
    """Writes one container instance's log; ``path`` and, once rotated, ``path`` + ``.1``."""

    def __init__(self, path: Path, *, rotate: int = _ROTATE) -> None:
        self.path = path
        self._rotate = rotate
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._rest: dict[str, bytes] = {}

    def write(self, stream: str, chunk: bytes) -> None:
        """Add what a process wrote to ``stdout`` or ``stderr``; lines may be cut anywhere."""
        data = self._rest.pop(stream, b"") + chunk
        whole, newline, rest = data.rpartition(b"\n")
        head = stamp() + b" " + stream.encode()
        if newline:
            full = head + b" F "
            self._append(full + whole.replace(b"\n", b"\n" + full) + b"\n")
        while len(rest) >= _LONGEST:
            self._append(head + b" P " + rest[:_LONGEST] + b"\n")
            rest = rest[_LONGEST:]
        if rest:
            self._rest[stream] = rest

    def close(self) -> None:
        """Write what has no newline yet and close."""
        for stream, rest in self._rest.items():
            self._append(stamp() + b" " + stream.encode() + b" F " + rest + b"\n")
        self._rest.clear()
        self._file.close()

    def _append(self, data: bytes) -> None:
        if self._size and self._size + len(data) > self._rotate:
            self._file.close()
            self.path.replace(self.path.with_name(self.path.name + ".1"))
            self._file = self.path.open("ab", buffering=0)
            self._size = 0
        self._file.write(data)
        self._size += len(data)


@dataclass(frozen=True)
class LogQuery:
    """What a reader asks for, in the words of PodLogOptions; ``since`` is RFC 3339 in UTC."""

    follow: bool = False
    tail: int | None = None
    timestamps: bool = False
    since: bytes = b""
    limit: int | None = None


class _Renderer:
    """Turns records into what a client sees, joining the parts of long lines."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._partial = False

    def render(self, records: Iterator[bytes]) -> bytes:
        out = []
        for record in records:
            when, _, rest = record.partition(b" ")
            _, _, rest = rest.partition(b" ")
            kind, text = rest[:1], rest[2:]
            continues, self._partial = self._partial, kind == b"P"
            if self._query.since and when < self._query.since:
                continue
            if self._query.timestamps and not continues:
                out += [when, b" "]
            out.append(text)
            if kind != b"P":
                out.append(b"\n")
        return b"".join(out)


def _files(path: Path) -> list[Path]:
    return [file for file in (path.with_name(path.name + ".1"), path) if file.exists()]


def _tail_offset(path: Path, lines: int) -> tuple[int, int]:
    """Where the last ``lines`` full lines of one file begin, and how many are still wanting."""
    size = path.stat().st_size
    if lines <= 0:
        return size, 0
    want = _BLOCK
    while True:
        start = max(0, size - want)
        with path.open("rb") as stream:
            stream.seek(start)
            data = stream.read(size - start)
        if start:
            cut = data.find(b"\n") + 1
            start, data = start + cut, data[cut:]
        found = 0
        end = len(data)
        for record in reversed(data.splitlines(keepends=True)):
            if record.split(b" ", 3)[2:3] == [b"F"]:
                found += 1
                if found > lines:
                    return start + end, 0
            end -= len(record)
        if start == 0:
            return 0, max(0, lines - found)
        want *= 4


def _start(files: list[Path], tail: int | None) -> list[tuple[Path, int]]:
    """The files to read, oldest first, each with the offset to begin at."""
    if tail is None:
        return [(file, 0) for file in files]
    parts = []
    for file in reversed(files):
        offset, tail = _tail_offset(file, tail)
        parts.append((file, offset))
        if tail <= 0:
            break
    return parts[::-1]


class _Cursor:
    """A place in a log file that survives rotation, because it holds the file open."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        self._stream = path.open("rb")
        self._stream.seek(offset)
        self._rest = b""

    def read(self) -> list[bytes]:
        """The next complete records; empty at the end of the file."""
        data = self._stream.read(_BLOCK)
        *records, self._rest = (self._rest + data).split(b"\n")
        return records

    def at_end(self) -> bool:
        """Nothing more in the file that is open."""
        return self._stream.tell() >= os.fstat(self._stream.fileno()).st_size

    def rotate(self) -> bool:
        """Go on with the file that took this one's place, if one did."""
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino != os.fstat(self._stream.fileno()).st_ino:
                self._stream.close()
                self._stream = self._path.open("rb")
                self._rest = b""
                return True
        return False

    def close(self) -> None:
        self._stream.close()


async def read_log(
    path: Path, query: LogQuery, *, ended: Callable[[], bool], poll: float = 0.2
) -> AsyncIterator[bytes]:
    """What a client sees of one container instance's log, in pieces.

    Args:
        path: The log file; a missing one is an empty log.
        query: What is asked for.
        ended: Whether the writer has closed the log; a follower then stops at its end.
        poll: Seconds between a follower's looks at the file.
    """
    renderer = _Renderer(query)
    left = query.limit
    parts = await asyncio.to_thread(lambda: _start(_files(path), query.tail))
    if not parts and query.follow:
        parts = [(path, 0)]
    for index, (file, offset) in enumerate(parts):
        follow = query.follow and index == len(parts) - 1
        while follow and not file.exists() and not ended():  # noqa: ASYNC110 - made by another task
            await asyncio.sleep(poll)
        if not file.exists():
            continue
        cursor = _Cursor(file, offset)
        try:
            while True:
                last = ended()
                records = await asyncio.to_thread(cursor.read)
                piece = renderer.render(iter(records))
                if left is not None:
                    piece = piece[:left]
                    left -= len(piece)
                if piece:
                    yield piece
                if left is not None and left <= 0:
                    return
                if records or not cursor.at_end():
                    continue
                if not follow:
                    break
                if not cursor.rotate():
                    if last:
                        break
                    await asyncio.sleep(poll)
        finally:
            cursor.close()
