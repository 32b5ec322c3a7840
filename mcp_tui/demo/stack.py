"""The demo's stack: an embedded control plane, MLflow, Prometheus and a simulator, as processes.

Ports, tokens and files are decided before anything is started, so that the console opens at once:
its first connections wait in listening sockets that the servers take over when they are up. What
owns the processes is :mod:`mcp_tui.demo.stack_keeper`, which ends them with us.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mcp_tui
from mcp_tui.demo import stack_files as files
from mcp_tui.demo.kubelet import guardian
from mcp_tui.demo.seed_jobs import ACCELERATORS
from mcp_tui.demo.stack_keeper import GRACE, MARK, STATE, remove_tree
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UnreachableError, UsageError

_OWN: Final = (
    *("plane", "mlflow", "prometheus", "simulator", "repo", "logs", "state", STATE),
    *("kubeconfig", "config.toml", "tokens.json", "stack.json", "train-config.yaml"),
)
_MARKER: Final = "mcp-tui-demo.lock"
# What would lead a process of the demo to something of the user's.
_FOREIGN: Final = ("MLFLOW_", "_MLFLOW_", "MCP_TUI_", "PROMETHEUS_", "GIT_")
_FOREIGN_NAMES: Final = ("KUBECONFIG", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT")


def own_environment(env: Mapping[str, str]) -> dict[str, str]:
    """An environment that leads to nothing of the user's, and past no proxy to loopback."""
    kept = {
        name: value
        for name, value in env.items()
        if not name.startswith(_FOREIGN)
        and name not in _FOREIGN_NAMES
        and name.lower() not in ("http_proxy", "https_proxy", "all_proxy")
    }
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


