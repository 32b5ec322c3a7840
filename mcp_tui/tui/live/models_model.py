"""The Models pane's list: the registries of the open contexts, as far as they were read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from mcp_tui.domain.modelrow import ModelRow, RunRow, VersionRow, aliases_of
from mcp_tui.domain.pattern import PatternError, pattern
from mcp_tui.domain.reltime import age
from mcp_tui.domain.tree import Node
from mcp_tui.tui.cells import tailored
from mcp_tui.tui.model import Cell, Column, Phase, RowView, Tone
from mcp_tui.tui.model_models import Subject
from mcp_tui.tui.treerows import TreeRows

COLUMNS: Final[tuple[Column, ...]] = (
    Column("name", "NAME", 20, 48, priority=0, kind="name", comfort=26),
    Column("context", "CONTEXT", 4, 16, priority=3, kind="name", sortable=False, comfort=8,
           short="CTX"),
    Column("aliases", "ALIASES", 10, 36, priority=1, sortable=False, comfort=22),
    Column("served", "SERVED BY", 10, 44, priority=2, sortable=False, comfort=32),
    Column("run", "RUN", 17, 18, priority=5, sortable=False),
    Column("approvals", "APPROVALS", 8, 9, priority=4, sortable=False, short="APPR"),
    Column("since", "UPDATED", 7, 7, align="right", priority=3),
    Column("about", "ABOUT", 8, 0, priority=6, sortable=False, comfort=24),
)  # fmt: skip
_RUN_TONES: Final[Mapping[str, Tone]] = {
    "failed": "failed", "killed": "failed", "running": "running", "finished": "", "gone": "dim",
    "deleted": "dim",
}  # fmt: skip


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One row: of a model, or of one of its versions."""

    context: str
    model: ModelRow
    version: VersionRow | None = None
    run: RunRow | None = None
    served: str = ""
    approvals: str = ""

    @property
    def key(self) -> str:
        """What tells it from all others."""
        base = f"{self.context}/{self.model.name}"
        return f"{base}\t{self.version.version}" if self.version is not None else base

    @property
    def aliases(self) -> tuple[str, ...]:
        """Of a version, those that point to it; of a model, all with their versions."""
        if self.version is not None:
            return aliases_of(self.model.aliases, self.version.version)
        return tuple(f"{alias} {version}" for alias, version in self.model.aliases)

    @property
    def run_words(self) -> str:
        """``7be2f1a0 finished``."""
        if self.version is None or not self.version.run_id:
            return ""
        state = self.run.status if self.run is not None else ""
        return f"{self.version.run_id[:8]} {state}".rstrip()

    @property
    def failed(self) -> bool:
        """Whether MLflow says that it could not be registered."""
        return self.version is not None and self.version.status.startswith("failed")


