"""The schedules' troubles on real servers: two proxies, and one course of calls through both.

What a schedule says of calls within a process is done here to the calls of a real one, which is
killed where the schedule says so. Calls count from when the process has written down what it is
about to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.network import HOP, Call, Trouble
from tests.faults.proxy import Act, FaultProxy, _Dropped
from tests.faults.schedule import TROUBLES, Schedule, _suited
from tests.faults.wire import Head, encode_head, read_body, read_head

TURN = 0.003
"""Seconds for one turn of a schedule's loop."""

LINE = 0.05
"""Seconds after which a watch has begun to answer."""


@dataclass
class Course:
    """What happens to the calls of one process, in the order in which they leave it.

    Attributes:
        schedule: What is to happen.
        begun: Whether the process has written down what it does.
        kill: Ends it.
        other: Somebody else acts, past the proxies.
        left: The calls that left since it began.
        killed: Whether the schedule's kill came.
        missed: Whether it cannot come: what happened to its call has no such moment.
        over: Set when everybody has left: what is late arrives now.
    """

    schedule: Schedule
    begun: Callable[[], bool]
    kill: Callable[[], None]
    other: Callable[[str], Awaitable[None]]
    left: list[Call] = field(default_factory=list)
    killed: bool = False
    missed: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: set[asyncio.Task[Any]] = field(default_factory=set)
    _down_until: float = 0.0

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.left if call.writes]

    def places(self, call: Call) -> dict[str, int]:
        """Which call it is, and which write."""
        before = self.left[: call.number]
        return {
            "write": sum(c.writes for c in before) if call.writes else -1,
            "call": call.number,
        }

    async def comes(self, side: str, method: str, target: str, body: bytes) -> Call | None:
        """A call has left; None for one that is not yet, or no more, of the schedule."""
        if self.over.is_set() or not self.begun():
            return None
        call = Call(len(self.left), side, method, target, body)
        self.left.append(call)
        other = self.schedule.other
        if other is not None and other[1] == self.places(call)[other[0]]:
            await self.other(other[2])
        return call

    def trouble(self, call: Call) -> Trouble:
        """What happens to it."""
        found = self._trouble(call)
        stop = self.schedule.stop
        if stop is not None and self.places(call)[stop[1]] == stop[2]:
            done, answered = found.done, found.answer not in ("drop", "cut", "silence")
            self.missed = not {"left": True, "done": done, "answered": answered}[stop[3]]
        return found

    def _trouble(self, call: Call) -> Trouble:
        at = self.places(call)
        down = self.schedule.down
        if down is not None and at["call"] >= down[1]:
            self._down_until = self._down_until or time.monotonic() + down[2]
            if call.side == down[0] and time.monotonic() < self._down_until:
                return Trouble(done=False, answer="drop")
        for kind, number, name in self.schedule.troubles:
            if number == at[kind]:
                return _suited(call, TROUBLES[name]) or Trouble(done=True)
        return Trouble(done=True)

    def moment(self, call: Call, what: str) -> None:
        """A step of it: the process may be killed now, or a moment later."""
        stop = self.schedule.stop
        if stop is None or self.killed or (stop[2], stop[3]) != (self.places(call)[stop[1]], what):
            return
        self.killed = True
        if stop[4]:
            asyncio.get_running_loop().call_later(stop[4] * TURN, self.kill)
        else:
            self.kill()

    async def settle(self) -> None:
        """Whatever was late arrives, and nobody is there to be told."""
        self.over.set()
        await asyncio.gather(*self.under_way, return_exceptions=True)


class Troubled(FaultProxy):
    """A proxy of one side, whose calls go the course."""

    def __init__(self, side: str, upstream: str, *, ca: Path | None = None) -> None:
        super().__init__(upstream, ca=ca)
        self.side = side
        self.course: Course | None = None

    async def _work(
        self,
        head: Head,
        body: bytes,
        act: Act | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        method, target, _ = head.first
        course = self.course
        call = await course.comes(self.side, method, target, body) if course else None
        if course is None or call is None:
            await super()._work(head, body, act, reader, writer)
            return
        trouble = course.trouble(call)
        course.moment(call, "left")
        if "watch=true" in target and not trouble.answer:
            # Its answer ends when whoever asked goes: it is one from its first line.
            course.moment(call, "done")
            asyncio.get_running_loop().call_later(LINE, course.moment, call, "answered")
            await super()._work(head, body, act, reader, writer)
            return
        answer: tuple[Head, bytes] | None = None
        if trouble.done:
            # On its way: it arrives also where nobody is left who wants to know.
            task = asyncio.ensure_future(self._arrive(head, body, call, trouble))
            course.under_way.add(task)
            answer = await asyncio.shield(task)
        if trouble.answer == "silence":
            await asyncio.Event().wait()
        if trouble.answer == "drop" or (answer is None and trouble.answer in ("", "cut")):
            raise _Dropped
        await self._say(trouble, answer, writer)
        course.moment(call, "answered")

    async def _arrive(
        self, head: Head, body: bytes, call: Call, trouble: Trouble
    ) -> tuple[Head, bytes]:
        """The server has it, does it, and answers."""
        assert self.course is not None
        if trouble.after > HOP:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.course.over.wait(), trouble.after)
        for _ in range(2 if trouble.twice else 1):
            reader, writer = await asyncio.open_connection(
                self._host, self._port, ssl=self._upstream_tls, limit=2**20
            )
            try:
                await self._forward(head, body, writer)
                answer = await read_head(reader)
                assert answer is not None, call
                pieces = read_body(reader, answer, until_close=True)
                whole = b"".join([piece async for piece in pieces])
            finally:
                writer.transport.abort()
        self.course.moment(call, "done")
        return answer, whole

    async def _say(
        self, trouble: Trouble, answer: tuple[Head, bytes] | None, writer: asyncio.StreamWriter
    ) -> None:
        refused = answer is not None and int(answer[0].first[1]) >= 300 > trouble.status
        if answer is not None and (trouble.answer in ("", "cut") or refused):
            status, body = answer[0].first[1], answer[1]
            headers = answer[0].without("content-length", "transfer-encoding", "connection")
        else:
            status, body = str(trouble.status), trouble.body
            headers = [("Content-Type", trouble.content_type)]
        headers.append(("Content-Length", str(len(body))))
        if trouble.answer == "cut":
            body = body[: len(body) // 2]
        await self._write(writer, encode_head(f"HTTP/1.1 {status} Troubled", headers) + body)
        if trouble.answer == "cut":
            await asyncio.sleep(0.05)  # an abort may throw away what was written
            raise _Dropped
