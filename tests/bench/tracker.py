"""A tracking server with much in it: the stage of every figure about experiments and runs.

MLflow's own API makes 14 runs a second, so the rows are written by SQL into the database that the
installed version made for itself, ANALYZE included: without it, ordering by a metric takes minutes.
That takes a minute or so, once: the database is kept beside the built servers, under the version
and a hash of this file, and every use works on a copy of it behind a real server.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.cache import cache_root, locked
from tests.cluster.process import Processes, answers
from tests.cluster.servers import keep_template, start_mlflow, template

FIRST: Final = 1_780_000_000_000
"""When the first run started, in ms; each starts a minute after the one before."""

EVERY: Final = 60_000
LONG_METRIC: Final = "long/loss"
LIVE_METRIC: Final = "train/loss"
STEPS: Final = 100
_PARAMS: Final = (
    ("lr", "printf('%.5f', 0.0001 * (1 + n % 97))"),
    ("batch_size", "16 << (n % 5)"),
    ("optimizer", "CASE n % 3 WHEN 0 THEN 'adamw' WHEN 1 THEN 'sgd' ELSE 'lion' END"),
    ("epochs", "10 + n % 40"),
    ("seed", "n"),
    ("dropout", "printf('%.2f', 0.05 * (n % 9))"),
    ("model", "'encoder-' || (n % 12)"),
    ("total_steps", f"'{STEPS}'"),
)
_METRICS: Final = (
    (LIVE_METRIC, "2.5 / (1 + n % 89)"),
    ("val/loss", "2.7 / (1 + n % 83)"),
    ("accuracy", "0.5 + (n * 7919 % 5000) / 10001.0"),
    ("f1_macro", "0.4 + (n * 104729 % 5000) / 10007.0"),
    ("latency_p99_ms", "20 + n % 61"),
    ("system/gpu_0_memory_usage_percentage", "(n * 31 % 1000) / 10.0"),
)
_TAGS: Final = (
    ("mlflow.user", "'user-' || (n % 40)"),
    ("mlflow.source.name", "'train/fit.py'"),
    ("mlflow.source.type", "'LOCAL'"),
    ("mlflow.source.git.commit", "printf('%040x', n * 2654435761)"),
    ("mlflow.source.git.branch", "'topic/' || (n % 300)"),
    ("mlflow.runName", "'fit-' || printf('%06d', n)"),
    ("team", "'team-' || (n % 8)"),
)
_STATUS: Final = """CASE WHEN n >= :running THEN 'RUNNING' WHEN n % 10 = 3 THEN 'FAILED'
    WHEN n % 20 = 4 THEN 'KILLED' ELSE 'FINISHED' END"""


@dataclass(frozen=True)
class Size:
    """How much there is.

    Attributes:
        runs: In all; of every ten in an experiment, three are nested in the first of them.
        experiments: Over which they are spread evenly.
        running: How many of the newest run.
        points: Of the metric :data:`LONG_METRIC` of the newest run.
        wide: Further runs, in an experiment of their own, to be compared.
        width: How many parameters, and how many metrics, each of those has.
    """

    runs: int = 100_000
    experiments: int = 20
    running: int = 60
    points: int = 1_000_000
    wide: int = 50
    width: int = 200

    @property
    def wide_experiment(self) -> str:
        """The id of the experiment of the wide runs."""
        return str(self.experiments + 1)

    def run(self, number: int) -> str:
        """The id of a run; the wide ones come behind the others."""
        return hashlib.md5(f"run-{number}".encode(), usedforsecurity=False).hexdigest()

    def experiment(self, number: int) -> str:
        """The id of a run's experiment."""
        if number >= self.runs:
            return self.wide_experiment
        return str(1 + number % self.experiments)


FULL: Final = Size()


@dataclass(frozen=True)
class Tracker:
    """A server on such a database."""

    url: str
    size: Size
    mark: str

    def experiment_ids(self) -> list[str]:
        """Of all experiments but the empty one that every server has."""
        return [str(number) for number in range(1, self.size.experiments + 2)]


@contextlib.contextmanager
def serve(size: Size = FULL, *, database: Path | None = None) -> Iterator[Tracker]:
    """A real server, on the loopback, on a copy of the database of a size; ends with the block.

    Args:
        size: How much there is.
        database: A seeded database in place of the kept one.
    """
    # Beside the kept one: a file system that can copies without copying.
    beside = cache_root() if database is None else database.parent
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tracker-", dir=beside) as temp:
        copy = Path(temp) / "mlflow.db"
        with _kept(size) if database is None else contextlib.nullcontext(database) as source:
            shutil.copyfile(source, copy)
        with _server(Path(temp), copy) as (url, mark):
            yield Tracker(url, size, mark)


