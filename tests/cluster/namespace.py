"""A network of one process and its children: loopback and one address that is not loopback.

The API server passes nothing on to loopback addresses, so that a Service behind its proxy needs a
pod with another one. Inside, the machine's own networks are not there; what was listening before
still is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from tests.cluster.process import GroundError

REPO: Final = Path(__file__).resolve().parents[2]

ADDRESS: Final = "10.77.0.10"
"""What the processes inside listen on to be reached as pods."""

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR = 0x8913, 0x8914, 0x8916
_IFF_UP: Final = 1


def enter() -> None:
    """Put this process into a network of its own; it must have one thread only.

    Raises:
        GroundError: The kernel lets neither this user nor a user namespace of its own do so.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno())
            raise GroundError(f"no network namespace can be made here, as root or not: {why}")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    try:
        _configure()
    except OSError as error:
        raise GroundError(f"the network namespace cannot be configured: {error}") from error


def _configure() -> None:
    """Bring loopback up, and give it one more address: that is a whole network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        asked = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", asked)[1] | _IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags))
        address = struct.pack("16sHH4s16x", b"lo:0", socket.AF_INET, 0, socket.inet_aton(ADDRESS))
        fcntl.ioctl(control, _SIOCSIFADDR, address)


def possible() -> str:
    """Why :func:`enter` would fail here; empty when it would not. Asked in a child process."""
    program = "from tests.cluster.namespace import enter; enter()"
    tried = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=False
    )
    return tried.stderr.strip().rpartition("\n")[2] if tried.returncode else ""


class Relay:
    """A way in: a loopback port of the machine, opened before :func:`enter`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def lead_to(self, host: str, port: int) -> None:
        """Pass connections on to an address inside, until the process ends."""
        threading.Thread(target=asyncio.run, args=(self._serve(host, port),), daemon=True).start()

    async def _serve(self, host: str, port: int) -> None:
        async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                inner_reader, inner_writer = await asyncio.open_connection(host, port)
            except OSError:
                writer.close()
                return
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

        server = await asyncio.start_server(taken, sock=self._listener)
        await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
