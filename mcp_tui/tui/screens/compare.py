"""Some runs side by side: what differs first, the best of each row marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual.binding import BindingType

from mcp_tui.domain import compare as compared
from mcp_tui.domain.curvenames import machine_name
from mcp_tui.domain.direction import Direction
from mcp_tui.domain.figures import signed
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.model_curves import Compared
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.together import Looked, titled
from mcp_tui.tui.screens.widetable import WideTable
from mcp_tui.tui.widerows import WideRow

BEST = " *"
"""Behind the best of a row: a sign beside the colour."""

FRESH = 10.0
"""Seconds after which runs that run are read again."""

_LONGEST = 200
_WORDS = {
    Direction.HIGHER: "higher is better",
    Direction.LOWER: "lower is better",
    Direction.NEITHER: "neither way is known to be better",
}


class CompareScreen(WideTable, inherit_bindings=False):
    """The comparison of some runs."""

    VIEW: ClassVar[str] = "compare"
    KIND: ClassVar[str] = "compare"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("compare")

    def __init__(self, looked: Looked) -> None:
        super().__init__(looked)
        self.found: Compared | None = None
        self.comparison: compared.Comparison | None = None
        self.everything = False
        self._by_key: dict[str, compared.Row] = {}
        self._read_at = 0.0

    async def load(self) -> None:
        """The runs, and what differs between them."""
        first, asked = self.comparison is None, self.looked.baseline
        self.found = await self.evidence.compare(self.looked.references, asked, again=not first)
        self._read_at = self.console.state.now
        self.based(asked, self.found.baseline)
        self.comparison = compared.compare(self.found.runs, directions=self.found.directions)
        self.everything = self.everything or len(self.found.runs) == 1
        labels = [head.label for head in self.comparison.runs]
        self.looked.title = titled(labels, len(labels))
        self.draw()
        if first and not self.looked.baseline:
            # Asked of the registry: what is known stands there meanwhile.
            champion = await self.evidence.champion(self.looked.references)
            if champion and not self.looked.baseline:
                self.looked.baseline = champion
                self.draw()

    def sync(self) -> None:
        """Runs that run are read again now and then."""
        super().sync()
        running = self.found is not None and any(not run.is_over for run in self.found.runs)
        due = self.console.state.now - self._read_at >= FRESH
        # Asked anew while it is waited for, a slow server would never get to answer.
        if running and due and not self.fetching:
            self._read_at = self.console.state.now
            self.fetch()

    @property
    def base(self) -> int | None:
        """The place of the run that others are held against."""
        keys = self.found.keys if self.found is not None else ()
        return keys.index(self.looked.baseline) if self.looked.baseline in keys else None

    def draw(self) -> None:
        """Show what there is now."""
        if self.comparison is None:
            return
        base = self.base
        rows = self.comparison.shown(everything=self.everything)
        self._by_key = {f"{row.section}/{row.name}": row for row in rows}
        self.rows.note = (
            "the runs say the same of everything; 0 shows it"
            if not self.everything
            else "these runs logged nothing",
        )
        self.rows.show(
            [head.label for head in self.comparison.runs],
            [_wide(key, row, base) for key, row in self._by_key.items()],
            fixed=base,
        )
        self.settle()

    def counts(self) -> Sequence[Cell]:
        """How many rows are shown of how many, and how many runs are beside."""
        if self.comparison is None:
            return ()
        shown, every = len(self._by_key), len(self.comparison.rows)
        what = f"{every:,} rows" if self.everything else f"{shown:,} of {every:,} rows differ"
        left, _ = self.rows.hidden
        return (Cell(f"{left} runs < ", "attention"), Cell(what)) if left else (Cell(what),)

    def reference(self, place: int) -> str:
        """The run of a column."""
        assert self.found is not None
        return self.found.keys[place]

    # -- a row ------------------------------------------------------------------------------

    def lines_of(self, key: str) -> Sequence[Line]:
        """The run of the column in full, and how far it is from the baseline."""
        row, at = self._by_key.get(key), self.rows.at
        if row is None or self.comparison is None:
            return ()
        lines: list[Line] = [(Cell(f"{row.section} {row.name}", "strong"), *_told(row))]
        label = self.comparison.runs[at].label
        text = row.texts[at]
        said = "not logged" if text is None else clean_line(text, limit=1_000)
        lines.append((Cell(f"{label}: ", "dim"), Cell(said, "dim" if text is None else "")))
        base = self.base
        if base is not None and base != at:
            theirs = row.texts[base]
            shown = "not logged" if theirs is None else clean_line(theirs, limit=1_000)
            name = self.comparison.runs[base].label
            lines.append((Cell(f"{name} (baseline): ", "dim"), Cell(shown), *_away(row, at, base)))
        return lines

    def whole(self, key: str) -> Sequence[Line]:
        """Every run's text in full."""
        row = self._by_key.get(key)
        if row is None or self.comparison is None:
            return ()
        lines: list[Line] = [(Cell(f"{row.section} {row.name}", "strong"), *_told(row)), ()]
        for at, (head, text) in enumerate(zip(self.comparison.runs, row.texts, strict=True)):
            best = at in row.best
            said = "not logged" if text is None else text
            lines.append(
                (
                    Cell(f"{head.label}: ", "heading"),
                    Cell(said, "dim" if text is None else "done" if best else ""),
                    *((Cell(" (best)", "done"),) if best else ()),
                )
            )
        return lines

    # -- keys -------------------------------------------------------------------------------

    def action_baseline(self) -> None:
        """The run of this column is what others are held against, or none is."""
        if not self.is_empty:
            self.toggle_baseline()
            self.draw()

    def action_all(self) -> None:
        """All rows, or only those that differ."""
        self.everything = not self.everything
        self.draw()

    def action_metrics(self) -> None:
        """The curves of the metric under the cursor."""
        row = self._by_key.get(self.table.cursor_key or "")
        if row is None or not row.values:
            self.say("not a metric: its curves are shown for a metric's row")
            return
        self.looked.metrics = (row.name,)
        self.go_to("curves")

    def action_scatter(self) -> None:
        """The row under the cursor against the other kind."""
        row = self._by_key.get(self.table.cursor_key or "")
        if row is not None and row.section is compared.Section.PARAM:
            self.looked.param = row.name
        elif row is not None and row.values:
            self.looked.metric = row.name
        self.go_to("scatter")

    def export(self, name: str) -> str:
        """By the ending of the name: CSV, JSON or Markdown."""
        assert self.comparison is not None
        if name.endswith(".json"):
            document = compared.as_document(self.comparison, everything=self.everything)
            return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
        if name.endswith((".md", ".markdown")):
            return compared.as_markdown(self.comparison, everything=self.everything)
        if name.endswith(".csv"):
            return compared.as_csv(self.comparison, everything=self.everything)
        raise UsageError("it is saved as .csv, .json or .md", where=clean_line(name, limit=80))


