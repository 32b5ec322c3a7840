"""The server's side of a WebSocket (RFC 6455), as far as streaming into a container needs it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from typing import Final

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST: Final = 4 * 1024 * 1024
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10


class WebSocketError(Exception):
    """The peer broke the protocol."""


def unmask(data: bytes, key: bytes) -> bytes:
    """Undo a client's masking: XOR with the four bytes of the key, again and again."""
    if not data:
        return data
    whole = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(whole)).to_bytes(len(data))


class WebSocket:
    """One connection after the request's head.

    Args:
        early: Bytes that came with the head.
        reader: Where to read.
        writer: Where to write.
    """

    def __init__(
        self, early: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._early = early
        self._reader = reader
        self._writer = writer
        self._closed = False

    async def accept(self, key: str, protocol: str) -> None:
        """Answer the upgrade."""
        digest = hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()
        self._writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: %b\r\n\r\n"
            % (base64.b64encode(digest), protocol.encode())
        )
        await self._writer.drain()

    async def _exactly(self, size: int) -> bytes:
        head, self._early = self._early[:size], self._early[size:]
        if len(head) < size:
            head += await self._reader.readexactly(size - len(head))
        return head

    async def receive(self) -> bytes | None:
        """The next whole message; None when the peer closed.

        Raises:
            WebSocketError: If a frame is not masked, or a message is over 4 MiB.
        """
        message = b""
        while True:
            try:
                first, second = await self._exactly(2)
                size = second & 0x7F
                if size == 126:
                    (size,) = struct.unpack("!H", await self._exactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", await self._exactly(8))
                if not second & 0x80 or len(message) + size > _LONGEST:
                    raise WebSocketError("an unmasked or oversized frame")
                mask = await self._exactly(4)
                data = unmask(await self._exactly(size), mask)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            kind = first & 0x0F
            if kind == _CLOSE:
                await self.close()
                return None
            if kind == _PING:
                await self._frame(_PONG, data)
            elif kind in (_CONTINUATION, _TEXT, _BINARY):
                message += data
                if first & 0x80:
                    return message

    async def send(self, data: bytes) -> None:
        """Send one binary message."""
        await self._frame(_BINARY, data)

    async def close(self, code: int = 1000) -> None:
        """Send the closing frame, once."""
        if not self._closed:
            self._closed = True
            try:
                await self._frame(_CLOSE, struct.pack("!H", code))
            except ConnectionError:
                return

    async def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, size)
        elif size < 65_536:
            head = struct.pack("!BBH", 0x80 | kind, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 127, size)
        self._writer.write(head + data)
        await self._writer.drain()
