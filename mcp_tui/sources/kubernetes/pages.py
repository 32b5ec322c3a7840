"""The pages of a list, and nothing else that answers in their place."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.reply import Reply

# What a server's own kinds begin with. A list of custom resources ends with it: of that, the next
# page is not known before the whole is read.
_HEAD: Final = re.compile(
    rb'\{"kind":"[A-Za-z]{1,80}","apiVersion":"[^"]{1,200}","metadata":\{[^{}"]*'
    rb'(?:"[^"{}\\]*"[^{}"]*)*?"continue":"([^"\\{}]{1,8192})"'
)
LATER: Final = 4
"""How many times larger the pages after the first are, for which somebody waits."""

# Seconds for a call to leave before something else keeps the event loop.
_LEAVE: Final = 0.001


async def get_page(
    client: KubeClient,
    path: str,
    type_: Any,
    params: Sequence[tuple[str, str]],
    *,
    deadline: float,
) -> ObjectList[Any]:
    """Ask for a page.

    Args:
        client: The API server.
        path: Of the list.
        type_: What to decode to: an ``ObjectList`` of something.
        params: The query.
        deadline: Seconds for all of it.

    Raises:
        ApiError: As the client's ``get``.
        UnreachableError: As that; also where the answer is JSON, but no list: who answers so, in
            between, says nothing of what the server has.
    """
    reply = await client.request("GET", path, params=params, deadline=deadline)
    return _page(client, path, type_, reply)


def _page(client: KubeClient, path: str, type_: Any, reply: Reply) -> ObjectList[Any]:
    where = client.where("GET", path)
    page: ObjectList[Any] = client.decoded(reply, type_, where)
    if not page.kind.endswith("List"):
        raise UnreachableError(
            f'the answer is no list but "{clean_line(page.kind, limit=60)}"',
            where=where,
            hint="is a proxy in between?",
        )
    return page


async def pages_of(
    client: KubeClient,
    path: str,
    type_: Any,
    selectors: Sequence[tuple[str, str]],
    *,
    limit: int,
    deadline: float,
) -> AsyncGenerator[ObjectList[Any], None]:
    """Ask for one page after the other, the next while this one is looked at.

    Args:
        client: The API server.
        path: Of the list.
        type_: As of :func:`get_page`.
        selectors: What is wanted, as the query says it.
        limit: Objects in the first page; 0 for all of them in one. Later pages are larger.
        deadline: Seconds for each page.

    Raises:
        ApiError, UnreachableError: As :func:`get_page`.
    """

    def ask(token: str) -> asyncio.Task[Reply]:
        params = list(selectors)
        if limit:
            params.append(("limit", str(limit * LATER if token else limit)))
        if token:
            params.append(("continue", token))
        return asyncio.create_task(client.request("GET", path, params=params, deadline=deadline))

    token = ""
    coming = ask(token)
    try:
        while True:
            reply = await coming
            following = _following(reply.body)
            if following and following != token:
                coming = ask(following)
                await asyncio.sleep(_LEAVE)
            page = _page(client, path, type_, reply)
            if token and page.metadata.continue_ == token:
                # A server that gives the same page again would be asked for ever.
                raise UnreachableError("the list repeats its continue token", where=path)
            await asyncio.sleep(0)  # Keys have their turn between reading a page and taking it.
            yield page
            token = page.metadata.continue_
            if not token:
                return
            if following != token:
                await _give_up(coming)
                coming = ask(token)
    finally:
        await _give_up(coming)


def _following(body: bytes) -> str:
    """The continue token of a page, where it stands before the objects; else nothing."""
    found = _HEAD.match(body, 0, 16_384)
    return found[1].decode("ascii", "replace") if found else ""


async def _give_up(task: asyncio.Task[Reply]) -> None:
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # Seen: what nobody waits for any more is nobody's trouble.
