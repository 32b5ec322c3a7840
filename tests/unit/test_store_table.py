"""The store's table: keyed diffs, one notice a batch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.store.table import Change, Table

Batch = tuple[dict[str, int], set[str]]
BATCHES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3)),
        st.sets(st.sampled_from("abcdef")),
    )
)


@given(BATCHES)
def test_changes_are_exactly_what_changed(batches: list[Batch]) -> None:
    table: Table[int] = Table()
    model: dict[str, int] = {}
    for upserts, removes in batches:
        before, version = dict(model), table.version
        heard: list[Change] = []
        stop = table.listen(heard.append)
        change = table.apply(upserts, removes)
        stop()
        for key in removes - set(upserts):
            model.pop(key, None)
        model.update(upserts)
        assert dict(table.rows()) == model
        assert change.added == model.keys() - before.keys()
        assert change.removed == before.keys() - model.keys()
        kept = model.keys() & before.keys()
        assert change.changed == {k for k in kept if model[k] != before[k]}
        assert heard == ([change] if change else [])
        assert table.version == version + bool(change)
