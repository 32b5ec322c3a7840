"""Changes of jobs at a rate, each one an event of the real API server's watch.

They are written to the etcd behind it, one object at a time, by a process of its own that has
every request ready before it begins: so that as little as can be is taken from the machine on
which the console and the servers are measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tests.bench import mould
from tests.bench.mould import Mould
from tests.bench.scene import Scene
from tests.cluster import Ground

_LANES: Final = 4
READY: Final = b"ready\n"
_NEW: Final = 500_000
"""The number of the first job that a churn creates: more than any scene has."""

_LIVES: Final = 200
"""Jobs of a churn that are there at once."""


@dataclass(frozen=True)
class Storm:
    """What was written, and in which time."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class Beside:
    """A process of the bench: ready before it is begun, so that its start costs nobody anything.

    Args:
        module: What it runs; it says :data:`READY`, then waits for a line.
        words: Its arguments.
    """

    def __init__(self, module: str, words: Iterable[object]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != READY:
            raise RuntimeError(f"{module} did not start: {line!r}")

    def begin(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()


class Writer(Beside):
    """The process that writes; made ready at once, begun by :meth:`begin`.

    Args:
        ground: Its directory is all that the process is told.
        jobs: Jobs of the scene; those that run are changed, one after the other.
        rate: Events a second.
        seconds: For how long.
        churn: Jobs are created and deleted instead, as many of each; none is left.
    """

    def __init__(
        self,
        ground: Ground,
        *,
        jobs: int,
        rate: float,
        seconds: float,
        context: str = "dev",
        churn: bool = False,
    ) -> None:
        kind = "churn" if churn else "storm"
        self._seconds = seconds
        super().__init__(__spec__.name, [ground.directory, context, jobs, rate, seconds, kind])

    @property
    def running(self) -> bool:
        """Whether it still writes."""
        return self._process.poll() is None

    def end(self) -> Storm:
        """Wait for its end."""
        out, _ = self._process.communicate(timeout=self._seconds + 300)
        if self._process.returncode:
            raise RuntimeError("the writer of the storm failed")
        events, seconds = json.loads(out)
        return Storm(events, seconds)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self._process.kill()
        self._process.wait()


def sorts(scene: Scene) -> list[Mould]:
    """What a running job changes to, in turn: now and then it fails, or runs again."""
    running = [mould.job_running(ready, failed) for failed in range(2) for ready in range(6)]
    made = [scene.moulder.job(status) for status in running]
    return made * 4 + [scene.moulder.job(mould.job_failed())]


def _changes(scene: Scene, jobs: int, count: int) -> Iterator[bytes]:
    """Jobs that run are changed, in turn."""
    running = [number for number in range(jobs) if scene.runs(number)]
    random.Random(7).shuffle(running)
    changes = sorts(scene)
    for turn in range(count):
        change = changes[(turn // len(running) + turn) % len(changes)]
        job = scene.job(change, running[turn % len(running)])
        yield _post("put", job.put())


def _churn(scene: Scene, count: int) -> Iterator[bytes]:
    """Jobs are created, and each deleted a while later; at the end none is left."""
    sort, pairs = scene.moulder.job(mould.job_running()), count // 2
    for turn in range(pairs + _LIVES):
        if turn < pairs:
            yield _post("put", scene.job(sort, _NEW + turn).put())
        if turn >= _LIVES:
            key = scene.job(sort, _NEW + turn - _LIVES).put()["key"]
            yield _post("deleterange", {"key": key})


def _post(what: str, content: dict[str, str]) -> bytes:
    body = msgspec.json.encode(content)
    head = (
        f"POST /v3/kv/{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _write(
    scene: Scene, requests: Iterable[bytes], rate: float, seconds: float | None
) -> tuple[int, float]:
    """Write at the rate, or as fast as the server takes it.

    Args:
        scene: Whose etcd is written to.
        requests: In their order.
        rate: A second.
        seconds: After which no more is written; None writes all.

    Returns:
        How many were written, and the seconds that it took.
    """
    parts = urlsplit(scene.etcd.url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 2379
    lanes = [await asyncio.open_connection(host, port, ssl=scene.etcd.tls()) for _ in range(_LANES)]
    answered = 0

    async def count(reader: asyncio.StreamReader) -> None:
        nonlocal answered
        while line := await reader.readline():
            # An answer's body ends without a newline: the next one's first line stands behind it.
            _, found, status = line.partition(b"HTTP/1.1 ")
            if found:
                if not status.startswith(b"200 "):
                    raise RuntimeError(line.decode(errors="replace"))
                answered += 1
        raise RuntimeError("etcd closed a connection")

    readers = [asyncio.create_task(count(reader)) for reader, _ in lanes]

    async def breathe() -> None:
        for task in readers:
            if task.done():
                task.result()
        await asyncio.sleep(0.002)

    began = time.monotonic()
    sent = 0
    for request in requests:
        ahead = sent / rate - (time.monotonic() - began)
        if ahead > 0.005:
            await asyncio.sleep(ahead)
        elif seconds is not None and time.monotonic() - began > seconds:
            break
        _, writer = lanes[sent % _LANES]
        writer.write(request)
        await writer.drain()
        sent += 1
        while sent - answered > 200:  # The server is behind: that is the rate it can take.
            await breathe()
    while answered < sent:
        await breathe()
    took = time.monotonic() - began
    for task in readers:
        task.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    for _, writer in lanes:
        writer.close()
    return sent, took


def main() -> None:
    """Be the writer."""
    directory, context, jobs, rate, seconds, kind = sys.argv[1:]
    scene = Scene(Ground.attach(Path(directory)), context)
    count = int(float(rate) * float(seconds))
    requests: Iterable[bytes]
    until: float | None = float(seconds)
    if kind == "churn":
        requests, until = _churn(scene, count), None
    else:
        requests = list(_changes(scene, int(jobs), count))
    os.write(1, READY)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(_write(scene, requests, float(rate), until))))


if __name__ == "__main__":
    main()
