"""HTTP to one API server: credentials, one deadline around every call, and errors in plain words.

Every call passes the gate. A 401 refreshes the credentials once and is tried once more, for writes
too: a refusal means that nothing was done. A write whose request may have left and whose answer
never came raises :class:`UnknownOutcomeError` and is never repeated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import msgspec

import mcp_tui
from mcp_tui.domain.decode import DecodeError, decode
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import (
    ApiError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from mcp_tui.sources.body import ACCEPTED, Opened, read_head, read_pieces, read_whole
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.http import load_httpx
from mcp_tui.sources.kubernetes import access, failures
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo
from mcp_tui.sources.kubernetes.credentials import Credentials, repeated_headers
from mcp_tui.sources.kubernetes.pool import Pool
from mcp_tui.sources.reply import Reply

T = TypeVar("T")
Params = Mapping[str, str] | Sequence[tuple[str, str]]

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(slots=True)
class _Call:
    """One call on its way; ``sent`` turns true when its first byte may have left."""

    method: str
    path: str
    params: Sequence[tuple[str, str]]
    body: bytes | None
    headers: dict[str, str]
    writes: bool
    deadline: float
    sent: bool = False
    reused: bool = True

    async def trace(self, event: str, _info: object) -> None:
        """httpcore's trace hook: the only one who knows whether the request has left."""
        if event == "http11.send_request_headers.started":
            self.sent = True
        elif event == "connection.connect_tcp.started":
            self.reused = False


