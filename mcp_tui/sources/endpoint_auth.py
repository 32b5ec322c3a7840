"""Credentials of an endpoint, and what its refusals mean."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mcp_tui.config import Endpoint
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import ApiError, RefusedError
from mcp_tui.sources.gate import Source
from mcp_tui.sources.hiding import Secrets
from mcp_tui.sources.kubernetes import failures
from mcp_tui.sources.reply import Reply

TITLES: Final[dict[Source, str]] = {"mlflow": "MLflow", "prometheus": "Prometheus"}
MAX_SECRET_BYTES: Final = 16 * 1024
HOST_REFUSED: Final = re.compile(r"invalid host header", re.IGNORECASE)
HOST_HINT: Final = "start MLflow with --allowed-hosts naming the host it is called by here"


def api_error(source: Source, reply: Reply, *, where: str) -> ApiError:
    """The error for an answer that is no success, in the server's own words."""
    error = failures.api_error(
        reply.status, dict(reply.headers), reply.body, where=where, hide=reply.hide
    )
    what, reason, hint = error.what, error.reason, error.hint
    if HOST_REFUSED.search(what):
        hint = HOST_HINT
    elif reply.status in (401, 403) and not hint.startswith("redirects"):
        hint = f"check the credentials configured for {TITLES[source]}"
    elif reply.status == 404 and not reason:
        what = f"{TITLES[source]} is not there: {what}"
        hint = "check the URL, and its path prefix"
    return ApiError(
        what,
        status=reply.status,
        reason=reason,
        retry_after=error.retry_after,
        where=where,
        hint=hint,
    )


def authorization(endpoint: Endpoint, env: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    """The Authorization header of an endpoint; read each time, since token files are renewed.

    Args:
        endpoint: The endpoint.
        env: The environment, where it may be.
        secrets: Told what is in it.

    Raises:
        RefusedError: A credential that is configured is not there.
    """
    if endpoint.username:
        password = _secret(endpoint.password_env, endpoint.password_file, env, "password")
        secrets.learn_pair(endpoint.username, password)
        pair = f"{endpoint.username}:{password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if endpoint.token_env or endpoint.token_file:
        token = _secret(endpoint.token_env, endpoint.token_file, env, "token")
        secrets.learn(token)
        return {"Authorization": f"Bearer {token}"}
    return {}


def _secret(variable: str, file: str, env: Mapping[str, str], what: str) -> str:
    if variable:
        value = env.get(variable, "")
        where = f"environment variable {clean_line(variable)}"
    elif file:
        where = clean_line(file)
        try:
            with Path(file).expanduser().open("rb") as stream:
                value = stream.read(MAX_SECRET_BYTES).decode("utf-8", "replace").strip()
        except (OSError, ValueError, RuntimeError) as error:
            # NUL is in no file's name, and nobody may have the home that ~ stands for.
            why = getattr(error, "strerror", None) or str(error)
            raise RefusedError(f"the {what} cannot be read: {one_line(why)}", where=where) from None
    else:
        return ""
    if not value:
        raise RefusedError(f"the {what} is empty", where=where, hint="set it, or remove the name")
    # A password travels in base64, a token as it is.
    if not value.isprintable() or (what == "token" and not value.isascii()):
        raise RefusedError(f"the {what} holds characters that no header may hold", where=where)
    return value
