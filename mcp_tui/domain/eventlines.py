"""Scalars of TensorBoard's event files beside a run's metrics: their names, and parts of them.

A scalar is named ``tb:TAG`` among the metrics. Where a run's event files lie in several folders
(``logs/train``, ``logs/validation``), the tag has the folder before it, below what they share.
"""

from __future__ import annotations

import math
import posixpath
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.history import History, thin
from mcp_tui.domain.text import clean_line

EVENTS: Final = "tb:"
"""How the names of scalars begin that come from event files."""

LONGEST: Final = 250
"""Letters of a tag; a longer one is left out."""


class EventFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a file.

    Attributes:
        file: The number of the file, in the order in which they were named.
        what: In words, without its name.
    """

    file: int
    what: str


class EventFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The scalars of the event files of one folder.

    Attributes:
        lines: By tag; at most so many points of each as were asked for, with how many there are.
        faults: Files that could not be read, or not to their ends.
        left_out: Tags beyond the bound, or with impossible names.
    """

    lines: dict[str, History] = {}
    faults: tuple[EventFault, ...] = ()
    left_out: int = 0


def is_event_file(name: str) -> bool:
    """Whether a file is one of TensorBoard's, as TensorBoard itself goes by its name."""
    return "tfevents" in name and not name.endswith(".profile-empty")


def is_event(metric: str) -> bool:
    """Whether a name is one of a scalar of event files."""
    return metric.startswith(EVENTS)


def event_name(metric: str) -> str:
    """The name as it is kept, from one as a user types it: ``tb: loss`` is ``tb:loss``."""
    return EVENTS + metric.removeprefix(EVENTS).strip() if is_event(metric) else metric


def spelled(metric: str) -> str:
    """The name in a list, its origin apart: ``tb: loss``."""
    return f"{EVENTS} {metric.removeprefix(EVENTS)}" if is_event(metric) else metric


def event_key(prefix: str, tag: str) -> str:
    """The name of a scalar among a run's metrics."""
    return clean_line(f"{EVENTS}{prefix}{tag}", limit=4 * LONGEST)


def prefixes(folders: Iterable[str]) -> dict[str, str]:
    """What stands before the tags of each folder: nothing where there is only one."""
    each = sorted(set(folders))
    if len(each) < 2:
        return dict.fromkeys(each, "")
    shared = posixpath.commonpath(each) if all(each) else ""
    found = {}
    for folder in each:
        rest = folder[len(shared) :].strip("/")
        found[folder] = f"{rest}/" if rest else ""
    return found


def sampled(history: History, most: int) -> History:
    """A history of fewer points."""
    return _at(history, thin(history.values, most))


def within(history: History, steps: tuple[int, int], most: int) -> History:
    """The part of a history between two steps, both included."""
    begin = bisect_left(history.steps, steps[0])
    end = max(begin, bisect_right(history.steps, steps[1]))
    part = thin(history.values[begin:end], most)
    return _at(history, [begin + n for n in part])


def _at(history: History, places: Sequence[int]) -> History:
    if len(places) == len(history):
        return history
    return msgspec.structs.replace(
        history,
        steps=tuple(history.steps[n] for n in places),
        times=tuple(history.times[n] for n in places),
        values=tuple(history.values[n] for n in places),
        sampled=True,
    )


def milliseconds(seconds: float) -> int:
    """A wall time as MLflow counts; 0 for one that is no time at all."""
    return round(seconds * 1000) if math.isfinite(seconds) and abs(seconds) < 1e12 else 0
