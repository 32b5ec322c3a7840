"""Runs in memory, for the screens of runs looked at together."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from mcp_tui.domain.chart.course import Axis, Course
from mcp_tui.domain.curvenames import first_metric, line_names, metrics_of, run_labels
from mcp_tui.domain.evaltable import side_by_side
from mcp_tui.domain.evaluation import Evaluation, evaluate
from mcp_tui.domain.gates import check, parse
from mcp_tui.domain.run import (
    Dataset,
    DatasetInput,
    Metric,
    Pair,
    Run,
    RunData,
    RunInfo,
    RunInputs,
)
from mcp_tui.errors import McpTuiError
from mcp_tui.tui.model_curves import Compared, CurveRun, Evaluated

BEGAN = 1_795_387_000.0
"""Some hours before the frozen clock."""


def run(  # a run has many parts
    name: str,
    metrics: Mapping[str, float],
    *,
    number: int,
    status: str = "FINISHED",
    params: Mapping[str, str] | None = None,
    step: int = 6_180,
) -> Run:
    """A run, by what it logged last."""
    return Run(
        info=RunInfo(
            run_id=f"{number:032x}",
            run_name=name,
            experiment_id="1",
            status=status,
            start_time=int(BEGAN * 1000),
        ),
        data=RunData(
            metrics=tuple(
                Metric(key=key, value=value, step=step, timestamp=int(BEGAN * 1000) + step)
                for key, value in metrics.items()
            ),
            params=tuple(Pair(key=k, value=v) for k, v in (params or {}).items()),
        ),
    )


MACHINE = {
    "system/gpu_0_utilization_percentage": 93.0,
    "system/gpu_1_utilization_percentage": 91.0,
    "system/gpu_0_memory_usage_megabytes": 61_440.0,
    "system/cpu_utilization_percentage": 34.0,
}

RUNS = (
    run(
        "ranker-0412",
        {"loss": 0.412, "val_loss": 0.44, "f1_macro": 0.931, "lr": 1e-4, **MACHINE},
        number=0x7BE2,
        status="RUNNING",
        params={"lr": "0.001", "batch": "512", "seed": "1"},
    ),
    run(
        "ranker-0411",
        {"loss": 0.48, "val_loss": 0.5, "f1_macro": 0.918, "lr": 1e-4, **MACHINE},
        number=0x4410,
        params={"lr": "0.003", "batch": "512", "seed": "1"},
    ),
    run(
        "ranker-eval-0417",
        {"loss": 0.44, "val_loss": 0.47, "f1_macro": 0.924, "lr": 2e-4},
        number=0x9C1F,
        status="FAILED",
        params={"lr": "0.01", "batch": "256", "seed": "1"},
    ),
)


def points(
    metric: str, number: int, count: int = 310
) -> tuple[list[float], list[float], list[float]]:
    """Steps, times and values of a metric: the same each time, and as such metrics go."""
    random_ = random.Random(f"{metric} {number}")
    steps = [20.0 * n for n in range(count)]
    times = [BEGAN + 7 * n for n in range(count)]
    if metric.startswith("system/"):
        high = 61_440 if "memory" in metric else 92
        values = [
            high * (0.97 + 0.02 * math.sin(n / 9)) - random_.random() * 4 for n in range(count)
        ]
        if "utilization" in metric:
            values = [v if n % 60 > 7 else v * 0.35 for n, v in enumerate(values)]
        return steps, times, values
    end = 0.4 + 0.03 * (number % 3)
    falls = [
        end + (1.1 - end) * math.exp(-5 * n / 310) + random_.gauss(0, 0.02) for n in range(count)
    ]
    if metric.startswith("f1"):
        falls = [1.3 - value for value in falls]
    if metric == "lr":
        falls = [1e-3 * math.exp(-n / 90) for n in range(count)]
    return steps, times, falls


class FakeCurves:
    """Curves that a test may make longer."""

    def __init__(self, runs: Sequence[Run], contexts: Sequence[str] = ()) -> None:
        self.given = list(runs)
        self.asked: list[str] = []
        self.tail: asyncio.Queue[str] = asyncio.Queue()
        self.more: dict[tuple[int, str], tuple[float, float, float]] = {}
        self.loaded: set[str] = set()
        self.total: int | None = None
        self.wrong: McpTuiError | None = None
        self.gaps = False
        self.events: tuple[str, ...] = ()
        self._made: dict[tuple[int, str, str], Course] = {}

    @property
    def runs(self) -> tuple[CurveRun, ...]:
        words = {"RUNNING": "running", "FAILED": "failed", "FINISHED": "done"}
        return tuple(
            CurveRun(f"dev/{each.run_id}", label, words[each.info.status], not each.is_over)
            for each, label in zip(self.given, run_labels(self.given), strict=True)
        )

    def metrics(self) -> tuple[str, ...]:
        return (*metrics_of(self.given), *self.events)

    def first(self) -> str:
        return first_metric(self.given)

    def newest(self, metric: str) -> tuple[float | None, ...]:
        return tuple(
            each.metrics[metric].number if metric in each.metrics else None for each in self.given
        )

    def courses(self, metrics: Sequence[str]) -> tuple[Course, ...]:
        names = line_names(run_labels(self.given), metrics)
        found = []
        for (at, metric), name in names.items():
            known = metric in self.given[at].metrics or metric in self.events
            if metric not in self.loaded or not known:
                continue
            key = at, metric, name
            if key not in self._made:
                count = (310, 240, 300)[at % 3]
                steps, times, values = points(metric, at, count)
                if self.gaps and at == 0:
                    values[150:170] = [math.nan] * 20
                    values[90] = math.inf
                self._made[key] = Course(
                    f"{metric}\n{self.runs[at].key}",
                    name,
                    steps,
                    times,
                    values,
                    total=self.total,
                    start=BEGAN,
                    about=self.total is not None,
                )
            found.append(self._made[key])
        return tuple(found)

    def log(self, at: int, metric: str, step: float, value: float) -> None:
        """A run logs a point."""
        for key, course in self._made.items():
            if key[:2] == (at, metric):
                time = BEGAN + 7 * step / 20
                self._made[key] = course.with_more([step], [time], [value])
        self.tail.put_nowait("")

    def said(self, metrics: Sequence[str]) -> tuple[tuple[str, str], ...]:
        names = line_names(run_labels(self.given), metrics)
        return tuple((name, "310 of about 1,000,000; 3 NaN points") for name in names.values())

    async def load(self, metrics: Sequence[str], points: int) -> None:
        self.asked.append(f"load {','.join(metrics)}")
        if self.wrong is not None:
            raise self.wrong
        self.loaded.update(metrics)

    async def count(self, metrics: Sequence[str]) -> bool:
        return False

    async def look(
        self, metrics: Sequence[str], axis: Axis, window: tuple[float, float] | None
    ) -> bool:
        self.asked.append(f"look {axis} {window}")
        return window is not None

    async def changes(self, metrics: Sequence[str]) -> AsyncIterator[str]:
        while any(each.running for each in self.runs):
            yield await self.tail.get()

    async def refresh(self) -> None:
        self.asked.append("refresh")
        self.loaded.clear()

    async def read_events(self) -> str:
        self.asked.append("read_events")
        if self.wrong is not None:
            raise self.wrong
        self.events = ("tb:lr", "tb:train/loss")
        return "2 scalars of 1 event file"


@dataclass
class FakeEvidence:
    """Gives these runs, whatever they are asked for by."""

    runs: Sequence[Run] = RUNS
    asked: list[str] = field(default_factory=list)
    wrong: McpTuiError | None = None
    ruling: str = ""
    gate: asyncio.Event | None = None
    made: FakeCurves | None = None

    def _some(self, references: Sequence[str]) -> list[Run]:
        known = {each.run_id: each for each in self.runs}
        ids = [reference.rpartition("/")[2] for reference in references]
        return [known[i] for i in ids if i in known] or list(self.runs)

    async def _answer(self, what: str, references: Sequence[str]) -> None:
        self.asked.append(f"{what} {' '.join(references)}")
        if self.gate is not None:
            await self.gate.wait()
        if self.wrong is not None:
            raise self.wrong

    async def curves(self, references: Sequence[str]) -> FakeCurves:
        await self._answer("curves", references)
        if self.made is None:
            self.made = FakeCurves(self._some(references))
        return self.made

    async def compare(
        self, references: Sequence[str], baseline: str, *, again: bool = True
    ) -> Compared:
        await self._answer(f"compare against {baseline or '-'}", references)
        runs = self._some(references)
        return Compared(
            keys=tuple(f"dev/{each.run_id}" for each in runs),
            runs=tuple(runs),
            baseline=baseline,
        )

    async def champion(self, references: Sequence[str]) -> str:
        del references
        return self.ruling

    async def evaluate(self, references: Sequence[str], champion: str) -> Evaluated:
        await self._answer(f"evaluate against {champion or '-'}", references)
        number = int(champion.rpartition("/")[2], 16) if champion else 0
        return evaluated(None if self.ruling == "none" and not number else number)


GATES = (
    "f1_macro >= 0.90",
    "latency_p99_ms <= 40",
    "no class recall drops by more than 0.02",
    "f1_macro is better than champion",
)


def _evaluation(name: str, number: int, wrong: float, latency: float) -> Evaluation:
    """An evaluation of 400 examples of three kinds, some of them told wrongly."""
    random_ = random.Random(number)
    kinds = ("cat", "dog", "horse")
    rows = ["id,label,prediction"]
    for example in range(400):
        truth = kinds[example % 3]
        told = random_.choice(kinds) if random_.random() < wrong else truth
        rows.append(f"e{example},{truth},{told}")
    made = run(
        name,
        {
            "latency_mean_ms": latency * 0.5,
            "latency_p50_ms": latency * 0.4,
            "latency_p95_ms": latency * 0.8,
            "latency_p99_ms": latency,
            "accelerator_memory_mb": 8_192 + number,
        },
        number=number,
    )
    used = DatasetInput(
        dataset=Dataset(name="pets", digest="5f3a"),
        tags=(Pair(key="mlflow.data.context", value="evaluation"),),
    )
    made = msgspec.structs.replace(made, inputs=RunInputs(dataset_inputs=(used,)))
    files = {"eval/predictions.csv": "\n".join(rows).encode()}
    return evaluate(made, files, label=name, model_size=44_000_000 + number * 1_000)


def evaluated(champion: int | None = 0) -> Evaluated:
    """Two candidates beside a champion, with gates; None for no champion."""
    ruling = _evaluation("ranker/41", champion, 0.12, 41.0) if champion is not None else None
    candidates = [
        _evaluation("ranker-0412", 0x7BE2, 0.05, 38.5),
        _evaluation("ranker-0411", 0x4410, 0.13, 44.25),
    ]
    gates = [parse(rule) for rule in GATES]
    table = side_by_side(candidates, ruling, also=[gate.metric for gate in gates])
    told = table.differences or ({},) * len(candidates)
    return Evaluated(
        table=table,
        gates=tuple(
            check(gates, each, ruling, told=one) for each, one in zip(candidates, told, strict=True)
        ),
        keys=tuple(f"dev/{column.run_id}" for column in table.columns),
        champion="ranker/41 (alias champion)" if ruling is not None else "",
    )
