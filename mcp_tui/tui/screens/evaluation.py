"""Candidates beside the champion: figures, what of a difference is more than noise, gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
from textual.binding import BindingType

from mcp_tui.domain import evaltable
from mcp_tui.domain.figures import signed
from mcp_tui.domain.gates import GateResult, GateStatus, documents
from mcp_tui.domain.noise import ONE_FIGURE, Difference, Verdict
from mcp_tui.domain.runfacts import number
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError
from mcp_tui.tui.model import Cell, Line, Tone
from mcp_tui.tui.model_curves import Evaluated
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.together import Looked, titled
from mcp_tui.tui.screens.viewer import ViewScreen
from mcp_tui.tui.screens.widetable import WideTable
from mcp_tui.tui.widerows import NARROW, WideRow, WideRows
from mcp_tui.tui.widgets.surface import signs_of

_TONES: dict[Verdict, Tone] = {
    Verdict.BETTER: "done",
    Verdict.WORSE: "failed",
    Verdict.WITHIN_NOISE: "dim",
    Verdict.SAME: "dim",
    Verdict.CANNOT_TELL: "",
}
_GATES: dict[GateStatus, tuple[str, Tone]] = {
    GateStatus.PASSED: ("done", "done"),
    GateStatus.FAILED: ("failed", "failed"),
    GateStatus.CANNOT_TELL: ("stalled", "attention"),
}
_ORDER = (GateStatus.FAILED, GateStatus.CANNOT_TELL, GateStatus.PASSED)


class EvaluationScreen(WideTable, inherit_bindings=False):
    """The evaluation of some runs."""

    VIEW: ClassVar[str] = "evaluation"
    KIND: ClassVar[str] = "evaluation"
    widest = 24
    BINDINGS: ClassVar[list[BindingType]] = bindings_for("evaluation")

    def __init__(self, looked: Looked) -> None:
        super().__init__(looked)
        self.rows = self.table.model = WideRows(about=5)
        self.found: Evaluated | None = None
        self._figures: dict[str, evaltable.EvalRow] = {}
        self._gates: dict[str, list[GateResult | None]] = {}

    async def load(self) -> None:
        """What the runs' evaluations left."""
        asked = self.looked.baseline
        self.found = await self.evidence.evaluate(self.looked.references, asked)
        if asked and self.found.keys:
            self.based(asked, self.found.keys[0])
        candidates = [c.label for c in self.found.table.columns if c.role != "champion"]
        if candidates:
            self.looked.title = titled(candidates, len(candidates))
        self.draw()

    def draw(self) -> None:
        """Show what there is now: gates, the worst first, then figures, then classes."""
        found = self.found
        if found is None:
            return
        table = found.table
        before = [None] * (len(table.columns) - len(found.gates))
        each = zip(*found.gates, strict=True) if found.gates else ()
        self._gates = {
            f"gate/{n}": [*before, *results] for n, results in enumerate(sorted(each, key=_worst))
        }
        self._figures = {row.key: row for row in table.rows}
        rows = [self._gate_row(key, results) for key, results in self._gates.items()]
        short = self.size.width < NARROW
        rows += [_figure_row(row, short=short) for row in table.rows]
        self.rows.note = ("no figures of an evaluation are logged in these runs",)
        champion = next((n for n, c in enumerate(table.columns) if c.role == "champion"), None)
        self.rows.show([column.label for column in table.columns], rows, fixed=champion)
        if champion is not None and self.rows.at == champion and len(table.columns) > 1:
            self.rows.across(1)
        self.settle()

    def _gate_row(self, key: str, results: Sequence[GateResult | None]) -> WideRow:
        signs = signs_of(self.app)
        cells: list[Cell] = []
        rule = ""
        for result in results:
            if result is None:
                cells.append(Cell(""))
                continue
            rule = result.gate.rule
            state, tone = _GATES[result.status]
            known = result.status is not GateStatus.CANNOT_TELL
            told = f" {_short(result.found)}" if known else ""
            cells.append(Cell(f"{signs.state(state)} {result.status}{told}", tone))
        return WideRow(key, "gate", clean_line(rule, limit=200), *_made(cells))

    def counts(self) -> Sequence[Cell]:
        """How the gates stand."""
        results = [r for one in self.found.gates for r in one] if self.found is not None else []
        cells: list[Cell] = []
        for status in _ORDER:
            count = sum(result.status is status for result in results)
            if count:
                cells.append(Cell(f"{count} {status}  ", _GATES[status][1]))
        return cells or ([] if self.found is None else [Cell("no gates", "dim")])

    def reference(self, place: int) -> str:
        """The run of a column."""
        assert self.found is not None
        return self.found.keys[place]

    # -- a row ------------------------------------------------------------------------------

    def lines_of(self, key: str) -> Sequence[Line]:
        """What is said of the row for the run of the column, then of the whole."""
        if self.found is None:
            return ()
        at = self.rows.at
        column = self.found.table.columns[at]
        lines: list[Line] = []
        if key in self._gates:
            result = self._gates[key][at]
            if result is not None:
                _, tone = _GATES[result.status]
                lines.append(
                    (Cell(f"{column.label}: ", "dim"), Cell(f"{result.status}: ", tone),
                     Cell(result.message))
                )  # fmt: skip
                if result.gate.why:
                    lines.append((Cell(f"why it is asked for: {result.gate.why}", "dim"),))
        else:
            row = self._figures[key]
            lines.append((Cell(f"{column.label}: ", "dim"), *_said(row, at)))
            if row.notes[at]:
                lines.append((Cell(f"disputed: {row.notes[at]}", "attention"),))
            elif row.sources[at]:
                lines.append((Cell(f"from {row.sources[at]}", "dim"),))
        champion = self.found.champion
        lines.append(
            (Cell(f"champion: {champion}", "dim"),)
            if champion
            else (Cell("no champion is known: b holds the others against this run", "attention"),)
        )
        return lines

    def whole(self, key: str) -> Sequence[Line]:
        """The row for every run."""
        assert self.found is not None
        lines: list[Line] = [(Cell(clean_line(self.rows.name_of(key), limit=200), "strong"),), ()]
        for at, column in enumerate(self.found.table.columns):
            role = f" ({column.role})" if column.role == "champion" else ""
            head = Cell(f"{column.label}{role}: ", "heading")
            if key in self._gates:
                result = self._gates[key][at]
                if result is not None:
                    tone = _GATES[result.status][1]
                    lines.append((head, Cell(f"{result.status}: ", tone), Cell(result.message)))
                continue
            row = self._figures[key]
            lines.append((head, *_said(row, at)))
            if row.sources[at]:
                lines.append((Cell(f"  from {row.sources[at]}", "dim"),))
            if row.notes[at]:
                lines.append((Cell(f"  disputed: {row.notes[at]}", "attention"),))
        return lines

    # -- keys -------------------------------------------------------------------------------

    def action_points(self) -> None:
        """All that is said: every gate, what cannot be told and why, what could not be read."""
        if self.found is None:
            return
        lines: list[Line] = []
        for key in self._gates:
            lines += [*self.whole(key), ()]
        table = self.found.table
        candidates = [c for c in table.columns if c.role != "champion"]
        for column, told in zip(candidates, table.differences, strict=False):
            for why in _reasons(told):
                lines.append(
                    (Cell(f"{column.label}: ", "heading"), Cell(f"noise cannot be told: {why}"))
                )
        lines += [(Cell(problem, "attention"),) for problem in table.problems]
        if not lines:
            lines = [(Cell("no gates are configured, and nothing is in doubt", "dim"),)]
        self.app.push_screen(ViewScreen((*self.crumbs(), "in words"), lines))

    def export(self, name: str) -> str:
        """By the ending of the name: CSV, JSON or Markdown."""
        assert self.found is not None
        table = self.found.table
        if name.endswith(".json"):
            gates = [documents(one) for one in self.found.gates]
            document = {**evaltable.as_document(table), "gates": gates}
            return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
        if name.endswith((".md", ".markdown")):
            return evaltable.as_markdown(table)
        if name.endswith(".csv"):
            return evaltable.as_csv(table)
        raise UsageError("it is saved as .csv, .json or .md", where=clean_line(name, limit=80))


