"""Experiments and runs in memory, as the Runs pane asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp_tui.domain.filterkind import is_query
from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.picture import Picture
from mcp_tui.domain.plan import Plan, Verb
from mcp_tui.domain.run import Metric, Pair, Run, RunData, RunInfo
from mcp_tui.domain.runrow import RunRow
from mcp_tui.errors import UnreachableError
from mcp_tui.sources.pictures import read_picture
from mcp_tui.store.experimentwatch import ExperimentRow
from mcp_tui.store.runlist import RunList
from mcp_tui.tui.live.experiment_rows import ExperimentRows
from mcp_tui.tui.live.ranked import split
from mcp_tui.tui.live.runs_rows import RunRows
from mcp_tui.tui.model import Cell, Column, Line, Phase, RowView
from mcp_tui.tui.model_runs import ArtifactLine, Level

NOW_MS = 1_795_402_920_000


def run(
    number: int,
    name: str,
    status: str = "FINISHED",
    *,
    ago: int = 3_600,
    parent: str = "",
    tags: dict[str, str] | None = None,
    **values: float | str,
) -> Run:
    """A run; numbers are metrics and texts are parameters."""
    started = NOW_MS - ago * 1_000
    over = status in ("FINISHED", "FAILED", "KILLED")
    all_tags = {**({"mlflow.parentRunId": parent} if parent else {}), **(tags or {})}
    return Run(
        info=RunInfo(
            run_id=f"{number:032x}",
            run_name=name,
            experiment_id="1",
            user_id="alice",
            status=status,
            start_time=started,
            end_time=started + 600_000 if over else 0,
            lifecycle_stage="active",
        ),
        data=RunData(
            metrics=tuple(
                Metric(key=k, value=v, step=100 * number, timestamp=started + 1_000)
                for k, v in values.items()
                if isinstance(v, float)
            ),
            params=tuple(Pair(key=k, value=v) for k, v in values.items() if isinstance(v, str)),
            tags=tuple(Pair(key=k, value=v) for k, v in all_tags.items()),
        ),
    )


SWEEP = f"{4:032x}"
RUNS = (
    run(1, "ranker-train-0413", "RUNNING", ago=1_860, f1=0.912, val_loss=0.412, lr="0.001"),
    run(2, "ranker-train-0412", "FAILED", ago=4_000, f1=0.881, val_loss=0.660, lr="0.01"),
    run(3, "ranker-train-0411", ago=7_400, f1=0.931, val_loss=0.391, lr="0.0005"),
    run(4, "sweep-lr", ago=90_000, lr="0.1"),
    run(5, "lr=0.1", ago=89_000, parent=SWEEP, f1=0.7, val_loss=0.9, lr="0.1"),
    run(6, "lr=0.2", ago=88_000, parent=SWEEP, f1=0.6, val_loss=1.1, lr="0.2"),
)
EXPERIMENTS = (
    ExperimentRow(
        experiment_id="1", name="ranker", count=6, running=1, failed=1, newest=NOW_MS - 60_000
    ),
    ExperimentRow(
        experiment_id="2", name="ctr-hourly", count=1_000, more=True, newest=NOW_MS - 7_200_000
    ),
    ExperimentRow(experiment_id="3", name="embeddings", newest=NOW_MS - 90_000_000),
)


@dataclass
class FakeRunsModel:
    """The pane's rows from memory, over the real rows."""

    read: tuple[Run, ...] = RUNS
    kept: tuple[ExperimentRow, ...] = EXPERIMENTS
    level: Level = "experiments"
    query: str = ""
    trouble: str = ""
    bin: bool = False
    phase: Phase = "ready"
    note: tuple[str, ...] = ("no experiments yet; a job that is submitted makes one",)
    asked: list[str] = field(default_factory=list)
    nears: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        def wall() -> float:
            return NOW_MS / 1000

        self.experiments = ExperimentRows(lambda _: False, wall)
        self.experiments.take("dev", {row.experiment_id: row for row in self.kept})
        self.runs = RunRows(self.linked, lambda _, i: f"experiment {i}", lambda _: False, wall)
        self.list = RunList()
        self.opened: tuple[str, ...] = ()
        self.jobs: dict[str, JobView] = {}

    def linked(self, context: str, row: RunRow) -> tuple[JobView | None, bool]:
        del context
        return self.jobs.get(row.run_id), False

    @property
    def front(self) -> ExperimentRows | RunRows:
        return self.experiments if self.level == "experiments" else self.runs

    @property
    def place(self) -> str:
        if self.level == "experiments":
            return "experiments"
        return (
            self.experiments.name_of(self.opened[0])
            if len(self.opened) == 1
            else f"{len(self.opened)} experiments"
        )

    @property
    def order(self) -> str:
        column, _ = self.front.sort
        if not column:
            return self.front.own_order
        return f"by {column.partition('.')[2] or column}, over 6 read"

    def enter(self, keys: Sequence[str]) -> None:
        self.opened = tuple(keys)
        self.level = "runs"
        self.runs.scope(several=len(keys) > 1)
        self.list = RunList(("metrics.f1", "metrics.val_loss", "params.lr"))
        self.list.take(self.read)
        self.runs.choose(self.list.columns)
        self.runs.take("dev", self.list, None)

    def leave(self) -> str | None:
        if self.level == "experiments":
            return None
        self.level, self.query = "experiments", ""
        return self.opened[0]

    def change(self, number: int, **fields: object) -> None:
        """A run as it is now."""
        old = next(r for r in self.read if r.run_id == f"{number:032x}")
        new = run(number, old.name, **fields)  # type: ignore[arg-type]  # by name
        self.read = tuple(new if r is old else r for r in self.read)
        self.runs.take("dev", self.list, self.list.take([new]))

    def visible(self, keys: Sequence[str]) -> None:
        del keys

    def near(self, last: int) -> None:
        self.nears.append(last)

    def unfold(self, key: str) -> bool:
        return self.runs.unfold(key)

    def fold(self, key: str) -> str:
        return self.runs.fold(key)

    def is_query(self, text: str) -> bool:
        return self.level == "runs" and is_query(text)

    def judge(self, text: str) -> str:
        return "the ' is not closed" if text.count("'") % 2 else ""

    def ask(self, text: str) -> str:
        if self.judge(text):
            return self.judge(text)
        self.asked.append(text)
        self.query = text
        return ""

    def completions(self, text: str) -> Sequence[str]:
        return [name for name in ("metrics.f1", "metrics.val_loss") if name.startswith(text)]

    def show_bin(self, on: bool) -> None:
        self.bin = on

    def column_names(self) -> Sequence[str]:
        return ("metrics.f1", "metrics.val_loss", "params.lr")

    def choose_columns(self, text: str) -> tuple[str, bool]:
        names = [n for n in self.column_names() if n in text.split()]
        if text and not names:
            return f"no metric, parameter or tag is called {text}", False
        self.list.choose(names)
        self.runs.choose(names)
        return f"columns: {' '.join(names)}", True

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.front.columns

    @property
    def version(self) -> int:
        return self.experiments.version + self.runs.version

    @property
    def count(self) -> int:
        return self.front.count

    @property
    def total(self) -> int:
        return self.front.total

    @property
    def summary(self) -> str:
        if self.level == "experiments":
            return self.experiments.summary
        return f"{self.runs.total} runs  1 running  1 failed"

    @property
    def sort(self) -> tuple[str, bool]:
        return self.front.sort

    @property
    def own_order(self) -> str:
        return self.front.own_order

    @property
    def filter(self) -> str:
        return self.front.filter

    @property
    def faults(self) -> bool:
        return self.front.faults

    def row(self, index: int) -> RowView:
        return self.front.row(index)

    def index_of(self, key: str) -> int | None:
        return self.front.index_of(key)

    def exists(self, key: str) -> bool:
        return self.front.exists(key)

    def name_of(self, key: str) -> str:
        return self.front.name_of(key)

    def set_filter(self, text: str) -> str:
        return self.front.set_filter(text)

    def set_faults(self, on: bool) -> None:
        self.front.set_faults(on)

    def set_sort(self, column_id: str, reverse: bool) -> None:
        self.front.set_sort(column_id, reverse)