def _wide(key: str, row: compared.Row, base: int | None) -> WideRow:
    """A row of the table: signs for the best, dim where it says what the baseline says."""
    blank = "  " if row.best else ""

    def cell(at: int) -> Cell:
        text = row.texts[at]
        if text is None:
            return Cell(f"-{blank}", "dim")
        if at in row.best:
            return Cell(f"{text[:_LONGEST]}{BEST}", "done")
        same = base is not None and at != base and text == row.texts[base]
        return Cell(f"{text[:_LONGEST]}{blank}", "dim" if same else "")

    # As wide as it is with a sign behind it.
    texts = ["-" if text is None else f"{text[:_LONGEST]}{blank}" for text in row.texts]
    name = machine_name(row.name) if row.section is compared.Section.SYSTEM else row.name
    return WideRow(key, row.section.value, name, texts, cell)


def _told(row: compared.Row) -> tuple[Cell, ...]:
    return (Cell(f"  {_WORDS[row.direction]}", "dim"),) if row.values else ()


def _away(row: compared.Row, at: int, base: int) -> tuple[Cell, ...]:
    """How far a metric is from the baseline's."""
    if not row.values:
        return ()
    mine, theirs = row.values[at], row.values[base]
    if mine is None or theirs is None or mine != mine or theirs != theirs:  # noqa: PLR0124  # NaN
        return ()
    share = f" ({signed((mine - theirs) / abs(theirs) * 100)} %)" if theirs else ""
    return (Cell(f"  {signed(mine - theirs)}{share}", "strong"),)
