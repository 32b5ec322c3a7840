"""Turns a context's user into request headers and a TLS context, and keeps both fresh."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mcp_tui.domain.text import clean_line
from mcp_tui.errors import RefusedError, UnreachableError, UsageError
from mcp_tui.sources.hiding import Secrets
from mcp_tui.sources.kubernetes import execplugin
from mcp_tui.sources.kubernetes.contextinfo import ContextInfo, Impersonation
from mcp_tui.sources.kubernetes.execplugin import Credential
from mcp_tui.sources.kubernetes.proxyenv import proxy_for

TOKEN_FILE_AGE: Final = 60.0
# A credential that has ended when it comes, by our clock, is used for so long all the same unless
# it is refused: the clock may be wrong, and a plugin that is run for every call helps nobody.
LEAST_USE: Final = 60.0
_LOOK: Final = "run it in a terminal to see what it waits for"

Stamp = tuple[int, int] | None


class Credentials:
    """One context's credentials; nothing secret is in its repr.

    Args:
        context: The context.
        env: The environment given to an exec plugin.
        allow_exec: Whether an exec plugin may run; it is code from the kubeconfig.
        wall: The wall clock (epoch seconds), for expiry.
    """

    def __init__(
        self,
        context: ContextInfo,
        *,
        env: Mapping[str, str] | None = None,
        allow_exec: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._context = context
        self._user = context.user_info
        self._env = dict(os.environ if env is None else env)
        self._allow_exec = allow_exec
        self._wall = wall
        self._plugin: Credential | None = None
        self._used_until = float("-inf")  # monotonic
        self._running: asyncio.Task[Credential] | None = None
        self._file_token = ""
        self._file_read_at = float("-inf")
        self._file_stamp: Stamp = None
        self._pair: tuple[bytes | None, bytes | None] = (None, None)
        self._tls_files = _tls_files(context)
        self._tls_stamps = self._stamps()
        self._tls_version = 0
        self.generation = 0
        self.plugin_runs = 0
        # What the plugin that runs has said, such as where to log in and with which code.
        self._heard = ""
        self._secrets = Secrets()
        self._secrets.learn(self._user.token, *_of_key(self._user.key_data))
        self._secrets.learn_pair(self._user.username, self._user.password)
        self._secrets.learn_url(context.server)  # httpx makes a header of what stands in it
        with contextlib.suppress(ValueError):  # of a URL that is none
            proxy = proxy_for(context.server, context.cluster_info.proxy_url, self._env)
            self._secrets.learn_url(proxy)

    def hide(self, text: str) -> str:
        """What a server or plugin says, without what it was sent or gave: nobody is to read it."""
        return self._secrets.hide(text)

    async def headers(self) -> dict[str, str]:
        """The headers that say who we are.

        Raises:
            UsageError: A token file is missing or malformed, or see :func:`run_plugin`.
            RefusedError: An exec plugin is needed and may not run, or failed.
            UnreachableError: An exec plugin did not end.
        """
        user = self._user
        out = _impersonation_headers(user.impersonate) if user.impersonate else {}
        if user.token_file is not None:
            out["Authorization"] = f"Bearer {await self._token_from_file(user.token_file)}"
        elif user.token:
            out["Authorization"] = f"Bearer {_checked(user.token, self._context.origin)}"
        elif user.username:
            pair = f"{user.username}:{user.password}".encode()
            out["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif user.exec is not None:
            credential = await self._from_plugin()
            if credential.token:
                out["Authorization"] = f"Bearer {credential.token}"
        return out

    @property
    def refreshable(self) -> bool:
        """Whether asking again could give other credentials."""
        user = self._user
        if user.token_file is not None or (user.exec is not None and not user.token):
            return True
        return any(path in (user.cert_file, user.key_file) for path in self._tls_files)

    @property
    def login(self) -> str:
        """A plugin that runs and has said something, in its words: it may wait for its user.

        Such as where to log in, and with which code; empty otherwise.
        """
        waits = self._runs and self._heard
        return f"the credential plugin has not ended yet{self._heard}" if waits else ""

    @property
    def _runs(self) -> bool:
        return self._running is not None and not self._running.done()

    def late(self, deadline: float) -> UnreachableError | None:
        """Why a call had nothing to send for ``deadline`` seconds, where a plugin still runs."""
        plugin = self._user.exec
        if plugin is None or not self._runs:
            return None
        return UnreachableError(
            f"the credential plugin has not ended after {deadline:g} s{self._heard}",
            where=plugin.command_line(),
            hint=f"do what it says, or {_LOOK}" if self._heard else _LOOK,
        )

    def forget(self, generation: int) -> None:
        """Drop what was cached, after a 401 to credentials of ``generation``.

        Calls that were refused together drop it once: the first one moves the generation on.
        """
        if generation == self.generation:
            self.generation += 1
            self._plugin = None
            self._file_read_at = float("-inf")
            self._file_stamp = None

    async def tls(self) -> ssl.SSLContext | None:
        """The TLS context of the server, or None for a plain http server.

        Raises:
            UsageError: A certificate or key cannot be read or used.
        """
        if not self._context.server.startswith("https:"):
            return None
        user = self._user
        certificate, key = user.cert_data, user.key_data
        if user.exec is not None and not user.token and user.token_file is None:
            credential = await self._from_plugin()
            if credential.certificate is not None:
                certificate, key = credential.certificate, credential.key
        return await asyncio.to_thread(self._make_tls, certificate, key)

    def tls_version(self) -> int:
        """Grows when :meth:`tls` gives something else than before: it needs new connections.

        A plugin gave another certificate, or a file was renewed, as kubeadm, k3s and minikube do.
        """
        stamps = self._stamps()
        if stamps != self._tls_stamps:
            self._tls_stamps = stamps
            self._tls_version += 1
        return self._tls_version

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(self._stamp(path) for path in self._tls_files)

    async def aclose(self) -> None:
        """End a plugin that still runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _token_from_file(self, path: Path) -> str:
        now = self._wall()
        if now - self._file_read_at >= TOKEN_FILE_AGE or self._stamp(path) != self._file_stamp:
            try:
                stamp = self._stamp(path)
                text = await asyncio.to_thread(path.read_text)
            except (OSError, UnicodeDecodeError):
                raise UsageError(
                    "the token file cannot be read", where=str(path), hint="check its mode"
                ) from None
            self._file_token = _checked(text.strip(), str(path))
            self._secrets.learn(self._file_token)
            self._file_read_at, self._file_stamp = now, stamp
        return self._file_token

    @staticmethod
    def _stamp(path: Path) -> Stamp:
        try:
            stat = path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino

    async def _from_plugin(self) -> Credential:
        if self._plugin is not None and (
            self._plugin.valid_at(self._wall()) or time.monotonic() < self._used_until
        ):
            return self._plugin
        plugin = self._user.exec
        assert plugin is not None
        if not self._allow_exec:
            raise RefusedError(
                f"the kubeconfig wants to run `{plugin.command_line()}` for credentials",
                where=clean_line(self._context.name),
                hint="allow credential plugins for this context to use it",
            )
        if self._running is None or self._running.done():
            self.plugin_runs += 1
            self._heard = ""
            self._running = asyncio.create_task(
                execplugin.run_plugin(
                    plugin,
                    self._context.cluster_info,
                    env=self._env,
                    deadline=execplugin.SILENT_DEADLINE,
                    said_deadline=execplugin.SAID_DEADLINE,
                    hears=self._hear,
                ),
                name=f"exec plugin of {self._context.name}",
            )
            # Whoever waits sees the error; when nobody does any more, it is not a defect.
            self._running.add_done_callback(_retrieve)
        # Shielded: a caller's deadline must not end a login that other callers wait for.
        credential = await asyncio.shield(self._running)
        if credential is not self._plugin:
            self._plugin = credential
            self._secrets.learn(credential.token, *_of_key(credential.key))
            pair = (credential.certificate, credential.key)
            if pair != self._pair:
                self._pair = pair
                self._tls_version += 1
            ended = not credential.valid_at(self._wall())
            self._used_until = time.monotonic() + LEAST_USE if ended else float("-inf")
        return credential

    def _hear(self, said: str) -> None:
        self._heard = self.hide(said)

    def _make_tls(self, certificate: bytes | None, key: bytes | None) -> ssl.SSLContext:
        cluster, user = self._context.cluster_info, self._user
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if cluster.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            _load_ca(context, cluster.ca_data, cluster.ca_file, self._context.origin)
        if certificate is None and user.cert_file is not None:
            certificate = _read(user.cert_file)
        if key is None and user.key_file is not None:
            key = _read(user.key_file)
        if certificate is not None and key is not None:
            load_pair(context, certificate, key, where=self._context.origin)
        return context


