"""What the Runs pane and a run's detail need of the rest, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mcp_tui.domain.picture import Picture
from mcp_tui.domain.plan import Plan
from mcp_tui.tui.model import Line, PaneModel

Level = Literal["experiments", "runs"]


class RunsModel(PaneModel, Protocol):
    """The Runs pane's rows: experiments, or the runs of those that are open.

    A row's key is ``context/id``.
    """

    @property
    def level(self) -> Level:
        """Which rows are shown."""

    @property
    def place(self) -> str:
        """What is open, for the crumbs: the experiment's name, or how many there are."""

    @property
    def order(self) -> str:
        """The order in words, and over what: ``by f1, over 300 read``."""

    @property
    def trouble(self) -> str:
        """What is wrong with what is shown: refused by the server, or deleted meanwhile."""

    @property
    def query(self) -> str:
        """The filter in MLflow's language that the server was asked for; empty for none."""

    def enter(self, keys: Sequence[str]) -> None:
        """Show the runs of these experiments."""

    def leave(self) -> str | None:
        """Show the experiments again; the one to put the cursor on, or None where they are."""

    def visible(self, keys: Sequence[str]) -> None:
        """These rows are on screen: what they show is kept in step."""

    def near(self, last: int) -> None:
        """Rows up to this one are on screen: what comes after them is read ahead."""

    def unfold(self, key: str) -> bool:
        """Show what is nested in a run; False where nothing is, or it is shown."""

    def fold(self, key: str) -> str:
        """Hide what is nested in a run; the row to put the cursor on."""

    def is_query(self, text: str) -> bool:
        """Whether a filter is in MLflow's language, and not for the rows that were read."""

    def judge(self, text: str) -> str:
        """What is certainly wrong with a filter in MLflow's language; empty where nothing is."""

    def ask(self, text: str) -> str:
        """Ask the server for a filter in MLflow's language; an error in words, or empty."""

    def completions(self, text: str) -> Sequence[str]:
        """Whole filters in MLflow's language that this one could become."""

    @property
    def bin(self) -> bool:
        """Whether runs in the bin are shown, and no others."""

    def show_bin(self, on: bool) -> None:
        """Show the runs in the bin of what is open, or those that are not in it."""

    def column_names(self) -> Sequence[str]:
        """What ``:columns`` completes: ``metrics.f1``, ``params.lr``, ``tags.team``."""

    def choose_columns(self, text: str) -> tuple[str, bool]:
        """Show these columns, by names with blanks between; what to say, and whether it is done."""


@dataclass(frozen=True, slots=True)
class ArtifactLine:
    """A file or folder of a run.

    Attributes:
        ref: What it is asked for with.
        name: The last part of its path.
        is_dir: A folder.
        size: In bytes; None of a folder.
        kind: How it can be looked at: ``text``, ``json``, ``table``.
    """

    ref: str
    name: str
    is_dir: bool = False
    size: int | None = None
    kind: str = ""


class RunDetails(Protocol):
    """The parts of a run, each fetched when it is looked at.

    ``key`` is ``context/run id``; the run need not be in the list. Each method that is awaited may
    raise McpTuiError.
    """

    def name_of(self, key: str) -> str:
        """What a person calls it: its name where it is known, else its id."""

    def run_of(self, job: str) -> str:
        """The key of the run of a job (a key of the Jobs pane); empty where it has none."""

    def job_of(self, key: str) -> str:
        """The key of the job of a run in the Jobs pane; empty where there is none."""

    async def overview(self, key: str) -> Sequence[Line]:
        """Who, when, how long, of which code and data, by which job, and what was made of it."""

    async def params(self, key: str) -> Sequence[Line]:
        """Its parameters."""

    async def metrics(self, key: str) -> Sequence[Line]:
        """The last value of each metric, at its step."""

    async def tags(self, key: str) -> Sequence[Line]:
        """Its tags."""

    async def artifacts(self, key: str, ref: str) -> Sequence[ArtifactLine]:
        """One level of its artifacts."""

    async def artifact(self, key: str, ref: str) -> Sequence[Line]:
        """The head of an artifact, as it can be looked at."""

    async def picture(self, key: str, ref: str) -> Picture:
        """An artifact that is a picture, small enough to be drawn in cells."""

    async def download(
        self, key: str, ref: str, to: Path, progress: Callable[[int, int | None], None]
    ) -> int:
        """Write an artifact into a new file; its size."""


class RunActions(Protocol):
    """Plans about runs; they are applied as all others are.

    Each method may raise McpTuiError. Keys are ``context/run id``.
    """

    async def plan_edit(self, runs: Sequence[str], text: str) -> Plan:
        """Plan changes to runs as they are typed: ``tag a=b c-``, ``rename x``, ``delete``."""

    async def config_of(self, key: str) -> str:
        """A train config that makes a run again, as far as that is known."""
