"""What an MLmodel file says of its model, and what hostile ones do not do."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.mlmodel import LARGEST, columns, parse_mlmodel
from mcp_tui.domain.text import clean, clean_line
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


@given(hostile, st.binary(max_size=300))
def test_hostile_files_are_harmless(text: str, data: bytes) -> None:
    parse_mlmodel(data)
    found = parse_mlmodel(f"signature:\n  inputs: {json.dumps(text)}".encode())
    if found is not None:
        assert clean(found.inputs) == found.inputs
    assert all(clean_line(each) == each for each in columns(text))
    assert all(clean_line(each) == each for each in columns(json.dumps([{"name": text}])))
