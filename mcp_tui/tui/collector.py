"""When Python looks for objects that hold only each other: while nobody waits for a frame.

Such a look through what a storm of events leaves takes longer than a key may (25 ms and more), and
what is there for good needs none. Only the youngest objects are looked through at any time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from typing import Final

_YOUNG: Final = 5_000
# Past this the collector does not wait for a rest: memory is bounded while a key is held down.
_WITHOUT_REST: Final = 1_000
_ROUNDS: Final = 20
_REST: Final = 1.0
_LONG_REST: Final = 60.0


def restrain() -> None:
    """Keep the collector to the youngest objects, until :func:`at_rest`."""
    gc.set_threshold(_YOUNG, _WITHOUT_REST, _WITHOUT_REST)


def spare() -> None:
    """Have Textual's strips not keep themselves: each that is drawn whole was work for later.

    A strip remembers into what it was divided, and where that was itself, only the collector ended
    it: nine of ten objects that a storm left behind.
    """
    from textual.strip import Strip

    divide = Strip.divide

    def without_self(strip: Strip, cuts: Iterable[int]) -> Sequence[Strip]:
        within = [cut for cut in cuts if cut <= strip.cell_length]
        return [strip] if within == [strip.cell_length] else divide(strip, within)

    setattr(Strip, "divide", without_self)  # noqa: B010 - a type checker takes it for a mistake


def at_rest(seconds: float) -> None:
    """Let the collector catch up.

    Args:
        seconds: Since the last key.
    """
    _, middle, old = gc.get_count()
    if seconds >= _LONG_REST and old >= _ROUNDS:
        gc.collect()
    elif seconds >= _REST and middle >= _ROUNDS:
        gc.collect(1)
