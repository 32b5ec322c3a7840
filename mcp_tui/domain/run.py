"""MLflow's experiments and runs, typed to the fields that the console uses.

Times are milliseconds since 1970, as MLflow sends them. A metric's value may be NaN or infinite:
both are gaps in a plot, never zeros.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.text import without_credentials

_LONG_SOURCE: Final = 65_536
"""Characters of a data set's source that are read as JSON."""


class RunStatus(StrEnum):
    """MLflow's own words. Advisory: a run can say RUNNING for ever after its job died."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class _Wire(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What all structs here share; unknown fields are skipped, absent ones have defaults."""


class Metric(_Wire, frozen=True, kw_only=True):
    """The newest or one historic value of a metric."""

    key: str = ""
    value: float | str = math.nan
    """As it came: MLflow writes NaN and infinities as text. Read :attr:`number`."""
    timestamp: int = 0
    step: int = 0
    run_id: str = ""

    @property
    def number(self) -> float:
        """The value; NaN for text that is no number, infinity for what SQL stores in its place."""
        try:
            value = float(self.value)
        except ValueError:
            return math.nan
        # The largest double is how MLflow's SQL store keeps an infinity.
        return math.copysign(math.inf, value) if abs(value) >= 1.797e308 else value


class Pair(_Wire, frozen=True, kw_only=True):
    """A parameter or a tag.

    MLflow keeps the address of a checkout as git has it, and CI systems put a token into that:
    credentials in URLs end here.
    """

    key: str = ""
    value: str = ""

    def __post_init__(self) -> None:
        if "@" in self.value:
            msgspec.structs.force_setattr(self, "value", without_credentials(self.value))


class RunInfo(_Wire, frozen=True, kw_only=True):
    run_id: str = ""
    run_name: str = ""
    experiment_id: str = ""
    user_id: str = ""
    status: str = ""
    start_time: int = 0
    end_time: int = 0
    artifact_uri: str = ""
    lifecycle_stage: str = ""


class RunData(_Wire, frozen=True, kw_only=True):
    metrics: tuple[Metric, ...] = ()
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class Dataset(_Wire, frozen=True, kw_only=True):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if "@" in self.source:
            msgspec.structs.force_setattr(self, "source", without_credentials(self.source))

    @property
    def address(self) -> str:
        """Where it came from: the address in what MLflow keeps as JSON, else the text."""
        source = self.source
        if not source.startswith("{") or len(source) > _LONG_SOURCE:
            return source
        try:
            tree = msgspec.json.decode(source)
        except (msgspec.DecodeError, RecursionError):
            return source
        for key in ("uri", "url", "path", "table_name", "name"):
            text = tree.get(key) if isinstance(tree, dict) else None
            if isinstance(text, str) and text:
                return text
        return source


class DatasetInput(_Wire, frozen=True, kw_only=True):
    dataset: Dataset = Dataset()
    tags: tuple[Pair, ...] = ()

    @property
    def context(self) -> str:
        """What it was used for: ``training``, ``evaluation``; empty when nobody said."""
        return next((tag.value for tag in self.tags if tag.key == keys.DATA_CONTEXT), "")


class ModelLink(_Wire, frozen=True, kw_only=True):
    """A logged model that a run read (an input) or made (an output); MLflow 3."""

    model_id: str = ""
    step: int = 0


class RunInputs(_Wire, frozen=True, kw_only=True):
    dataset_inputs: tuple[DatasetInput, ...] = ()
    model_inputs: tuple[ModelLink, ...] = ()


class RunOutputs(_Wire, frozen=True, kw_only=True):
    model_outputs: tuple[ModelLink, ...] = ()


class Run(_Wire, frozen=True, kw_only=True):
    """A run with the newest value of each metric, its parameters, tags and data sets."""

    info: RunInfo = RunInfo()
    data: RunData = RunData()
    inputs: RunInputs = RunInputs()
    outputs: RunOutputs = RunOutputs()

    @property
    def run_id(self) -> str:
        """Its id: 32 hexadecimal digits."""
        return self.info.run_id

    @property
    def params(self) -> dict[str, str]:
        """Parameters by name."""
        return {pair.key: pair.value for pair in self.data.params}

    @property
    def tags(self) -> dict[str, str]:
        """Tags by name."""
        return {pair.key: pair.value for pair in self.data.tags}

    @property
    def metrics(self) -> dict[str, Metric]:
        """The newest value of each metric by its name."""
        return {metric.key: metric for metric in self.data.metrics}

    @property
    def is_over(self) -> bool:
        """Whether MLflow was told that the run has ended."""
        return self.info.status in {RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED}

    @property
    def is_deleted(self) -> bool:
        """Whether it is in the bin: read-only until it is restored."""
        return self.info.lifecycle_stage == "deleted"

    @property
    def name(self) -> str:
        """Its name: servers before 1.30 keep it in a tag only."""
        return self.info.run_name or self.tags.get(keys.TAG_RUN_NAME, "")

    @property
    def user(self) -> str:
        """Who started it, as the client said."""
        return self.info.user_id or self.tags.get(keys.TAG_USER, "")

    @property
    def parent_run_id(self) -> str:
        """The run that it is nested in; empty when it is in none."""
        return self.tags.get(keys.TAG_PARENT_RUN, "")

    @property
    def datasets(self) -> tuple[DatasetInput, ...]:
        """The data sets that it read."""
        return self.inputs.dataset_inputs

    @property
    def touched(self) -> int:
        """The newest moment that it tells of, in ms: a metric, its end, or its start."""
        logged = max((m.timestamp for m in self.data.metrics), default=0)
        return max(logged, self.info.end_time, self.info.start_time)

    @property
    def newest_step(self) -> int | None:
        """The largest step at which anything but system metrics was logged; None before any."""
        steps = [m.step for m in self.data.metrics if not m.key.startswith("system/")]
        return max(steps, default=None)

    @property
    def total_steps(self) -> int | None:
        """The parameter ``total_steps``, if it is a whole number above zero."""
        text = self.params.get(keys.TOTAL_STEPS, "").strip()
        total = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        return total or None


class Experiment(_Wire, frozen=True, kw_only=True):
    """A named set of runs. ``last_update_time`` is of the experiment, not of its runs."""

    experiment_id: str = ""
    name: str = ""
    artifact_location: str = ""
    lifecycle_stage: str = ""
    creation_time: int = 0
    last_update_time: int = 0
    tags: tuple[Pair, ...] = ()

    @property
    def is_deleted(self) -> bool:
        """Whether it is in the bin."""
        return self.lifecycle_stage == "deleted"
