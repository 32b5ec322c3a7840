"""What an API server wraps objects in: pages of a list, lines of a watch, and how it says no."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast

import msgspec

from mcp_tui.domain.decode import DecodeError, Lines, decode, decoder, lines_decoder
from mcp_tui.domain.kube import Kube

T = TypeVar("T")


class ListMeta(Kube, frozen=True, kw_only=True):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ObjectList(msgspec.Struct, Generic[T], kw_only=True, rename="camel"):
    """A page of a list. Items of a typed list carry no kind of their own.

    Attributes:
        unread: Items that cannot be read, each with nothing but what says who it is. They are
            there, so they are not to be taken for deleted. No server sends this.
    """

    is_page: ClassVar[bool] = True

    kind: str = ""
    api_version: str = ""
    metadata: ListMeta = ListMeta()
    items: list[T] = []
    unread: list[T] = msgspec.field(default_factory=list, name="mcp-tui.io/unread")


class StatusCause(Kube, frozen=True, kw_only=True):
    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(Kube, frozen=True, kw_only=True):
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[StatusCause, ...] = ()
    retry_after_seconds: int | None = None


class Status(Kube, frozen=True, kw_only=True):
    """meta/v1 Status: how an API server says no."""

    kind: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0
    details: StatusDetails = StatusDetails()


class WatchEvent(msgspec.Struct, Generic[T], kw_only=True, gc=False):
    """One line of a watch; see :func:`decode_watch`."""

    type: str = ""
    object: T


ChangeType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class WatchChange(msgspec.Struct, Generic[T], kw_only=True, gc=False):
    """One line of a watch that is no error."""

    type: ChangeType
    object: T


def decode_watch_block(type_: type[T], block: Lines) -> list[WatchChange[T]] | None:
    """Decode whole lines of a watch at once, several times as fast as line by line.

    Args:
        type_: The struct of the objects watched.
        block: Whole lines.

    Returns:
        The events in their order; None when a line is not as promised (an error, a torn line, a
        field of another type): then :func:`decode_watch` says it of each.
    """
    return cast("list[WatchChange[T]] | None", _block_decoder(cast(Any, type_))(block))


def decode_watch(type_: type[T], line: bytes) -> tuple[str, T | Status]:
    """Decode one line of a watch, sanitised.

    Args:
        type_: The struct of the objects watched. A BOOKMARK decodes to one whose metadata holds
            the resourceVersion and nothing else.
        line: One line, with or without its end.

    Returns:
        ADDED, MODIFIED, DELETED or BOOKMARK with the object; ERROR with a :class:`Status`.

    Raises:
        DecodeError: As :func:`mcp_tui.domain.decode.decode`.
    """
    try:
        event = _line_decoder(cast(Any, type_))(line)
        kind = event.type
        if kind != "ERROR":
            return kind, event.object
    except DecodeError:
        if b"ERROR" not in line:
            raise
    error = decode(WatchEvent[Status], line)
    return error.type, error.object


@cache
def _line_decoder(type_: Any) -> Callable[[bytes], Any]:
    return decoder(WatchEvent[type_])


@cache
def _block_decoder(type_: Any) -> Callable[[Lines], list[Any] | None]:
    return lines_decoder(WatchChange[type_])
