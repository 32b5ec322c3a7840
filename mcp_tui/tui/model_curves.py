"""What the screens of runs looked at together need of the rest: curves, compare, evaluation.

As in :mod:`mcp_tui.tui.model` everything is plain data behind protocols; no screen knows a client.
A run is named by a reference: ``CONTEXT/RUN_ID`` as lists key their rows, or, where one context is
open, a run's id or a model version (``NAME/VERSION``, ``NAME@ALIAS``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from mcp_tui.domain.chart.course import Axis, Course
    from mcp_tui.domain.direction import Directions
    from mcp_tui.domain.evaltable import EvalTable
    from mcp_tui.domain.gates import GateResult
    from mcp_tui.domain.run import Run


@dataclass(frozen=True, slots=True)
class CurveRun:
    """A run whose curves are shown.

    Attributes:
        key: ``CONTEXT/RUN_ID``.
        label: What it is called among those that are shown.
        state: ``running``, ``failed`` or ``done``; other words as MLflow has them.
        running: Whether it may log more.
    """

    key: str
    label: str
    state: str
    running: bool


class Curves(Protocol):
    """Some runs' metrics; what is not fetched yet is absent. Methods that fetch may raise
    McpTuiError."""

    @property
    def runs(self) -> tuple[CurveRun, ...]:
        """In the order in which they were named."""

    def metrics(self) -> tuple[str, ...]:
        """Every metric of any of them; the machine's own last."""

    def first(self) -> str:
        """The metric to begin with; empty where nothing is logged."""

    def newest(self, metric: str) -> tuple[float | None, ...]:
        """Its newest value in each run."""

    def courses(self, metrics: Sequence[str]) -> tuple[Course, ...]:
        """The lines of these metrics; a line that did not change is the same object."""

    def said(self, metrics: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Each line's name, and what is known of its points: how many of how many, and gaps."""

    async def load(self, metrics: Sequence[str], points: int) -> None:
        """Fetch what of these is not there yet, about so many points a line."""

    async def count(self, metrics: Sequence[str]) -> bool:
        """Find out how many points there are of which these are a sample; whether that is new."""

    async def look(
        self, metrics: Sequence[str], axis: Axis, window: tuple[float, float] | None
    ) -> bool:
        """Fetch the part in sight more closely; whether anything came."""

    def changes(self, metrics: Sequence[str]) -> AsyncIterator[str]:
        """Follow runs that run: each item says that something changed, or (a text) what is wrong.

        It ends when no run runs any more.
        """

    async def refresh(self) -> None:
        """Forget what was fetched."""

    async def read_events(self) -> str:
        """Read the event files of the runs, whose scalars are then among the metrics.

        Returns:
            What came of it, in a line.
        """


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs to compare, as MLflow tells them.

    Attributes:
        keys: ``CONTEXT/RUN_ID`` of each.
        runs: In the order in which they were named.
        directions: What the configuration says of metrics.
        baseline: The key of the one that was named as the baseline.
    """

    keys: tuple[str, ...]
    runs: tuple[Run, ...]
    directions: Directions | None = None
    baseline: str = ""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Candidates beside a champion.

    Attributes:
        table: The champion's column first, where there is one.
        gates: Of each candidate, in the table's order without the champion.
        keys: ``CONTEXT/RUN_ID`` of each column of the table.
        champion: How the champion is called; empty where none is known.
    """

    table: EvalTable
    gates: tuple[tuple[GateResult, ...], ...]
    keys: tuple[str, ...]
    champion: str


class Evidence(Protocol):
    """Where the screens get runs looked at together. Each may raise McpTuiError."""

    async def curves(self, references: Sequence[str]) -> Curves:
        """Their curves; reads the runs, and no points yet."""

    async def compare(
        self, references: Sequence[str], baseline: str, *, again: bool = True
    ) -> Compared:
        """The runs to put side by side.

        Args:
            references: The runs.
            baseline: A reference: first of all where it is none of them; empty for none.
            again: Ask for those, too, that were read already and have ended.
        """

    async def champion(self, references: Sequence[str]) -> str:
        """The reference of the one that an alias ``champion`` names; empty where none is known."""

    async def evaluate(self, references: Sequence[str], champion: str) -> Evaluated:
        """Their evaluations, and the gates of the configuration.

        Args:
            references: The candidates; one that is the champion stands in its column alone.
            champion: A reference; empty takes what the alias ``champion`` names of the registered
                model that a candidate is a version of.
        """


@runtime_checkable
class HasEvidence(Protocol):
    """A backend that knows of runs."""

    @property
    def evidence(self) -> Evidence:
        """Runs looked at together."""

    def run_of(self, key: str) -> str:
        """The reference of a job's run by the job's row; empty where it has none."""