class FakeRunDetails:
    """Parts of a run, at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.run_keys: dict[str, str] = {}
        self.job_keys: dict[str, str] = {}
        self.saved: list[Path] = []
        self.image: bytes | None = None  # the last of its artifacts, where there is one

    def name_of(self, key: str) -> str:
        names = {each.run_id: each.name for each in RUNS}
        return names.get(split(key)[1], split(key)[1])

    def run_of(self, job: str) -> str:
        return self.run_keys.get(job, f"dev/{1:032x}")

    def job_of(self, key: str) -> str:
        return self.job_keys.get(key, "")

    async def overview(self, key: str) -> Sequence[Line]:
        self.asked.append(f"overview {key}")
        return (
            (Cell("ranker-train-0413  ", "strong"), Cell("running for 31m", "running")),
            (),
            (Cell("experiment ", "heading"), Cell("ranker (1)")),
            (Cell("user       ", "heading"), Cell("alice")),
            (Cell("job        ", "heading"), Cell("Job/ranker-train-0413 in ml at dev: running")),
            (Cell("commit     ", "heading"), Cell("9c1f2ab feature/v1.2")),
            (Cell("data       ", "heading"), Cell("clicks @ 7f1c for training")),
            (Cell("registered ", "heading"), Cell("ranker 42", "accent")),
        )

    async def params(self, key: str) -> Sequence[Line]:
        self.asked.append(f"params {key}")
        return ((Cell("lr  ", "heading"), Cell("0.001")),)

    async def metrics(self, key: str) -> Sequence[Line]:
        self.asked.append(f"metrics {key}")
        return (
            (Cell("METRIC          LAST        STEP  AGO", "heading"),),
            (Cell("f1        "), Cell("     0.912", "strong"), Cell("       6,200  3s", "dim")),
        )

    async def tags(self, key: str) -> Sequence[Line]:
        self.asked.append(f"tags {key}")
        return ((Cell("team  ", "heading"), Cell("ads")),)

    async def artifacts(self, key: str, ref: str) -> Sequence[ArtifactLine]:
        self.asked.append(f"artifacts {key} {ref}")
        if ref == "model":
            return (ArtifactLine("model/MLmodel", "MLmodel", size=420, kind="yaml"),)
        if ref:
            raise UnreachableError("MLflow could not read the artifacts")
        size = 0 if self.image is None else len(self.image)
        found = (
            ArtifactLine("model", "model", is_dir=True, kind="folder"),
            ArtifactLine("lost", "lost", is_dir=True, kind="folder"),
            ArtifactLine("report.json", "report.json", size=2_048, kind="json"),
            ArtifactLine("roc.png", "roc.png", size=size, kind="image"),
        )
        return found[:3] if self.image is None else found

    async def artifact(self, key: str, ref: str) -> Sequence[Line]:
        self.asked.append(f"artifact {key} {ref}")
        return ((Cell("{"),), (Cell('  "accuracy": 0.93'),), (Cell("}"),))

    async def picture(self, key: str, ref: str) -> Picture:
        self.asked.append(f"picture {key} {ref}")
        assert self.image is not None
        return await read_picture(self.image)

    async def download(
        self, key: str, ref: str, to: Path, progress: Callable[[int, int | None], None]
    ) -> int:
        self.asked.append(f"download {key} {ref}")
        progress(1_024, 2_048)
        self.saved.append(to)
        return 2_048


class FakeRunActions:
    """Plans about runs, made by who makes all others."""

    def __init__(self, make: Callable[[Verb, Sequence[str]], Plan]) -> None:
        self.make = make
        self.planned: list[tuple[tuple[str, ...], str]] = []

    async def plan_edit(self, runs: Sequence[str], text: str) -> Plan:
        self.planned.append((tuple(runs), text))
        return self.make(Verb(text.split(maxsplit=1)[0]), ())

    async def config_of(self, key: str) -> str:
        return f"name: again\n# of {key}\n"


__all__ = ["EXPERIMENTS", "RUNS", "FakeRunActions", "FakeRunDetails", "FakeRunsModel", "run"]
