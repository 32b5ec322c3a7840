"""A job's row as filters see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mcp_tui.domain.job import JobView

_COLUMNS: Final[Mapping[str, Callable[[JobView], str]]] = {
    "state": lambda v: v.state.value,
    "context": lambda v: v.key.context,
    "namespace": lambda v: v.key.namespace,
    "ns": lambda v: v.key.namespace,
    "kind": lambda v: v.key.kind,
    "name": lambda v: v.key.name,
    "owner": lambda v: v.owner,
    "queue": lambda v: v.queue,
    "commit": lambda v: v.commit,
    "branch": lambda v: v.branch,
    "run": lambda v: v.run_id,
    "image": lambda v: v.image,
    "reason": lambda v: v.cause.reason if v.cause is not None else "",
}


class Fields(Mapping[str, str]):
    """The columns by name, and the labels by theirs; made for one look at one of them."""

    __slots__ = ("_view",)

    def __init__(self, view: JobView) -> None:
        self._view = view

    def __getitem__(self, name: str) -> str:
        column = _COLUMNS.get(name)
        return column(self._view) if column is not None else self._view.labels[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._view.labels, **_COLUMNS})

    def __len__(self) -> int:
        return len(self._view.labels.keys() | _COLUMNS.keys())


class Row:
    """What :mod:`mcp_tui.store.select` looks at; its text is made once, when first asked for."""

    __slots__ = ("_haystack", "_lowered", "view")

    def __init__(self, view: JobView) -> None:
        self.view = view
        self._haystack: str | None = None
        self._lowered: str | None = None

    @property
    def haystack(self) -> str:
        """Every text of the row that a user sees, in one line."""
        if self._haystack is None:
            self._haystack = _haystack(self.view)
        return self._haystack

    @property
    def lowered(self) -> str:
        """The same in lower case."""
        if self._lowered is None:
            lowered = self.haystack.lower()
            # Kept once where it is the same, as it mostly is.
            self._lowered = self.haystack if lowered == self.haystack else lowered
        return self._lowered

    @property
    def fields(self) -> Mapping[str, str]:
        """Named texts: columns and labels."""
        return Fields(self.view)


def row_of(view: JobView) -> Row:
    """The texts of a row: the columns by name, and the labels by theirs."""
    return Row(view)


def _haystack(view: JobView) -> str:
    key = view.key
    return " ".join(
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
