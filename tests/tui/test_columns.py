"""Which columns stand in a row, and how wide: pure functions."""

from __future__ import annotations

from mcp_tui.tui.cells import lay_out, tailored
from mcp_tui.tui.columns import JOB_COLUMNS

WIDEST = {
    "state": 11,
    "context": 0,
    "namespace": 14,
    "name": 47,
    "done": 4,
    "since": 5,
    "owner": 5,
    "queue": 0,
    "accelerators": 4,
    "memory": 6,
    "cpu": 5,
    "commit": 8,
    "run": 8,
    "why": 90,
}


def shown(width: int, **widest: int) -> dict[str, int]:
    columns = [c for c in JOB_COLUMNS if c.id != "context" or widest.get("context")]
    tailor = tailored(columns, {**WIDEST, **widest})
    return {tailor[slot.column].id: slot.width for slot in lay_out(tailor, width)}


def test_at_80_columns_the_namespace_is_there_before_anything_that_can_be_spared() -> None:
    wide = shown(80)
    assert "namespace" in wide and wide["namespace"] >= 9
    assert wide["name"] >= 16 and wide["why"] >= 20


def test_with_several_contexts_rows_can_be_told_apart_at_80_columns() -> None:
    wide = shown(80, context=4)
    assert {"context", "namespace", "name", "since", "why"} <= set(wide)


def test_in_one_namespace_the_cause_has_most_of_80_columns() -> None:
    tailor = tailored([c for c in JOB_COLUMNS if c.id not in {"context", "namespace"}], WIDEST)
    wide = {tailor[slot.column].id: slot.width for slot in lay_out(tailor, 80)}
    assert wide["why"] >= 28 and "done" in wide


def test_columns_that_are_empty_in_all_rows_are_left_out_at_any_width() -> None:
    wide = shown(300, owner=0, accelerators=0)
    assert not {"owner", "queue", "accelerators"} & set(wide)
    assert {"memory", "cpu", "commit", "run"} <= set(wide)


def test_causes_and_names_have_their_comfort_before_extra_columns_come_in() -> None:
    for width in range(60, 260):
        wide = shown(width)
        if {"owner", "accelerators", "memory", "cpu", "commit", "run"} & set(wide):
            assert wide["why"] >= 64 and wide["name"] >= 30


def test_no_column_is_wider_than_what_stands_in_it() -> None:
    wide = shown(300)
    assert wide["name"] == 47 and wide["namespace"] == 14 and wide["owner"] == 5


def test_a_line_is_never_overrun() -> None:
    for width in range(1, 260):
        columns = tailored(JOB_COLUMNS, WIDEST)
        slots = lay_out(columns, width)
        assert all(slot.x + slot.width <= width for slot in slots)
