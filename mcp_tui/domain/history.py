"""A metric's history: what a chart draws, with its gaps counted and never filled.

MLflow writes NaN as text, keeps an infinity as the largest double, and takes points in any order,
several for one step, and with times of its clients' clocks. None of this is an error here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from mcp_tui.domain.run import Metric

T = TypeVar("T")

# Times outside these are of a clock that was never set, or in another unit; they have no place on
# an axis. In milliseconds: above 1970, below the year 3000.
_LATEST: Final = 32_503_680_000_000


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one run, ordered by step and then by time.

    Attributes:
        run_id: Of which run.
        key: The metric's name.
        steps: As logged; may be negative, and may repeat.
        times: Epoch seconds; NaN where the logged time is no credible one.
        values: What is not finite, as it was logged, is a gap.
        nan: How many NaN came.
        infinite: How many infinities came.
        repeated: Points at a step that had one already.
        backwards: Points that were logged before the one at the step before.
        odd_times: Points without a credible time.
        sampled: Whether points were left out evenly, by the server or here.
        cut: Whether the later part was not read at all.
        total: How many were logged; None while unknown.
        about: Whether ``total`` is an estimate.
    """

    run_id: str
    key: str
    steps: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    nan: int = 0
    infinite: int = 0
    repeated: int = 0
    backwards: int = 0
    odd_times: int = 0
    sampled: bool = False
    cut: bool = False
    total: int | None = None
    about: bool = False

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def last_step(self) -> int | None:
        """The largest step, from where a tail goes on; None without points."""
        return self.steps[-1] if self.steps else None

    def said(self) -> str:
        """``320 of about 1,000,000; 3 NaN; 1 infinite``: what the line does not show."""
        shown = f"{len(self):,}"
        if self.total is not None and self.total > len(self):
            shown += f" of {'about ' if self.about else ''}{self.total:,}"
        elif self.sampled:
            shown += " sampled"
        parts = [shown]
        if self.cut:
            parts.append("the rest was not read")
        if self.nan:
            parts.append(f"{self.nan:,} NaN")
        if self.infinite:
            parts.append(f"{self.infinite:,} infinite")
        if self.repeated:
            parts.append(f"{self.repeated:,} at a repeated step")
        if self.odd_times:
            parts.append(f"{self.odd_times:,} without a time")
        return "; ".join(parts)


def history_of(
    run_id: str,
    key: str,
    points: Iterable[Metric],
    *,
    most: int = 0,
    sampled: bool = False,
    cut: bool = False,
) -> History:
    """Order what came, find its gaps, and thin it.

    Args:
        run_id: Of which run.
        key: The metric's name.
        points: In any order; the same one twice counts once.
        most: The most points to keep; 0 for all. Counts are of all that came.
        sampled: The server left some out.
        cut: The later part was not read.
    """
    # Equal steps and times keep the order in which they came.
    unique = {(m.step, m.timestamp, str(m.value)): m for m in points}
    ordered = sorted(unique.values(), key=lambda m: (m.step, m.timestamp))
    numbers = [m.number for m in ordered]
    kept = thin(numbers, most) if most else range(len(numbers))
    credible = [0 < m.timestamp < _LATEST for m in ordered]
    return History(
        run_id=run_id,
        key=key,
        steps=tuple(ordered[i].step for i in kept),
        times=tuple(ordered[i].timestamp / 1000 if credible[i] else math.nan for i in kept),
        values=tuple(numbers[i] for i in kept),
        nan=sum(map(math.isnan, numbers)),
        infinite=sum(map(math.isinf, numbers)),
        repeated=sum(count - 1 for count in Counter(m.step for m in ordered).values()),
        backwards=_backwards([m.timestamp for m in ordered]),
        odd_times=credible.count(False),
        sampled=sampled or len(kept) < len(numbers),
        cut=cut,
        total=None if sampled or cut else len(numbers),
    )


def _backwards(times: Sequence[float]) -> int:
    return sum(after < before for before, after in pairwise(times))


