"""A context of a kubeconfig: the cluster, who asks it and how they say who they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

_SECRET: Final = re.compile(r"--?[\w-]*(?:secret|token|passw(?:or)?d|api-?key)", re.IGNORECASE)
"""Arguments of plugins whose value is one."""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A command that prints credentials (``users[].user.exec``). It is code: ask before it runs."""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    api_version: str = "client.authentication.k8s.io/v1"
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"
    install_hint: str = ""

    def command_line(self) -> str:
        """The command as it is shown to a user, sanitised; its environment is left out, and so is
        what an argument gives as a secret (kubelogin's ``--oidc-client-secret``)."""
        shown = [self.command]
        for before, arg in zip((self.command, *self.args), self.args, strict=False):
            name, equals, _ = arg.partition("=")
            if equals and _SECRET.fullmatch(name):
                arg = f"{name}=(not shown)"
            elif _SECRET.fullmatch(before) and not arg.startswith("-"):
                arg = "(not shown)"
            shown.append(arg)
        return clean_line(" ".join(shown), limit=300)


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Who to act as (``as``, ``as-uid``, ``as-groups``, ``as-user-extra``)."""

    user: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """Where a cluster is and how its certificate is checked."""

    name: str
    server: str
    ca_data: bytes | None = field(default=None, repr=False)
    ca_file: Path | None = None
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = field(default="", repr=False)
    disable_compression: bool = False
    exec_config: object = None


@dataclass(frozen=True, slots=True)
class UserInfo:
    """How a user proves who it is; secrets are in no repr."""

    name: str
    cert_data: bytes | None = field(default=None, repr=False)
    cert_file: Path | None = None
    key_data: bytes | None = field(default=None, repr=False)
    key_file: Path | None = None
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    exec: ExecPlugin | None = None
    impersonate: Impersonation | None = None

    @property
    def method(self) -> str:
        """The kind of credential in the field's words, for ``doctor`` and the header."""
        if self.token_file is not None:
            return "token file"
        if self.token:
            return "token"
        if self.username:
            return "username and password"
        if self.exec is not None:
            return "exec plugin"
        if self.cert_data is not None or self.cert_file is not None:
            return "client certificate"
        return "none"


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """One context: a cluster, a user and a default namespace.

    ``problem`` says why the context cannot be used; the other fields are then what could be read.
    ``extension`` is what the context says to mcp-tui itself, unchecked: kubectl and others pass
    such extensions by.
    """

    name: str
    cluster: str
    server: str
    user: str
    namespace: str
    cluster_info: ClusterInfo
    user_info: UserInfo
    origin: str = ""
    problem: UsageError | None = None
    extension: object = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One named cluster, user or context, and the file that it was read from."""

    name: str
    value: Mapping[str, Any] = field(repr=False)
    origin: Path
    where: str
