"""What serves models, for the commands: read once, as text and as data."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcp_tui.cli.output import Printer
from mcp_tui.cli.session import Session
from mcp_tui.cli.settings import asked_namespace
from mcp_tui.store.servedmodels import ServedVersion
from mcp_tui.store.serving import Served, ServingStore
from mcp_tui.store.servingfeed import ServingFeed

_SETTLE: Final = 10.0
_IN_A_CELL: Final = 2
UNKNOWN: Final = "?"
"""Shown where nothing is known to serve and not all was read."""


class ServingNow:
    """What serves now.

    Attributes:
        complete: All was read, so that nothing means that nothing serves.
        notes: What could not be read, each in a line.
    """

    def __init__(self, store: ServingStore, complete: bool, notes: Sequence[str]) -> None:
        self.store = store
        self.complete = complete
        self.notes = tuple(notes)

    def tell(self, printer: Printer) -> None:
        """Say beside the result what is not known."""
        for note in self.notes:
            printer.note(f"what serves is not all known: {note}")

    def cell(self, served: Sequence[Served]) -> str:
        """What serves a version, in a cell."""
        if not served:
            return "" if self.complete else UNKNOWN
        more = len(served) - _IN_A_CELL
        shown = ", ".join(each.short() for each in served[:_IN_A_CELL])
        return f"{shown}, +{more}" if more > 0 else shown

    def model_cell(self, versions: Sequence[ServedVersion]) -> str:
        """What serves a model: ``7: Deployment/ranker 3/3; 6: Rollout/old 1/1``."""
        if not versions:
            return "" if self.complete else UNKNOWN
        return "; ".join(
            f"{each.version or 'no version said'}: {self.cell(each.served)}" for each in versions
        )


async def serving_now(session: Session, args: argparse.Namespace) -> ServingNow:
    """Read what serves in the context, in all namespaces where that is allowed.

    Never raises for what cannot be read: that is noted.
    """
    asked = asked_namespace(args) or None
    store = ServingStore()
    feed = ServingFeed(session.connection, asked, store, fallback=session.namespace)
    feed.start()
    try:
        complete = await feed.settle(_SETTLE)
        notes = list(feed.troubles())
        if not (complete or notes):
            notes = [f"no answer within {_SETTLE:.0f} s"]
        return ServingNow(store, complete, notes)
    finally:
        await feed.stop(forget=False)


def served_document(each: Served) -> Mapping[str, Any]:
    """One server as a script reads it."""
    serving, said = each.serving, each.reference
    return {
        "context": serving.context,
        "kind": serving.kind,
        "namespace": serving.namespace,
        "name": serving.name,
        "state": serving.state.value,
        "ready": serving.ready,
        "desired": serving.desired,
        "named_by": said.how.value,
        "at": said.at,
        "says": said.text,
        "follows_alias": each.follows,
        "guess": each.guess,
        "note": serving.note,
        "why": serving.why,
    }


def served_documents(now: ServingNow, served: Iterable[Served]) -> Mapping[str, Any]:
    """The fields of a version that tell what serves it."""
    return {
        "served_by": [served_document(each) for each in served],
        "served_by_complete": now.complete,
    }


def served_lines(served: Iterable[Served]) -> list[tuple[str, str]]:
    """What serves a version, a line each, as a fact of its page."""
    return [
        ("served by", f"{each.serving.label} in {each.serving.namespace}: {each.serving.stands()}"
                      f"; {each.words()}")
        for each in served
    ]  # fmt: skip
