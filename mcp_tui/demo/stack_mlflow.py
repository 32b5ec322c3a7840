"""Runs the real MLflow tracking server of the demo, in one process.

``python -P -m mcp_tui.demo.stack_mlflow --fd N --dir D``: what ``mlflow server`` serves, without
the two processes before it, which import the whole package again for themselves. The database is
a copy of an empty one of the same version where one was made before: its dozens of schema
migrations take longer than the rest of a start.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

SETTINGS: Final[Mapping[str, str]] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # Background jobs for traces: a second process that nothing here needs.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def template(env: Mapping[str, str]) -> Path:
    """Where the empty database of the installed version is kept, once there is one."""
    base = env.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mcp-tui" / f"mlflow-{importlib.metadata.version('mlflow')}" / "mlflow.db"


def keep_template(database: Path, target: Path) -> None:
    """Keep a database in which nothing was done yet; a cache that cannot be written is no harm."""
    with contextlib.suppress(OSError, sqlite3.Error):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(temporary)) as copy,
        ):
            source.backup(copy)
        temporary.replace(target)


def prepare(directory: Path) -> Path:
    """Make the server's directory; returns the path of the database, which may not exist yet."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = directory / "mlflow.db"
    if not database.exists():
        with contextlib.suppress(OSError):
            shutil.copyfile(template(os.environ), database)
    return database


def application(directory: Path) -> Any:
    """MLflow's own ASGI application over ``directory``, its database up to date."""
    database = prepare(directory)
    fresh = not database.exists()
    os.environ.update(SETTINGS)
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: f"sqlite:///{database}",
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: str(directory / "artifacts"),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(
        backend_store_uri=f"sqlite:///{database}", default_artifact_root="mlflow-artifacts:/"
    )
    if fresh:
        keep_template(database, template(os.environ))
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mcp_tui.demo.stack_mlflow")
    parser.add_argument("--fd", type=int, required=True, help="of a listening socket")
    parser.add_argument("--dir", type=Path, required=True, help="for the database and artifacts")
    given = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    listener = socket.socket(fileno=given.fd)
    import uvicorn

    config = uvicorn.Config(
        application(given.dir),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
