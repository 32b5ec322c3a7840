"""A container's log, read in batches and followed across broken connections."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.kubernetes.transport import KubeClient

_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")
_LONGEST: Final = 16_384
_PIECE: Final = 1_048_576
# A log may be silent for ever, and so may a connection that died: after so long it is opened anew.
_SILENCE: Final = 120.0
_AGAIN: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
# The longest wait, in seconds, that a server is granted: a pod that goes takes its lines with it.
_MOST_ASKED: Final = 30.0
# A connection that lasted so long was no failure.
_LASTED: Final = 10.0


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One line.

    Attributes:
        text: Sanitised, without its end.
        stamp: The time that the kubelet gave it, in UTC, RFC 3339 with nine digits, so that stamps
            compare as texts; empty if it gave none.
        pod: Whose it is.
        container: Which of its containers.
    """

    text: str
    stamp: str
    pod: str
    container: str

    @property
    def at(self) -> float | None:
        """The time in epoch seconds, or None."""
        return _epoch(self.stamp)


@functools.lru_cache(maxsize=64)
def _second(local: str, offset: str) -> int | None:
    """Epoch seconds of ``2026-11-23T03:00:00`` with ``Z`` or ``+02:00``."""
    try:
        return int(datetime.fromisoformat(local + offset.replace("Z", "+00:00")).timestamp())
    except (ValueError, OverflowError):
        return None


def _epoch(stamp: str) -> float | None:
    whole = _second(stamp[:19], "Z") if stamp else None
    return None if whole is None else whole + float(f"0.{stamp[20:-1] or 0}")


def _canonical(stamp: str) -> str:
    """UTC with nine digits, so that texts compare as times; empty for no time.

    Kubelets write the time zone of their node, and older runtimes leave trailing zeros away.
    """
    if len(stamp) == 30 and stamp[-1] == "Z":
        return stamp
    offset = "Z" if stamp[-1] == "Z" else stamp[-6:]
    whole = _second(stamp[:19], offset)
    if whole is None:
        return ""
    digits = stamp[20 : -len(offset)][:9]
    return f"{_utc(whole)}.{digits:0<9}Z"


@functools.lru_cache(maxsize=64)
def _utc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Cursor:
    """How far a container's log has been read, over broken connections and restarts.

    Attributes:
        last: The time of the newest line read; empty before the first.
        seen: How many lines of that very time were read.
    """

    def __init__(self) -> None:
        self.last = ""
        self.seen = 0

    def take(self, batch: list[LogRecord]) -> None:
        """These lines were read."""
        for record in batch:
            if record.stamp:
                self.seen = self.seen + 1 if record.stamp == self.last else 1
                self.last = record.stamp


