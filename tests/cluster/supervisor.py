"""The process that owns one ground: starts every server, watches, and ends them all.

``python -m tests.cluster serve --dir D --contexts dev[,test,prod] [--owner PID]``; used by
``up`` and by the fixtures, not by hand. With an owner it ends as soon as the owner does, however
that happens; its servers end with it even if it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from tests.cluster import kubeflow, metrics, objects
from tests.cluster.build import Binaries, ensure_all
from tests.cluster.plane import ControlPlane
from tests.cluster.process import (
    MARK,
    GroundError,
    Processes,
    adopt_orphans,
    answers,
    start_time,
)
from tests.cluster.servers import keep_template, start_mlflow, start_prometheus

STATE = "state.json"
TIERS = {"kubeflow": "dev"}
"""The tier of a context that is not called as its tier is."""


class _Stop(Exception):
    """Asked to end by a signal."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    raise _Stop(signal.Signals(number).name)


def write_atomic(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    temp = path.with_suffix(f".{os.getpid()}.tmp")
    temp.touch(mode=0o600)
    temp.write_text(text)
    temp.replace(path)


class Supervisor:
    """Starts and owns the servers of one ground in ``directory``."""

    def __init__(
        self, directory: Path, contexts: list[str], base: Path | None, extras: Sequence[str]
    ) -> None:
        self.directory = directory
        self.base: dict[str, Any] = json.loads((base / STATE).read_text()) if base else {}
        self.contexts = contexts
        self.extras = extras
        self.mark = secrets.token_hex(8)
        self.processes = Processes(self.mark, directory / "logs")
        self.mlflow = self.base.get("mlflow", "")
        self.prometheus = self.base.get("prometheus", "")
        self.planes: list[ControlPlane] = []

    def start(self, binaries: Binaries) -> None:
        """Start everything at once and wait until all of it is ready; raises GroundError."""
        self._write_state(ready=False)
        if not self.mlflow:
            self.mlflow = start_mlflow(self.processes, self.directory / "mlflow")
        self.planes = [
            ControlPlane(name, self.directory / name, binaries, self.processes)
            for name in self.contexts
        ]
        for plane in self.planes:
            plane.launch()
        if not self.prometheus:
            self._start_prometheus(binaries)
        for plane in self.planes:
            plane.wait_api()
            plane.launch_controllers()
        for plane in self.planes:
            plane.seed()
        for plane in self.planes:
            plane.wait_nodes()
            if "metrics" in self.extras:
                metrics.launch(plane)
            if "kubeflow" in self.extras:
                kubeflow.launch(plane)
        for name, url in (
            ("mlflow", f"{self.mlflow}/health"),
            ("prometheus", f"{self.prometheus}/-/ready"),
        ):
            if name in self.processes.running:
                self.processes.wait(name, partial(answers, url), deadline=240)
        if "mlflow" in self.processes.running:
            keep_template(self.directory / "mlflow" / "mlflow.db")
        self._write_config()
        self._write_state(ready=True)

    def _start_prometheus(self, binaries: Binaries) -> None:
        home = self.directory / "prometheus"
        home.mkdir()
        scrapes: list[dict[str, Any]] = []
        for plane in self.planes:
            token = home / f"{plane.name}.token"
            write_atomic(token, plane.endpoint.tokens["admin"])
            scrapes.append(
                {
                    "job_name": f"kube-apiserver-{plane.name}",
                    "scheme": "https",
                    "authorization": {"credentials_file": str(token)},
                    "tls_config": {"ca_file": str(plane.endpoint.ca)},
                    "static_configs": [
                        {"targets": [plane.endpoint.server.removeprefix("https://")]}
                    ],
                    # The server has some 20,000 series; these are enough to see that it works.
                    "metric_relabel_configs": [
                        {
                            "source_labels": ["__name__"],
                            "regex": "(apiserver_request_total|process_.*|go_goroutines)",
                            "action": "keep",
                        }
                    ],
                }
            )
        self.prometheus = start_prometheus(
            self.processes, binaries["prometheus"], home, scrapes=scrapes
        )

    def _clusters(self) -> dict[str, Any]:
        mine = {
            plane.name: {
                "server": plane.endpoint.server,
                "ca": str(plane.endpoint.ca),
                "tokens": plane.endpoint.tokens,
                "cert": str(plane.endpoint.client.cert),
                "key": str(plane.endpoint.client.key),
                "kubeconfig": str(plane.endpoint.admin_kubeconfig),
            }
            for plane in self.planes
        }
        return {**self.base.get("clusters", {}), **mine}

    def _write_config(self) -> None:
        """Write the kubeconfig of all contexts and identities, and mcp-tui's configuration."""
        clusters = self._clusters()
        merged: dict[str, Any] = {
            "apiVersion": "v1", "kind": "Config", "current-context": next(iter(clusters)),
            "clusters": [], "users": [], "contexts": [],
        }  # fmt: skip
        config = ["# Written by python -m tests.cluster; the contexts of the test ground."]
        for name, cluster in clusters.items():
            merged["clusters"].append(
                {
                    "name": name,
                    "cluster": {
                        "server": cluster["server"],
                        "certificate-authority": cluster["ca"],
                    },
                }
            )
            logins = {user: {"token": token} for user, token in cluster["tokens"].items()}
            logins["cert"] = {
                "client-certificate": cluster["cert"],
                "client-key": cluster["key"],
            }
            for user, login in logins.items():
                context = name if user == "admin" else f"{name}-{user}"
                merged["users"].append({"name": f"{name}-{user}", "user": login})
                merged["contexts"].append(
                    {
                        "name": context,
                        "context": {
                            "cluster": name,
                            "user": f"{name}-{user}",
                            "namespace": objects.NAMESPACE,
                            # So that the kubeconfig alone is enough for mcp-tui.
                            "extensions": [
                                {
                                    "name": "mcp-tui",
                                    "extension": {
                                        "tier": TIERS.get(name, name),
                                        "mlflow": self.mlflow,
                                        "prometheus": self.prometheus,
                                    },
                                }
                            ],
                        },
                    }
                )
                config += [
                    "",
                    f"[contexts.{context}]",
                    f'tier = "{TIERS.get(name, name)}"',
                    f'mlflow = "{self.mlflow}"',
                    f'prometheus = "{self.prometheus}"',
                ]
        write_atomic(self.directory / "kubeconfig", yaml.safe_dump(merged, sort_keys=False))
        write_atomic(self.directory / "config.toml", "\n".join(config) + "\n")

    def _write_state(self, *, ready: bool, error: str = "") -> None:
        state = {
            "ready": ready,
            "error": error,
            "mark": self.mark,
            "supervisor": {"pid": os.getpid(), "start": start_time(os.getpid())},
            "processes": {
                name: {"pid": process.pid, "start": start_time(process.pid)}
                for name, process in self.processes.running.items()
            },
            "mlflow": self.mlflow,
            "prometheus": self.prometheus,
            "clusters": self._clusters() if ready else {},
        }
        write_atomic(self.directory / STATE, json.dumps(state, indent=1))

    def watch(self, owner: int | None) -> None:
        """Sleep until the owner is gone (or for ever), telling of servers that end on their own."""
        told: set[str] = set()
        with contextlib.ExitStack() as stack:
            waiting: list[int] = []
            if owner is not None:
                try:
                    descriptor = os.pidfd_open(owner)
                except ProcessLookupError:
                    return
                stack.callback(os.close, descriptor)
                waiting.append(descriptor)
            while True:
                if select.select(waiting, [], [], 2.0)[0]:
                    return
                for name, process in self.processes.running.items():
                    if process.poll() is not None and name not in told:
                        told.add(name)
                        sys.stderr.write(f"{name} ended with {process.returncode}\n")
                        sys.stderr.flush()

    def failed(self, error: str) -> None:
        """Record why the start failed, for whoever waits for it."""
        self._write_state(ready=False, error=error)

    def end(self) -> None:
        """End every server, and take away the state file last: it is the proof of a clean end."""
        self.processes.end()


def serve(
    directory: Path,
    contexts: list[str],
    *,
    owner: int | None = None,
    base: Path | None = None,
    extras: Sequence[str] = (),
    secluded: bool = False,
) -> int:
    """Run a ground until a signal, or the end of ``owner``; returns an exit status."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
    adopt_orphans()
    os.environ.pop(MARK, None)
    supervisor: Supervisor
    if secluded:
        from tests.cluster.secluded import SecludedSupervisor

        supervisor = SecludedSupervisor(directory, contexts, base, extras)
    else:
        supervisor = Supervisor(directory, contexts, base, extras)
    status = 0
    try:
        started = time.monotonic()
        supervisor.start(ensure_all(extras=extras))
        sys.stderr.write(f"ready in {time.monotonic() - started:.1f} s\n")
        sys.stderr.flush()
        supervisor.watch(owner)
    except _Stop:
        pass
    except Exception as error:  # whatever it was, whoever waits for the start must be told
        status = 1
        traceback.print_exc()
        supervisor.failed(str(error) if isinstance(error, GroundError) else repr(error))
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        supervisor.end()
        if status == 0:
            (directory / STATE).unlink(missing_ok=True)
    return status
