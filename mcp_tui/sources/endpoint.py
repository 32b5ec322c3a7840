"""How MLflow and Prometheus are reached: by their URL, or as a Service behind the API server.

Both ways pass the gate, have one wall-clock deadline around a call, follow no redirect, and never
repeat a write. Credentials come from the environment or from files and appear in no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

import mcp_tui
from mcp_tui.config import Endpoint
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import (
    McpTuiError,
    UnknownOutcomeError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.body import ACCEPTED, Opened, read_head, read_pieces, read_whole
from mcp_tui.sources.caller import MAX_BYTES, Caller, Params
from mcp_tui.sources.endpoint_auth import (
    TITLES,
    api_error,
    authorization,
)
from mcp_tui.sources.endpoint_service import ServiceCaller
from mcp_tui.sources.gate import Gate, Source
from mcp_tui.sources.hiding import Secrets
from mcp_tui.sources.http import load_httpx
from mcp_tui.sources.kubernetes import failures
from mcp_tui.sources.kubernetes.proxyenv import proxy_for, unusable
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.reply import Reply

T = TypeVar("T")

MAX_ERROR_BYTES: Final = 64 * 1024


def connect(
    source: Source,
    endpoint: Endpoint,
    *,
    gate: Gate,
    env: Mapping[str, str],
    kube: KubeClient | None = None,
) -> Caller:
    """The caller of a configured endpoint.

    Args:
        source: ``mlflow`` or ``prometheus``.
        endpoint: A URL, or a Service.
        gate: Every call passes it; the same as the Kubernetes client's for a Service.
        env: For credentials and proxies.
        kube: The client whose API server leads to the Service.

    Raises:
        UsageError: A Service without a Kubernetes client, or an endpoint without an address.
    """
    if endpoint.url:
        return DirectCaller(source, endpoint, gate=gate, env=env)
    if not endpoint.service or kube is None:
        raise UsageError(
            f"{TITLES[source]} has no address", hint="give a url or a service in the configuration"
        )
    return ServiceCaller(source, endpoint.service, kube=kube)


class DirectCaller:
    """An endpoint with a URL of its own."""

    def __init__(
        self, source: Source, endpoint: Endpoint, *, gate: Gate, env: Mapping[str, str]
    ) -> None:
        self._source = source
        self._base = endpoint.url.rstrip("/")
        self._endpoint = endpoint
        self._gate = gate
        self._env = env
        self._client: Any = None
        self._opening = asyncio.Lock()
        self._secrets = Secrets()
        parts = urlsplit(self._base)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self.where = f"{TITLES[source]} at {clean_line(shown, limit=200)}"
        if "@" in parts.netloc:
            raise UsageError("a URL must not carry credentials", where=self.where)

    def __repr__(self) -> str:
        return f"DirectCaller({self.where!r})"

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        deadline: float = 10.0,
    ) -> Reply:
        """As :meth:`Caller.call`; a read on a kept connection that was closed is sent again."""
        self._gate.check(self._source, method, path, params)
        writes = method != "GET" and not self._gate.reads(self._source, method, path)
        call = _Call(self, method, path, params, body, content_type, writes)
        try:
            async with asyncio.timeout(deadline):
                return await self._exchange(call, self._whole)
        except TimeoutError:
            call.fail(f"no answer within {deadline:g} s", "check the network, or give it longer")

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        deadline: float = 10.0,
        silence: float = 30.0,
    ) -> AsyncIterator[Opened]:
        """As :meth:`Caller.stream`."""
        self._gate.check(self._source, "GET", path, params)
        call = _Call(self, "GET", path, params, None, "", False, headers)
        limit = asyncio.timeout(deadline)
        try:
            async with limit:
                response = await self._exchange(call, self._begun)
                try:
                    chunks = self._chunks(call, response, silence)
                    yield Opened(response.status_code, _lower(response.headers), chunks)
                finally:
                    await response.aclose()
        except TimeoutError:
            if not limit.expired():
                raise
            call.fail(f"not all came within {deadline:g} s", "give it longer")

    async def _chunks(self, call: _Call, response: Any, silence: float) -> AsyncIterator[bytes]:
        httpx = load_httpx()
        chunks = read_pieces(response)
        while True:
            limit = asyncio.timeout(silence)
            try:
                async with limit:
                    chunk = await anext(chunks, None)
            except TimeoutError:
                if not limit.expired():
                    raise
                call.fail(f"nothing came for {silence:g} s; the connection counts as dead", "")
            except (httpx.HTTPError, httpx.StreamError, OSError) as error:
                self._raise(call, error)
            if chunk is None:
                return
            yield chunk

    async def _exchange(self, call: _Call, once: Callable[[_Call], Awaitable[T]]) -> T:
        httpx = load_httpx()
        for last in (False, True):
            try:
                return await once(call)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if last or call.writes or not call.reused:
                    self._raise(call, error)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                self._raise(call, error)
        raise AssertionError("unreachable")

    async def _whole(self, call: _Call) -> Reply:
        response = await self._begun(call)
        try:
            body = await read_whole(response, MAX_BYTES)
        finally:
            await response.aclose()
        if body is None:
            call.fail(f"the answer is larger than {MAX_BYTES // 1024 // 1024} MiB", "")
        return self._reply(response, body)

    async def _begun(self, call: _Call) -> Any:
        """The answer as far as its headers; raises for an error."""
        client = await self._opened()
        headers = {"Accept": "application/json", "Accept-Encoding": ACCEPTED}
        headers["User-Agent"] = f"mcp-tui/{mcp_tui.__version__}"
        headers |= call.headers
        headers |= await asyncio.to_thread(authorization, self._endpoint, self._env, self._secrets)
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        request = client.build_request(
            call.method,
            self._base + call.path,
            params=list(call.params) or None,
            content=call.body,
            headers=headers,
            extensions={"trace": call.trace},
        )
        response = await client.send(request, stream=True)
        if response.is_success:
            return response
        try:
            # An error's body only in part, and as far as it came.
            body = await read_head(response, MAX_ERROR_BYTES)
        finally:
            await response.aclose()
        raise self._error(call, self._reply(response, body))

    def _reply(self, response: Any, body: bytes) -> Reply:
        return Reply(response.status_code, _lower(response.headers), body, self._secrets.hide)

    async def _opened(self) -> Any:
        """The client; calls that come together share the first one that is made."""
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make)
            return self._client

    def _make(self) -> Any:
        """The client; in a thread, since loading certificates takes 20 ms."""
        httpx = load_httpx()
        tls: ssl.SSLContext | bool = False
        if self._base.startswith("https:"):
            tls = ssl.create_default_context()
            if not tls.get_ca_certs():
                import certifi

                tls.load_verify_locations(certifi.where())
            if self._endpoint.ca_file:
                try:
                    tls.load_verify_locations(Path(self._endpoint.ca_file).expanduser())
                except (OSError, ValueError, RuntimeError) as error:
                    raise UsageError(
                        f"ca_file cannot be used: {one_line(str(error))}",
                        where=clean_line(self._endpoint.ca_file),
                    ) from None
        try:
            proxy = proxy_for(self._base, "", self._env)
            self._secrets.learn_url(proxy)
            return httpx.AsyncClient(
                verify=tls,
                trust_env=False,
                follow_redirects=False,
                proxy=proxy or None,
                timeout=None,
                limits=httpx.Limits(max_connections=8, keepalive_expiry=30.0),
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            raise unusable(self.where) from None

    def _error(self, call: _Call, reply: Reply) -> McpTuiError:
        error = api_error(self._source, reply, where=call.where)
        if call.writes and (reply.status == 408 or failures.outcome_unknown(error)):
            return UnknownOutcomeError(
                f"{error.what}; it may or may not have been done", where=call.where
            )
        return error

    def _raise(self, call: _Call, error: BaseException) -> NoReturn:
        advice = failures.Advice(
            down=f"is {TITLES[self._source]} running?",
            authority="name its authority with ca_file",
            name="use a name that it has",
        )
        what, hint = failures.explain(
            error, server=self._base, advice=advice, hide=self._secrets.hide
        )
        call.fail(what, hint)

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class _Call:
    """One call on its way; ``sent`` turns true when its first byte may have left."""

    def __init__(
        self,
        caller: DirectCaller,
        method: str,
        path: str,
        params: Params,
        body: bytes | None,
        content_type: str,
        writes: bool,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.headers = headers or {}
        self.method, self.path, self.params = method, path, params
        self.body, self.content_type, self.writes = body, content_type, writes
        self.where = f"{caller.where} {method} {path}"
        self.sent = False
        self.reused = True

    async def trace(self, event: str, _info: object) -> None:
        """httpcore's trace hook: the only one who knows whether the request has left."""
        if event.endswith("send_request_headers.started"):
            self.sent = True
        elif event == "connection.connect_tcp.started":
            self.reused = False

    def fail(self, what: str, hint: str) -> NoReturn:
        """Say that no answer came: of a write that may have left, nothing is known."""
        if self.writes and self.sent:
            raise UnknownOutcomeError(
                f"{what}; it may or may not have been done",
                where=self.where,
                hint="look for what it made before trying again",
            ) from None
        raise UnreachableError(what, where=self.where, hint=hint) from None


def _lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}