@contextlib.contextmanager
def _kept(size: Size) -> Iterator[Path]:
    """The kept database of a size, made where it is not there; nobody takes it away meanwhile."""
    whole = f"{Path(__file__).read_text()}{size}".encode()
    version = importlib.metadata.version("mlflow")
    target = cache_root() / f"tracker-{version}-{hashlib.sha256(whole).hexdigest()[:12]}"
    with locked(cache_root() / "tracker.lock"):
        if not (target / "mlflow.db").exists():
            for old in cache_root().glob("tracker-*"):
                shutil.rmtree(old)
            with tempfile.TemporaryDirectory(prefix=".tracker-", dir=cache_root()) as temp:
                made = Path(temp) / "seeded"
                made.mkdir()
                seed(made / "mlflow.db", size)
                made.rename(target)
        yield target / "mlflow.db"


@contextlib.contextmanager
def _server(directory: Path, database: Path | None = None) -> Iterator[tuple[str, str]]:
    """A server on a database (none: on one of its own in ``directory/mlflow``); URL and mark."""
    mark = secrets.token_hex(16)
    processes = Processes(mark, directory / "logs")
    try:
        url = start_mlflow(processes, directory / "mlflow", database=database)
        processes.wait("mlflow", lambda: answers(f"{url}/health"))
        yield url, mark
    finally:
        processes.end()


def empty(path: Path) -> None:
    """A database on which nothing was done, as the server itself makes one."""
    if not template().exists():
        with (
            tempfile.TemporaryDirectory(prefix="mcp-tui-tracker-") as temp,
            _server(Path(temp)),
        ):
            keep_template(Path(temp) / "mlflow" / "mlflow.db")
    shutil.copyfile(template(), path)


