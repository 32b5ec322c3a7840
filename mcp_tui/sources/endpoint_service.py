"""A server behind the API server's service proxy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, UnknownOutcomeError, UnreachableError
from mcp_tui.sources.body import Opened
from mcp_tui.sources.caller import MAX_BYTES, Params
from mcp_tui.sources.endpoint_auth import HOST_HINT, HOST_REFUSED, TITLES
from mcp_tui.sources.gate import Source
from mcp_tui.sources.kubernetes.transport import KubeClient
from mcp_tui.sources.reply import Reply


class ServiceCaller:
    """An endpoint behind the API server's service proxy: a kubeconfig alone is enough.

    The API server uses the Authorization header for itself, so such an endpoint gets none.
    """

    def __init__(self, source: Source, service: str, *, kube: KubeClient) -> None:
        namespace, _, rest = service.partition("/")
        name, _, port = rest.partition(":")
        self._source = source
        self._kube = kube
        self._prefix = kube.gate.allow_service(source, namespace, name, port)
        self.where = f"{TITLES[source]} at service {clean_line(service, limit=200)}"

    def __repr__(self) -> str:
        return f"ServiceCaller({self.where!r})"

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
        """As :meth:`Caller.call`."""
        where = f"{self.where} {method} {path}"
        try:
            return await self._kube.request(
                method,
                self._prefix + path,
                params=params,
                body=body,
                content_type=content_type,
                deadline=deadline,
                max_bytes=MAX_BYTES,
            )
        except ApiError as error:
            if self._lost(method, path, error):
                raise UnknownOutcomeError(
                    f"{error.what}; it may or may not have been done", where=where
                ) from None
            raise self._explained(error, where) from None

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
        where = f"{self.where} GET {path}"
        limit = asyncio.timeout(deadline)
        try:
            async with (
                limit,
                self._kube.opened(
                    self._prefix + path,
                    params=params,
                    connect_deadline=deadline,
                    read_timeout=silence,
                    accept="*/*",
                    headers=headers,
                ) as answer,
            ):
                yield answer
        except TimeoutError:
            if not limit.expired():
                raise
            raise UnreachableError(
                f"not all came within {deadline:g} s", where=where, hint="give it longer"
            ) from None
        except ApiError as error:
            raise self._explained(error, where) from None

    def _explained(self, error: ApiError, where: str) -> ApiError:
        hint = error.hint
        if error.status == 503:
            hint = "does the Service have a ready pod?"
        elif error.status == 401 and error.reason != "Unauthorized":
            # The API server's own refusal has that reason.
            hint = (
                f"{TITLES[self._source]} wants credentials of its own, and the API server's "
                "proxy passes none on: give its url"
            )
        elif HOST_REFUSED.search(error.what):
            hint = HOST_HINT
        return ApiError(
            error.what,
            status=error.status,
            reason=error.reason,
            retry_after=error.retry_after,
            where=where,
            hint=hint,
        )

    def _lost(self, method: str, path: str, error: ApiError) -> bool:
        """Whether the API server lost the answer to a write that it had passed on.

        It says 503 both when it could not connect, and when the answer never came.
        """
        writes = method != "GET" and not self._kube.gate.reads(
            "kubernetes", method, self._prefix + path
        )
        said = error.what.lower()
        never = ("refused", "no endpoints", "no such host", "no route")
        return writes and "trying to reach service" in said and not any(w in said for w in never)

    async def aclose(self) -> None:
        """Nothing: the connections are the Kubernetes client's."""
