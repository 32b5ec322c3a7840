"""The difference that a batch makes, for any sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.kube import Job, ObjectMeta
from mcp_tui.sources.kubernetes.known import Batch, Known

_EVENTS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 2), st.integers(1, 9)), max_size=30
)


def job(uid: int, name: int, version: int) -> Job:
    # Each uid has one name for life, as in Kubernetes; three uids share each name over time.
    return Job(
        metadata=ObjectMeta(
            name=f"n{uid % 2}", namespace="d", uid=f"u{uid}", resource_version=str(version)
        )
    )


@given(st.lists(_EVENTS, max_size=6))
def test_a_sink_that_applies_deltas_has_what_is_known(
    batches: list[list[tuple[bool, int, int, int]]],
) -> None:
    known = Known()
    rows: dict[str, Job] = {}
    for events in batches:
        batch: Batch[Job] = Batch(known)
        for gone, uid, name, version in events:
            if gone:
                batch.remove(f"u{uid}")
            else:
                batch.upsert(f"u{uid}", job(uid, name, version), str(version))
        delta = batch.delta()
        if delta is not None:
            upserts = {item.metadata.uid: item for item in delta.upserts}
            assert not upserts.keys() & set(delta.removes)
            assert set(delta.removes) <= rows.keys()
            for uid_ in delta.removes:
                del rows[uid_]
            rows |= upserts
        assert {u: r.metadata.resource_version for u, r in rows.items()} == known.versions()
        names = [row.metadata.name for row in rows.values()]
        assert len(names) == len(set(names)), "two objects of one name"


@pytest.mark.parametrize(("version", "told"), [("1", False), ("2", False), ("", True)])
def test_a_version_is_told_once_and_what_has_none_each_time(version: str, told: bool) -> None:
    known = Known()
    for each in ("1", version, version):
        batch: Batch[Job] = Batch(known)
        batch.upsert("u0", job(0, 0, 1), each)
        last = batch.delta() is not None
    assert last == told


def test_nothing_is_kept_of_what_is_forgotten() -> None:
    known = Known()
    for uid in range(100):
        known.remember(f"u{uid}", job(uid, 0, 1))
    for uid in list(known.versions()):
        known.forget(uid)
    assert len(known) == 0
    assert not known._names


def test_an_empty_batch_says_nothing() -> None:
    assert Batch[Job](Known()).delta() is None
    delta = Batch[Job](Known()).delta(synced=True)
    assert delta is not None
    assert delta.synced
