"""What an MLmodel file says of its model, and what hostile ones do not do."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.artifact import ArtifactPart
from mcp_tui.domain.mlmodel import LARGEST, columns, parse_mlmodel
from mcp_tui.domain.model import ModelVersion, Signature
from mcp_tui.domain.text import clean, clean_line
from mcp_tui.sources.mlflow import signature as reading
from tests.hostile.texts import hostile

FILE = """
flavors:
  python_function: {loader_module: mlflow.sklearn}
  sklearn: {sklearn_version: 1.5.0}
mlflow_version: 3.17.2
model_size_bytes: 4102
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "string"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]'
  params: null
"""


def test_the_signature_and_the_flavors_are_read() -> None:
    found = parse_mlmodel(FILE.encode())
    assert found is not None
    assert columns(found.inputs) == ("age: double", "string")
    assert columns(found.outputs) == ("tensor float64 [-1, 3]",)
    assert (found.params, found.size, found.mlflow_version) == ("", 4102, "3.17.2")
    assert found.flavors == ("python_function", "sklearn")


def test_what_is_no_such_file_is_none() -> None:
    for data in (
        *(b"", b"- 1", b"\xff\xfe", b"a: [", b"!!python/object/apply:os.system [x]"),
        *(b"x: " + b"y" * LARGEST, b"[" * 5_000),
    ):
        assert parse_mlmodel(data) is None, data[:40]
    empty = parse_mlmodel(b"signature: [1]\nflavors: x\nmodel_size_bytes: true")
    assert empty is not None and not empty.inputs and not empty.flavors and empty.size is None


def bomb(levels: int) -> str:
    """Aliases of aliases: ten times as many values with each level."""
    rest = (f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels))
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *rest])


@pytest.mark.parametrize(
    "text",
    [
        f"{bomb(5)}\nmlflow_version: *a4",
        f"{bomb(9)}\nflavors: {{? *a8 : 1}}",
        f"{bomb(30)}\nmlflow_version: 3.1",
        # Each of these values is left out, as its key stands there already; the last is not.
        "\n".join(["a: &a0 [x]", *(f"a: &a{n} [*a{n - 1}]" for n in range(1, 900)), "b: *a899"]),
        "a: &a [*a]",
        "\n".join(f"k{n}: 1" for n in range(27_000)),
        "flavors: !!bool foo",
        "a: !!timestamp foo",
        "a: !!binary '*'",
        "a: !!int x",
        "a: !thing x",
        "a: 1\na: 2",
        "? [a]\n: 1",
        "a: {<<: 1}",
        "a: 1\n---\nb: 2",
        "a: \0",
    ],
    ids=lambda text: text[:20],
)
def test_what_would_grow_or_become_something_else_is_none(text: str) -> None:
    assert len(text) < LARGEST
    assert parse_mlmodel(text.encode()) is None


def test_only_what_is_of_its_kind_is_taken() -> None:
    found = parse_mlmodel(b"signature: &s {inputs: [1], outputs: 5, params: no}\ncopy: *s")
    assert found == Signature(inputs="", outputs="", params="", flavors=(), mlflow_version="")
    for size in ("true", "-1", "1.5", "1_0", "0x10", "'7'", "[7]", "9" * 5_000, "null"):
        found = parse_mlmodel(f"model_size_bytes: {size}".encode())
        assert found is not None and found.size is None, size
    for version, said in (("3.10", "3.10"), ("'3'", "3"), ("[3]", ""), ("{3: 1}", ""), ("~", "")):
        found = parse_mlmodel(f"mlflow_version: {version}".encode())
        assert found is not None and found.mlflow_version == said


class _Client:
    """Gives one MLmodel file."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def artifact_head(self, owner: str, ref: str, *, most: int) -> ArtifactPart:
        assert (owner, ref) == ("m-1", "MLmodel")
        return ArtifactPart(data=self.data[:most], total=len(self.data))


async def test_it_is_read_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def parsed(data: bytes) -> Signature | None:
        threads.append(threading.current_thread())
        return parse_mlmodel(data)

    monkeypatch.setattr(reading, "parse_mlmodel", parsed)
    version = ModelVersion(name="ranker", version="1", source="models:/m-1")
    found = await reading.signature(_Client(FILE.encode()), version)
    assert found is not None and found.size == 4102
    # The part of a larger one that is read might be YAML too.
    assert await reading.signature(_Client(f"{FILE}# {'x' * LARGEST}".encode()), version) is None
    assert len(threads) == 2 and threading.main_thread() not in threads


@given(hostile, st.binary(max_size=300))
def test_hostile_files_are_harmless(text: str, data: bytes) -> None:
    parse_mlmodel(data)
    found = parse_mlmodel(f"signature:\n  inputs: {json.dumps(text)}".encode())
    if found is not None:
        assert clean(found.inputs) == found.inputs
    assert all(clean_line(each) == each for each in columns(text))
    assert all(clean_line(each) == each for each in columns(json.dumps([{"name": text}])))
