"""The ground as tests and people use it: start it, reach it, end it.

A ground is a directory with one supervisor process behind it: one or more real control planes,
a process node in each, and a real MLflow server and a real Prometheus that they share.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.build import KUBERNETES, ensure_all
from tests.cluster.cache import cache_root
from tests.cluster.plane import REPO
from tests.cluster.process import GroundError, end_marked, marked, start_time
from tests.cluster.supervisor import STATE, TIERS

CONTEXTS = {1: ("dev",), 3: ("dev", "test", "prod")}


@dataclass(frozen=True)
class Reply:
    """An answer of an API server."""

    status: int
    body: Any

    def ok(self) -> Any:
        """The body of a success; AssertionError with the server's words otherwise."""
        assert self.status < 300, f"{self.status}: {self.body}"
        return self.body


@dataclass(frozen=True)
class Cluster:
    """One running control plane: ``name`` is its context, ``tokens`` are by identity."""

    name: str
    server: str
    ca: Path
    tokens: Mapping[str, str]
    cert: Path
    key: Path
    kubeconfig: Path

    @cached_property
    def _http(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.ca))
        return httpx.Client(base_url=self.server, verify=context, timeout=30.0, trust_env=False)

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        identity: str = "admin",
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Reply:
        """One call to the API server as ``identity``; ``body`` is sent as JSON."""
        reply = self._http.request(
            method,
            path,
            params=params,
            content=None if body is None else json.dumps(body),
            headers={
                "Authorization": f"Bearer {self.tokens[identity]}",
                "Content-Type": content_type,
                "Accept": "application/json",
            },
        )
        if reply.headers.get("content-type", "").startswith("application/json"):
            return Reply(reply.status_code, reply.json())
        return Reply(reply.status_code, reply.text)


class Ground:
    """A running ground in ``directory``; make one with :meth:`start` or :meth:`attach`."""

    def __init__(self, directory: Path, state: Mapping[str, Any]) -> None:
        self.directory = directory
        self.state = state
        self.kubeconfig = directory / "kubeconfig"
        self.config = directory / "config.toml"
        self.mlflow: str = state["mlflow"]
        self.prometheus: str = state["prometheus"]
        self.clusters: dict[str, Cluster] = {
            name: Cluster(
                name=name,
                server=found["server"],
                ca=Path(found["ca"]),
                tokens=found["tokens"],
                cert=Path(found["cert"]),
                key=Path(found["key"]),
                kubeconfig=Path(found["kubeconfig"]),
            )
            for name, found in state["clusters"].items()
        }

    @property
    def dev(self) -> Cluster:
        """The cluster that most tests use."""
        return self.clusters["dev"]

    @property
    def env(self) -> dict[str, str]:
        """What to add to the environment of mcp-tui (or kubectl) to use this ground."""
        return {"KUBECONFIG": str(self.kubeconfig), "MCP_TUI_CONFIG": str(self.config)}

    def api(self, method: str, path: str, body: object = None, **options: Any) -> Reply:
        """A call to the ``dev`` cluster: see :meth:`Cluster.api`."""
        return self.dev.api(method, path, body, **options)

    def kubectl(
        self, *args: str, context: str = "dev", stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the stock kubectl that belongs to the servers."""
        return subprocess.run(
            [str(kubectl()), f"--kubeconfig={self.kubeconfig}", f"--context={context}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=check,
        )

    @classmethod
    def attach(cls, directory: Path) -> Ground:
        """The ground that runs in ``directory``; GroundError when none does."""
        state = read_state(directory)
        if state is None or not alive(state):
            raise GroundError(f"no ground runs in {directory}: start one with `make cluster`")
        if not state["ready"]:
            raise GroundError(f"the ground in {directory} is not ready yet")
        return cls(directory, state)

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        contexts: Sequence[str] = CONTEXTS[1],
        owner: int | None = None,
        base: Path | None = None,
        extras: Sequence[str] = (),
        secluded: bool = False,
        deadline: float = 300.0,
    ) -> Ground:
        """Build what is missing, start a ground and wait until it is ready.

        Args:
            directory: Where it keeps everything; made if it is not there.
            contexts: Names (and tiers) of its clusters.
            owner: Process id with which the ground ends; None: it runs until :meth:`stop`.
            base: A running ground whose clusters, MLflow and Prometheus are part of this one.
            extras: ``kubeflow``: with the controllers of JobSet, TrainJob and PyTorchJob;
                ``metrics``: with metrics-server.
            secluded: In a network of its own, with MLflow and Prometheus as Services.
            deadline: Seconds for the start, the build not counted.

        Raises:
            GroundError: one runs there already, or a server did not come up.
            BuildError: a server could not be built.
        """
        directory = directory.resolve()
        ensure_all(extras=extras)
        state = read_state(directory)
        if state is not None:
            if alive(state):
                raise GroundError(f"a ground is running in {directory} already")
            end_marked(state["mark"])
        _clean(directory)
        process = _spawn(directory, contexts, owner, base, extras, secluded)
        until = time.monotonic() + deadline
        while True:
            state = read_state(directory)
            if state is not None and state["ready"]:
                return cls(directory, state)
            if process.poll() is not None:
                log = (directory / "supervisor.log").read_text()
                said = (state or {}).get("error") or log
                raise GroundError(f"the ground did not start: {said}")
            if time.monotonic() > until:
                process.terminate()
                raise GroundError(f"the ground was not ready in {deadline:.0f} s: see {directory}")
            time.sleep(0.05)

    def stop(self) -> list[int]:
        """End it; returns the ids of its processes that are still there (none, or a defect)."""
        return stop(self.directory)


def kubectl() -> Path:
    """The stock kubectl of the servers' version, as built."""
    return cache_root() / f"kubernetes-{KUBERNETES}" / "bin" / "kubectl"


def _spawn(
    directory: Path,
    contexts: Sequence[str],
    owner: int | None,
    base: Path | None,
    extras: Sequence[str],
    secluded: bool,
) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.cluster", "serve", "--dir", str(directory)]
    argv += ["--contexts", ",".join(contexts)]
    if owner is not None:
        argv += ["--owner", str(owner)]
    if base is not None:
        argv += ["--base", str(base)]
    for extra in extras:
        argv += ["--with", extra]
    if secluded:
        argv += ["--secluded"]
    with (directory / "supervisor.log").open("wb") as log:
        return subprocess.Popen(
            argv,
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))},
        )


# Everything that a ground writes: an older one's leftovers are cleared by name, nothing else is.
_OWN = (STATE, "kubeconfig", "config.toml", "logs", "mlflow", "prometheus", "supervisor.log")


def _clean(directory: Path) -> None:
    import shutil

    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    for name in (*_OWN, *CONTEXTS[3], *TIERS):
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def read_state(directory: Path) -> dict[str, Any] | None:
    """The state file of the ground in ``directory``; None when there is none."""
    try:
        found: dict[str, Any] = json.loads((directory / STATE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found


def alive(state: Mapping[str, Any]) -> bool:
    """Whether the supervisor of this state runs (the very process, not a recycled id)."""
    supervisor = state["supervisor"]
    return bool(start_time(supervisor["pid"]) == supervisor["start"])


def stop(directory: Path, deadline: float = 20.0) -> list[int]:
    """End exactly what the ground in ``directory`` started; returns what is still there."""
    state = read_state(directory)
    if state is None:
        return []
    if alive(state):
        pid = state["supervisor"]["pid"]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + deadline
        while alive(state) and time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.02)
        if alive(state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    end_marked(state["mark"])
    (directory / STATE).unlink(missing_ok=True)
    return marked(state["mark"])
