"""The pages of a list, and nothing else that answers in their place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from mcp_tui.domain.kube import ObjectList
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.kubernetes.transport import KubeClient


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
    page: ObjectList[Any] = await client.get(path, type_, params=params, deadline=deadline)
    if not page.kind.endswith("List"):
        raise UnreachableError(
            f'the answer is no list but "{clean_line(page.kind, limit=60)}"',
            where=client.where("GET", path),
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
    """Ask for one page after the other.

    Args:
        client: The API server.
        path: Of the list.
        type_: As of :func:`get_page`.
        selectors: What is wanted, as the query says it.
        limit: Objects in a page; 0 for all of them in one.
        deadline: Seconds for each page.

    Raises:
        ApiError, UnreachableError: As :func:`get_page`.
    """
    token = ""
    while True:
        params = list(selectors)
        if limit:
            params.append(("limit", str(limit)))
        if token:
            params.append(("continue", token))
        page = await get_page(client, path, type_, params, deadline=deadline)
        if token and page.metadata.continue_ == token:
            # A server that gives the same page again would be asked for ever.
            raise UnreachableError("the list repeats its continue token", where=path)
        yield page
        token = page.metadata.continue_
        if not token:
            return
