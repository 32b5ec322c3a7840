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
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Storm:
    """What was written, and in which time."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


class Writer:
    """The process that writes; made ready at once, begun by :meth:`begin`.

    Args:
        ground: Its directory is all that the process is told.
        jobs: Jobs of the scene; those that run are changed, one after the other.
        rate: Events a second.
        seconds: For how long.
    """

    def __init__(
        self, ground: Ground, *, jobs: int, rate: float, seconds: float, context: str = "dev"
    ) -> None:
        arguments = [str(ground.directory), context, str(jobs), str(rate), str(seconds)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != READY:
            raise RuntimeError(f"the writer did not start: {line!r}")

    def begin(self) -> None:
        """Let it write."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    @property
    def running(self) -> bool:
        """Whether it still writes."""
        return self._process.poll() is None

    def end(self) -> Storm:
        """Wait for its end."""
        out, _ = self._process.communicate(timeout=300)
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


def _requests(scene: Scene, jobs: int, count: int, host: str) -> list[bytes]:
    running = [number for number in range(jobs) if scene.runs(number)]
    random.Random(7).shuffle(running)
    changes = sorts(scene)
    made = []
    for turn in range(count):
        change = changes[(turn // len(running) + turn) % len(changes)]
        job = scene.job(change, running[turn % len(running)])
        body = msgspec.json.encode(job.put())
        head = (
            f"POST /v3/kv/put HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _write(
    scene: Scene, requests: Sequence[bytes], rate: float, seconds: float
) -> tuple[int, float]:
    """Write at the rate, or as fast as the server takes it.

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
        elif time.monotonic() - began > seconds:
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
    directory, context, jobs, rate, seconds = sys.argv[1:]
    scene = Scene(Ground.attach(Path(directory)), context)
    requests = _requests(scene, int(jobs), int(float(rate) * float(seconds)), "127.0.0.1")
    os.write(1, READY)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(_write(scene, requests, float(rate), float(seconds)))))


if __name__ == "__main__":
    main()
