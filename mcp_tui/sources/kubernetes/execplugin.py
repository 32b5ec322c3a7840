"""Runs a kubeconfig's credential plugin (client.authentication.k8s.io) without our user's terminal.

The plugin gets a session and a pseudo-terminal of its own, so it can neither read the user's keys
nor write over the screen. What it says there is kept for the error message. It is ended, with the
processes it started, at the deadline, when the caller is cancelled, or when it asks for input that
nobody can give.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from mcp_tui.domain.text import clean, clean_line, one_line
from mcp_tui.errors import RefusedError, UnreachableError, UsageError
from mcp_tui.sources.kubernetes.contextinfo import ClusterInfo, ExecPlugin

MAX_OUTPUT: Final = 1024 * 1024
MAX_SAID: Final = 8 * 1024
# Seconds until a plugin is ended that has said nothing, and one that has: somebody may be opening
# the page that it names, and would find their code used up by the next run.
SILENT_DEADLINE: Final = 60.0
SAID_DEADLINE: Final = 180.0
# A line left open for so long, with nothing on standard output, is taken for a prompt.
PROMPT_AFTER: Final = 3.0


@dataclass(frozen=True, slots=True)
class Credential:
    """What a plugin gave: a token, a client certificate or both; in no repr."""

    token: str = field(default="", repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires_at: float | None = None

    def valid_at(self, now: float) -> bool:
        """Whether it may still be used at wall-clock time ``now`` (epoch seconds)."""
        return self.expires_at is None or now < self.expires_at - 10.0


async def run_plugin(
    plugin: ExecPlugin,
    cluster: ClusterInfo,
    *,
    env: Mapping[str, str],
    deadline: float = SILENT_DEADLINE,
    said_deadline: float = SAID_DEADLINE,
    prompt_after: float = PROMPT_AFTER,
    hears: Callable[[str], None] = lambda _said: None,
) -> Credential:
    """Run the plugin and read its credential.

    Args:
        plugin: What to run.
        cluster: The cluster, which the plugin is told about if it wants to be.
        env: The environment that the plugin's own is added to.
        deadline: Seconds until it is ended when it has said nothing.
        said_deadline: The same once it has said something; never less than ``deadline``.
        prompt_after: Seconds that an open line on its terminal may stay unfinished.
        hears: Told what it has said so far, as the end of a sentence, while it runs.

    Raises:
        UsageError: The command is not there, its answer is no credential, or what it is to be told
            cannot be read.
        RefusedError: It failed, or wants input.
        UnreachableError: It did not end before the deadline.
    """
    full_env = {**env, **dict(plugin.env), "KUBERNETES_EXEC_INFO": _exec_info(plugin, cluster)}
    command = plugin.command_line()
    process: asyncio.subprocess.Process | None = None
    began = asyncio.get_running_loop().time()
    # There may be no descriptor left for the second of them.
    with contextlib.closing(_Output()) as output, contextlib.closing(_Terminal()) as terminal:
        try:
            async with asyncio.timeout(deadline) as limit:

                def heard(said: str) -> None:
                    nonlocal deadline
                    if said and deadline < said_deadline:
                        limit.reschedule(began + said_deadline)
                        deadline = said_deadline
                    hears(said)

                process = await _start(plugin, full_env, command, output, terminal)
                out = await _collect(process, output, terminal, command, prompt_after, heard)
        except TimeoutError:
            raise UnreachableError(
                f"the credential plugin did not end within {deadline:g} s{_said(terminal)}",
                where=command,
                hint="run it in a terminal to see what it waits for",
            ) from None
        finally:
            if process is not None:
                await _end(process)
    if process.returncode != 0:
        hint = plugin.install_hint or "run it in a terminal; you may have to log in again"
        raise RefusedError(
            f"the credential plugin failed with exit code {process.returncode}{_said(terminal)}",
            where=command,
            hint=clean(hint, limit=300),
        )
    return parse_credential(out, plugin, where=command)


class _Reader:
    """Reads a descriptor as it fills; the other end belongs to the plugin."""

    def __init__(self, ours: int, theirs: int) -> None:
        self.ours, self.theirs = ours, theirs
        os.set_blocking(ours, False)
        self.data = b""
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours, self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self.ours, 65_536)
        except BlockingIOError:
            return
        except OSError:  # EIO: every slave of the terminal is closed
            chunk = b""
        if chunk:
            self.take(chunk)
        else:
            self._loop.remove_reader(self.ours)
            self.ended.set()

    def take(self, chunk: bytes) -> None:
        """Keep what came."""
        raise NotImplementedError

    def started(self) -> None:
        """The plugin has its end now; ours of it must not keep it open."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def close(self) -> None:
        """Close both ends."""
        self.started()
        if self.ours >= 0:
            self._loop.remove_reader(self.ours)
            os.close(self.ours)
            self.ours = -1


class _Output(_Reader):
    """The plugin's standard output.

    A pipe of our own: asyncio's would make ``wait`` last until every process that the plugin left
    behind has closed it too.
    """

    def __init__(self) -> None:
        super().__init__(*os.pipe())
        self.size = 0

    def take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size <= MAX_OUTPUT:
            self.data += chunk


class _Terminal(_Reader):
    """The master side of the plugin's pseudo-terminal; keeps the newest of what was written."""

    def __init__(self) -> None:
        super().__init__(*os.openpty())
        self._last_at = time.monotonic()
        self._echo = self._echoes()

    def take(self, chunk: bytes) -> None:
        self._last_at = time.monotonic()
        self.data = (self.data + chunk)[-MAX_SAID:]

    def _echoes(self) -> bool:
        with contextlib.suppress(termios.error, OSError):
            return bool(termios.tcgetattr(self.ours)[3] & termios.ECHO)
        return True

    def prompting(self, after: float) -> bool:
        """Whether the plugin seems to wait for input: echo turned off, or a line left open."""
        if self._echo and not self._echoes():
            return True
        is_open = bool(self.data.strip()) and not self.data.endswith((b"\n", b"\r"))
        return is_open and time.monotonic() - self._last_at >= after


