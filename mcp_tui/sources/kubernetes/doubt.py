"""What a reflector asks a server before it believes what it was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.errors import ApiError, McpTuiError
from mcp_tui.sources.kubernetes.backoff import Timing
from mcp_tui.sources.kubernetes.known import older
from mcp_tui.sources.kubernetes.pages import get_page
from mcp_tui.sources.kubernetes.resources import JOBS, NAMESPACES, Resource, discover
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.kubernetes.watch import RelistError

_AWAY: Final = "the server was away for long enough to have been put back"
_AHEAD: Final = "too large resource version"


class Trust:
    """Whether a version stands for what it stood for before.

    A server that is put back to an older state counts on from there, and gives versions a second
    time for other writes. While its counter is behind ours, the versions tell (:func:`is_behind`).
    Later only the time does: nobody puts a server back without its being away for a while.

    Attributes:
        sure: Whether what was told so far is of the history that the server goes on with.

    Args:
        clock: Monotonic seconds.
        wall: Wall-clock seconds, which go on while the machine sleeps.
        timing: Its ``away`` is the longest time without a word after which anything is sure.
    """

    def __init__(
        self, clock: Callable[[], float], wall: Callable[[], float], timing: Timing
    ) -> None:
        self.sure = True
        self._clock, self._wall, self._timing = clock, wall, timing
        self._at: tuple[float, float] | None = None

    def connected(self) -> None:
        """The server is there now, and was all the time since the last word."""
        self._at = (self._clock(), self._wall())

    def lapsed(self) -> bool:
        """Whether the last word is too long ago."""
        if self._at is None:
            return False
        return max(self._clock() - self._at[0], self._wall() - self._at[1]) > self._timing.away

    def answered(self) -> None:
        """The server said something, after a time in which it may have been away.

        Raises:
            RelistError: For so long that it may have been put back.
        """
        lapsed = self.lapsed()
        self.connected()
        if lapsed:
            self.sure = False
            raise RelistError(_AWAY)

    async def check(
        self, client: KubeClient, path: str, selectors: Sequence[tuple[str, str]], version: str
    ) -> None:
        """Make sure that the server goes on with the history that ``version`` is of.

        Raises:
            RelistError: It does not, or may not.
            ApiError, UnreachableError: As :func:`is_behind`.
        """
        deadline = self._timing.page_deadline
        if await is_behind(client, path, selectors, version, deadline=deadline):
            self.sure = False
            raise RelistError("the server has an older state than before")
        self.answered()


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
        ApiError, UnreachableError: As :func:`mcp_tui.sources.kubernetes.pages.get_page`.
    """
    params = [*selectors, ("limit", "1"), ("resourceVersion", version)]
    params.append(("resourceVersionMatch", "NotOlderThan"))
    try:
        page = await get_page(client, path, ObjectList[Any], params, deadline=deadline)
    except ApiError as error:
        if _AHEAD not in error.what.lower():
            raise
        return True
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
