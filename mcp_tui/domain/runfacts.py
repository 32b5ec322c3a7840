"""What is known of a job's MLflow run, and how far the job is."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from mcp_tui.domain.reltime import age, duration

QUIET_AT_LEAST: Final = 600.0
"""Seconds without a new step before a run can be called stalled."""

QUIET_INTERVALS: Final = 5.0
"""Usual intervals between logged steps before a run is called stalled."""


class MetricFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest value of one metric; ``direction`` is rising, falling, flat, or empty."""

    name: str
    value: float
    direction: str = ""

    def text(self) -> str:
        """``loss 0.412 falling``."""
        return f"{self.name} {number(self.value)} {self.direction}".rstrip()


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run. ``metrics`` has the one that matters first; times are epoch seconds."""

    run_id: str
    experiment_id: str = ""
    status: str = ""
    step: int | None = None
    total_steps: int | None = None
    metrics: tuple[MetricFact, ...] = ()
    started: float | None = None
    updated: float | None = None
    """When the newest step was logged."""
    interval: float | None = None
    """Usual seconds between logged steps."""
    seconds_per_step: float | None = None
    cause: str = ""
    """The tag ``mcp-tui.cause`` as kept."""

    @property
    def remaining(self) -> float | None:
        """Seconds left at the usual pace."""
        if self.step is None or not self.total_steps or not self.seconds_per_step:
            return None
        return max(0.0, (self.total_steps - self.step) * self.seconds_per_step)

    def silent_since(self, resumed: float | None) -> float | None:
        """When the newest step was logged, or the job was started again since; None for no step."""
        if self.step is None or self.updated is None:
            return None
        return self.updated if resumed is None else max(self.updated, resumed)

    def quiet(self, now: float, resumed: float | None = None) -> float | None:
        """Seconds without a step when that is far more than usual, else None.

        Args:
            now: Epoch seconds.
            resumed: When what logs the steps was started last.
        """
        since = self.silent_since(resumed)
        silence = now - since if since is not None else 0.0
        return silence if silence > self.patience else None

    @property
    def patience(self) -> float:
        """Seconds without a step that are nothing unusual."""
        return max(QUIET_AT_LEAST, QUIET_INTERVALS * (self.interval or 0))

    def newest(self) -> str:
        """The metric that matters with its direction, and the time left."""
        parts = [self.metrics[0].text()] if self.metrics else []
        left = self.remaining
        if left is not None:
            parts.append(f"{duration(left)} left")
        return "; ".join(parts)


class Progress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far a job is; ``unit`` is steps, completions or percent."""

    done: float
    total: float
    unit: str

    @property
    def fraction(self) -> float:
        """0 to 1."""
        if not math.isfinite(self.done) or self.total <= 0:
            return 0.0
        return min(1.0, max(0.0, self.done / self.total))

    def text(self) -> str:
        """``62%``: whole, and 100 only when all is done."""
        return f"{int(self.fraction * 100)}%"

    def counts(self) -> str:
        """``6,200 of 10,000 steps``."""
        if self.unit == "percent":
            return self.text()
        return f"{self.done:,.0f} of {self.total:,.0f} {self.unit}"


def number(value: float) -> str:
    """A metric for a cell: three digits that matter, and no more than seven characters."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if value == 0:
        return "0"
    if 0.001 <= size < 1:
        return f"{value:.3f}"
    if 1 <= size < 100_000:
        whole = len(str(int(size)))
        return f"{value:.{max(0, 4 - whole)}f}"
    return f"{value:.2g}" if size < 1e-9 or size >= 1e10 else f"{value:.1e}"


def quiet_text(silence: float, run: RunFacts) -> str:
    """``no new step for 12m; loss 0.660 flat``."""
    said = f"no new step for {age(silence)}"
    return f"{said}; {run.metrics[0].text()}" if run.metrics else said
