"""The little of ASGI that the API server needs: a request, an answer, content negotiation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import yaml

from mcp_tui.demo.plane.model import decode, encode
from mcp_tui.demo.plane.reading import Form
from mcp_tui.demo.plane.status import (
    StatusError,
    bad_request,
    not_acceptable,
    unsupported_media,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request's body, as the API server limits it."""

JSON = "application/json"
YAML = "application/yaml"


class DisconnectError(Exception):
    """The client went away."""


class BodyError(Exception):
    """A body that is neither JSON nor YAML."""


class Request:
    """One request; its body is read on demand."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_query: bytes = scope.get("query_string", b"")
        self.pairs = parse_qsl(self.raw_query.decode("latin-1"), keep_blank_values=True)
        self.query: Mapping[str, str] = dict(reversed(self.pairs))
        self.headers: dict[str, str] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        self.receive = receive

    async def body(self) -> bytes:
        """The whole body. Raises StatusError 413, DisconnectError."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise DisconnectError
            part = message.get("body", b"")
            size += len(part)
            if size > BODY_LIMIT:
                text = f"Request entity too large: limit is {BODY_LIMIT}"
                raise StatusError(413, "RequestEntityTooLarge", text)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return str(self.headers.get("content-type", "").partition(";")[0].strip().lower())

    async def decoded(self) -> Any:
        """The body as JSON or YAML. Raises StatusError 413, 415, and BodyError."""
        raw = await self.body()
        kind = self.content_type or JSON
        if kind not in (JSON, YAML):
            raise unsupported_media((JSON, YAML))
        try:
            return decode(raw) if kind == JSON else yaml.safe_load(raw)
        except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise BodyError(str(error)) from None
        except RecursionError:
            raise BodyError("nested too deep") from None


def accepted(accept: str, *, forms: bool = True) -> tuple[str, Mapping[str, str]]:
    """The first acceptable media type and its parameters.

    Args:
        forms: Whether tables and partial metadata can be answered here.

    Raises:
        StatusError: 406.
    """
    for clause in (accept or "*/*").split(","):
        media, *rest = (part.strip() for part in clause.split(";"))
        params = dict(part.split("=", 1) for part in rest if "=" in part)
        if media not in (JSON, "*/*", "application/*"):
            continue
        if "as" in params and media == JSON and not forms:
            continue
        return media, params
    raise not_acceptable()


_SHAPES = {
    "Table": "Table",
    "PartialObjectMetadata": "PartialObjectMetadata",
    "PartialObjectMetadataList": "PartialObjectMetadata",
}


def form_of(request: Request) -> Form:
    """In which form the client wants objects. Raises StatusError 400, 406."""
    for clause in (request.headers.get("accept") or "*/*").split(","):
        try:
            _, params = accepted(clause)
        except StatusError:
            continue
        shape = params.get("as", "")
        if not shape:
            return Form()
        known = params.get("g") == "meta.k8s.io" and params.get("v") == "v1"
        if shape in _SHAPES and known:
            include = request.query.get("includeObject", "Metadata")
            if include not in ("None", "Metadata", "Object"):
                raise bad_request(f'unrecognized includeObject value: "{include}"')
            return Form(_SHAPES[shape], include)
    raise not_acceptable()


@dataclass
class Answer:
    """A response: a body, or a stream of chunks."""

    code: int = 200
    body: bytes = b""
    content_type: str = JSON
    stream: AsyncIterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any, code: int = 200, warnings: list[str] | None = None) -> Answer:
    """An answer of one JSON document; each warning becomes a 299 Warning header."""
    answer = Answer(code, encode(value))
    if warnings:
        shown = ", ".join(f"299 - {encode(text).decode()}" for text in warnings[:20])
        answer.headers["warning"] = shown.encode("ascii", "replace").decode()
    return answer


def error_answer(error: StatusError) -> Answer:
    """The Status of an error."""
    answer = json_answer(error.body(), error.code, error.warnings)
    if error.retry_after is not None:
        answer.headers["retry-after"] = str(error.retry_after)
    if error.code == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="mcp-tui"'
    return answer


def head(answer: Answer) -> Message:
    """The ASGI message that starts the response."""
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"cache-control", b"no-cache, private"),
    ]
    if answer.stream is None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    headers += [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    return {"type": "http.response.start", "status": answer.code, "headers": headers}