class Stack:
    """One demo. :meth:`start` returns at once; :meth:`close` ends everything and waits for it.

    Args:
        directory: Where its files go, and stay; None makes a private one that goes with it.
        env: The environment; without the user's own endpoints and proxies in it.

    Raises:
        UsageError: The directory cannot be made or written, or holds something else.
    """

    def __init__(self, directory: Path | None, env: Mapping[str, str]) -> None:
        self._env = own_environment(env)
        self._temporary = directory is None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._mark = secrets.token_hex(8)
        self._inherited: list[socket.socket] = []
        self.directory = _make(directory)
        try:
            self._lock = self._claim()
        except BaseException:
            if self._temporary:
                remove_tree(self.directory)
            raise
        self.mlflow = ""
        self.prometheus = ""
        self.has_git = shutil.which("git", path=self._env.get("PATH")) is not None

    # -- where things are -------------------------------------------------------------------

    @property
    def kubeconfig(self) -> Path:
        """Contexts for several identities, and one that is taken for production."""
        return self.directory / "kubeconfig"

    @property
    def config(self) -> Path:
        """mcp-tui's configuration."""
        return self.directory / "config.toml"

    @property
    def state_home(self) -> Path:
        """XDG_STATE_HOME: the journal of the demo goes there, not to the user's."""
        return self.directory / "state"

    @property
    def train_config(self) -> Path:
        """A train config that runs here."""
        return self.directory / "train-config.yaml"

    def exports(self) -> tuple[str, ...]:
        """Shell lines that lead other commands to this demo."""
        import shlex

        values = {
            "KUBECONFIG": self.kubeconfig,
            "MCP_TUI_CONFIG": self.config,
            "XDG_STATE_HOME": self.state_home,
            "MLFLOW_TRACKING_URI": self.mlflow,
        }
        return tuple(f"export {name}={shlex.quote(str(v))}" for name, v in values.items())

    # -- starting ---------------------------------------------------------------------------

    def start(self) -> None:
        """Write the files and start the processes; waits for none of them.

        Raises:
            UsageError: A file cannot be written, or there is no port or process to be had.
        """
        try:
            self._clear()
            spec = self._prepare()
            files.write_private(self.directory / "stack.json", json.dumps(spec))
            self._launch()
        except OSError as error:
            self.close()
            reason = error.strerror or type(error).__name__
            raise UsageError(f"the demo cannot be set up: {reason}", where=self._where) from None
        except BaseException:
            self.close()
            raise
        finally:
            for listener in self._inherited:
                listener.close()

    @property
    def _where(self) -> str:
        return clean_line(str(self.directory))

    def _claim(self) -> int:
        """Lock the directory against a second demo in it. Raises UsageError."""
        try:
            lock = os.open(self.directory / _MARKER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise UsageError("a demo is running there", where=self._where) from None
        except OSError as error:
            raise UsageError(
                f"cannot be written: {error.strerror}",
                where=self._where,
                hint="give another --dir, or set TMPDIR",
            ) from None
        return lock

    def _clear(self) -> None:
        """Take away what an earlier demo left in a directory that was given."""
        for name in _OWN:
            path = self.directory / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _prepare(self) -> dict[str, Any]:
        from mcp_tui.demo.plane.authz import ROLES

        here = self.directory
        for name in ("logs", "plane", "mlflow", "state"):
            (here / name).mkdir(mode=0o700)
        # A kubeconfig may not name a file that is not there; the plane replaces it.
        (here / "plane" / "ca.crt").touch(mode=0o600)
        plane, mlflow = self._listener(), self._listener()
        server = f"https://127.0.0.1:{plane.getsockname()[1]}"
        self.mlflow = f"http://127.0.0.1:{mlflow.getsockname()[1]}"
        tokens = {role: secrets.token_urlsafe(24) for role in ROLES}
        services = [
            self._service(
                "plane", ["--dir", str(here / "plane"), "--fd", str(plane.fileno()),
                          "--tokens", str(here / "tokens.json"), "--node", "--back-off", "3",
                          "--namespace", "ml", "--namespace", "research", "--with", "kueue,serving",
                          *_node("--gpu", str(ACCELERATORS), "--cpu", "16", "--memory", "64Gi",
                                 "--shutdown-grace", "1")],
                plane,
            ),
            self._service(
                "mlflow", ["--dir", str(here / "mlflow"), "--fd", str(mlflow.fileno())], mlflow
            ),
            self._service("simulator", ["--dir", str(here), "--mlflow", self.mlflow]),
            self._service("experiments", ["--dir", str(here), "--mlflow", self.mlflow]),
        ]  # fmt: skip
        program = files.find_prometheus(self._env)
        if program:
            services.append(self._prometheus(program))
        files.write_private(here / "tokens.json", json.dumps(tokens))
        text = files.kubeconfig(server, here / "plane" / "ca.crt", tokens)
        files.write_private(self.kubeconfig, text)
        files.write_private(self.config, files.config(self.mlflow, self.prometheus))
        files.write_private(self.train_config, files.train_config(here))
        return {
            "directory": str(here),
            "remove": self._temporary,
            "mark": self._mark,
            "services": services,
        }

    def _listener(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._inherited.append(listener)
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        return listener

    def _service(
        self, name: str, arguments: list[str], listener: socket.socket | None = None
    ) -> dict[str, Any]:
        module = {
            "plane": "mcp_tui.demo.plane",
            "mlflow": "mcp_tui.demo.stack_mlflow",
            "simulator": "mcp_tui.demo.seed",
            "experiments": "mcp_tui.demo.experiments",
        }[name]
        return {
            "name": name,
            "argv": [sys.executable, "-P", "-m", module, *arguments],
            "fds": [listener.fileno()] if listener is not None else [],
        }

    def _prometheus(self, program: str) -> dict[str, Any]:
        home = self.directory / "prometheus"
        home.mkdir(mode=0o700)
        # It takes no listening socket: its port is free now, and very likely in a second.
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.prometheus = f"http://127.0.0.1:{port}"
        files.write_private(home / "prometheus.yml", files.prometheus_settings(port))
        return {
            "name": "prometheus",
            "argv": [
                program,
                f"--config.file={home / 'prometheus.yml'}",
                f"--storage.tsdb.path={home / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
            ],
            "env": {"GOMAXPROCS": "1"},
        }

    def _launch(self) -> None:
        read, self._pipe = os.pipe()
        inherited = [read, self._lock, *(s.fileno() for s in self._inherited)]
        # The package is found wherever we run from, and no file of that directory in its place.
        root = str(Path(mcp_tui.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, (root, self._env.get("PYTHONPATH", ""))))
        try:
            with (self.directory / "logs" / "keeper.log").open("ab") as log:
                self._keeper = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "mcp_tui.demo.stack_keeper"),
                        *(str(self.directory / "stack.json"), str(read)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**self._env, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", MARK: self._mark},
                    cwd=self.directory,
                    pass_fds=inherited,
                    start_new_session=True,
                )
        finally:
            os.close(read)

    # -- watching ---------------------------------------------------------------------------

    def ended(self) -> Mapping[str, str]:
        """Services that are not running any more -> the last line that they wrote."""
        try:
            state = json.loads((self.directory / STATE).read_text())
        except (OSError, ValueError):
            return {}
        return {
            name: service.get("why") or self._last_line(name)
            for name, service in state["services"].items()
            if service["ended"] is not None
        }

    def _last_line(self, name: str) -> str:
        try:
            text = (self.directory / "logs" / f"{name}.log").read_text(errors="replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if line.strip()]
        return clean_line(lines[-1], limit=200) if lines else ""

    def wait_plane(self, seconds: float = 30.0) -> None:
        """Wait until the control plane's certificates are there; it takes calls soon after.

        Raises:
            UnreachableError: It ended, or took longer.
        """
        self._wait("plane", lambda: (self.directory / "plane" / "kubeconfig").exists(), seconds)

    def wait_mlflow(self, seconds: float = 120.0) -> None:
        """Wait until MLflow answers. Raises UnreachableError."""
        self._wait("mlflow", lambda: files.answers(f"{self.mlflow}/health"), seconds)

    def _wait(self, name: str, ready: Any, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not ready():
            ended = self.ended()
            gone = self._keeper is None or self._keeper.poll() is not None
            if gone and name not in ended:
                raise UnreachableError("the demo was ended from outside", where=self._where)
            if name in ended or time.monotonic() > until:
                what = "did not start" if name in ended else f"took over {seconds:.0f} s"
                why = f": {ended[name]}" if ended.get(name) else ""
                raise UnreachableError(f"the demo's {name} {what}{why}", where=self._where)
            time.sleep(0.02)

    def wait_end(self) -> None:
        """Block until the keeper ends, which it does only when it is told to, or killed."""
        if self._keeper is not None:
            self._keeper.wait()

    # -- ending -----------------------------------------------------------------------------

    def close(self) -> None:
        """End every process and remove the directory, if it is ours; may be called twice."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._keeper is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(GRACE + 10)
            if self._keeper.returncode != 0:
                self._clean_up()
            self._keeper = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._temporary:
            remove_tree(self.directory)

    def _clean_up(self) -> None:
        """Do what a keeper would have done that was killed itself."""
        with contextlib.suppress(OSError, ValueError):
            state = json.loads((self.directory / STATE).read_text())
            for service in state["services"].values():
                if service["pid"] and service["ended"] is None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(service["pid"], signal.SIGKILL)
        guardian.kill_marked(os.fsencode(f"{MARK}={self._mark}"))
        guardian.kill_marked(b"HOME=" + os.fsencode(self.directory / "plane"))


def _node(*arguments: str) -> list[str]:
    return [f"--node-argument={argument}" for argument in arguments]


def _make(directory: Path | None) -> Path:
    """The demo's directory. Raises UsageError."""
    if directory is None:
        try:
            return Path(tempfile.mkdtemp(prefix="mcp-tui-demo-")).resolve()
        except OSError as error:
            raise UsageError(
                f"no temporary directory can be made: {error.strerror}",
                hint="set TMPDIR to a directory with room, or give --dir",
            ) from None
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        strangers = sorted({p.name for p in directory.iterdir()} - {*_OWN, _MARKER})
        if strangers and not (directory / _MARKER).exists():
            raise UsageError(
                f"it is not empty: there is {clean_line(strangers[0], limit=60)}",
                where=clean_line(str(directory)),
                hint="give a directory that is empty, or of an earlier demo",
            )
        directory.chmod(0o700)
        return directory.resolve()
    except OSError as error:
        raise UsageError(
            f"cannot be used: {error.strerror}", where=clean_line(str(directory)), hint=""
        ) from None
