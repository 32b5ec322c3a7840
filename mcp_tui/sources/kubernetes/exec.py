"""A command in a container, over the API server's WebSocket (``v5.channel.k8s.io``)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from mcp_tui.errors import UnreachableError
from mcp_tui.sources.hiding import Hide, as_it_is
from mcp_tui.sources.kubernetes.failures import said_line
from mcp_tui.sources.kubernetes.resources import PODS
from mcp_tui.sources.kubernetes.sockets import open_socket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from mcp_tui.sources.kubernetes.transport import KubeClient

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
ERROR: Final = 3
RESIZE: Final = 4
CLOSE: Final = 255
PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")


class ExecSession:
    """A running command; made by :func:`open_exec`.

    Attributes:
        exit_code: The command's exit code once :meth:`output` has ended: 127 when there is no
            such command, 126 when it cannot be run; None when the server did not say.
        message: What the server said at the end when it was no success; sanitised.
    """

    def __init__(self, socket: ClientConnection, hide: Hide = as_it_is) -> None:
        self._socket = socket
        self._hide = hide
        self.exit_code: int | None = None
        self.message = ""

    async def write(self, data: bytes) -> None:
        """Send to the command's standard input."""
        await self._send(STDIN, data)

    async def close_input(self) -> None:
        """End the command's standard input; only the newer protocol can."""
        if self._socket.subprotocol == PROTOCOLS[0]:
            await self._send(CLOSE, bytes([STDIN]))

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the command's terminal its size."""
        await self._send(RESIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What comes: (STDOUT or STDERR, bytes). The bytes are as the command wrote them.

        Raises:
            UnreachableError: The connection broke.
        """
        from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

        try:
            while True:
                message = await self._socket.recv(decode=False)
                if not message:
                    continue
                channel, data = message[0], message[1:]
                if channel == ERROR:
                    self._ended(data)
                elif channel in (STDOUT, STDERR) and data:
                    yield channel, data
        except ConnectionClosedOK:
            return
        except ConnectionClosed:
            if self.exit_code is None and not self.message:
                raise UnreachableError("the connection to the container broke") from None

    async def _send(self, channel: int, data: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(bytes([channel]) + data)
        except ConnectionClosed:
            raise UnreachableError("the connection to the container is closed") from None

    def _ended(self, data: bytes) -> None:
        try:
            status: Any = json.loads(data)
        except ValueError:
            self.message = said_line(data.decode("utf-8", "replace"), self._hide)
            return
        if not isinstance(status, dict):
            return
        if status.get("status") == "Success":
            self.exit_code = 0
            return
        self.message = said_line(str(status.get("message") or ""), self._hide)
        details = status.get("details")
        causes = details.get("causes") if isinstance(details, dict) else None
        for cause in causes if isinstance(causes, list) else ():
            if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
                with contextlib.suppress(ValueError):
                    self.exit_code = int(str(cause.get("message")))
        if self.exit_code is None:
            self.exit_code = not_started(self.message)


def not_started(message: str) -> int | None:
    """The exit code, as shells give it, of a command that a runtime could not start.

    Runtimes say it in words only: runc's are matched, which containerd and CRI-O pass on.
    """
    if "executable file not found" in message or "no such file or directory" in message:
        return 127
    if "permission denied" in message or "exec format error" in message:
        return 126
    return None


@contextlib.asynccontextmanager
async def open_exec(
    client: KubeClient,
    namespace: str,
    pod: str,
    command: Sequence[str],
    *,
    container: str = "",
    tty: bool = True,
    stdin: bool = True,
    deadline: float = 15.0,
) -> AsyncIterator[ExecSession]:
    """Run a command in a container.

    Args:
        client: The API server's client; its gate must let writes pass.
        namespace: The pod's namespace.
        pod: The pod.
        command: The command and its arguments; no shell is added.
        container: The container; empty for the pod's default.
        tty: Whether the command gets a terminal; standard error then comes with the output.
        stdin: Whether it gets a standard input.
        deadline: Seconds until it is open.

    Raises:
        RefusedError, ApiError, UnreachableError: As :func:`open_socket`.
    """
    params = [("command", part) for part in command]
    flags = {"stdin": stdin, "stdout": True, "stderr": not tty, "tty": tty}
    params += [(key, "true") for key, wanted in flags.items() if wanted]
    if container:
        params.append(("container", container))
    path = PODS.path(namespace, pod, "exec")
    async with open_socket(client, path, params, PROTOCOLS, deadline=deadline) as socket:
        yield ExecSession(socket, client.credentials.hide)
