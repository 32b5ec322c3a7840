"""``python -P -m mcp_tui.demo.experiments --dir D --mlflow URL``: seed the MLflow, and end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mcp_tui.demo.experiments.catalog import EXPERIMENTS, MODELS
from mcp_tui.demo.experiments.origin import commit_of
from mcp_tui.demo.experiments.record import Recorder
from mcp_tui.demo.experiments.registry import register, set_back
from mcp_tui.demo.experiments.wire import Wire
from mcp_tui.demo.seed_repo import BRANCH
from mcp_tui.errors import McpTuiError

_START: Final = 120.0
"""Seconds that MLflow may take to start."""
_REPOSITORY: Final = 10.0


def seed(directory: Path, mlflow: str) -> None:
    """Train and record what is not there yet.

    Args:
        directory: The demo's.
        mlflow: URL of the tracking server.

    Raises:
        McpTuiError: A server did not answer as it should.
    """
    wire = Wire(mlflow)
    try:
        wire.wait(_START)
        _wait_for_repository(directory)
        now = time.time()
        recorder = Recorder(wire, directory, now)
        for name, specs in EXPERIMENTS.items():
            runs = recorder.experiment(name, specs)
            for model in MODELS:
                if model.experiment == name:
                    register(wire, model, runs, now)
            if name == "breast-cancer":
                # Only now, as the console starts meanwhile.
                from mcp_tui.demo.experiments.serving import serve

                asyncio.run(serve(directory, runs))
        set_back(directory / "mlflow" / "mlflow.db", MODELS, now)
    finally:
        wire.close()


def _wait_for_repository(directory: Path) -> None:
    """Wait a while for the commits that runs are said to be from; without git there are none."""
    until = time.monotonic() + _REPOSITORY
    # The branch is made last.
    while shutil.which("git") and not commit_of(directory, BRANCH) and time.monotonic() < until:
        time.sleep(0.1)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mcp_tui.demo.experiments")
    parser.add_argument("--dir", type=Path, required=True, help="the demo's directory")
    parser.add_argument("--mlflow", required=True, help="URL of the tracking server")
    given = parser.parse_args(argv)
    # The console and the servers come first; and one thread is the quickest for models so small.
    with contextlib.suppress(OSError):
        os.nice(5)
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    try:
        seed(given.dir, given.mlflow)
    except McpTuiError as error:
        sys.stderr.write(f"{error.line()}\n")
        return int(error.exit_code)
    except ModuleNotFoundError as error:
        # MLflow brings scikit-learn; the demo is one without experiments where it did not.
        sys.stderr.write(f"no experiments are made: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
