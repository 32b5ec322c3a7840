"""Parquet files: what is read of good ones, and what is said of bad ones and of bombs."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from typing import Any

import msgspec
import pyarrow
import pytest
from pyarrow import parquet

from mcp_tui.domain.artifact import Artifact, ArtifactPage, ArtifactPart
from mcp_tui.domain.evalfiles import Predictions
from mcp_tui.domain.run import Run, RunInfo
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.sources import tableparse, tables
from mcp_tui.sources.tableparse import Parsed, answer, parse
from mcp_tui.sources.tables import read_head, read_predictions
from mcp_tui.store.candidates import Named, read
from mcp_tui.store.preview import head_lines

MIB = 1024**2


def saved(columns: dict[str, Any], **options: Any) -> bytes:
    """A table as a file."""
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


def shared(cell: str, rows: int) -> Any:
    """A column whose rows are all the same one cell."""
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows), pyarrow.array([cell]))


GOOD = saved({"id": [1, 2, 3], "label": ["a", "b", "\x1b[2Ja"], "prediction": ["a", None, "a"]})
# A few thousand bytes that become a gigabyte.
BOMB = saved(
    {"id": shared("A" * 50 * MIB, 20), "label": ["a"] * 20, "prediction": ["a"] * 20},
    compression="zstd",
)
TOO_LARGE = "the table needs more than 1,024 MB of memory to be read"


class Server:
    """Gives these files, and says that each is whole."""

    where = "MLflow"

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}

    async def artifact_head(self, owner: str, ref: str, *, most: int = 65_536) -> ArtifactPart:
        data = self.files.get(ref, b"")
        return ArtifactPart(data=data[:most], total=len(data))

    async def list_artifacts(self, owner: str, ref: str = "") -> ArtifactPage:
        files = (Artifact(path=n, ref=n, size=len(d)) for n, d in self.files.items())
        return ArtifactPage(files=tuple(files))


async def shown(data: bytes) -> list[str]:
    """The lines of a file's head."""
    return [line.text for line in await head_lines(Server(x_parquet=data), "r", "x.parquet")]


async def problems(data: bytes) -> tuple[str, ...]:
    """What is wrong with an evaluation that has this file."""
    named = Named(Run(info=RunInfo(run_id="0" * 32)), "r")
    return (await read(Server(predictions_parquet=data), named)).problems


async def test_the_first_rows_are_shown() -> None:
    assert await shown(GOOD) == [
        "id  label  prediction",
        "1   a      a",
        "2   b",
        "3   a      a",
        f"3 of 3 rows, 3 columns, {len(GOOD):,} bytes",
    ]
    many = saved({f"c{n}": list(range(300)) for n in range(600)})
    assert (await shown(many))[-1].startswith("200 of 300 rows, 500 of 600 columns, ")
    assert (await shown(saved({"a": pyarrow.array([], "int8")})))[:1] == ["a"]


async def test_predictions_are_read() -> None:
    data = saved({"id": [1, 2], "label": ["a", "b"], "prediction": [1.0, 2.5], "x": [[1], []]})
    told = await read_predictions(data)
    assert told == Predictions(
        path="", truth=("a", "b"), predicted=("1", "2.5"), ids=("1", "2"), whole=True
    )
    assert await problems(data) == ()
    for wrong, why in (
        (GOOD, "row 2 has no prediction"),
        (saved({"a": [1]}), "no column is the true label"),
        (
            saved({"label": ["a"] * 500_001, "prediction": ["a"] * 500_001}),
            "more than 500,000 rows",
        ),
    ):
        [problem] = await problems(wrong)
        assert problem.startswith(f"predictions.parquet: {why}")


async def test_a_bomb_is_told_as_one() -> None:
    assert len(BOMB) < 10_000
    assert await shown(BOMB) == [f"{TOO_LARGE} ({len(BOMB):,} bytes); W downloads it"]
    hint = "log ids, labels and predictions alone"
    assert await problems(BOMB) == (f"predictions.parquet: {TOO_LARGE}; {hint}",)


BAD = {
    "empty": b"",
    "text": b"PAR1 no",
    "truncated": GOOD[:-9],
    "changed": GOOD[:4] + bytes(90) + GOOD[94:],
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
async def test_a_bad_file_gets_one_line(data: bytes) -> None:
    for line in (*await shown(data), *await problems(data)):
        assert "not a Parquet file that can be read: " in line
        assert line.isprintable() and len(line) < 300


def test_an_answer_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = parse("head", GOOD)
    assert msgspec.msgpack.decode(answer(parsed), type=Parsed) == parsed
    monkeypatch.setattr(tableparse, "MOST_SAID", 60)
    told = msgspec.msgpack.decode(answer(parsed), type=Parsed)
    assert told.head is None and "takes more than" in told.fault


async def test_a_reader_that_hangs_or_dies_is_a_problem_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UnreachableError, match=r"the table could not be read within 0\.001 s"):
        await read_head(GOOD, deadline=0.001)

    async def dies(*_: object, **__: object) -> bytes:
        raise UsageError("the table could not be read: what(): std::bad_alloc")

    monkeypatch.setattr(tables, "ask_child", dies)
    assert TOO_LARGE in (await problems(GOOD))[0]

    async def stops(*_: object, **__: object) -> bytes:
        return b"\x81"

    monkeypatch.setattr(tables, "ask_child", stops)
    assert "its reader ended early" in (await shown(GOOD))[0]


async def test_without_pyarrow_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "reading Parquet needs pyarrow" in (await shown(GOOD))[0]
    assert await problems(GOOD) == (
        "predictions.parquet: reading Parquet needs pyarrow; pip install pyarrow",
    )


def test_the_console_itself_reads_none() -> None:
    code = (
        "import sys; from mcp_tui.sources import tableparse, tables;"
        "from mcp_tui.store import candidates, preview;"
        "print({'pyarrow', 'numpy', 'httpx', 'pandas'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()", said.stderr


def test_a_process_that_has_answered_takes_nothing_down() -> None:
    """What Arrow takes down at the end of a process may abort it: its answer is whole by then."""
    script = (
        "import atexit, os; from mcp_tui.sources.tableparse import main;"
        "atexit.register(os.abort); main(['head'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], input=GOOD, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert msgspec.msgpack.decode(done.stdout, type=Parsed).head is not None