def _worst(results: Sequence[GateResult]) -> int:
    return min(_ORDER.index(result.status) for result in results)


def _made(cells: Sequence[Cell]) -> tuple[Sequence[str], Callable[[int], Cell]]:
    """Of cells, their texts and how one is had."""
    return [cell.text for cell in cells], cells.__getitem__


def _short(found: str) -> str:
    """What a gate saw, to four digits: ``horse 0.887``."""
    name, _, text = found.partition(" (")[0].partition(",")[0].rpartition(" ")
    try:
        return f"{name} {number(float(text))}".strip()
    except ValueError:
        return clean_line(found, limit=40)


def _figure_row(row: evaltable.EvalRow, *, short: bool) -> WideRow:
    cells: list[Cell] = []
    marks = bool(row.best)
    for at, text in enumerate(row.texts):
        mark = (" *" if at in row.best else "  ") if marks else ""
        if text is None:
            cells.append(Cell(f"-{mark}", "dim"))
            continue
        difference = row.differences[at]
        told, tone = _verdict(difference, short=short)
        disputed = "!" if row.notes[at] else ""
        if not tone and at in row.best:
            tone = "done"
        cells.append(Cell(f"{text}{disputed}{told}{mark}", tone))
    about = {"figure": "", "class": "class", "metric": "metric"}[row.group]
    return WideRow(row.key, about, f"{row.title} {row.unit}".strip(), *_made(cells))


def _verdict(difference: Difference | None, *, short: bool) -> tuple[str, Tone]:
    """Behind a figure: ``+0.021 better``, ``within noise``, or ``+0.021 ?``; short: the word."""
    if difference is None or difference.delta is None:
        return "", ""
    verdict = difference.verdict
    if verdict is Verdict.CANNOT_TELL:
        return " ?" if short else f" {signed(difference.delta)} ?", ""
    if verdict in (Verdict.WITHIN_NOISE, Verdict.SAME):
        return f" {verdict}", _TONES[verdict]
    away = "" if short else f" {signed(difference.delta)}"
    return f"{away} {verdict}", _TONES[verdict]


def _said(row: evaltable.EvalRow, at: int) -> tuple[Cell, ...]:
    """A figure and its difference in full."""
    text = row.texts[at]
    if text is None:
        return (Cell("not logged", "dim"),)
    cells = [Cell(f"{text} {row.unit}".strip())]
    if at in row.best:
        cells.append(Cell(" (best)", "done"))
    difference = row.differences[at]
    if difference is not None:
        cells.append(Cell(f"  {difference.text()}", _TONES[difference.verdict]))
    return tuple(cells)


def _reasons(told: object) -> list[str]:
    differences = told.values() if isinstance(told, dict) else ()
    return list(
        dict.fromkeys(
            each.reason
            for each in differences
            if each.verdict is Verdict.CANNOT_TELL
            and each.delta is not None
            and each.reason != ONE_FIGURE
        )
    )
