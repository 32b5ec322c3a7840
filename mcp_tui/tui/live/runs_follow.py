"""What of each context's MLflow is followed for the Runs pane, and how that stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.jobview import JobView
from mcp_tui.domain.run import Run
from mcp_tui.domain.runrow import RunRow
from mcp_tui.sources.base import AILING, HealthState
from mcp_tui.store.experimentwatch import ExperimentWatch
from mcp_tui.store.mlflowhealth import MlflowHealth
from mcp_tui.store.runwatch import RunWatch
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.live.experiment_rows import ExperimentRows
from mcp_tui.tui.live.runs_rows import RunRows
from mcp_tui.tui.model import Phase, SourceState
from mcp_tui.tui.model_runs import Level

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend

_FIND_EVERY: Final = 0.3


class Part:
    """What is followed of one context's MLflow."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.health = MlflowHealth()
        self.experiments: ExperimentWatch | None = None
        self.runs: RunWatch | None = None


class Following:
    """The watches of each context, alive while somebody looks.

    Args:
        backend: Whose contexts are followed.
    """

    query = ""

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend
        self._finding: asyncio.Task[None] | None = None
        self._parts: dict[str, Part] = {}
        self._looks = False
        self.level: Level = "experiments"
        self.experiments = ExperimentRows(self._is_stale)
        self.runs = RunRows(self.linked, self._experiment_name, self._is_stale)

    @property
    def place(self) -> str:
        """What is open."""
        raise NotImplementedError

    @property
    def trouble(self) -> str:
        """What is wrong with what is shown."""
        raise NotImplementedError

    @property
    def bin(self) -> bool:
        """Whether runs in the bin are shown."""
        raise NotImplementedError

    def front(self, on: bool) -> None:
        """Somebody looks at the pane, or nobody does."""
        self._looks = on
        if self._finding is not None:
            self._finding.cancel()
            self._finding = None
        if on:
            self._finding = self._backend.spawn(self._find())
        else:
            for part in self._parts.values():
                part.live.asked = None
                self._halt(part)

    def kept(self, context: str, run_id: str) -> Run | None:
        """All of a run as the list that is open has read it; None where it has not."""
        part = self._parts.get(context)
        return part.runs.list.whole(run_id) if part is not None and part.runs is not None else None

    def _halt(self, part: Part) -> None:
        for watch in (part.experiments, part.runs):
            if watch is not None:
                self._backend.spawn(watch.stop())

    async def _find(self) -> None:
        """Follow each context as soon as it is known where its MLflow is."""
        while True:
            self.follow()
            parts = self._parts.values()
            if parts and all(part.live.connection.mlflow is not None for part in parts):
                return
            await asyncio.sleep(_FIND_EVERY)

    def sources(self, prefixes: Mapping[str, str]) -> Sequence[SourceState]:
        """MLflow is among the sources of each context already."""
        del prefixes
        return ()

    async def stop(self) -> None:
        """End everything."""
        watches = [w for part in self._parts.values() for w in (part.experiments, part.runs) if w]
        await asyncio.gather(*(watch.stop() for watch in watches), return_exceptions=True)

    def follow(self) -> None:
        """Follow what is looked at."""
        if not self._looks:
            return
        for name, part in self._parts.items():
            mlflow = part.live.connection.mlflow
            if mlflow is None:
                continue
            part.live.asked = part.health
            if part.experiments is None:
                part.experiments = ExperimentWatch(
                    mlflow,
                    health=part.health,
                    on_change=self._experiments_came(name),
                    turn=self._backend.turn,
                )
            if part.runs is not None:
                part.runs.start()
            if self.level == "experiments":
                part.experiments.start()

    def refresh(self) -> None:
        """Ask again now."""
        for part in self._parts.values():
            for watch in (part.experiments, part.runs):
                if watch is not None:
                    watch.refresh()

    def _experiments_came(self, context: str) -> Callable[[], None]:
        def came() -> None:
            part = self._parts.get(context)
            if part is not None and part.experiments is not None:
                self.experiments.take(context, part.experiments.rows)
                self._backend.tell()

        return came

    def _runs_came(self, context: str) -> Callable[[set[str] | None], None]:
        def came(touched: set[str] | None) -> None:
            part = self._parts.get(context)
            if part is None or part.runs is None:
                return
            if part.runs.list.columns != self.runs.chosen:
                self._agree(part.runs)
            self.runs.take(context, part.runs.list, touched)
            self._backend.tell()

        return came

    def _agree(self, guessed: RunWatch) -> None:
        """All contexts show the columns that the first page of one suggests."""
        self.runs.choose(guessed.list.columns)
        for part in self._parts.values():
            if part.runs is not None and part.runs.list.columns != self.runs.chosen:
                part.runs.choose(self.runs.chosen)

    def _is_stale(self, context: str) -> bool:
        """Whether the MLflow of a context is silent."""
        part = self._parts.get(context)
        return part is None or part.health.health.state in AILING

    # -- joins ------------------------------------------------------------------------------

    def linked(self, context: str, row: RunRow) -> tuple[JobView | None, bool]:
        """The job of a run, and whether it is known to be gone."""
        live = self._backend.lives.get(context)
        if live is None:
            return None, False
        store, job = live.store, row.job
        view = store.table.get(job.uid) if job.uid else None
        views = (view,) if view is not None else store.jobs_of_run(row.run_id)
        if views:
            return views[0], False
        seen = live.feed.namespace in (None, job.namespace) and live.feed.synced
        return None, bool(job.uid) and seen and job.cluster == context and job.kind == "Job"

    def _experiment_name(self, context: str, experiment_id: str) -> str:
        part = self._parts.get(context)
        rows = part.experiments.rows if part is not None and part.experiments is not None else {}
        row = rows.get(experiment_id)
        return row.name if row is not None else experiment_id

    def _watches(self) -> list[RunWatch]:
        return [part.runs for part in self._parts.values() if part.runs is not None]

    # -- how it stands ----------------------------------------------------------------------

    def _status(self) -> tuple[Phase, tuple[str, ...]]:
        broken: list[str] = []
        waits: list[str] = []
        absent: list[str] = []
        for name, part in self._parts.items():
            known = part.live.feed.mlflow_health
            health = part.health.health
            if part.live.connection.mlflow is None:
                (absent if known.state is HealthState.ABSENT else waits).append(
                    f"looking for the MLflow of {name}"
                )
            elif health.state in AILING:
                broken += self._broken(name, part)
            elif self.level == "experiments" and not _synced(part):
                waits.append(f"listing the experiments of {name}")
            elif part.runs is not None and part.runs.loading and not part.runs.list.rows:
                seconds = time.monotonic() - part.runs.waiting_since
                waits.append(f"reading the runs of {self.place}, since {seconds:.0f} s")
        if broken or waits:
            return ("loading" if waits else "broken"), (*broken, *waits)
        if absent:
            names = ", ".join(self._parts)
            return "ready", (
                f"no MLflow is configured or found for {names}",
                "set mlflow in the configuration, or label its Service "
                "app.kubernetes.io/name=mlflow",
            )
        if self.level == "experiments":
            return "ready", ("no experiments yet; a job that is submitted makes one",)
        told = "in it yet; a job that is submitted makes one"
        if self.query or self.bin:
            told = "fit the filter" if self.query else "in its bin"
        return "ready", ((self.trouble,) if self.trouble else (f"no runs {told}",))

    @staticmethod
    def _broken(name: str, part: Part) -> Iterable[str]:
        health = part.health.health
        yield f"{name}: {health.message}"
        if health.retry_at is not None:
            yield f"tried again in {max(0.0, health.retry_at - time.monotonic()):.0f} s"


def _synced(part: Part) -> bool:
    return part.experiments is not None and part.experiments.synced