async def read_log(
    client: KubeClient,
    namespace: str,
    pod: str,
    container: str,
    *,
    follow: bool = False,
    previous: bool = False,
    tail: int | None = None,
    cursor: Cursor | None = None,
    ended: Callable[[], bool] = lambda: True,
    on_trouble: Callable[[str], None] = lambda _words: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[list[LogRecord], None]:
    """A container's log, a batch for each piece that arrives.

    A followed log that breaks is taken up again where it was left, without a line lost or doubled,
    for as long as it takes, and not before the server wants that. It ends when the stream ends and
    the container has.

    Args:
        follow: Go on while the container runs.
        previous: Of the container's run before this one.
        tail: Only the newest lines of what is there.
        cursor: Where to begin, and kept up to date; from the start when None.
        ended: Whether the container has ended, as far as is known: a stream may end before it
            does, when a log is rotated or a gateway has had enough.
        on_trouble: Told why the log is opened again.
        sleep: How to wait.

    Raises:
        ApiError: The server says no: no such pod or container, not allowed, not started yet (400).
        UnreachableError: The server cannot be reached; not when following.
    """
    cursor = cursor or Cursor()
    failures = 0
    while True:
        reading = _Reading(pod, container, cursor)
        asked = 0.0
        opened = time.monotonic()
        try:
            async with client.stream(
                f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
                params=_params(container, follow, previous, tail, cursor),
                read_timeout=_SILENCE,
                accept="*/*",
            ) as chunks:
                opened = time.monotonic()
                async for chunk in chunks:
                    batch = reading.take(chunk)
                    if batch:
                        failures = 0
                        yield batch
            if not follow or ended():
                # Only now is what has no line end known to be whole.
                batch = reading.rest()
                if batch:
                    yield batch
                return
            words = ""
        except UnreachableError as error:
            if not follow:
                raise
            words = error.line()
        except ApiError as error:
            again = error.status in (400, 429) or error.status >= 500
            if (
                not follow
                or not again
                or (failures >= len(_AGAIN) and (ended() or not cursor.last))
            ):
                raise
            words = error.line()
            asked = min(error.retry_after or 0.0, _AGAIN[-1] if ended() else _MOST_ASKED)
        if time.monotonic() - opened > _LASTED:
            failures = 0
        elif words and (failures or asked):
            on_trouble(words)
        await sleep(max(asked, _AGAIN[min(failures, len(_AGAIN) - 1)]))
        failures += 1


def _params(
    container: str, follow: bool, previous: bool, tail: int | None, cursor: Cursor
) -> dict[str, str]:
    params = {"container": container, "timestamps": "true"}
    if follow:
        params["follow"] = "true"
    if previous:
        params["previous"] = "true"
    if cursor.last:
        # The server takes whole seconds: what was seen of that second is dropped when it comes.
        params["sinceTime"] = cursor.last[:19] + "Z"
    elif tail is not None:
        params["tailLines"] = str(tail)
    return params


class _Reading:
    """One connection: from chunks to lines that were not seen before."""

    def __init__(self, pod: str, container: str, cursor: Cursor) -> None:
        self._pod = pod
        self._container = container
        self._cursor = cursor
        self._until, self._count = cursor.last, cursor.seen
        self._rest: list[bytes] = []
        self._size = 0

    def take(self, chunk: bytes) -> list[LogRecord]:
        """The lines that a chunk completes."""
        if b"\n" not in chunk:
            self._rest.append(chunk)
            self._size += len(chunk)
            # A line without end is given in pieces, or memory would have none either.
            return self.rest() if self._size > _PIECE else []
        *lines, tail = b"".join((*self._rest, chunk)).split(b"\n")
        self._rest, self._size = [tail], len(tail)
        return self._new(lines)

    def rest(self) -> list[LogRecord]:
        """What came after the last line end."""
        data = b"".join(self._rest)
        self._rest, self._size = [], 0
        return self._new([data]) if data else []

    def _new(self, lines: list[bytes]) -> list[LogRecord]:
        batch = [_record(line, self._pod, self._container) for line in lines]
        if self._until:
            batch, self._count, self._until = _unseen(batch, self._until, self._count)
        self._cursor.take(batch)
        return batch


def _unseen(batch: list[LogRecord], until: str, count: int) -> tuple[list[LogRecord], int, str]:
    """Drop what was seen before a break: earlier lines, and ``count`` lines of time ``until``."""
    for index, record in enumerate(batch):
        if not record.stamp or record.stamp < until:
            continue
        if record.stamp == until and count > 0:
            count -= 1
            continue
        return batch[index:], 0, ""
    return [], count, until


def _record(line: bytes, pod: str, container: str) -> LogRecord:
    match = _STAMP.match(line)
    stamp = _canonical(match[1].decode()) if match else ""
    body = line[match.end() :] if match else line
    # A carriage return is how progress bars redraw their line: what was drawn last is what counts.
    body = body.rstrip(b"\r").rpartition(b"\r")[2]
    text = clean_line(body.decode("utf-8", "replace"), limit=_LONGEST)
    return LogRecord(text, stamp, pod, container)