def seed(path: Path, size: Size) -> None:
    """Make a database of a size."""
    empty(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -400000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        _experiments(db, size)
        _runs(db, size)
        _values(db, size)
        _inputs(db, size)
        _long(db, size)
        _wide(db, size)
        db.execute("COMMIT")
        db.execute("ANALYZE")


def _experiments(db: sqlite3.Connection, size: Size) -> None:
    """The wide runs' experiment is the last one; the server's own is as old as the first."""
    db.execute(
        "UPDATE experiments SET creation_time = ?, last_update_time = ?", (FIRST - EVERY,) * 2
    )
    db.executemany(
        "INSERT INTO experiments(experiment_id, name, artifact_location, lifecycle_stage,"
        " creation_time, last_update_time) VALUES(?, ?, ?, 'active', ?, ?)",
        (
            (number, name, f"mlflow-artifacts:/{number}", FIRST, FIRST)
            for number, name in (
                *((n, f"team-{n:02d}/experiment") for n in range(1, size.experiments + 1)),
                (size.experiments + 1, "wide"),
            )
        ),
    )


def _runs(db: sqlite3.Connection, size: Size) -> None:
    """All runs, and the table ``made`` of their numbers, from which all else is cast."""
    db.execute(
        "CREATE TEMP TABLE made(run TEXT PRIMARY KEY, n INT, experiment INT, parent TEXT)"
        " WITHOUT ROWID"
    )
    rows = []
    for number in range(size.runs + size.wide):
        step = number // size.experiments % 10
        nested = number < size.runs and 1 <= step <= 3
        parent = size.run(number - size.experiments * step) if nested else None
        rows.append((size.run(number), number, int(size.experiment(number)), parent))
    # In the order of their ids, which is that of the index that all tables have on them.
    db.executemany("INSERT INTO made VALUES(?, ?, ?, ?)", sorted(rows))
    db.execute(
        f"""
        INSERT INTO runs(run_uuid, name, source_type, source_name, entry_point_name, user_id,
            status, start_time, end_time, source_version, lifecycle_stage, artifact_uri,
            experiment_id)
        SELECT run, 'fit-' || printf('%06d', n), 'UNKNOWN', '', '', 'user-' || (n % 40), {_STATUS},
            {FIRST} + n * {EVERY},
            CASE WHEN n < :running THEN {FIRST} + n * {EVERY} + 3600000 END,
            '', 'active', 'mlflow-artifacts:/' || experiment || '/' || run || '/artifacts',
            experiment
        FROM made WHERE n < :runs ORDER BY run
        """,
        {"running": size.runs - size.running, "runs": size.runs},
    )
    db.execute(
        f"""
        INSERT INTO runs(run_uuid, name, source_type, source_name, entry_point_name, user_id,
            status, start_time, end_time, source_version, lifecycle_stage, artifact_uri,
            experiment_id)
        SELECT run, 'wide-' || (n - :runs), 'UNKNOWN', '', '', 'user', 'FINISHED', {FIRST} + n,
            {FIRST} + n + 1000, '', 'active',
            'mlflow-artifacts:/' || experiment || '/' || run || '/artifacts', experiment
        FROM made WHERE n >= :runs ORDER BY run
        """,
        {"runs": size.runs},
    )


def _values(db: sqlite3.Connection, size: Size) -> None:
    """Parameters, metrics of one point each, and tags of all but the wide runs."""
    among = {"runs": size.runs}
    for key, value in sorted(_PARAMS):
        db.execute(
            f"INSERT INTO params(key, value, run_uuid)"
            f" SELECT '{key}', CAST({value} AS TEXT), run FROM made WHERE n < :runs ORDER BY run",
            among,
        )
    for key, value in sorted(_METRICS):
        _metric(db, key, value, "n < :runs", among)
    for key, value in sorted(_TAGS):
        db.execute(
            f"INSERT INTO tags(key, value, run_uuid)"
            f" SELECT '{key}', {value}, run FROM made WHERE n < :runs ORDER BY run",
            among,
        )
    db.execute(
        "INSERT INTO tags(key, value, run_uuid)"
        " SELECT 'mlflow.parentRunId', parent, run FROM made WHERE parent IS NOT NULL ORDER BY run"
    )


def _metric(
    db: sqlite3.Connection, key: str, value: str, where: str, values: dict[str, int]
) -> None:
    """A metric of one point, in the history and as the newest."""
    at = f"{FIRST} + n * {EVERY} + 1800000"
    db.execute(
        f"INSERT INTO metrics(key, value, timestamp, run_uuid, step, is_nan)"
        f" SELECT '{key}', {value}, {at}, run, {STEPS}, 0 FROM made WHERE {where} ORDER BY n",
        values,
    )
    db.execute(
        f"INSERT INTO latest_metrics(key, value, timestamp, step, is_nan, run_uuid)"
        f" SELECT '{key}', {value}, {at}, {STEPS}, 0, run FROM made WHERE {where} ORDER BY run",
        values,
    )


def _inputs(db: sqlite3.Connection, size: Size) -> None:
    """A data set of each experiment, that its runs were trained on."""
    db.executemany(
        "INSERT INTO datasets(dataset_uuid, experiment_id, name, digest, dataset_source_type,"
        " dataset_source) VALUES(?, ?, 'clicks', ?, 's3', ?)",
        (
            (f"{n:032x}", n, f"{n:08x}", f'{{"uri": "s3://bucket/clicks/{n}"}}')
            for n in range(1, size.experiments + 1)
        ),
    )
    db.execute(
        "INSERT INTO inputs(input_uuid, source_type, source_id, destination_type, destination_id)"
        " SELECT run, 'DATASET', printf('%032x', experiment), 'RUN', run"
        " FROM made WHERE n < ? ORDER BY experiment, run",
        (size.runs,),
    )
    db.execute(
        "INSERT INTO input_tags(input_uuid, name, value)"
        " SELECT run, 'mlflow.data.context', 'training' FROM made WHERE n < ? ORDER BY run",
        (size.runs,),
    )


def _long(db: sqlite3.Connection, size: Size) -> None:
    """The points of the newest run, ten in a second, which fall with some noise."""
    run, began = size.run(size.runs - 1), FIRST + (size.runs - 1) * EVERY

    def points() -> Iterable[tuple[str, float, int, str, int]]:
        for step in range(size.points):
            noise = (step * 2_654_435_761 % 1_000_003) / 1_000_003 - 0.5
            value = 3.0 / (1 + 20 * step / size.points) + noise / 20
            yield LONG_METRIC, value, began + step * 100, run, step

    db.executemany(
        "INSERT INTO metrics(key, value, timestamp, run_uuid, step, is_nan)"
        " VALUES(?, ?, ?, ?, ?, 0)",
        points(),
    )
    db.execute(
        "INSERT INTO latest_metrics(key, value, timestamp, step, is_nan, run_uuid)"
        " SELECT key, value, timestamp, step, 0, run_uuid FROM metrics"
        " WHERE run_uuid = ? AND key = ? ORDER BY step DESC LIMIT 1",
        (run, LONG_METRIC),
    )


def _wide(db: sqlite3.Connection, size: Size) -> None:
    """What there is to compare: half of the parameters are the same in all."""
    among = {"runs": size.runs}
    for number in range(size.width):
        differs = "n % 7" if number % 2 else "0"
        db.execute(
            f"INSERT INTO params(key, value, run_uuid)"
            f" SELECT 'group/param_{number:03d}', CAST({number} + {differs} AS TEXT), run"
            f" FROM made WHERE n >= :runs ORDER BY run",
            among,
        )
        key, value = f"group/metric_{number:03d}", f"(n * {7919 + number} % 10007) / 10007.0"
        _metric(db, key, value, "n >= :runs", among)


def processor(pids: Iterable[int]) -> float:
    """Seconds of processor time that processes have used."""
    used = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")
