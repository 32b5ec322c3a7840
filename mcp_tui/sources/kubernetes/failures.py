"""What went wrong on the way to an API server, in plain words and with what to do about it."""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from mcp_tui.domain.text import clean_line, one_line, without_credentials
from mcp_tui.errors import ApiError, UnreachableError
from mcp_tui.sources.hiding import Hide, as_it_is
from mcp_tui.sources.reply import Reply

LONGEST: Final = 1e7
"""Seconds that a server may ask to wait; a number of a thousand digits fits in no float."""

_TITLE: Final = re.compile(rb"<title[^>]*>([^<]{1,4096})", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z_]{1,40}")
# So much of a body is looked through for words.
_LOOKED: Final = 4096
_READ: Final = 65_536


class Advice(NamedTuple):
    """What to do about a connection, in the words of whose it is.

    Attributes:
        down: Nothing listens there.
        authority: Its certificate's authority is not known here.
        name: Its certificate is for another name.
    """

    down: str
    authority: str
    name: str


_KUBERNETES: Final = Advice(
    down="is the cluster running?",
    authority="set certificate-authority in the kubeconfig",
    name="use a name that it has, or set tls-server-name in the kubeconfig",
)

# OpenSSL's X509_V_ERR_* codes.
_UNKNOWN_AUTHORITY: Final = {
    18: "the server's certificate is self-signed and not trusted",
    19: "the server's certificate is from an unknown authority",
    20: "the server's certificate is from an unknown authority",
    21: "the server's certificate is from an unknown authority",
}
_OTHER_NAME: Final = {
    62: "the server's certificate is for another host name",
    64: "the server's certificate is for another address",
}
_CERTIFICATE: Final[dict[int, tuple[str, str]]] = {
    9: (
        "the server's certificate is not valid yet",
        "check the clocks of both machines",
    ),
    10: (
        "the server's certificate has expired",
        "renew it on the server; check this machine's clock too",
    ),
    23: ("the server's certificate has been revoked", "ask who runs the cluster"),
}


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, and so on; members of groups included."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop(0)
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            todo.extend(each.exceptions)
        todo += [each.__cause__, each.__context__]


class BrokenOffError(UnreachableError):
    """The peer itself ended the connection: it was there until then.

    What the kernel gives up by itself, after a silence of any length, is not that.
    """


def by_peer(error: BaseException) -> bool:
    """Whether a connection broke by what its peer sent: an end, a reset, or nonsense."""
    return any(
        isinstance(each, ConnectionResetError)
        or type(each).__name__ in ("RemoteProtocolError", "DecodingError")
        for each in chain(error)
    )


def explain(
    error: BaseException, *, server: str, advice: Advice = _KUBERNETES, hide: Hide = as_it_is
) -> tuple[str, str]:
    """What a failed connection means: (what, hint); ``hide`` is what its words pass."""
    host = without_credentials(server).split("://", 1)[-1].split("/", 1)[0]
    host = clean_line(host, limit=200)
    for each in chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return _certificate(each, advice)
        # A read that was given up while TLS wanted more bytes is no TLS failure.
        if isinstance(each, ssl.SSLError) and not isinstance(each, ssl.SSLWantReadError):
            return _tls(each)
        if isinstance(each, socket.gaierror):
            return f"the name of {host} is not known", "check the server's address and your VPN"
        if isinstance(each, ConnectionRefusedError):
            return f"nothing listens at {host}", advice.down
        if isinstance(each, OSError) and each.errno in (
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
            errno.ETIMEDOUT,
        ):
            return f"there is no way to {host}", "check your network and VPN"
        if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE):
            return "too many files are open on this machine", "raise the limit: ulimit -n"
    name = type(error).__name__
    if name == "ProxyError":
        return (
            f"the proxy refused: {said_line(str(error), hide)}",
            "check proxy-url and HTTPS_PROXY",
        )
    if name in ("RemoteProtocolError", "ReadError", "WriteError"):
        return "the connection broke before the answer was complete", "it may help to try again"
    if name == "DecodingError":
        return "the answer is not what its Content-Encoding says", "is a proxy in between?"
    return f"the connection failed ({said_line(str(error), hide) or name})", ""


def _certificate(error: ssl.SSLCertVerificationError, advice: Advice) -> tuple[str, str]:
    code = error.verify_code
    if code in _UNKNOWN_AUTHORITY:
        return _UNKNOWN_AUTHORITY[code], advice.authority
    if code in _OTHER_NAME:
        return _OTHER_NAME[code], advice.name
    said = f"the server's certificate is not accepted: {one_line(error.verify_message)}"
    return _CERTIFICATE.get(code, (said, ""))


def _tls(error: ssl.SSLError) -> tuple[str, str]:
    reason = error.reason or ""
    if "WRONG_VERSION" in reason or "HTTP_REQUEST" in reason:
        return "the server does not speak TLS on this port", "is the server's URL meant to be http?"
    if "CERTIFICATE_REQUIRED" in reason or "ALERT" in reason:
        return (
            f"the server ended the TLS handshake ({clean_line(reason.lower().replace('_', ' '))})",
            "the client certificate may be missing, expired or of another cluster",
        )
    return f"TLS failed ({clean_line(reason.lower().replace('_', ' ')) or 'no reason given'})", ""


