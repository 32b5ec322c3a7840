"""A recording of a storm, given again at an exact rate by the fault proxy.

:func:`record` keeps what a real API server's watch of jobs says while a writer makes it storm.
:class:`Replay` is a process that stands before that server: lists and all else are the server's
own, and a watch of jobs is the recording, over and over, with versions that go on from the list's.
It also gives a log of a pod that writes as fast as it is told. So the console sees a rate that no
server makes beside it on a small machine, and the end state is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.bench.rest import settle
from tests.bench.scene import Scene
from tests.bench.storm import READY, Beside, Storm, Writer
from tests.cluster import Ground
from tests.faults.proxy import Act, FaultProxy
from tests.faults.wire import Head, encode_head

_JOBS: Final = "/apis/batch/v1/jobs"
_VERSION: Final = re.compile(rb'"resourceVersion":"(\d+)"')
_UID: Final = re.compile(rb'"uid":"([^"]+)"')
_READY: Final = re.compile(rb'"ready":\d')
_BEAT: Final = 0.01
_CATCH_UP: Final = 4
"""Beats' worth that is given at once at most: what a storm is behind it makes up for bit by bit."""

RATE: Final = 1000.0
"""Events a second."""
_OK: Final = encode_head(
    "HTTP/1.1 200 OK", [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
)


def record(ground: Ground, path: Path, *, jobs: int, rate: float = 500, seconds: float = 6) -> int:
    """Keep the events of a storm of the real server in a file, one a line.

    Returns:
        How many there are.
    """
    cluster, failures = ground.dev, []

    def listen(version: str) -> None:
        # The server ends it, a while after the writer.
        query = {
            "watch": "true",
            "resourceVersion": version,
            "timeoutSeconds": f"{seconds + 4:.0f}",
        }
        try:
            with (
                httpx.Client(
                    base_url=cluster.server,
                    verify=ssl.create_default_context(cafile=str(cluster.ca)),
                    headers={"Authorization": f"Bearer {cluster.tokens['admin']}"},
                    trust_env=False,
                ) as http,
                http.stream("GET", _JOBS, params=query, timeout=60) as answer,
                path.open("wb") as file,
            ):
                for piece in answer.raise_for_status().iter_bytes():
                    file.write(piece)
        except httpx.HTTPError as error:
            failures.append(error)

    with Writer(ground, jobs=jobs, rate=rate, seconds=seconds) as writer:
        version = ground.api("GET", _JOBS, params={"limit": "1"}).ok()["metadata"]
        listener = threading.Thread(target=listen, args=(version["resourceVersion"],), daemon=True)
        listener.start()
        writer.begin()
        writer.end()
        listener.join(60)
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [one for one in lines if one.startswith(b'{"type":"MODIFIED"') and one[-1:] == b"\n"]
    if listener.is_alive() or failures or not kept:
        raise RuntimeError(f"the watch did not give what was written: {failures}")
    path.write_bytes(b"".join(kept))
    return len(kept)


def due(passed: float, rate: float, given: int, count: int) -> int:
    """How many of a storm's events are to have been given by now.

    Args:
        passed: Seconds since it began.
        rate: Events a second.
        given: Those that were.
        count: All that there are.
    """
    at_once = max(1, round(rate * _BEAT * _CATCH_UP))
    return max(given, min(count, int(passed * rate), given + at_once))


@dataclass(frozen=True)
class Piece:
    """One recorded event, in parts around what changes."""

    uid: str
    before: bytes
    after: bytes

    @classmethod
    def of(cls, line: bytes) -> Piece:
        found, uid = _VERSION.search(line), _UID.search(line)
        assert found is not None, line[:300]
        assert uid is not None, line[:300]
        return cls(uid[1].decode(), line[: found.start(1)], line[found.end(1) :])

    def cast(self, version: int, turn: int) -> bytes:
        """It once more, of another version, with another number of ready pods on each turn."""
        after = _READY.sub(b'"ready":%d' % (turn % 6), self.after) if turn else self.after
        return b"%s%d%s" % (self.before, version, after)


class _Proxy(FaultProxy):
    """The fault proxy, but for watches of jobs and for logs, which it gives itself."""

    def __init__(
        self, ground: Ground, recording: Path, rate: float, seconds: float, lines: float
    ) -> None:
        super().__init__(ground.dev.server, ca=ground.dev.ca)
        with recording.open("rb") as file:
            self._pieces = [Piece.of(line) for line in file]
        self._rate = rate
        self._count = int(rate * seconds)
        self._base: int | None = None
        self._began = 0.0
        self._begun = asyncio.Event()
        self.given = 0
        self.ended = asyncio.Event()
        self._lines = lines

    def begin(self) -> None:
        """Now it storms."""
        self._began = time.monotonic()
        self._begun.set()

    @property
    def last(self) -> dict[str, str]:
        """The version of every job that was changed, by uid, once all is given."""
        assert self._base is not None
        found = {}
        for number in range(self._count):
            uid = self._pieces[number % len(self._pieces)].uid
            found[uid] = str(self._base + 1 + number)
        return found

    async def _work(
        self,
        head: Head,
        body: bytes,
        act: Act | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        url = urlsplit(head.first[1])
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == _JOBS and query.get("watch") in ("true", "1"):
            await self._storm(int(query["resourceVersion"]), writer)
        elif url.path.endswith("/log"):
            await self._log(url.path, "follow" in query, writer)
        else:
            await super()._work(head, body, act, reader, writer)

    async def _storm(self, version: int, writer: asyncio.StreamWriter) -> None:
        """The events behind a version, each when its time has come; then nothing more."""
        if self._base is None:
            self._base = version
        at = max(0, version - self._base)
        await self._write(writer, _OK)
        if self._lines:
            await asyncio.Event().wait()
        await self._begun.wait()
        while at < self._count:
            until = due(time.monotonic() - self._began, self._rate, at, self._count)
            if until > at:
                data = b"".join(self._event(number) for number in range(at, until))
                at = until
                await self._write(writer, b"%x\r\n%s\r\n" % (len(data), data))
                self.given = max(self.given, at)
            await asyncio.sleep(_BEAT)
        self.ended.set()
        await asyncio.Event().wait()

    def _event(self, number: int) -> bytes:
        assert self._base is not None
        turn, index = divmod(number, len(self._pieces))
        return self._pieces[index].cast(self._base + 1 + number, turn)

    async def _log(self, path: str, follow: bool, writer: asyncio.StreamWriter) -> None:
        """Numbered lines at a rate, from the first pod of each job; the others say nothing."""
        await self._write(writer, _OK)
        if not follow:
            await self._write(writer, b"0\r\n\r\n")
            return
        if not self._lines or not path.endswith("-0/log"):
            await asyncio.Event().wait()
        await self._begun.wait()
        sent, count = 0, int(self._count / self._rate * self._lines)
        while True:
            # Each line of a piece has a time of its own: nanoseconds behind the piece's.
            passed = time.monotonic() - self._began
            until = min(sent + 999, due(passed, self._lines, sent, count))
            if until > sent:
                second = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
                data = b"".join(
                    b"%s%03dZ line %09d of a training that tells of every step, loss 0.1234\n"
                    % (second.encode(), number - sent, number)
                    for number in range(sent + 1, until + 1)
                )
                sent = until
                await self._write(writer, b"%x\r\n%s\r\n" % (len(data), data))
                self.given = sent
            if sent == count:
                self.ended.set()
                await asyncio.Event().wait()
            await asyncio.sleep(_BEAT)


class Replay(Beside):
    """The process that gives a recording; made ready at once, begun by :meth:`begin`.

    Args:
        ground: Its ``dev`` cluster answers all but watches of jobs and logs.
        recording: As :func:`record` made it.
        rate: Events a second.
        seconds: For how long.
        lines: Log lines a second instead; no job changes then.

    Attributes:
        kubeconfig: What leads through it, under the context ``dev``.
        last: Versions of the jobs that were changed, by uid; known at the end.
    """

    def __init__(
        self,
        ground: Ground,
        recording: Path,
        *,
        rate: float = RATE,
        seconds: float = 30,
        lines: float = 0,
    ) -> None:
        self.kubeconfig = recording.with_suffix(".kubeconfig")
        self.last: dict[str, str] = {}
        self._seconds = seconds
        self._end: Storm | None = None
        words = [ground.directory, recording, self.kubeconfig, rate, seconds, lines]
        super().__init__(__spec__.name, words)
        self._answer = threading.Thread(target=self._listen, daemon=True)
        self._answer.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):
            told: dict[str, Any] = json.loads(self._process.stdout.readline())
            self.last = told["last"]
            self._end = Storm(told["events"], told["seconds"])

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self._answer.is_alive()

    def end(self) -> Storm:
        """Wait until all was given; the proxy stays until this is closed."""
        self._answer.join(self._seconds + 120)
        if self._end is None:
            raise RuntimeError("the recording was not given to its end")
        return self._end

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


async def _serve(
    ground: Ground, recording: Path, kubeconfig: Path, rate: float, seconds: float, lines: float
) -> None:
    proxy = _Proxy(ground, recording, rate, seconds, lines)
    async with proxy:
        proxy.kubeconfig(kubeconfig, token=ground.dev.tokens["admin"], context="dev")
        os.write(1, READY)
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(None, sys.stdin.readline):
            return
        began = time.monotonic()
        proxy.begin()
        closed = loop.run_in_executor(None, sys.stdin.readline)
        ended = asyncio.ensure_future(proxy.ended.wait())
        await asyncio.wait((closed, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            took = time.monotonic() - began
            last = {} if lines else proxy.last
            print(json.dumps({"events": proxy.given, "seconds": took, "last": last}), flush=True)
        ended.cancel()
        await closed


@contextlib.contextmanager
def recording(ground: Ground, *, jobs: int) -> Iterator[Path]:
    """A recording of a storm on a ground, which has come to rest after it; gone with the block."""
    path = ground.directory / "recording"
    record(ground, path, jobs=jobs)
    Scene(ground).put_jobs(jobs)
    settle(ground)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        path.with_suffix(".kubeconfig").unlink(missing_ok=True)


def main() -> None:
    """Be the process."""
    directory, path, kubeconfig, rate, seconds, lines = sys.argv[1:]
    ground = Ground.attach(Path(directory))
    asyncio.run(
        _serve(ground, Path(path), Path(kubeconfig), float(rate), float(seconds), float(lines))
    )


if __name__ == "__main__":
    main()
