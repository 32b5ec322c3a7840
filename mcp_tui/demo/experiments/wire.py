"""Calls of MLflow's REST API on loopback, one after the other over one connection."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from mcp_tui.errors import ApiError, UnreachableError

API: Final = "/api/2.0/mlflow"
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_DEADLINE: Final = 60.0


class Wire:
    """A connection to the tracking server of the demo."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        self._where = url
        self._connection = http.client.HTTPConnection(
            found.hostname or "127.0.0.1", found.port, timeout=_DEADLINE
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def wait(self, seconds: float) -> None:
        """Wait until the server answers. Raises UnreachableError after that many seconds."""
        until = time.monotonic() + seconds
        while True:
            try:
                self._send("GET", "/health", None, "")
                return
            except (UnreachableError, ApiError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """A read. Raises ApiError, UnreachableError."""
        return self._json("GET", f"{API}/{path}?{urlencode(query)}", None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A write, sent once. Raises ApiError, UnreachableError."""
        return self._json("POST", f"{API}/{path}", json.dumps(body).encode())

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As :meth:`post`, by PATCH."""
        return self._json("PATCH", f"{API}/{path}", json.dumps(body).encode())

    def upload(self, root: str, path: str, data: bytes) -> None:
        """Put a file among a run's artifacts.

        Args:
            root: The ``artifact_uri`` of the run, or of the logged model.
        """
        inside = root.removeprefix("mlflow-artifacts:/").strip("/")
        self._send("PUT", f"{_ARTIFACTS}/{quote(f'{inside}/{path}')}", data,
                   "application/octet-stream")  # fmt: skip

    def _json(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._send(method, path, body, "application/json"))
        return answer

    def _send(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        headers = {"Content-Type": kind} if body is not None else {}
        try:
            self._connection.request(method, path, body, headers)
            reply = self._connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            what = type(error).__name__
            raise UnreachableError(f"{method} {path}: {what}", where=self._where) from None
        if reply.status >= 400:
            said = data[:300].decode(errors="replace")
            raise ApiError(f"{method} {path}: {said}", status=reply.status, where=self._where)
        return data