class KubeClient:
    """A client of one context's API server.

    Args:
        context: Whom to talk to and as whom.
        gate: Decides which calls may leave.
        user_agent: Sent with each call, so that the server's audit log names us.
        allow_exec: Whether the kubeconfig's exec plugin may run.
        env: The environment for proxies and plugins; None for our own.
    """

    def __init__(
        self,
        context: ContextInfo,
        *,
        gate: Gate,
        user_agent: str = "",
        allow_exec: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.context = context
        self.gate = gate
        self.clock_skew: float | None = None
        self.credentials = Credentials(context, env=env, allow_exec=allow_exec)
        self.env: Mapping[str, str] = os.environ if env is None else env
        self.user_agent = user_agent or f"mcp-tui/{mcp_tui.__version__}"
        self._pool = Pool(context, self.credentials, self.env)
        self._fixed = repeated_headers(context.user_info.impersonate)

    def __repr__(self) -> str:
        return f"KubeClient({self.context.name!r})"

    def where(self, method: str, path: str) -> str:
        """How a call is named in errors."""
        return clean_line(f"{method} {path} at {self.context.name}", limit=300)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        deadline: float = 10.0,
        max_bytes: int = MAX_BYTES,
    ) -> Reply:
        """Send one call and read its whole answer.

        Args:
            method: The HTTP method, upper case.
            path: The path, without the query.
            params: The query.
            body: The request's body.
            content_type: Its type.
            accept: The wanted type.
            deadline: Seconds for everything: the exec plugin, connecting, sending and reading.
            max_bytes: The most bytes of answer that are read.

        Raises:
            RefusedError: The gate lets it not pass, or the exec plugin may not run.
            ApiError: The server answered, but not with success.
            UnknownOutcomeError: A write that may have left got no answer.
            UnreachableError: Anything else that kept an answer from coming.
        """
        call = self._call(method, path, params, body, content_type, accept, deadline)
        try:
            async with asyncio.timeout(deadline):
                try:
                    return await self._exchange(call, max_bytes)
                except ApiError as error:
                    if error.status != 401 or not self.credentials.refreshable:
                        raise
                    call.sent = False
                return await self._exchange(call, max_bytes)
        except TimeoutError:
            self._late(call, deadline, "check the network, or give it longer")

    async def get(
        self, path: str, type_: type[T], *, params: Params = (), deadline: float = 10.0
    ) -> T:
        """GET an object or list, decoded to ``type_`` and sanitised; errors as :meth:`request`."""
        reply = await self.request("GET", path, params=params, deadline=deadline)
        return self.decoded(reply, type_, self.where("GET", path))

    async def send(
        self,
        method: str,
        path: str,
        body: object,
        type_: type[T],
        *,
        params: Params = (),
        content_type: str = "application/json",
        deadline: float = 10.0,
    ) -> T:
        """Send a body as JSON and decode the answer; errors as :meth:`request`.

        Args:
            body: A dict, list or msgspec struct; None sends no body.
            content_type: ``JSON_PATCH`` or ``MERGE_PATCH`` for a PATCH.
        """
        raw = None if body is None else msgspec.json.encode(body)
        reply = await self.request(
            method, path, params=params, body=raw, content_type=content_type, deadline=deadline
        )
        return self.decoded(reply, type_, self.where(method, path))

    @staticmethod
    def decoded(reply: Reply, type_: type[T], where: str) -> T:
        """Decode a reply's body; UnreachableError when it is not the API's JSON."""
        kind = reply.headers.get("content-type", "application/json").split(";")[0].strip()
        if "json" not in kind or not reply.body[:1]:
            raise failures.not_json(reply, where=where)
        try:
            return decode(type_, reply.body)
        except DecodeError as error:
            if reply.body.lstrip()[:1] in (b"{", b"["):
                raise UnreachableError(error.what, where=where) from None
            raise failures.not_json(reply, where=where) from None

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Params = (),
        connect_deadline: float = 10.0,
        read_timeout: float,
        accept: str = "application/json",
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The chunks of :meth:`opened`."""
        async with self.opened(
            path,
            params=params,
            connect_deadline=connect_deadline,
            read_timeout=read_timeout,
            accept=accept,
        ) as answer:
            yield answer.chunks

    @contextlib.asynccontextmanager
    async def opened(
        self,
        path: str,
        *,
        params: Params = (),
        connect_deadline: float = 10.0,
        read_timeout: float,
        accept: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Opened]:
        """A GET whose answer is read as it comes: a watch, a log that is followed, a large file.

        Args:
            connect_deadline: Seconds until the answer's headers are there.
            read_timeout: The longest silence, in seconds; the connection counts as dead after it.
            headers: More headers, such as a Range.

        Yields:
            The answer; :func:`blocks.iter_blocks` finds the lines in its chunks.

        Raises:
            As :meth:`request`; while reading, UnreachableError when the connection breaks or is
            silent for too long.
        """
        call = self._call("GET", path, params, None, "", accept, connect_deadline)
        call.headers |= headers or {}
        try:
            async with asyncio.timeout(connect_deadline):
                try:
                    response = await self._open(call, read_timeout)
                except ApiError as error:
                    if error.status != 401 or not self.credentials.refreshable:
                        raise
                    response = await self._open(call, read_timeout)
        except TimeoutError:
            self._late(call, connect_deadline, "check the network")
        chunks = self._chunks(call, response, read_timeout)
        try:
            yield Opened(response.status_code, _headers(response), chunks)
        finally:
            with contextlib.suppress(RuntimeError):  # a reader elsewhere still holds it
                await chunks.aclose()
            await response.aclose()

    async def whoami(self, *, deadline: float = 10.0) -> access.WhoAmI:
        """Who the server takes us for (SelfSubjectReview)."""
        return await access.whoami(self, deadline=deadline)

    async def can_i(
        self,
        verb: str,
        group: str,
        resource: str,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        *,
        deadline: float = 10.0,
    ) -> access.Allowed:
        """Whether we may do something (SelfSubjectAccessReview)."""
        return await access.can_i(
            self, verb, group, resource, namespace, name, subresource, deadline=deadline
        )

    async def rules(self, namespace: str, *, deadline: float = 10.0) -> access.Rules:
        """What we may do in a namespace (SelfSubjectRulesReview); it decides what to show only."""
        return await access.rules(self, namespace, deadline=deadline)

    async def server_version(self, *, deadline: float = 10.0) -> access.ServerVersion:
        """The server's version."""
        return await self.get("/version", access.ServerVersion, deadline=deadline)

    async def aclose(self) -> None:
        """Close every connection and end an exec plugin that still runs."""
        await self.credentials.aclose()
        await self._pool.aclose()

    def _call(
        self,
        method: str,
        path: str,
        params: Params,
        body: bytes | None,
        content_type: str,
        accept: str,
        deadline: float,
    ) -> _Call:
        pairs = tuple(params.items() if isinstance(params, Mapping) else params)
        self.gate.check("kubernetes", method, path, pairs)
        headers = {"Accept": accept, "User-Agent": self.user_agent}
        headers["Accept-Encoding"] = ACCEPTED if self._compresses() else "identity"
        if body is not None:
            headers["Content-Type"] = content_type
        dry = ("dryRun", "All") in pairs
        if dry and method == "DELETE" and body and b'"dryRun":["All"]' not in body:
            # Given DeleteOptions, a server takes no options from the query: it would delete.
            raise RefusedError(f"not a dry run: {method} {path}", hint="the body has to say so too")
        writes = method in WRITES and not dry and not self.gate.reads("kubernetes", method, path)
        return _Call(method, path, pairs, body, headers, writes, deadline)

    def _compresses(self) -> bool:
        """Whether large answers come compressed.

        From this machine too: a server sends what is not compressed in pieces of 2 KiB, and a
        page of 500 jobs in a thousand of them costs four times the processor time.
        """
        return not self.context.cluster_info.disable_compression

    async def _exchange(self, call: _Call, max_bytes: int) -> Reply:
        """One try, repeated once when a kept connection turned out to be closed (reads only)."""
        httpx = load_httpx()
        try:
            return await self._once(call, max_bytes)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            if call.writes or not call.reused:
                self._raise(call, error)
            call.reused = True
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self._raise(call, error)
        try:
            return await self._once(call, max_bytes)
        except (httpx.HTTPError, OSError) as error:
            self._raise(call, error)

    async def _once(self, call: _Call, max_bytes: int) -> Reply:
        response = await self._send(call, None)
        try:
            body = await read_whole(response, max_bytes)
        finally:
            await response.aclose()
        if body is None:
            self._fail(call, f"the answer is larger than {max_bytes // 1024 // 1024} MiB", "")
        return Reply(response.status_code, _headers(response), body, self.credentials.hide)

    async def _open(self, call: _Call, read_timeout: float) -> Any:
        httpx = load_httpx()
        try:
            return await self._send(call, read_timeout)
        except httpx.ReadTimeout:
            self._silent(call, read_timeout)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self._raise(call, error)

    async def _send(self, call: _Call, read_timeout: float | None) -> Any:
        """Send and wait for the headers; raises ApiError unless they say success."""
        httpx = load_httpx()
        generation = self.credentials.generation
        headers = [*call.headers.items(), *(await self.credentials.headers()).items()]
        client = await self._pool.client()
        extensions: dict[str, Any] = {"trace": call.trace}
        if self.context.cluster_info.tls_server_name:
            extensions["sni_hostname"] = self.context.cluster_info.tls_server_name
        started = time.time()
        request = client.build_request(
            call.method,
            self.context.server + call.path,
            params=list(call.params) or None,
            content=call.body,
            headers=[*headers, *self._fixed],
            extensions=extensions,
            timeout=httpx.Timeout(None, read=read_timeout),
        )
        response = await client.send(request, stream=True)
        self._note_date(response.headers.get("date", ""), started)
        if response.is_success:
            return response
        try:
            body = await read_head(response, MAX_ERROR_BYTES)
        finally:
            await response.aclose()
        if response.status_code == 401:
            self.credentials.forget(generation)
        error = failures.api_error(
            response.status_code,
            _headers(response),
            body,
            where=self.where(call.method, call.path),
            hide=self.credentials.hide,
        )
        if call.writes and failures.outcome_unknown(error):
            self._fail(call, error.what, "")
        raise error

    async def _chunks(
        self, call: _Call, response: Any, read_timeout: float
    ) -> AsyncGenerator[bytes, None]:
        httpx = load_httpx()
        try:
            async for piece in read_pieces(response):
                yield piece
        except httpx.ReadTimeout:
            self._silent(call, read_timeout)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            self._raise(call, error)

    def _note_date(self, value: str, started: float) -> None:
        """Server's clock minus ours in seconds; the header has a resolution of one second."""
        when = failures.http_date(value)
        if when is not None:
            ours = (started + time.time()) / 2
            self.clock_skew = when.timestamp() + 0.5 - ours

    def _late(self, call: _Call, deadline: float, hint: str) -> NoReturn:
        login = None if call.sent else self.credentials.late(deadline)
        if login is not None:
            raise login from None
        self._fail(call, f"no answer within {deadline:g} s", hint)

    def _silent(self, call: _Call, read_timeout: float) -> NoReturn:
        raise UnreachableError(
            f"nothing came for {read_timeout:g} s; the connection counts as dead",
            where=self.where(call.method, call.path),
        ) from None

    def _raise(self, call: _Call, error: BaseException) -> NoReturn:
        what, hint = failures.explain(error, server=self.context.server, hide=self.credentials.hide)
        self._fail(call, what, hint, by_peer=failures.by_peer(error))

    def _fail(self, call: _Call, what: str, hint: str, *, by_peer: bool = False) -> NoReturn:
        where = self.where(call.method, call.path)
        if call.writes and call.sent:
            raise UnknownOutcomeError(
                f"{what}; it may or may not have been done",
                where=where,
                hint="look at the object before trying again",
            ) from None
        kind = failures.BrokenOffError if by_peer else UnreachableError
        raise kind(what, where=where, hint=hint) from None


def _headers(response: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in response.headers.items()}