def _tls_files(context: ContextInfo) -> tuple[Path, ...]:
    """The files that :meth:`Credentials.tls` reads; what the kubeconfig holds itself goes first."""
    if not context.server.startswith("https:"):
        return ()
    user, cluster = context.user_info, context.cluster_info
    pairs = [(user.cert_data, user.cert_file), (user.key_data, user.key_file)]
    if not cluster.insecure:
        pairs.append((cluster.ca_data, cluster.ca_file))
    return tuple(path for data, path in pairs if data is None and path is not None)


def _of_key(key: bytes | None) -> tuple[str, ...]:
    """What is secret in a PEM key, and the whole as a kubeconfig writes it."""
    if key is None:
        return ()
    lines = key.decode("ascii", "replace").splitlines()
    inner = "".join(line for line in lines if "-----" not in line)
    return base64.b64encode(key).decode(), inner


def _retrieve(task: asyncio.Task[Credential]) -> None:
    if not task.cancelled():
        task.exception()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot be read: {clean_line(error.strerror or 'unknown reason')}", where=str(path)
        ) from None


def _load_ca(context: ssl.SSLContext, data: bytes | None, path: Path | None, origin: str) -> None:
    try:
        if data is not None:
            context.load_verify_locations(cadata=data.decode("ascii"))
        elif path is not None:
            context.load_verify_locations(cadata=_read(path).decode("ascii"))
        else:
            context.load_default_certs()
    except (ssl.SSLError, UnicodeDecodeError):
        raise UsageError(
            "the cluster's certificate authority is not a PEM certificate",
            where=str(path) if path is not None else origin,
        ) from None


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, *, where: str) -> None:
    """Load a client certificate and key, which ``ssl`` takes from files only.

    The key is written to memory that has no name in any file system (memfd); where the system has
    none, to a file that only we can read and that is gone when this returns.

    Raises:
        UsageError: They are not PEM, encrypted, or do not belong together.
    """
    with contextlib.ExitStack() as stack:
        path = _memory_file(stack, certificate.rstrip() + b"\n" + key)
        try:
            context.load_cert_chain(path, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            mismatch = isinstance(error, ssl.SSLError) and "MISMATCH" in (error.reason or "")
            raise UsageError(
                "the client certificate and its key do not belong together"
                if mismatch
                else "the client certificate or its key is not usable PEM",
                where=where,
                hint="" if mismatch else "an encrypted key is not supported",
            ) from None


def _no_password() -> str:
    """Called for an encrypted key; without it OpenSSL would ask on the user's terminal."""
    return ""


def _memory_file(stack: contextlib.ExitStack, content: bytes) -> str:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
        stack.callback(os.close, descriptor)
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp()
        stack.callback(os.unlink, path)
        stack.callback(os.close, descriptor)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    return path


def _checked(token: str, where: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError("the token is empty or has characters that cannot be sent", where=where)
    return token


def _impersonation_headers(who: Impersonation) -> dict[str, str]:
    """Headers with one value each; groups and extras repeat and come from :func:`repeated`."""
    out = {"Impersonate-User": _header_value(who.user)}
    if who.uid:
        out["Impersonate-Uid"] = _header_value(who.uid)
    return out


def repeated_headers(who: Impersonation | None) -> list[tuple[str, str]]:
    """The impersonation headers that may come several times."""
    if who is None:
        return []
    pairs = [("Impersonate-Group", _header_value(group)) for group in who.groups]
    for key, values in who.extra:
        name = f"Impersonate-Extra-{quote(key.lower(), safe='')}"
        pairs += [(name, _header_value(value)) for value in values]
    return pairs


def _header_value(value: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise UsageError("the impersonated name has characters that cannot be sent")
    return value
