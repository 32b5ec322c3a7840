"""Just enough HTTP/1.1 to stand between a client and a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Head:
    """The first line of a message in three parts, and its headers in their order."""

    first: tuple[str, str, str]
    headers: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str) -> str:
        """The first header of a name, whatever its case; empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def without(self, *names: str) -> list[tuple[str, str]]:
        """The headers but those named."""
        drop = {name.lower() for name in names}
        return [(key, value) for key, value in self.headers if key.lower() not in drop]


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next message's head, or None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    a, b, c = [*first.split(" ", 2), "", ""][:3]
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    return Head((a, b, c), [(key.strip(), value.strip()) for key, value in pairs])


def encode_head(first: str, headers: list[tuple[str, str]]) -> bytes:
    """A head as bytes."""
    lines = [first, *(f"{key}: {value}" for key, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def read_body(
    reader: asyncio.StreamReader, head: Head, *, until_close: bool
) -> AsyncIterator[bytes]:
    """The payload of a message as it comes.

    Raises:
        ConnectionError: It broke off.
    """
    try:
        if head.get("transfer-encoding").lower() == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                while size:
                    piece = await reader.read(min(size, 65_536))
                    if not piece:
                        raise ConnectionResetError("cut in a chunk")
                    size -= len(piece)
                    yield piece
                await reader.readexactly(2)
            await reader.readuntil(b"\r\n")
        elif head.get("content-length"):
            left = int(head.get("content-length"))
            while left:
                piece = await reader.read(min(left, 65_536))
                if not piece:
                    raise ConnectionResetError("cut in the body")
                left -= len(piece)
                yield piece
        elif until_close:
            while piece := await reader.read(65_536):
                yield piece
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("cut in the body") from error
