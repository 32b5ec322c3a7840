"""Our own kubeconfig loader.

The ``kubernetes`` package's loader costs 150 ms and 30 MB, knows no impersonation, writes
credentials to temporary files and gives exec plugins the user's terminal without a deadline. This
one only reads: it runs nothing and opens no certificate. The rules are those of kubectl: the files
of ``KUBECONFIG`` are merged and the first one that sets a name wins; relative paths are relative to
the file that holds them; inline data wins over a file; then ``~/.kube/config``, then the service
account of the pod we run in.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from mcp_tui.config import home
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.errors import UsageError
from mcp_tui.sources.kubernetes.contextinfo import (
    ClusterInfo,
    ContextInfo,
    Entry,
    UserInfo,
)

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER: Final = "in-cluster"


_T = TypeVar("_T")


class Kubeconfig:
    """The merged kubeconfig; made by :func:`load_kubeconfig`."""

    def __init__(
        self,
        *,
        current: str,
        contexts: Mapping[str, Entry],
        clusters: Mapping[str, Entry],
        users: Mapping[str, Entry],
        files: tuple[Path, ...],
        fixed: ContextInfo | None = None,
    ) -> None:
        self.current = current
        self.files = files
        self._contexts = contexts
        self._clusters = clusters
        self._users = users
        self._fixed = fixed

    @property
    def names(self) -> tuple[str, ...]:
        """The contexts' names in the order of the files."""
        return (self._fixed.name,) if self._fixed else tuple(self._contexts)

    def contexts(self) -> tuple[ContextInfo, ...]:
        """Every context; one that cannot be used carries its ``problem``."""
        if self._fixed is not None:
            return (self._fixed,)
        return tuple(self._resolve(entry) for entry in self._contexts.values())

    def context(self, name: str | None = None) -> ContextInfo:
        """The context of a name, or the current one.

        Raises:
            UsageError: There is no such context, or its cluster, user, certificates or fields are
                missing or malformed.
        """
        wanted = self.current if name is None else name
        if self._fixed is not None and wanted in ("", self._fixed.name):
            return self._fixed
        where = ", ".join(str(path) for path in self.files)
        if not wanted:
            raise UsageError(
                "the kubeconfig has no current context",
                where=where,
                hint=f"choose one with --context: {_some(self.names)}" if self.names else "",
            )
        if wanted not in self._contexts:
            raise UsageError(
                f'no context "{clean_line(wanted)}"', where=where, hint=_nearest(wanted, self.names)
            )
        info = self._resolve(self._contexts[wanted])
        if info.problem is not None:
            raise info.problem
        return info

    def _resolve(self, entry: Entry) -> ContextInfo:
        from mcp_tui.sources.kubernetes import kubeconfig_read as read

        cluster_name = user_name = namespace = ""
        cluster, user = ClusterInfo("", ""), UserInfo("")
        problem: UsageError | None = None
        try:
            cluster_name = read.text(entry, "cluster")
            user_name = read.text(entry, "user")
            namespace = read.text(entry, "namespace")
            cluster = self._part(entry, "cluster", cluster_name, self._clusters, read.cluster)
            user = (
                self._part(entry, "user", user_name, self._users, read.user)
                if user_name
                else UserInfo("")
            )
        except UsageError as error:
            problem = error
        return ContextInfo(
            name=entry.name,
            cluster=cluster_name,
            server=cluster.server,
            user=user_name,
            namespace=namespace or "default",
            cluster_info=cluster,
            user_info=user,
            origin=str(entry.origin),
            problem=problem,
            extension=read.extension(entry, "mcp-tui"),
        )

    def _part(
        self,
        entry: Entry,
        kind: str,
        name: str,
        known: Mapping[str, Entry],
        make: Callable[[Entry], _T],
    ) -> _T:
        if name not in known:
            raise UsageError(
                f'context "{clean_line(entry.name)}" names the {kind} "{clean_line(name)}", '
                "which is not there",
                where=str(entry.origin),
                hint=_nearest(name, tuple(known)),
            )
        return make(known[name])


def load_kubeconfig(
    env: Mapping[str, str],
    explicit: Path | None = None,
    *,
    service_account: Path = SERVICE_ACCOUNT,
) -> Kubeconfig:
    """Load and merge the kubeconfig as kubectl would.

    Args:
        env: The environment: ``KUBECONFIG``, ``HOME``, ``KUBERNETES_SERVICE_HOST`` and ``_PORT``.
        explicit: One file named by the user; nothing else is then looked at.
        service_account: Where a pod's service account is mounted.

    Raises:
        UsageError: A file is missing, unreadable, empty or malformed. Of several files in
            ``KUBECONFIG`` some may be missing, but not all.
    """
    if explicit is not None:
        paths, may_miss = [explicit], False
    elif env.get("KUBECONFIG", "").strip(os.pathsep):
        named = [part for part in env["KUBECONFIG"].split(os.pathsep) if part]
        paths, may_miss = [Path(part) for part in dict.fromkeys(named)], len(set(named)) > 1
    else:
        default = home(env) / ".kube" / "config"
        if not default.exists() and env.get("KUBERNETES_SERVICE_HOST"):
            return _in_cluster(env, service_account)
        paths, may_miss = [default], False
    return _merge(paths, may_miss=may_miss)


def _merge(paths: list[Path], *, may_miss: bool) -> Kubeconfig:
    from mcp_tui.sources.kubernetes import kubeconfig_read as read

    current = ""
    merged: dict[str, dict[str, Entry]] = {"contexts": {}, "clusters": {}, "users": {}}
    found: list[Path] = []
    for path in paths:
        if may_miss and not path.exists():
            continue
        document = read.document(path)
        found.append(path)
        current = current or document.current
        for kind, entries in document.entries.items():
            for entry in entries:
                merged[kind].setdefault(entry.name, entry)
    if not found:
        raise UsageError(
            "none of the kubeconfig files is there",
            where=", ".join(str(path) for path in paths),
            hint="set KUBECONFIG to a file that is",
        )
    return Kubeconfig(
        current=current,
        contexts=merged["contexts"],
        clusters=merged["clusters"],
        users=merged["users"],
        files=tuple(found),
    )


def _in_cluster(env: Mapping[str, str], account: Path) -> Kubeconfig:
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
    token_file, ca_file = account / "token", account / "ca.crt"
    for path in (token_file, ca_file):
        if not path.is_file():
            raise UsageError(
                "no kubeconfig, and the pod's service account is incomplete",
                where=str(path),
                hint="set KUBECONFIG, or mount the service account token",
            )
    namespace = ""
    if (account / "namespace").is_file():
        namespace = one_line((account / "namespace").read_text(errors="replace"))
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    info = ContextInfo(
        name=IN_CLUSTER,
        cluster=IN_CLUSTER,
        server=server,
        user="service account",
        namespace=namespace or "default",
        cluster_info=ClusterInfo(IN_CLUSTER, server, ca_file=ca_file),
        user_info=UserInfo("service account", token_file=token_file),
        origin=str(account),
    )
    return Kubeconfig(
        current=IN_CLUSTER, contexts={}, clusters={}, users={}, files=(account,), fixed=info
    )


def _some(names: Iterable[str], most: int = 8) -> str:
    listed = [clean_line(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _nearest(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return "the kubeconfig has none"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(clean_line(each) for each in near)}?"
    return f"there are {_some(known)}"
