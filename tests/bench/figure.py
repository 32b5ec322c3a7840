"""One measured promise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """``value`` has to be within ``bound``, above it where ``at_least``.

    ``of_bare`` is a time as a multiple of a bare Textual app's in the same run; milliseconds
    always have it: what they are worth is known only beside the machine's own.

    Raises:
        ValueError: Milliseconds without it.
    """

    name: str
    value: float
    bound: float
    unit: str
    beside: str
    at_least: bool = False
    of_bare: float | None = None

    def __post_init__(self) -> None:
        if self.unit == "ms" and self.of_bare is None:
            raise ValueError(f"{self.name}: milliseconds beside no bare Textual app's")

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        """It as a person reads it."""
        word = "at least" if self.at_least else "at most"
        verdict = "ok  " if self.kept else "MISS"
        figure = f"{verdict} {self.name:<44} {self.value:>10.2f} {self.unit:<8}"
        times = "" if self.of_bare is None else f" = {self.of_bare:.1f}x a bare Textual app"
        return f"{figure}{times} ({word} {self.bound:g} {self.unit}; {self.beside})"
