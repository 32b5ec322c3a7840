"""A job's row as filters see it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mcp_tui.domain.job import JobView


class Row(msgspec.Struct, frozen=True, gc=False):
    """What :mod:`mcp_tui.store.select` looks at."""

    haystack: str
    fields: Mapping[str, str]


def row_of(view: JobView) -> Row:
    """The texts of a row: the columns by name, and the labels by theirs."""
    key = view.key
    columns = {
        "state": view.state.value,
        "context": key.context,
        "namespace": key.namespace,
        "ns": key.namespace,
        "kind": key.kind,
        "name": key.name,
        "owner": view.owner,
        "queue": view.queue,
        "commit": view.commit,
        "branch": view.branch,
        "run": view.run_id,
        "image": view.image,
        "reason": view.cause.reason if view.cause is not None else "",
    }
    haystack = " ".join(
        (
            view.state.value,
            key.context,
            key.namespace,
            key.kind,
            key.name,
            view.owner,
            view.queue,
            view.commit[:12],
            view.branch,
            view.run_id[:12],
            view.why,
        )
    )
    return Row(haystack, {**view.labels, **columns})