class ModelsModel(TreeRows[Item]):
    """Implements :class:`mcp_tui.tui.model_models.ModelsList`.

    Args:
        status: The phase, and the lines shown in place of rows.
        stale: Whether a context's registry is silent.
        unfolded: Told of a model that was opened, or (False) closed.
        sorted_by: Told of another order.
    """

    own_order = "by name"

    def __init__(
        self,
        status: Callable[[], tuple[Phase, tuple[str, ...]]],
        stale: Callable[[str], bool],
        unfolded: Callable[[Subject, bool], None],
        sorted_by: Callable[[str, bool], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(COLUMNS)
        self._status = status
        self._stale = stale
        self._unfolded = unfolded
        self._sorted_by = sorted_by
        self._wall = wall
        self._sort = ("", False)
        self._faults = False
        self._several = False
        self._tops: list[Item] = []
        self.more = False
        self._widest: dict[str, int] = {}
        self.scope(contexts=1)

    # -- what is read -----------------------------------------------------------------------

    def scope(self, *, contexts: int) -> None:
        """What is looked at; all rows go."""
        self._several = contexts > 1
        self._tops = []
        self._faulty: dict[str, str] = {}
        self.put_all(())
        self._widest = dict.fromkeys((c.id for c in COLUMNS), 0) | {"since": 5, "served": 9}
        self._choose_columns()

    def put_models(self, items: Iterable[Item], *, more: bool) -> None:
        """Show these models; those of them that stay keep their versions."""
        found = list(items)
        self.more = more
        if found == self._tops:
            return
        before = self.tree.version
        if [i.key for i in found] == [i.key for i in self._tops]:
            for item, old in zip(found, self._tops, strict=True):
                if item is not old:
                    self.tree.update(item.key, item)
        else:
            self.put_children("", [Node(i.key, i, branch=True) for i in found])
        self._tops = found
        self._sift(before)
        self._measure(found)

    def put_versions(self, model: Item, items: Sequence[Item], *, more: bool, fault: str) -> None:
        """Show the versions of a model that is open."""
        key = model.key
        self._faulty.pop(key, None)
        if fault and not items:
            self._faulty[key] = fault
            self.tree.say(key, "cannot be had")
            return
        del more
        nodes = [Node(i.key, i, key) for i in items]
        before = self.tree.version
        there = self.tree.children(key)
        if there is not None and list(there) == [n.key for n in nodes]:
            for item in items:
                if self.item_of(item.key) != item:
                    self.tree.update(item.key, item)
        else:
            self.put_children(key, nodes)
        self._sift(before)
        self._measure(items)

    def _sift(self, before: int) -> None:
        """Show what passes now, where rows came, or are no longer as they were."""
        if (self.filter or self._faults) and self.tree.version != before:
            self._apply()

    def _measure(self, items: Iterable[Item]) -> None:
        """Columns grow with what stands in them, and never shrink."""
        widest, grown = self._widest, False
        for item in items:
            for column, width in (
                ("name", len(self._cell("name", item).text) + (2 if item.version is None else 6)),
                ("context", len(item.context)),
                ("aliases", len(", ".join(item.aliases))),
                ("served", len(item.served)),
                ("run", len(item.run_words)),
                ("approvals", len(item.approvals)),
                ("about", len(self._about(item))),
            ):
                if width > widest[column]:
                    widest[column], grown = width, True
        if grown:
            self._choose_columns()

    def _choose_columns(self) -> None:
        hidden = set() if self._several else {"context"}
        if not self._widest["approvals"]:
            hidden.add("approvals")  # the tier asks for none
        self.columns = tailored([c for c in COLUMNS if c.id not in hidden], self._widest)
        self._name = next(n for n, c in enumerate(self.columns) if c.id == "name")

    # -- what a row shows -------------------------------------------------------------------

    def cells(self, item: Item) -> tuple[Cell, ...]:
        """A cell for each column."""
        return tuple(self._cell(column.id, item) for column in self.columns)

    def _cell(self, column: str, item: Item) -> Cell:
        version = item.version
        match column:
            case "name":
                if version is None:
                    return Cell(item.model.shown, "strong")
                unready = f", {version.status.partition('_')[0]}" if version.status else ""
                return Cell(f"version {version.version}{unready}", "failed" if item.failed else "")
            case "context":
                return Cell(item.context, "dim" if version is not None else "")
            case "aliases":
                return Cell(", ".join(item.aliases), "accent" if version is not None else "")
            case "served":
                return Cell(item.served)
            case "run":
                tone = _RUN_TONES.get(item.run.status, "") if item.run is not None else ""
                return Cell(item.run_words, tone)
            case "approvals":
                return Cell(item.approvals)
            case "since":
                at = version.updated if version is not None else item.model.updated
                return Cell(age(self._wall() - at) if at else "", "dim")
            case _:
                return Cell(self._about(item), "failed" if item.failed else "dim")

    @staticmethod
    def _about(item: Item) -> str:
        if item.version is None:
            return item.model.about
        return "; ".join(filter(None, (item.version.status.replace("_", " "), item.version.about)))

    def text(self, item: Item) -> str:
        """What it is called."""
        if item.version is not None:
            return f"{item.model.shown}/{item.version.version}"
        return item.model.shown

    def searched(self, item: Item) -> str:
        """What a filter looks at."""
        marks = [f"alias={each}" for each in item.aliases]
        parts = (self.text(item), *marks, item.run_words, item.served, self._about(item))
        return "  ".join(parts)

    def state(self, item: Item) -> str:
        """Only a failure is a state of a version."""
        return "failed" if item.failed else ""

    def row(self, index: int) -> RowView:
        """The row at a place, dimmed where its registry is silent."""
        row = super().row(index)
        item = self.item_of(row.key)
        if item is None and row.key.removesuffix("\n") in self._faulty:
            # Why is too long for a name's column.
            why = Cell(self._faulty[row.key.removesuffix("\n")], "attention")
            told = ("aliases", "about") if len(self.columns) > 1 else ()
            cells = (
                why if column.id in told else cell
                for column, cell in zip(self.columns, row.cells, strict=True)
            )
            return RowView(row.key, tuple(cells), row.state)
        stale = item is not None and self._stale(item.context)
        return RowView(row.key, row.cells, row.state, stale) if stale else row

    # -- what the screen asks ---------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """Loading until a first page is there."""
        return "ready" if self._tops else self._status()[0]

    @phase.setter
    def phase(self, value: Phase) -> None:
        """It follows from what was read."""

    @property
    def note(self) -> tuple[str, ...]:
        """What is shown in place of rows."""
        if self._tops and not self.count:
            return (f"no row passes the filter; {self.total:,} are hidden, Esc clears it",)
        return self._status()[1]

    @note.setter
    def note(self, value: tuple[str, ...]) -> None:
        """It follows from what was read."""

    @property
    def summary(self) -> str:
        """``300+ models``."""
        count = len(self._tops)
        return f"{count:,}{'+' if self.more else ''} model{'' if count == 1 else 's'}"

    @property
    def sort(self) -> tuple[str, bool]:
        """The column, and whether it is reversed."""
        return self._sort

    def set_sort(self, column_id: str, reverse: bool) -> None:
        """The server sorts all of them; versions stay newest first."""
        if column_id in ("", "name", "since") and (column_id, reverse) != self._sort:
            self._sort = (column_id, reverse)
            self._sorted_by(column_id, reverse)

    @property
    def faults(self) -> bool:
        """Whether only what could not be registered, or whose run failed, is shown."""
        return self._faults

    def set_faults(self, on: bool) -> None:
        """Show only those, or all again."""
        if on != self._faults:
            self._faults = on
            self._apply()

    def set_filter(self, text: str) -> str:
        """Words, ``!not``, ``alias=champion``, ``/regex/``; an error changes nothing."""
        for word in text.split():
            bare = word.removeprefix("!")
            if _is_regex(bare):
                try:
                    pattern(bare[1:-1], ignore_case=True)
                except PatternError as error:
                    return error.line()
        self.filter = text.strip()
        self._apply()
        return ""

    def _apply(self) -> None:
        words = self.filter.split()
        if not words and not self._faults:
            self.tree.show_only(None)
            return
        tests = [_test(word) for word in words]

        def fits(item: Item) -> bool:
            if self._faults and not (item.failed or _run_failed(item)):
                return False
            text = self.searched(item)
            return all(test(text) for test in tests)

        nodes = [self.tree.get(key) for key in self.tree]
        self.tree.show_only(n.key for n in nodes if n is not None and fits(n.item))

    def subject(self, key: str) -> Subject | None:
        """What a row is about."""
        item = self.item_of(key)
        if item is None:
            return None
        version, run_id = "", ""
        if item.version is not None:
            version, run_id = item.version.version, item.version.run_id
        return Subject(item.context, item.model.name, item.model.shown, version, run_id)

    def is_branch(self, key: str) -> bool:
        """Whether a row holds others."""
        return self.tree.is_branch(key)

    def is_open(self, key: str) -> bool:
        """Whether those are shown."""
        return self.tree.is_open(key)

    def unfold(self, key: str) -> None:
        """Show the versions of a model."""
        subject = self.subject(key)
        if subject is not None and self.tree.is_branch(key):
            self.tree.open(key, note="asking")
            self._unfolded(subject, True)

    def fold(self, key: str) -> None:
        """Hide them, and let go of them."""
        subject = self.subject(key)
        if subject is not None and self.tree.is_open(key):
            self.tree.forget_children(key)
            self._unfolded(subject, False)

    def holder(self, key: str) -> str | None:
        """The row that holds a row."""
        bare = key.removesuffix("\n")
        if bare != key:
            return bare
        path = self.tree.path(key)
        return path[-1] if path else None


def _is_regex(word: str) -> bool:
    return len(word) > 2 and word[0] == word[-1] == "/"


def _test(word: str) -> Callable[[str], bool]:
    negative = word.startswith("!") and len(word) > 1
    bare = word[1:] if negative else word
    if _is_regex(bare):
        wanted = pattern(bare[1:-1], ignore_case=True)
        return lambda text: wanted.found(text) != negative
    lowered = bare.casefold()
    return lambda text: (lowered in text.casefold()) != negative


def _run_failed(item: Item) -> bool:
    return item.run is not None and item.run.status in ("failed", "killed")
