"""MLflow's own client in a process of its own, held at the ready: what reading runs is beside.

Run with the server's URL; for each line on standard input it searches once and prints seconds.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

RUNS: Final = 1_000


@contextlib.contextmanager
def ready(url: str, experiment_ids: Sequence[str]) -> Iterator[Callable[[], float]]:
    """Its process; each call searches once and gives seconds. What it imports is not counted."""
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.tracking_client", url, *experiment_ids],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def search() -> float:
        stdin.write("\n")
        stdin.flush()
        return float(stdout.readline())

    try:
        stdout.readline()
        yield search
    finally:
        stdin.close()
        process.wait(30)
        stdout.close()


def main() -> None:
    """Search as often as asked."""
    from mlflow import MlflowClient

    url, *experiment_ids = sys.argv[1:]
    client = MlflowClient(url)
    client.search_experiments(max_results=1)
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        found = client.search_runs(experiment_ids, max_results=RUNS)
        took = time.perf_counter() - began
        assert len(found) == RUNS, len(found)
        print(took, flush=True)


if __name__ == "__main__":
    main()
