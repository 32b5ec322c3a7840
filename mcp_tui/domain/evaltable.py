"""Candidates side by side, the champion's column first: what a release review reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.domain.direction import Direction, Directions, best_of
from mcp_tui.domain.evalnames import FIGURES
from mcp_tui.domain.evaluation import Evaluation
from mcp_tui.domain.figures import figures, signed
from mcp_tui.domain.noise import OF_MACHINES, Difference, Verdict, differences, of, other_data
from mcp_tui.domain.tabular import Cell, to_csv, to_markdown
from mcp_tui.domain.text import clean_line

MISSING: Final = "-"


class EvalColumn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run; ``role`` is ``champion``, ``candidate``, or empty where there is no champion."""

    run_id: str
    label: str
    role: str


class EvalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; each tuple has one entry a column.

    Attributes:
        key: What gates call it; ``recall:LABEL`` and its kin for a class.
        group: ``figure``, ``class`` or ``metric`` (one that is none of the usual figures).
        texts: None where a run has no such figure.
        notes: Why a figure is not to be relied on; empty otherwise.
        differences: Against the champion; None in its own column and where there is none.
    """

    key: str
    title: str
    unit: str
    group: str
    direction: Direction
    values: tuple[float | None, ...]
    texts: tuple[str | None, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    differences: tuple[Difference | None, ...]
    best: tuple[int, ...]

    def cell(self, at: int) -> str:
        """What a column says: ``0.931 (best) +0.021 better``."""
        text = self.texts[at]
        if text is None:
            return MISSING
        parts = [text]
        if at in self.best:
            parts.append("(best)")
        if self.notes[at]:
            parts.append("(disputed)")
        difference = self.differences[at]
        if difference is not None and difference.delta is not None:
            known = difference.verdict is not Verdict.CANNOT_TELL
            parts.append(signed(difference.delta))
            if known:
                parts.append(str(difference.verdict))
        return " ".join(parts)


class EvalTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table, and what was found wrong on the way, a line each."""

    columns: tuple[EvalColumn, ...]
    rows: tuple[EvalRow, ...]
    problems: tuple[str, ...]
    differences: tuple[Mapping[str, Difference], ...]


def side_by_side(
    candidates: Sequence[Evaluation],
    champion: Evaluation | None = None,
    *,
    also: Sequence[str] = (),
    directions: Directions | None = None,
) -> EvalTable:
    """Put candidates beside each other and the champion.

    Args:
        candidates: In the order wanted.
        champion: The one that is live; first in the table.
        also: Metrics to show beside the usual figures, by the name they were logged by.
        directions: What the configuration says of metrics.
    """
    directions = directions or Directions()
    every = [*([champion] if champion is not None else []), *candidates]
    against: list[Mapping[str, Difference]] = [
        differences(each, champion, candidates=len(candidates)) if champion is not None else {}
        for each in candidates
    ]
    told: list[Mapping[str, Difference]] = [*([{}] if champion is not None else []), *against]
    plan: list[tuple[str, str, str, str, Direction]] = [
        (f.key, f.title, f.unit, "figure", f.direction)
        for f in FIGURES
        if any(f.key in each.values for each in every)
    ]
    known = {key for key, *_ in plan}
    plan += [
        (name, clean_line(name), "", "metric", directions.of(name))
        for name in dict.fromkeys(also)
        if name not in known and any(name in each.metrics for each in every)
    ]
    labels = dict.fromkeys(label for each in every for label in each.classes)
    plan += [
        (f"{what}:{label}", f"{title} of {label}", "", "class", Direction.HIGHER)
        for what, title in (("recall", "recall"), ("precision", "precision"), ("f1", "F1"))
        for label in labels
    ]
    rows = tuple(_row(entry, every, told) for entry in plan)
    return EvalTable(
        columns=tuple(
            EvalColumn(
                run_id=each.run_id,
                label=each.label,
                role="" if champion is None else "champion" if each is champion else "candidate",
            )
            for each in every
        ),
        rows=rows,
        problems=tuple(f"{each.label}: {line}" for each in every for line in each.problems),
        differences=tuple(against),
    )


def _row(
    entry: tuple[str, str, str, str, Direction],
    every: Sequence[Evaluation],
    told: Sequence[Mapping[str, Difference]],
) -> EvalRow:
    key, title, unit, group, direction = entry
    found = [of(each, key) for each in every]
    values = tuple(None if value is None else value.number for value in found)
    # What was measured on other data, or is disputed, is neither the best nor worse than another.
    splits = {value.split for value in found if value is not None and value.split}
    other = not key.startswith(OF_MACHINES) and other_data(
        *(each for each, value in zip(every, found, strict=True) if value is not None)
    )
    sound = [value.number if value is not None and not value.disputed else None for value in found]
    return EvalRow(
        key=key,
        title=title,
        unit=unit,
        group=group,
        direction=direction,
        values=values,
        texts=tuple(figures(values)),
        sources=tuple("" if value is None else value.source for value in found),
        notes=tuple("" if value is None else value.disputed for value in found),
        differences=tuple(each.get(key) for each in told),
        best=best_of(sound, direction) if len(splits) < 2 and not other else (),
    )


def as_document(table: EvalTable) -> dict[str, Any]:
    """For JSON: figures with all their digits, differences with what they rest on."""
    return {
        "columns": [msgspec.to_builtins(column) for column in table.columns],
        "rows": [
            {
                "key": row.key,
                "group": row.group,
                "unit": row.unit,
                "direction": row.direction.value,
                "values": list(row.values),
                "sources": list(row.sources),
                "disputed": list(row.notes),
                "best": [table.columns[at].run_id for at in row.best],
                "differences": [
                    None if each is None else msgspec.to_builtins(each) for each in row.differences
                ],
            }
            for row in table.rows
        ],
        "problems": list(table.problems),
    }


def as_csv(table: EvalTable) -> str:
    """For a spreadsheet: a column a run, and beside each candidate's its verdict."""
    head = ["figure", "unit", "direction"]
    for column in table.columns:
        head.append(column.label)
        if column.role == "candidate":
            head.append(f"{column.label} against champion")
    return to_csv(head, (_csv_row(row, table.columns) for row in table.rows))


def _csv_row(row: EvalRow, columns: Sequence[EvalColumn]) -> list[Cell]:
    cells: list[Cell] = [row.key, row.unit, row.direction.value]
    for at, column in enumerate(columns):
        cells.append(row.values[at])
        difference = row.differences[at]
        if column.role == "candidate":
            cells.append(None if difference is None else f"{difference.verdict}"
                         + (f": {difference.reason}" if difference.reason else ""))  # fmt: skip
    return cells


def as_markdown(table: EvalTable) -> str:
    """For a review."""
    head = [""] + [
        f"{column.label} ({column.role})" if column.role else column.label
        for column in table.columns
    ]
    return to_markdown(
        head,
        (
            [f"{row.title} {row.unit}".strip(), *(row.cell(at) for at in range(len(row.values)))]
            for row in table.rows
        ),
    )
