"""WebSockets through the API server: what exec and port-forward run over.

Both are GETs that can change anything, so the gate lets them pass only where writing is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.kubernetes import failures
from mcp_tui.sources.kubernetes.credentials import repeated_headers
from mcp_tui.sources.kubernetes.proxyenv import proxy_for

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from mcp_tui.sources.kubernetes.transport import KubeClient

MAX_MESSAGE: Final = 16 * 1024 * 1024
# Of an API server that got from the kubelet what is no HTTP.
_DROPPED: Final = b"malformed HTTP"


@contextlib.asynccontextmanager
async def open_socket(
    client: KubeClient,
    path: str,
    params: Sequence[tuple[str, str]],
    protocols: Sequence[str],
    *,
    deadline: float = 15.0,
) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket to a sub-resource as the client's user.

    Args:
        client: The client whose context, credentials and gate are used.
        path: The sub-resource's path.
        params: The query.
        protocols: The wanted sub-protocols, best first.
        deadline: Seconds until it is open, the exec plugin included.

    Raises:
        RefusedError: The gate lets it not pass.
        ApiError: The server refuses, in its own words.
        UnreachableError: It could not be reached, or did not answer in time.
    """
    client.gate.check("kubernetes", "GET", path, params)
    where = client.where("GET", path)
    try:
        async with asyncio.timeout(deadline):
            try:
                socket = await _connect(client, path, params, protocols, where)
            except ApiError as error:
                if error.status != 401 or not client.credentials.refreshable:
                    raise
                client.credentials.forget(client.credentials.generation)
                socket = await _connect(client, path, params, protocols, where)
    except TimeoutError:
        login = client.credentials.late(deadline)
        raise login or UnreachableError(f"no answer within {deadline:g} s", where=where) from None
    try:
        yield socket
    finally:
        # A peer that is gone must not hold us for the closing handshake.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await socket.close()


async def _connect(
    client: KubeClient,
    path: str,
    params: Sequence[tuple[str, str]],
    protocols: Sequence[str],
    where: str,
) -> ClientConnection:
    from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException

    context = client.context
    headers = [*(await client.credentials.headers()).items()]
    headers += repeated_headers(context.user_info.impersonate)
    options: dict[str, Any] = {}
    tls = await client.credentials.tls()
    if tls is not None:
        options["ssl"] = tls
        if context.cluster_info.tls_server_name:
            options["server_hostname"] = context.cluster_info.tls_server_name
    proxy = proxy_for(context.server, context.cluster_info.proxy_url, client.env)
    try:
        return await _straight()(
            socket_url(context.server, path, params),
            subprotocols=[_protocol(name) for name in protocols],
            additional_headers=headers,
            user_agent_header=client.user_agent,
            compression=None,
            proxy=proxy or None,
            open_timeout=None,
            max_size=MAX_MESSAGE,
            # A quiet shell is no dead one, but a connection that answers no ping is.
            ping_interval=30,
            ping_timeout=30,
            **options,
        )
    except InvalidStatus as error:
        answer = error.response
        found = {key.lower(): value for key, value in answer.headers.raw_items()}
        if _DROPPED in (answer.body or b""):
            raise _dropped(where) from None
        raise failures.api_error(
            answer.status_code,
            found,
            bytes(answer.body or b""),
            where=where,
            hide=client.credentials.hide,
        ) from None
    except InvalidMessage:
        raise _dropped(where) from None
    except (OSError, WebSocketException) as error:
        what, hint = failures.explain(error, server=context.server, hide=client.credentials.hide)
        raise UnreachableError(what, where=where, hint=hint) from None


def _dropped(where: str) -> UnreachableError:
    """The kubelet dropped the container under the call.

    It sends the closing of a WebSocket that was not open yet, and the API server hands that on, or
    says in its own words that this is no HTTP.
    """
    return UnreachableError(
        "the connection was closed before it was open",
        where=where,
        hint="the container may have ended just now; try again to see its state",
    )


@functools.cache
def _straight() -> Callable[..., Awaitable[ClientConnection]]:
    """websockets' ``connect`` without its redirects: those would take our impersonation, the
    plan's command and a client certificate to whatever server is named."""
    from websockets.asyncio.client import connect

    class Straight(connect):
        def process_redirect(self, exc: Exception) -> Exception | str:
            return exc

    return Straight


def _protocol(name: str) -> Any:
    """websockets types sub-protocols as a NewType of str."""
    return name


def socket_url(server: str, path: str, params: Sequence[tuple[str, str]]) -> str:
    """The ws or wss URL of a path on a server."""
    parts = urlsplit(server)
    scheme = "wss" if parts.scheme == "https" else "ws"
    query = urlencode(params, quote_via=quote)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, query, ""))
