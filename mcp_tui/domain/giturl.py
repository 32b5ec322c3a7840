"""Git URLs: which forms are taken, and how a credential in one is noticed and kept from sight."""

from __future__ import annotations

import re
from typing import Any, Final

from mcp_tui.domain import yamlmarks as ym
from mcp_tui.domain.shapes import BAD, Text

_HOST = r"[A-Za-z0-9\[][^\s/?#@\\]*"
# No user in http: it would be a token or carry one. In ssh a user name is an address, not a secret.
GIT_URL: Final = (
    rf"(https?|git)://{_HOST}/[^\s?#\\]+"
    rf"|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?{_HOST}/[^\s?#\\]+"
    r"|file:///[^\s?#\\]+"
    r"|([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!//)[A-Za-z0-9_~./][^\s?#\\:]*"
)
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s'\"]*@")
_QUERY: Final = re.compile(r"(?<=[^\s])\?[^\s'\"]*")
_SCP_PASSWORD: Final = re.compile(r"(?<![^\s'\"])([A-Za-z0-9._-]+):(?!//)[^\s'\"]+@")


def strip_credentials(text: str) -> str:
    """Text in which no URL carries a user with a password, a token or a query.

    ``git@`` of an ssh address is no secret and stays.
    """
    text = _URL_CREDENTIALS.sub(
        lambda m: m.group() if m.group() == "git@" and _is_ssh(text, m.start()) else "", text
    )
    text = _SCP_PASSWORD.sub(r"\1@", text)
    return _QUERY.sub("", text) if "://" in text else text


def _is_ssh(text: str, end: int) -> bool:
    return text[:end].lower().endswith(("ssh://", "git+ssh://"))


class GitUrl(Text):
    """A Git URL; it is never repeated in a message, since it may hold a credential."""

    def __init__(self) -> None:
        super().__init__(
            "text that is a Git URL (https://, ssh://, git://, file:///, or user@host:path)",
            pattern=f"^({GIT_URL})$",
            hint="no user name, password, query or fragment may stand in it",
            limit=512,
            echo=False,
        )

    def read(self, node: ym.Node, path: str, report: Any) -> Any:
        if isinstance(node, ym.Scalar) and has_credentials(node.text):
            report(
                node.mark,
                f"`{path}` has a credential in it (not shown)",
                "take it out, revoke it if it was shared, and name a Secret in `code.secret`",
            )
            return BAD
        return super().read(node, path, report)


class DataSource(Text):
    """Where data is; no credential may stand in it."""

    def read(self, node: ym.Node, path: str, report: Any) -> Any:
        if isinstance(node, ym.Scalar) and "://" in node.text:
            authority = node.text.partition("://")[2].partition("/")[0]
            if "@" in authority:
                report(node.mark, f"`{path}` has a credential in it (not shown)", "take it out")
                return BAD
        return super().read(node, path, report)

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "not": {"pattern": "^[^/]*://[^/]*@"}}


def has_credentials(url: str) -> bool:
    """Whether a Git URL carries a user in http(s), a password, or a query that may be a token."""
    scheme, _, rest = url.partition("://")
    if not rest:
        user, at, _ = url.partition("@")
        return bool(at) and ":" in user
    authority, _, path = rest.partition("/")
    user, at, _ = authority.rpartition("@")
    if not at and "@" in path and ":" in authority and not authority.rpartition(":")[2].isdigit():
        return True  # A password with an unescaped slash in it: user:pa/ss@host
    if at and (":" in user or scheme.lower() != "ssh"):
        return True
    return "?" in path
