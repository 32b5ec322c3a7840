"""Connections without sockets, under the real HTTP client: each call may meet a fault.

What stands above is all ours and httpx's own: the transports, their deadlines, HTTP/1.1 as bytes,
kept connections that turn out to be closed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from tests.faults.model import Reply, World, selected

ASKS = ("selfsubjectaccessreviews", "selfsubjectreviews", "runs/search", "experiments/search")
HOP = 0.01
"""Seconds that a call needs one way."""


@dataclass(frozen=True)
class Call:
    """A call that left the client."""

    number: int
    side: str
    method: str
    target: str
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        asks = any(each in self.target for each in ASKS)
        return self.method != "GET" and not asks and "dryRun=All" not in self.target


@dataclass(frozen=True)
class Trouble:
    """What happens to a call.

    Attributes:
        done: Whether the server does the work.
        answer: ``""`` the true one; ``drop`` the connection ends instead; ``cut`` ends within it;
            ``silence`` for ever; else a made-up one, see ``status`` and ``body``.
        after: Seconds until the server has it.
        twice: A gateway sends it again and gives the second answer.
    """

    done: bool
    answer: str = ""
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    after: float = HOP
    twice: bool = False


class Network(httpcore.AsyncNetworkBackend):
    """Leads every connection to the world.

    Attributes:
        trouble: Says what happens to a call; None for nothing.
        left: Every call that left, in order.
        moment: Told of each step of a call: ``left``, ``done``, ``answered``.
    """

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.loop = loop
        self.trouble: Callable[[Call], Trouble | None] = lambda _: None
        self.down: Callable[[str], bool] = lambda _: False
        self.moment: Callable[[Call, str], None] = lambda _c, _s: None
        self.left: list[Call] = []
        self.under_way: dict[int, Call] = {}
        """Calls that the server does not have yet."""
        self.dead = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        await asyncio.sleep(HOP)
        side = host.partition(".")[0]
        if self.dead or self.down(side):
            raise httpcore.ConnectError("connection refused")
        return Stream(self, side)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def arrive(self, call: Call, times: int = 1) -> Reply:
        """The server does what it was asked for."""
        self.under_way.pop(call.number, None)
        for _ in range(times):
            reply = self.world.handle(call.side, call.method, call.target, call.body)
        self.moment(call, "done")
        return reply

    def settle(self) -> None:
        """Whatever was late arrives now, and nobody is there to be told."""
        self.moment = lambda _c, _s: None
        for call in list(self.under_way.values()):
            self.arrive(call)


class Stream(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, network: Network, side: str) -> None:
        self._network = network
        self._side = side
        self._request = b""
        self._out = bytearray()
        self._ended = False
        self._news = asyncio.Event()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                while not self._out and not self._ended:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        data = bytes(self._out[:max_bytes])
        del self._out[:max_bytes]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._network.dead or self._network.down(self._side):
            self._end()
        if self._ended:
            raise httpcore.WriteError("broken pipe")
        self._request += buffer
        head, found, body = self._request.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        lengths = [
            v.strip()
            for k, _, v in (x.partition(":") for x in lines)
            if k.lower() == "content-length"
        ]
        if len(body) < int(lengths[0] if lengths else 0):
            return
        self._request = b""
        method, target, _ = lines[0].split(" ")
        network = self._network
        call = Call(len(network.left), self._side, method, target, body)
        network.left.append(call)
        trouble = network.trouble(call) or Trouble(done=True)
        network.moment(call, "left")
        if trouble.done:
            network.under_way[call.number] = call
        network.loop.call_later(trouble.after, self._arrived, call, trouble)

    def _arrived(self, call: Call, trouble: Trouble) -> None:
        network = self._network
        reply: Reply | None = None
        if call.number in network.under_way:
            reply = network.arrive(call, 2 if trouble.twice else 1)
        if trouble.answer == "silence":
            return
        if trouble.answer == "drop" or (reply is None and trouble.answer in ("", "cut")):
            network.loop.call_later(HOP, self._end)
            return
        if reply is not None and reply.watch is not None and not trouble.answer:
            self._follow(reply.watch)
            return
        network.loop.call_later(HOP, self._answer, call, trouble, reply)

    def _answer(self, call: Call, trouble: Trouble, reply: Reply | None) -> None:
        refused = reply is not None and reply.status >= 300 > trouble.status
        if trouble.answer in ("", "cut") or refused:  # nobody makes a success of a refusal
            assert reply is not None
            status, body = reply.status, json.dumps(reply.body).encode()
        else:
            status, body = trouble.status, trouble.body
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {trouble.content_type}\r\n"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        if trouble.answer == "cut":
            data = data[: len(data) - len(body) // 2 - 1]
            self._network.loop.call_later(HOP, self._end)
        self._give(data)
        self._network.moment(call, "answered")

    def _follow(self, watch: tuple[str, str, int]) -> None:
        """A watch: everything from a version on, as long as the connection is there."""
        plural, fields, sent = watch
        self._give(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        world = self._network.world
        state = {"sent": sent}

        def more() -> None:
            if self._ended:
                if more in world.told:
                    world.told.remove(more)
                return
            for version, kind, type_, obj in world.history:
                if version > state["sent"] and kind == plural:
                    state["sent"] = version
                    if selected(obj, {"fieldSelector": fields}):
                        line = json.dumps({"type": type_, "object": obj}).encode() + b"\n"
                        self._give(b"%x\r\n%s\r\n" % (len(line), line))

        world.told.append(more)
        more()

    def _give(self, data: bytes) -> None:
        if not self._ended:
            self._out += data
            self._news.set()

    def _end(self) -> None:
        self._ended = True
        self._news.set()

    async def aclose(self) -> None:
        self._end()

    def get_extra_info(self, info: str) -> Any:
        # That the other end has closed is not always known before something is sent.
        return False if info == "is_readable" else None
