"""A real SSH server on loopback that gives repositories to whoever holds a known key."""

from __future__ import annotations

import asyncio
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh


@dataclass
class SshServer:
    """A running server.

    Attributes:
        port: Where it listens.
        folder: Its repositories; clients see it as ``/``.
        key: The private key that it lets in.
        known_hosts: The line that names its host key.
        commands: What it was asked to run.
        users: Who got in.
    """

    port: int
    folder: Path
    key: Path
    known_hosts: str
    commands: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        """Of a repository."""
        return f"ssh://git@127.0.0.1:{self.port}/{name}"


def new_key(path: Path) -> Path:
    """Make a key pair: ``path`` and ``path.pub``."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key())
    path.with_suffix(".pub").write_bytes(key.export_public_key())
    return path


def host_line(port: int, public: Path) -> str:
    """A line of known_hosts for a server on loopback."""
    kind, key = public.read_text().split()[:2]
    return f"[127.0.0.1]:{port} {kind} {key}\n"


async def _pump(source: Any, sink: Any) -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()


@contextmanager
def serve(folder: Path, keys: Path) -> Iterator[SshServer]:
    """Serve the bare repositories below ``folder``; key files are made in ``keys``."""
    host, client = new_key(keys / "host"), new_key(keys / "client")
    loop = asyncio.new_event_loop()
    server = SshServer(0, folder, client, "")

    async def process(started: asyncssh.SSHServerProcess[bytes]) -> None:
        server.commands.append(started.command or "")
        server.users.append(str(started.get_extra_info("username")))
        words = shlex.split(started.command or "")
        if len(words) != 2 or words[0] != "git-upload-pack":
            started.stderr.write(b"only git fetch is served\n")
            started.exit(128)
            return
        repository = folder / words[1].lstrip("/")
        git = await asyncio.create_subprocess_exec(
            "git", "upload-pack", str(repository),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert git.stdin is not None and git.stdout is not None and git.stderr is not None
        asking = asyncio.create_task(_pump(started.stdin, git.stdin))
        await asyncio.gather(_pump(git.stdout, started.stdout), _pump(git.stderr, started.stderr))
        asking.cancel()
        started.exit(await git.wait())

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(host)],
            authorized_client_keys=str(client.with_suffix(".pub")),
            process_factory=process,
            encoding=None,
        )

    acceptor = loop.run_until_complete(listen())
    server.port = acceptor.sockets[0].getsockname()[1]
    server.known_hosts = host_line(server.port, host.with_suffix(".pub"))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:

        async def close() -> None:
            acceptor.close()
            await acceptor.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
