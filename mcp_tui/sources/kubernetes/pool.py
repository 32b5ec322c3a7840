"""The connections to one API server, opened anew when the credentials want it."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from mcp_tui.errors import UsageError
from mcp_tui.sources.http import load_httpx
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo
from mcp_tui.sources.kubernetes.credentials import Credentials
from mcp_tui.sources.kubernetes.proxyenv import proxy_for, unusable

# An idle connection older than this may be dead behind a NAT or VPN without either end knowing.
KEEP_ALIVE: Final = 30.0
# A peer whose packets vanish is found by the kernel, without a byte of the API's: 15 s of silence,
# then three questions 5 s apart. What was sent and is acknowledged by nobody ends a connection
# after the same half minute.
SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", 15),
            ("TCP_KEEPALIVE", 15),  # macOS's word for the same
            ("TCP_KEEPINTVL", 5),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", 30_000),
        )
        if hasattr(socket, name)
    ),
)


class Pool:
    """Keeps the httpx client of one context.

    Args:
        context: The server, its certificates and proxy.
        credentials: What may bring a certificate of its own.
        env: Where the usual proxy variables are looked for.
    """

    def __init__(
        self, context: ContextInfo, credentials: Credentials, env: Mapping[str, str]
    ) -> None:
        self._context = context
        self._credentials = credentials
        self._env = env
        self._open: Any = None
        self._transport: Any = None
        # Of clients that were replaced: closed when nothing of theirs is in flight any more.
        self._old: list[Any] = []
        self._opening = asyncio.Lock()
        self._opened_with = 0

    async def client(self) -> Any:
        """The httpx client; a new one when a new certificate needs new connections.

        It is to be used at once: a client that was replaced and has nothing in flight is closed.
        """
        if self._open is not None and self._opened_with == self._credentials.tls_version():
            return self._open
        async with self._opening:
            # Before what it stands for is read: what changes meanwhile is read again.
            version = self._credentials.tls_version()
            if self._open is not None and self._opened_with == version:
                return self._open
            try:
                client, transport = self._make(await self._credentials.tls())
            except UsageError:
                if self._open is None:
                    raise
                # A certificate and its key are not renewed in one moment: what is open goes on.
                return self._open
            if self._transport is not None:
                self._old.append(self._transport)
            self._open, self._transport, self._opened_with = client, transport, version
            await self._close_old()
            return self._open

    async def _close_old(self) -> None:
        for transport in [each for each in self._old if not each.in_flight]:
            await transport.aclose()
            if transport in self._old:  # others may have closed it at the same time
                self._old.remove(transport)

    def _make(self, tls: object) -> tuple[Any, Any]:
        httpx = load_httpx()
        proxy = proxy_for(self._context.server, self._context.cluster_info.proxy_url, self._env)
        try:
            transport = _transport()(
                self._close_old,
                verify=tls if tls is not None else False,
                http1=True,
                http2=False,
                trust_env=False,
                proxy=proxy or None,
                # httpcore counts those in use as idle, too (1.0.9): with a bound of a few, watches
                # alone would have every other connection closed after its first answer.
                limits=httpx.Limits(
                    max_connections=None,
                    max_keepalive_connections=None,
                    keepalive_expiry=KEEP_ALIVE,
                ),
                socket_options=SOCKET_OPTIONS,
            )
            client = httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)
            return client, transport
        except (ValueError, ImportError, httpx.InvalidURL):
            raise unusable(self._context.origin or self._context.name) from None

    async def aclose(self) -> None:
        """Close every connection."""
        opened = [*self._old, *([self._open] if self._open is not None else [])]
        self._old, self._open, self._transport = [], None, None
        for each in opened:
            await each.aclose()


@functools.cache
def _transport() -> Any:
    """httpx's transport that counts what is in flight: httpx is imported late."""
    load_httpx()
    import httpx

    class Body(httpx.AsyncByteStream):
        """An answer's body, which says once that it is closed."""

        def __init__(self, body: Any, ended: Callable[[], Awaitable[None]]) -> None:
            self._body, self._ended = body, ended
            self._closed = False

        def __aiter__(self) -> AsyncIterator[bytes]:
            inner: AsyncIterator[bytes] = self._body.__aiter__()
            return inner

        async def aclose(self) -> None:
            try:
                await self._body.aclose()
            finally:
                if not self._closed:
                    self._closed = True
                    await self._ended()

    class Counting(httpx.AsyncHTTPTransport):
        """``idle`` is called when nothing is in flight any more."""

        def __init__(self, idle: Callable[[], Awaitable[None]], **options: Any) -> None:
            super().__init__(**options)
            self._idle = idle
            self.in_flight = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.in_flight += 1
            try:
                response = await super().handle_async_request(request)
            except BaseException:
                await self._ended()
                raise
            response.stream = Body(response.stream, self._ended)
            return response

        async def _ended(self) -> None:
            self.in_flight -= 1
            if not self.in_flight:
                await self._idle()

    return Counting
