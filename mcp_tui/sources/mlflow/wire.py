"""The one way to an MLflow server: a call, its deadline, and its answer made sense of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from mcp_tui.domain.decode import DecodeError, decode
from mcp_tui.domain.text import one_line
from mcp_tui.errors import ApiError, UnknownOutcomeError, UnreachableError
from mcp_tui.sources.caller import Caller
from mcp_tui.sources.gate import split_query
from mcp_tui.sources.kubernetes import failures
from mcp_tui.sources.reply import Reply

T = TypeVar("T")

API: Final = "/api/2.0/mlflow"
AJAX: Final = "/ajax-api/2.0/mlflow"

PAGE: Final = 100
"""Pages of at most 100 runs keep the event loop's lag under 10 ms."""


class _User(msgspec.Struct, frozen=True, kw_only=True):
    username: str = ""


class _Current(msgspec.Struct, frozen=True, kw_only=True):
    username: str = ""
    user: _User = _User()


class Wire:
    """The calls that all parts of the client share.

    Args:
        caller: How the server is reached (:func:`mcp_tui.sources.endpoint.connect`).
        deadline: Seconds around each call, unless the call says otherwise.

    Every method raises what :meth:`Caller.call` raises.
    """

    def __init__(self, caller: Caller, *, deadline: float = 10.0) -> None:
        self._caller = caller
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where!r})"

    @property
    def where(self) -> str:
        """The endpoint, as messages call it."""
        return self._caller.where

    async def aclose(self) -> None:
        """Close its connections."""
        await self._caller.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Sequence[tuple[str, str]] = (),
        deadline: float | None = None,
    ) -> dict[str, Any]:
        """Any call of the API, as plain data; the query may stand in ``path``."""
        path, query = split_query(path)
        reply = await self._send(method, path, body, [*query, *params], deadline)
        return self._decode(reply, dict[str, Any], method, path)

    async def version(self) -> str:
        """The server's version, such as ``3.17.2``; empty when it does not say (before 1.28)."""
        try:
            reply = await self._caller.call("GET", "/version", deadline=self._deadline)
        except ApiError as error:
            if error.status != 404:
                raise
            # A server too old for /version still has experiments; anything else raises here.
            await self.post(f"{API}/experiments/search", {"max_results": 1}, dict[str, Any])
            return ""
        text = one_line(reply.body[:200].decode("utf-8", "replace"))
        if re.fullmatch(r"[0-9]+(\.[0-9A-Za-z]+)+", text):
            return text
        raise failures.not_json(reply, where=self.where)

    async def current_user(self) -> str:
        """Who the server takes us for; empty where it has no users, or is too old to say."""
        try:
            reply = await self._caller.call("GET", f"{API}/users/current", deadline=self._deadline)
            answer = self._decode(reply, _Current, "GET", f"{API}/users/current")
        except ApiError as error:
            if error.status not in (404, 405):
                raise
            return ""
        return answer.username or answer.user.username

    async def get(
        self,
        path: str,
        type_: type[T],
        params: Sequence[tuple[str, str]] = (),
        *,
        deadline: float | None = None,
    ) -> T:
        """A GET, decoded and sanitised."""
        reply = await self._send("GET", path, None, params, deadline)
        return self._decode(reply, type_, "GET", path)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        type_: type[T],
        *,
        deadline: float | None = None,
    ) -> T:
        """A POST, decoded and sanitised; MLflow's searches are POSTs."""
        return await self.send("POST", path, body, type_, deadline=deadline)

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any],
        type_: type[T],
        *,
        deadline: float | None = None,
    ) -> T:
        """As :meth:`post` with another method; MLflow wants a body with PATCH and DELETE too."""
        reply = await self._send(method, path, body, (), deadline)
        return self._decode(reply, type_, method, path)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Sequence[tuple[str, str]],
        deadline: float | None,
    ) -> Reply:
        raw = None if body is None else msgspec.json.encode(body)
        limit = self._deadline if deadline is None else deadline
        return await self._caller.call(method, path, params=params, body=raw, deadline=limit)

    def _decode(self, reply: Reply, type_: type[T], method: str, path: str) -> T:
        where = f"{self.where} {method} {path}"
        kind = reply.headers.get("content-type", "application/json").split(";")[0].strip()
        try:
            if "json" not in kind or not reply.body[:1]:
                raise failures.not_json(reply, where=where)
            return decode(type_, reply.body)
        except DecodeError as error:
            what, hint = f"the answer is not MLflow's: {error.what}", "what listens there?"
        except UnreachableError as error:
            what, hint = error.what, error.hint
        if method != "GET" and not path.endswith("/search"):
            raise UnknownOutcomeError(
                f"{what}; it may or may not have been done", where=where, hint=hint
            )
        raise UnreachableError(what, where=where, hint=hint)


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without empty fields: MLflow reads an empty page token as a token."""
    return {key: value for key, value in body.items() if value not in ("", None, [])}


def pairs(values: Mapping[str, str], limit: int) -> list[dict[str, str]]:
    """As MLflow wants parameters and tags; ``limit`` is the longest value it takes."""
    return [{"key": key, "value": value[:limit]} for key, value in values.items()]
