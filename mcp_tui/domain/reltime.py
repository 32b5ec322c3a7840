"""Times as people read them: short and relative in tables, absolute with their zone in details."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))


def age(seconds: float | None) -> str:
    """A duration in at most five characters: ``9s``, ``14m``, ``2h``, ``3d4h``, ``12d``, ``2y``.

    The second unit is there only where the first is a single digit and it says something; minutes
    and hours from three on stand alone, as precision nobody acts on. None or no number is ``-``;
    a time in the future, which skewed clocks give, is ``0s``.
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    left = max(0, int(seconds))
    if left >= 730 * 86_400:
        return f"{left // (365 * 86_400)}y"
    for size, name, small, small_name in _UNITS:
        count = left // size
        if not count:
            continue
        rest = (left % size) // small
        alone = count >= (10 if name == "d" else 3)
        return f"{count}{name}" if alone or not rest else f"{count}{name}{rest}{small_name}"
    return f"{left}s"


def ago(since: float | None, now: float) -> str:
    """The :func:`age` of a moment, both in epoch seconds."""
    return age(None if since is None else now - since)


def duration(seconds: float | None) -> str:
    """A duration in words for sentences: ``9 s``, ``14 min``, ``2 h 5 min``, ``3 days 4 h``."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    left = max(0, int(seconds))
    if left < 60:
        return f"{left} s"
    if left < 3_600:
        return f"{left // 60} min"
    if left < 86_400:
        return f"{left // 3_600} h" + (f" {left % 3_600 // 60} min" if left % 3_600 >= 60 else "")
    days, rest = divmod(left, 86_400)
    text = f"{days:,} day" + ("s" if days != 1 else "")
    return text + (f" {rest // 3_600} h" if rest >= 3_600 and days < 10 else "")


def clock(moment: float | None, *, now: float) -> str:
    """A moment in UTC for a line: ``03:02Z`` on the day of ``now``, else ``22 Nov 03:02Z``."""
    then = _utc(moment)
    if then is None:
        return "-"
    today = _utc(now)
    if today is not None and then.date() == today.date():
        return f"{then:%H:%M}Z"
    return f"{then.day} {then:%b %H:%M}Z"


def absolute(moment: float | None) -> str:
    """A moment with its date and zone for details: ``2026-11-23 03:02:11Z``."""
    then = _utc(moment)
    return "-" if then is None else f"{then:%Y-%m-%d %H:%M:%S}Z"


def _utc(moment: float | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, OSError):
        return None
