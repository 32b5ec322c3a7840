"""The real MLflow and the real Prometheus, as any ground starts them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.cache import cache_root
from tests.cluster.process import Processes, free_ports

LEASH = Path(__file__).with_name("leash.py")


def template() -> Path:
    """An empty MLflow database of the installed version, as the server itself made it.

    Its dozens of schema migrations take longer than the rest of a start.
    """
    return cache_root() / f"mlflow-{importlib.metadata.version('mlflow')}" / "mlflow.db"


def keep_template(database: Path) -> None:
    """Keep a database on which nothing was done yet for the next start."""
    target = template()
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temp = target.with_suffix(f".{os.getpid()}.tmp")
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(temp)) as copy,
    ):
        source.backup(copy)
    temp.replace(target)


def start_mlflow(
    processes: Processes,
    home: Path,
    *,
    host: str = "127.0.0.1",
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    database: Path | None = None,
) -> str:
    """Start MLflow on SQLite in ``home``, or on that database; returns its URL at once."""
    home.mkdir()
    if database is None and template().exists():
        shutil.copyfile(template(), home / "mlflow.db")
    (port,) = free_ports(1)
    processes.start(
        "mlflow",
        [
            sys.executable, LEASH, sys.executable, "-m", "mlflow", "server",
            "--host", host, "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{database or home / 'mlflow.db'}",
            "--artifacts-destination", str(home / "artifacts"),
            *flags,
        ],
        env={
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            # Background jobs for traces: a second process that nothing here needs.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **(env or {}),
        },
    )  # fmt: skip
    return f"http://{host}:{port}"


def start_prometheus(
    processes: Processes,
    program: Path,
    home: Path,
    *,
    host: str = "127.0.0.1",
    scrapes: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Start Prometheus, which scrapes itself and ``scrapes``; returns its URL at once."""
    home.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    own = {"job_name": "prometheus", "static_configs": [{"targets": [f"{host}:{port}"]}]}
    settings = {"global": {"scrape_interval": "5s"}, "scrape_configs": [own, *scrapes]}
    (home / "prometheus.yml").write_text(yaml.safe_dump(settings))
    processes.start(
        "prometheus",
        [
            program,
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={host}:{port}",
            "--web.enable-remote-write-receiver",
            "--log.level=warn",
        ],
    )
    return f"http://{host}:{port}"
