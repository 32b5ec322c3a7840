"""Reads the event files of one folder: run as a process of its own, its answer on stdout.

Nothing here trusts a file. The records' framing and checksums are TensorBoard's own pure reader's,
which brings no TensorFlow with it even where that is installed.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from mcp_tui.domain.eventlines import LONGEST, EventFault, EventFolder, milliseconds
from mcp_tui.domain.history import History, history_of
from mcp_tui.domain.run import Metric
from mcp_tui.domain.text import clean_line
from mcp_tui.sources.bounds import bound

MEMORY: Final = 4 * 1024**3
"""Bytes of address space; what numpy's threads reserve counts too."""

MOST_TAGS: Final = 1_000
MOST_POINTS: Final = 2_000_000
"""Points that are read of one folder."""

SECONDS: Final = 60.0
"""After which what is read so far has to do: who asked for it does not wait for much longer."""

BUDGET: Final = 200_000
"""Points that are given back of one folder: the fewer tags, the more of each."""

FEWEST: Final = 320
MOST_OF_ONE: Final = 10_000


class _Line:
    """The points of a tag as they come."""

    def __init__(self) -> None:
        self.steps = array("q")
        self.times = array("d")
        self.values = array("d")

    def restart(self, step: int) -> None:
        """Forget what a restarted training logs again."""
        kept = [n for n, each in enumerate(self.steps) if each < step]
        if len(kept) < len(self.steps):
            self.steps = array("q", (self.steps[n] for n in kept))
            self.times = array("d", (self.times[n] for n in kept))
            self.values = array("d", (self.values[n] for n in kept))


class _Reading:
    """What is known of a folder."""

    def __init__(self) -> None:
        self.lines: dict[str, _Line] = {}
        self.points = 0
        self.others: set[str] = set()
        self._scalars: set[str] = set()

    def take(self, event: Any) -> None:
        """Take an event's scalars.

        Raises:
            OverflowError: Too many points.
        """
        if event.HasField("session_log"):
            if event.session_log.status == 1 and event.step > 0:  # START, again
                for each in self.lines.values():
                    each.restart(event.step)
            return
        for value in event.summary.value:
            number = self._number(value)
            if number is None:
                continue
            line = self._line(value.tag)
            if line is None:
                continue
            if self.points >= MOST_POINTS:
                raise OverflowError
            self.points += 1
            line.steps.append(event.step)
            line.times.append(event.wall_time)
            line.values.append(number)

    def _line(self, tag: str) -> _Line | None:
        if tag not in self.lines:
            shown = clean_line(tag, limit=LONGEST + 2)
            # Two tags that look the same are not told apart, and are not thrown together either.
            if not 0 < len(shown) <= LONGEST or len(self.lines) >= MOST_TAGS or shown != tag:
                if len(self.others) < MOST_TAGS:
                    self.others.add(tag[:LONGEST])
                return None
            self.lines[tag] = _Line()
        return self.lines[tag]

    def _number(self, value: Any) -> float | None:
        """The value if it is a scalar: a plain number, or TensorFlow 2's tensor of one."""
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            return float(value.simple_value)
        if kind != "tensor":
            return None
        if value.metadata.plugin_data.plugin_name == "scalars":
            if len(self._scalars) < MOST_TAGS:
                self._scalars.add(value.tag)
        elif value.tag not in self._scalars:
            return None
        if any(dim.size != 1 for dim in value.tensor.tensor_shape.dim):
            return None
        from tensorboard.util import tensor_util

        try:
            return float(tensor_util.make_ndarray(value.tensor).item())
        except (TypeError, ValueError):
            return None


def records(path: Path) -> Iterator[bytes]:
    """The records of a file.

    Raises:
        ValueError: It is damaged, or ends within a record; in words.
    """
    from tensorboard.compat.tensorflow_stub import errors
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    reader = PyRecordReader_New(str(path), 0, b"", None)
    count = 0
    while True:
        try:
            reader.GetNext()
        except errors.OutOfRangeError:
            return
        except errors.DataLossError as error:
            if "truncated" not in str(error):
                if not count:
                    raise ValueError("it is no event file: the first checksum is wrong") from None
                raise ValueError(
                    f"damaged after {count:,} records: a checksum is wrong, the rest was not read"
                ) from None
            raise ValueError(f"it ends within a record, after {count:,} whole ones") from None
        except OverflowError:  # more bytes than a file can have
            raise ValueError(f"damaged after {count:,} records: an impossible length") from None
        count += 1
        yield reader.record()


def read(paths: Sequence[Path]) -> EventFolder:
    """The scalars of the files of one folder, read in the order given."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    reading, faults = _Reading(), []
    end = time.monotonic() + SECONDS
    for number, path in enumerate(paths):
        what = ""
        try:
            if not path.stat().st_size:
                what = "it is empty"
            for record in records(path):
                reading.take(event_pb2.Event.FromString(record))
                if time.monotonic() > end:
                    raise TimeoutError
        except TimeoutError:
            what = f"reading took longer than {SECONDS:g} s: the rest was not read"
        except ValueError as error:
            what = str(error)
        except DecodeError:
            what = "damaged: a record is no event, the rest was not read"
        except OverflowError:
            what = f"more than {MOST_POINTS:,} points: the rest was not read"
        except MemoryError:
            what = "a record is larger than memory: the rest was not read"
        if what:
            faults.append(EventFault(file=number, what=what))
    cut = any("not read" in fault.what for fault in faults)
    most = max(FEWEST, min(MOST_OF_ONE, BUDGET // max(1, len(reading.lines))))
    return EventFolder(
        lines={tag: _history(tag, line, most, cut) for tag, line in reading.lines.items()},
        faults=tuple(faults),
        left_out=len(reading.others),
    )


def _history(tag: str, line: _Line, most: int, cut: bool) -> History:
    points = (
        Metric(key=tag, value=value, timestamp=milliseconds(when), step=step)
        for step, when, value in zip(line.steps, line.times, line.values, strict=True)
    )
    return history_of("", tag, points, most=most, cut=cut)


def main(names: Sequence[str]) -> None:
    """Read the files that are named, and write what is in them."""
    bound(MEMORY)
    sys.stdout.buffer.write(msgspec.msgpack.encode(read([Path(name) for name in names])))


if __name__ == "__main__":
    main(sys.argv[1:])
