"""A container's log, read in batches and followed across broken connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import msgspec

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.kubernetes.transport import KubeClient

_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")
_LONGEST: Final = 16_384
_SILENCE: Final = 3_600.0
_AGAIN: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One line.

    Attributes:
        text: Sanitised, without its end.
        stamp: The time that the kubelet gave it, RFC 3339 with nanoseconds; empty if it gave none.
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


def _epoch(stamp: str) -> float | None:
    if not stamp:
        return None
    try:
        # datetime knows microseconds only.
        whole, _, rest = stamp.partition(".")
        digits = re.match(r"\d*", rest)
        seconds = datetime.fromisoformat(f"{whole.rstrip('Z')[:19]}+00:00").timestamp()
        return seconds + (float(f"0.{digits[0]}") if digits and digits[0] else 0.0)
    except ValueError:
        return None


async def read_log(
    client: KubeClient,
    namespace: str,
    pod: str,
    container: str,
    *,
    follow: bool = False,
    previous: bool = False,
    tail: int | None = None,
) -> AsyncIterator[list[LogRecord]]:
    """A container's log, a batch for each piece that arrives.

    A followed log that breaks is taken up again where it was left; it ends when the container has
    ended.

    Args:
        follow: Go on while the container runs.
        previous: Of the container's run before this one.
        tail: Only the newest lines of what is there.

    Raises:
        ApiError: The server says no: no such pod or container, not allowed, not started yet (400).
        UnreachableError: The server cannot be reached (when following: not again either).
    """
    last, seen_at_last = "", 0
    failures = 0
    while True:
        params = {"container": container, "timestamps": "true"}
        if follow:
            params["follow"] = "true"
        if previous:
            params["previous"] = "true"
        if last:
            # The server takes whole seconds: what was seen of that second is dropped below.
            params["sinceTime"] = last[:19] + "Z"
        elif tail is not None:
            params["tailLines"] = str(tail)
        skip_until, skip_count = last, seen_at_last
        try:
            async with client.stream(
                f"/api/v1/namespaces/{namespace}/pods/{pod}/log",
                params=params,
                read_timeout=_SILENCE,
                accept="*/*",
            ) as chunks:
                rest = b""
                async for chunk in chunks:
                    data = rest + chunk
                    lines = data.split(b"\n")
                    rest = lines.pop()
                    if len(rest) > 1_048_576:
                        lines, rest = [*lines, rest], b""
                    batch = [_record(line, pod, container) for line in lines]
                    if skip_until:
                        batch, skip_count, skip_until = _unseen(batch, skip_until, skip_count)
                    for record in batch:
                        if record.stamp:
                            seen_at_last = seen_at_last + 1 if record.stamp == last else 1
                            last = record.stamp
                    if batch:
                        failures = 0
                        yield batch
                if rest:
                    yield [_record(rest, pod, container)]
            return
        except UnreachableError:
            if not follow or failures >= len(_AGAIN):
                raise
        except ApiError as error:
            again = error.status == 429 or error.status >= 500
            if not follow or not last or not again or failures >= len(_AGAIN):
                raise
        await asyncio.sleep(_AGAIN[failures])
        failures += 1


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
    stamp = match[1].decode() if match else ""
    body = line[match.end() :] if match else line
    # A carriage return is how progress bars redraw their line: what was drawn last is what counts.
    body = body.rstrip(b"\r").rpartition(b"\r")[2]
    text = clean_line(body.decode("utf-8", "replace"), limit=_LONGEST)
    return LogRecord(text, stamp, pod, container)
