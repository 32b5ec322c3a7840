"""Event files byte by byte, by the published framing: length, its checksum, data, its checksum."""

from __future__ import annotations

import struct


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    """The checksum as records have it."""
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    """A record."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    """A field of a message that has a length."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def event(step: int, time: float, *values: bytes, also: bytes = b"") -> bytes:
    """An event with values of a summary."""
    summary = field(5, b"".join(field(1, value) for value in values)) if values else b""
    return b"\x09" + struct.pack("<d", time) + b"\x10" + _varint(step) + summary + also


def scalar(tag: str, value: float) -> bytes:
    """A plain number."""
    return field(1, tag.encode("utf-8", "surrogatepass")) + b"\x15" + struct.pack("<f", value)


def tensor(
    tag: str, value: float, *, plugin: bytes = b"scalars", sizes: tuple[int, ...] = ()
) -> bytes:
    """A number as TensorFlow 2 writes it: a tensor of the plugin of scalars."""
    shape = b"".join(field(2, b"\x08" + _varint(size)) for size in sizes)
    numbers = b"\x08\x01" + field(2, shape) + field(5, struct.pack("<f", value))
    about = field(1, field(1, plugin))
    return field(1, tag.encode()) + field(9, about) + field(8, numbers)


RESTART = field(7, b"\x08\x01")
"""A log of a session that starts."""


def file(*events: bytes) -> bytes:
    """A whole file, its version first."""
    first = b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2")
    return b"".join(map(record, (first, *events)))


def losses(count: int, tag: str = "loss", *, start: int = 0) -> bytes:
    """A file with a falling loss, a point a second."""
    return file(
        *(event(n, 1.7e9 + n, scalar(tag, 1 / (n + 1))) for n in range(start, start + count))
    )
