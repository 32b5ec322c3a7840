"""Reads a Parquet file: run as a process of its own, the file on stdin, its answer on stdout.

Nothing here trusts a file: a cell of a few bytes may become gigabytes, and how many is told only
by the file itself.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.domain.evalfiles import EvalFileError, Predictions, predictions_of
from mcp_tui.domain.evalparts import MAX_ROWS
from mcp_tui.domain.text import clean_line, one_line
from mcp_tui.sources.bounds import bound
from mcp_tui.sources.child import MOST_SAID

MEMORY: Final = 1024**3
"""Bytes of address space; Arrow's libraries take a quarter of it."""

TOO_LARGE: Final = f"the table needs more than {MEMORY // 1024**2:,} MB of memory to be read"
ROWS: Final = 200
COLUMNS: Final = 500
WIDEST: Final = 200
"""Rows, columns and characters of a cell that are given of a table's head."""

_AT_ONCE: Final = 5_000


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first rows of a table, as text.

    Attributes:
        names: Of the columns that are given.
        rows: As many cells each.
        total: All rows of the table.
        columns: All columns of the table.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int
    columns: int


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: what was asked for, or why it is not there."""

    head: Head | None = None
    predictions: Predictions | None = None
    fault: str = ""


def parse(kind: str, data: bytes) -> Parsed:
    """What is asked of a file: its ``head``, or its ``predictions``."""
    import pyarrow
    from pyarrow import parquet

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # others reserve more than they need
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        if kind == "head":
            return Parsed(head=_head(file))
        return _predictions(file)
    except MemoryError:
        return Parsed(fault=TOO_LARGE)
    except Exception as error:  # noqa: BLE001 - the reader's own errors are of many kinds
        if out_of_memory(str(error)):
            return Parsed(fault=TOO_LARGE)
        why = one_line(str(error))[:200] or type(error).__name__
        return Parsed(fault=f"not a Parquet file that can be read: {why}")


def out_of_memory(said: str) -> bool:
    """Whether an error of Arrow's, or its last words, are about memory."""
    return "bad_alloc" in said


def _head(file: Any) -> Head:
    batch = next(file.iter_batches(batch_size=ROWS, use_threads=False), None)
    # The names of a table without rows are those of its schema.
    schema = file.schema_arrow if batch is None else batch.schema
    columns = [] if batch is None else batch.columns[:COLUMNS]
    cells = [[_cell(value) for value in column.to_pylist()] for column in columns]
    return Head(
        names=tuple(clean_line(name, limit=WIDEST) for name in schema.names[:COLUMNS]),
        rows=tuple(zip(*cells, strict=True)),
        total=file.metadata.num_rows,
        columns=len(schema.names),
    )


def _cell(value: object) -> str:
    return "" if value is None else clean_line(str(value), limit=WIDEST)


class _Rows(Sequence[Mapping[str, object]]):
    """The rows of a file, read anew each time: they are never in memory together."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for batch in self._file.iter_batches(batch_size=_AT_ONCE, use_threads=False):
            names = batch.schema.names
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield dict(zip(names, row, strict=True))


def _predictions(file: Any) -> Parsed:
    rows = _Rows(file)
    if len(rows) > MAX_ROWS:
        return Parsed(fault=f"more than {MAX_ROWS:,} rows")
    try:
        return Parsed(predictions=predictions_of("", rows))
    except EvalFileError as error:
        return Parsed(fault=error.what)


def answer(parsed: Parsed) -> bytes:
    """What is said to whoever asked; of what is too long for that, that it is."""
    said = msgspec.msgpack.encode(parsed)
    if len(said) <= MOST_SAID:
        return said
    fault = f"what is to be read of the table takes more than {MOST_SAID // 1024**2} MB"
    return msgspec.msgpack.encode(Parsed(fault=fault))


def main(arguments: Sequence[str]) -> None:
    """Read a file from stdin, and write what is asked of it; the process ends here."""
    bound(MEMORY)
    sys.stdout.buffer.write(answer(parse(arguments[0], sys.stdin.buffer.read())))
    sys.stdout.flush()
    # Not in order: one of Arrow's threads may be starting as it takes them down, which aborts.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