def thin(values: Sequence[float], most: int) -> Sequence[int]:
    """Which points to keep: the first, the last, and of each stretch the lowest and the highest.

    A spike of one point stays visible, which even sampling would lose. A stretch of nothing but
    gaps keeps one.

    Args:
        values: A history, gaps as NaN or infinite.
        most: How many at most; at least four are kept.

    Returns:
        Ascending indexes.
    """
    count = len(values)
    if count <= max(most, 4):
        return range(count)
    stretches = max(1, (most - 2) // 2)
    kept = {0, count - 1}
    for n in range(stretches):
        start, end = n * count // stretches, (n + 1) * count // stretches
        finite = [i for i in range(start, end) if math.isfinite(values[i])]
        if finite:
            kept.add(min(finite, key=values.__getitem__))
            kept.add(max(finite, key=values.__getitem__))
        else:
            kept.add(start)
    return sorted(kept)


def extended(old: History, tail: History, *, most: int = 0) -> History:
    """A history with what was logged since; points of the tail's first step on are the tail's.

    Args:
        old: What was known.
        tail: All that was logged from some step on; a different run or metric is an error.
        most: The most points to keep; 0 for all.
    """
    if (old.run_id, old.key) != (tail.run_id, tail.key):
        raise ValueError("two histories of different metrics")
    if not tail.steps:
        return old
    head = sum(step < tail.steps[0] for step in old.steps)
    steps = old.steps[:head] + tail.steps
    times = old.times[:head] + tail.times
    values = old.values[:head] + tail.values
    kept = thin(values, most) if most else range(len(values))
    known = old.total is not None and tail.total is not None
    gone = range(head, len(old))  # counted in the old history, and again in the tail
    return msgspec.structs.replace(
        old,
        steps=tuple(steps[i] for i in kept),
        times=tuple(times[i] for i in kept),
        values=tuple(values[i] for i in kept),
        nan=old.nan - sum(math.isnan(old.values[i]) for i in gone) + tail.nan,
        infinite=old.infinite - sum(math.isinf(old.values[i]) for i in gone) + tail.infinite,
        repeated=old.repeated - len(gone) + len(set(old.steps[head:])) + tail.repeated,
        backwards=_backwards(times),
        odd_times=old.odd_times - sum(math.isnan(old.times[i]) for i in gone) + tail.odd_times,
        sampled=old.sampled or tail.sampled or len(kept) < len(values),
        cut=tail.cut,
        total=(old.total or 0) - len(gone) + (tail.total or 0) if known else None,
    )


def later(found: History, step: int) -> History:
    """What of a history is from a step on; whether that is all of it is as known as before."""
    head = sum(each < step for each in found.steps)
    if not head:
        return found
    steps, times, values = found.steps[head:], found.times[head:], found.values[head:]
    return msgspec.structs.replace(
        found,
        steps=steps,
        times=times,
        values=values,
        nan=sum(map(math.isnan, values)),
        infinite=sum(map(math.isinf, values)),
        repeated=len(steps) - len(set(steps)),
        backwards=_backwards(times),
        odd_times=sum(map(math.isnan, times)),
        total=None if found.total is None else len(steps),
    )


def with_part(whole: History, part: History, steps: tuple[int, int]) -> History:
    """A history whose points within some steps are those of a closer look.

    Args:
        whole: All of it, sampled: what is said of it stays.
        part: What came of those steps.
        steps: The first and the last that were asked for.
    """
    before = sum(step < steps[0] for step in whole.steps)
    after = sum(step <= steps[1] for step in whole.steps)

    def joined(mine: tuple[T, ...], theirs: tuple[T, ...]) -> tuple[T, ...]:
        return mine[:before] + theirs + mine[after:]

    if not part.steps:
        return whole
    return msgspec.structs.replace(
        whole,
        steps=joined(whole.steps, part.steps),
        times=joined(whole.times, part.times),
        values=joined(whole.values, part.values),
    )


def estimated(seen: History, window: int, inside: int) -> History:
    """With an estimate of how many points were logged.

    Args:
        seen: A sampled history.
        window: Steps that were counted, up to the last one.
        inside: Points found in them, all of them.
    """
    if not seen.sampled or window < 1 or len(seen) < 2:
        return seen
    span = seen.steps[-1] - seen.steps[0] + 1
    total = max(len(seen), round(inside * span / window))
    return msgspec.structs.replace(seen, total=total, about=total > inside)