def said_line(text: str, hide: Hide = as_it_is) -> str:
    """The first line of what others say, without our credentials: they are gone before it is cut,
    and looked for again once nothing unseen is in their midst."""
    return hide(one_line(hide(text)))


def api_error(
    status: int,
    headers: dict[str, str],
    body: bytes,
    *,
    where: str,
    now: datetime | None = None,
    hide: Hide = as_it_is,
) -> ApiError:
    """The error for an answer that is no success: the server's own words, sanitised.

    Args:
        status: The HTTP status.
        headers: The answer's headers, lower case.
        body: Its body, or the first part of it.
        where: ``METHOD path at context``.
        now: The wall clock, for a Retry-After that is a date.
        hide: Takes out what the server was sent and nobody is to read.
    """
    # A date is by the clock of who says it, which may not be ours.
    now = now or http_date(headers.get("date", ""))
    message, reason, retry = "", "", retry_after(headers.get("retry-after", ""), now)
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        # What a Service behind the API server's proxy says comes as it is: Prometheus and MLflow
        # have words of their own for the same.
        said = answer.get("message") or answer.get("error")
        message = said_line(said, hide) if isinstance(said, str) else ""
        kinds = (answer.get(name) for name in ("reason", "error_code", "errorType"))
        reason = str(next(filter(None, kinds), ""))
        if not _WORD.fullmatch(reason):
            reason = said_line(reason, hide)
        details = answer.get("details")
        seconds = details.get("retryAfterSeconds") if isinstance(details, dict) else None
        if retry is None and isinstance(seconds, int | float) and seconds > 0:
            retry = float(min(seconds, LONGEST))
    if not message:
        message = foreign_words(headers, body, hide) or _default_message(status)
    hint = _HINTS.get(status, "")
    if 300 <= status < 400:
        place = _host(said_line(headers.get("location", ""), hide))
        message = f"the server answers with a redirect to {place}"
        hint = "redirects are not followed; correct the server's URL"
    return ApiError(
        message, status=status, reason=reason, retry_after=retry, where=where, hint=hint
    )


# What Envoy and its kin say: of an upstream that broke off, and of one that was never reached.
_BROKE_OFF: Final = re.compile("disconnect/reset|reset reason|terminat|prematurely", re.IGNORECASE)
_NEVER_REACHED: Final = re.compile(
    "connection failure|connection timeout|refused|overflow", re.IGNORECASE
)


def outcome_unknown(error: ApiError) -> bool:
    """Whether an error answer to a write leaves open if it was done.

    A gateway that got no answer does not know, even one that says 503 for it; neither does an API
    server whose store timed out.
    """
    if error.status in (502, 504):
        return True
    if error.status == 503 and not error.reason:
        return bool(_BROKE_OFF.search(error.what)) and not _NEVER_REACHED.search(error.what)
    return error.status == 500 and (error.reason == "Timeout" or "timed out" in error.what)


_HINTS: Final = {
    401: "the credentials are not accepted; log in again",
    407: "the proxy wants credentials",
    429: "the server is busy; it is asked again later",
}


def _default_message(status: int) -> str:
    return {
        401: "the server does not accept the credentials",
        403: "not allowed",
        404: "not found",
        409: "in conflict with what is there",
        410: "the resource version is too old",
        429: "too many requests",
        502: "a gateway before the server got no good answer",
        503: "the server is not available",
        504: "a gateway before the server got no answer in time",
    }.get(status, f"the server answered with status {status}")


def _host(location: str) -> str:
    """Only the host of a redirect: its query may carry a token."""
    host = location.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]
    return clean_line(host, limit=100) or "somewhere"


def foreign_words(headers: dict[str, str], body: bytes, hide: Hide = as_it_is) -> str:
    """What an answer says that did not come from an API server, such as a proxy's page."""
    kind = said_line(headers.get("content-type", "").split(";")[0], hide)[:60]
    title = _TITLE.search(body[: 2 * _LOOKED])
    if title is not None and title.start() < _LOOKED:
        return f'a web page: "{said_line(title[1].decode("utf-8", "replace"), hide)[:200]}"'
    # MLflow's own refusals are a line of text under the type of a page.
    if kind == "text/plain" or (kind == "text/html" and b"<" not in body):
        return said_line(body[:_READ].decode("utf-8", "replace"), hide)[:300]
    if kind and kind != "application/json":
        return f"an answer of type {kind}"
    return ""


def not_json(reply: Reply, *, where: str) -> UnreachableError:
    """The error for a success whose body is not the API's JSON."""
    said = foreign_words(dict(reply.headers), reply.body, reply.hide)
    return UnreachableError(
        f"the answer is not the API's JSON{f' but {said}' if said else ''}",
        where=where,
        hint="is a proxy or a login page in between?",
    )


def retry_after(value: str, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None if neither."""
    value = value.strip()
    if not value:
        return None
    if value.isascii() and value.isdigit() and len(value) < 8:
        return float(value)
    when = http_date(value)
    return None if when is None else max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def http_date(value: str) -> datetime | None:
    """An HTTP date header, or None."""
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
