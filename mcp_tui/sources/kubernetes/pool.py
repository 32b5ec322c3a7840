"""The connections to one API server, opened anew when the credentials want it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Final

from mcp_tui.errors import UsageError
from mcp_tui.sources.http import load_httpx
from mcp_tui.sources.kubernetes.credentials import Credentials
from mcp_tui.sources.kubernetes.kubeconfig import ContextInfo
from mcp_tui.sources.kubernetes.proxyenv import proxy_for

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
        self._old: list[Any] = []
        self._opening = asyncio.Lock()
        self._opened_with = -1

    async def client(self) -> Any:
        """The httpx client; a new one when a plugin's new certificate needs new connections."""
        stale = (
            self._credentials.has_plugin_certificate
            and self._opened_with != self._credentials.generation
        )
        if self._open is not None and not stale:
            return self._open
        async with self._opening:
            if self._open is not None and self._opened_with == self._credentials.generation:
                return self._open
            generation = self._credentials.generation
            tls = await self._credentials.tls()
            if self._open is not None:
                self._old.append(self._open)
            self._open, self._opened_with = self._make(tls), generation
            return self._open

    def _make(self, tls: object) -> Any:
        httpx = load_httpx()
        proxy = proxy_for(self._context.server, self._context.cluster_info.proxy_url, self._env)
        try:
            transport = httpx.AsyncHTTPTransport(
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
            return httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False)
        except (ValueError, ImportError, httpx.InvalidURL):
            raise UsageError(
                "the proxy's URL is not usable",
                where=self._context.origin or self._context.name,
                hint="use http://host:port; SOCKS needs the socksio package",
            ) from None

    async def aclose(self) -> None:
        """Close every connection."""
        clients = [*self._old, *([self._open] if self._open is not None else [])]
        self._old, self._open = [], None
        for client in clients:
            await client.aclose()