async def _start(
    plugin: ExecPlugin, env: Mapping[str, str], command: str, output: _Output, terminal: _Terminal
) -> asyncio.subprocess.Process:
    never = plugin.interactive_mode == "Never"
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command,
            *plugin.args,
            stdin=asyncio.subprocess.DEVNULL if never else terminal.theirs,
            stdout=output.theirs,
            stderr=terminal.theirs,
            env=dict(env),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise UsageError(
            "the credential plugin is not installed",
            where=command,
            hint=plugin.install_hint or "install it, or correct `exec.command` in the kubeconfig",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "malformed command"
        raise UsageError(f"the credential plugin cannot be run: {reason}", where=command) from None
    output.started()
    terminal.started()
    return process


async def _collect(
    process: asyncio.subprocess.Process,
    output: _Output,
    terminal: _Terminal,
    command: str,
    prompt_after: float,
    hears: Callable[[str], None],
) -> bytes:
    ended = asyncio.ensure_future(process.wait())
    try:
        while not ended.done():
            await asyncio.wait((ended,), timeout=0.2)
            hears(_said(terminal))
            if output.size > MAX_OUTPUT:
                raise UsageError("the credential plugin prints too much", where=command)
            if not ended.done() and not output.size and terminal.prompting(prompt_after):
                raise RefusedError(
                    f"the credential plugin wants input{_said(terminal)}",
                    where=command,
                    hint="run it once in another terminal, then try again",
                )
        # What it said lies in the pipe, but a process that it left behind may hold the pipe open.
        for reader in (output, terminal):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await reader.ended.wait()
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
    return output.data


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the plugin's process group; it leads one of its own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())


def _said(terminal: _Terminal) -> str:
    lines = clean(terminal.data.decode("utf-8", "replace").replace("\r", "\n")).splitlines()
    shown = [line.strip() for line in lines if line.strip()][-3:]
    return f': "{" / ".join(shown)[-400:]}"' if shown else ""


def _exec_info(plugin: ExecPlugin, cluster: ClusterInfo) -> str:
    spec: dict[str, Any] = {"interactive": plugin.interactive_mode == "Always"}
    if plugin.provide_cluster_info:
        spec["cluster"] = _cluster_for_plugin(cluster)
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    try:
        # A date of YAML's is a text of JSON's.
        return json.dumps(info, default=str)
    except (TypeError, ValueError, RecursionError):
        raise UsageError(
            f'what cluster "{clean_line(cluster.name)}" tells the credential plugin is not JSON',
            where=plugin.command_line(),
            hint="give it names that are text, and nothing that holds itself",
        ) from None


def _cluster_for_plugin(cluster: ClusterInfo) -> dict[str, Any]:
    info: dict[str, Any] = {"server": cluster.server}
    ca = cluster.ca_data
    if ca is None and cluster.ca_file is not None:
        try:
            ca = cluster.ca_file.read_bytes()
        except OSError as error:
            raise UsageError(
                "the certificate authority cannot be read: "
                f"{one_line(error.strerror or type(error).__name__)}",
                where=clean_line(str(cluster.ca_file), limit=300),
            ) from None
    if ca is not None:
        info["certificate-authority-data"] = base64.b64encode(ca).decode()
    if cluster.insecure:
        info["insecure-skip-tls-verify"] = True
    if cluster.tls_server_name:
        info["tls-server-name"] = cluster.tls_server_name
    if cluster.proxy_url:
        info["proxy-url"] = cluster.proxy_url
    if cluster.exec_config is not None:
        info["config"] = cluster.exec_config
    return info


def parse_credential(out: bytes, plugin: ExecPlugin, *, where: str) -> Credential:
    """Read a plugin's answer; its text is never part of an error, for it may hold a secret.

    Raises:
        UsageError: The answer is not an ExecCredential of the asked version with a token or a
            certificate and its key.
    """

    def wrong(what: str) -> UsageError:
        return UsageError(f"the credential plugin {what}", where=where)

    try:
        answer = json.loads(out)
    except (ValueError, RecursionError):
        raise wrong("printed no JSON" if out.strip() else "printed nothing") from None
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise wrong("printed no ExecCredential")
    if answer.get("apiVersion") != plugin.api_version:
        raise wrong(f"answered in another version than {plugin.api_version}")
    status = answer.get("status")
    if not isinstance(status, dict):
        raise wrong("gave no credential")
    token = status.get("token") or ""
    certificate = status.get("clientCertificateData") or ""
    key = status.get("clientKeyData") or ""
    if not all(isinstance(part, str) for part in (token, certificate, key)):
        raise wrong("gave a malformed credential")
    if bool(certificate) != bool(key):
        raise wrong("gave a certificate without its key, or the other way round")
    if not token and not certificate:
        raise wrong("gave neither a token nor a certificate")
    return Credential(
        token=_header_safe(token, where),
        certificate=certificate.encode() if certificate else None,
        key=key.encode() if key else None,
        expires_at=_expiry(status.get("expirationTimestamp"), where),
    )


def _header_safe(token: str, where: str) -> str:
    token = token.strip()
    if not token.isascii() or not token.isprintable():
        raise UsageError("the token has characters that cannot be sent", where=where)
    return token


def _expiry(value: object, where: str) -> float | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise UsageError(
            "the credential plugin's expirationTimestamp is no time", where=where
        ) from None
