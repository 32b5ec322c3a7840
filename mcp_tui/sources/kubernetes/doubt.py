"""What a reflector asks a server before it believes what it was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mcp_tui.domain.kube import ObjectList
from mcp_tui.errors import ApiError, McpTuiError, UnreachableError
from mcp_tui.sources.kubernetes.known import older
from mcp_tui.sources.kubernetes.resources import JOBS, NAMESPACES, Resource, discover
from mcp_tui.sources.kubernetes.transport import KubeClient

_AHEAD: Final = "too large resource version"


async def is_behind(
    client: KubeClient,
    path: str,
    selectors: Sequence[tuple[str, str]],
    version: str,
    *,
    deadline: float,
) -> bool:
    """Whether a server has yet to come to a version that it gave before.

    One that was restored from an older state has, and answers a watch from there with silence.

    Raises:
        ApiError, UnreachableError: As the client's ``get``.
    """
    params = [*selectors, ("limit", "1"), ("resourceVersion", version)]
    params.append(("resourceVersionMatch", "NotOlderThan"))
    try:
        page: ObjectList[Any] = await client.get(
            path, ObjectList[Any], params=params, deadline=deadline
        )
    except ApiError as error:
        if _AHEAD not in error.what.lower():
            raise
        return True
    if not page.kind.endswith("List"):
        # Who answers so has said nothing of the server's state.
        raise UnreachableError("the answer is no list", where=client.where("GET", path))
    return older(page.metadata.resource_version, version)


async def is_gone(client: KubeClient, resource: Resource[Any]) -> bool:
    """Whether a server that answered with 404 does not have a kind: surely, not perhaps.

    Who stands in between may say 404 too, so the server is asked what it has.
    """
    try:
        served = await discover(client)
    except McpTuiError:
        return False
    group, version, plural = resource.key
    there = {(group, version, plural), (group, version, "")} & served
    # What does not even have namespaces and jobs is no API server.
    return not there and {NAMESPACES.key, JOBS.key} <= served
