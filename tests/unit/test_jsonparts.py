"""Parts are found where a parser finds them, at any depth, and in time that grows with the size."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.jsonparts import elements, members

_TEXT = st.text(alphabet=st.one_of(st.characters(), st.sampled_from('"\\[]{},:')), max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)
_STYLES = st.sampled_from([(",", ":"), (" ,\n ", " : ")])


@given(_JSON, _STYLES, st.booleans())
def test_the_parts_are_those_that_a_parser_finds(
    value: Any, style: tuple[str, str], ascii_only: bool
) -> None:
    raw = json.dumps(value, separators=style, ensure_ascii=ascii_only)
    data = f" {raw}\n".encode("utf-8", "surrogatepass")
    if isinstance(value, dict):
        found = {key: _loads(part) for key, part in members(data).items()}
        assert json.dumps(found) == json.dumps(_loads(data))
    elif isinstance(value, list):
        assert json.dumps([_loads(part) for part in elements(data)]) == json.dumps(_loads(data))
    for read, kind in ((members, dict), (elements, list)):
        if not isinstance(value, kind):
            with pytest.raises(ValueError):
                read(data)


def _loads(data: bytes) -> Any:
    return json.loads(data.decode("utf-8", "replace"))


@given(_JSON, st.integers(min_value=0), st.sampled_from([b"", b"]", b"}", b",", b'"', b"x"]))
def test_what_is_cut_off_or_followed_by_something_is_refused(
    value: Any, at: int, more: bytes
) -> None:
    raw = json.dumps([value]).encode()
    cut = raw[: at % len(raw)]
    for data in (cut, *([raw + more] if more else ())):
        with pytest.raises(ValueError):
            elements(data)
    with pytest.raises(ValueError):
        members(b'{"a":' + cut)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1 "b":2}', b"{1:2}", b'{"a":[}}'],
)
def test_what_is_no_object(raw: bytes) -> None:
    with pytest.raises(ValueError):
        members(raw)


def test_no_depth_is_too_deep() -> None:
    deep = b'{"a":[' * 100_000 + b"]}" * 100_000
    assert members(b'{"x":' + deep + b',"y":"z"}') == {"x": deep, "y": b'"z"'}
    assert elements(b"[1," + deep + b"]") == [b"1", deep]


@pytest.mark.parametrize(
    "unit", [b"[", b'{"a":', b'"\\"', b'"a\\"', b'{"a":"b"', b'{"a":"b",', b'{"a":"b"},', b"]"]
)
def test_a_page_of_junk_costs_no_more_than_its_size(unit: bytes) -> None:
    started = time.process_time()
    raw = b"[" + unit * (1_000_000 // len(unit))
    for data in (raw, b'{"a":' + raw):
        for read in (members, elements):
            with pytest.raises(ValueError):
                read(data)
    assert time.process_time() - started < 20
