"""A plan as lines, and the box that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from mcp_tui.actions.template import words
from mcp_tui.domain.plan import CheckStatus, Plan
from mcp_tui.tui.cells import fit
from mcp_tui.tui.model import Cell, Line, Tone
from mcp_tui.tui.widgets.logview import wrap_cells
from mcp_tui.tui.widgets.surface import compose_line, palette_of, signs_of

if TYPE_CHECKING:
    from mcp_tui.tui.theme import Signs

_MARKS: dict[CheckStatus, tuple[str, Tone]] = {
    CheckStatus.PASSED: ("done", "done"),
    CheckStatus.FAILED: ("failed", "failed"),
    CheckStatus.WARNING: ("attention", "attention"),
    CheckStatus.UNKNOWN: ("attention", "waiting"),
}


def subject(plan: Plan) -> str:
    """What a plan is about, in a word or two."""
    if len(plan.targets) == 1:
        return plan.targets[0].name
    kinds = {target.kind for target in plan.targets}
    word = "runs" if kinds == {"Run"} else "versions" if kinds == {"ModelVersion"} else "jobs"
    return f"{len(plan.targets)} {word}"


LABEL = 8
"""Cells of the label before a line; what goes on in the next row begins behind them too."""


def _labelled(label: str, lines: Sequence[Line]) -> list[Line]:
    return [
        (Cell(f"{label if n == 0 else '':<{LABEL}}", "dim"), *line) for n, line in enumerate(lines)
    ]


def plan_lines(plan: Plan, signs: Signs, *, hidden: int = 0, most: int = 12) -> list[Line]:
    """The plan in words: writes, checks, then, back.

    Args:
        hidden: How many of its objects the filter hides.
        most: Lines of each write's diff; the checks below it have to be seen as well.
    """
    lines: list[Line] = []
    if len(plan.targets) > 1:
        names = [(Cell(f"{t.namespace}/{t.name}"),) for t in plan.targets]
        lines += _labelled("on", names)
        if hidden:
            note = f"{hidden} of them hidden by the filter"
            lines += _labelled("", [(Cell(note, "attention"),)])
    if plan.notes:
        lines += _labelled("note", [(Cell(note),) for note in plan.notes])
    for write in plan.writes:
        summary = write.summary or f"{write.method} {write.path}"
        extra = " (goes on without it)" if write.optional else ""
        system = "" if write.system == "kubernetes" else f"{write.system}: "
        rows: list[Line] = [(Cell(words(f"{system}{summary}{extra}")),)]
        rows += [(Cell(words(row), _diff_tone(row)),) for row in write.diff[:most]]
        if len(write.diff) > most:
            rows.append((Cell(f"and {len(write.diff) - most} more lines; Tab shows them", "dim"),))
        lines += _labelled("write", rows)
    checks: list[Line] = []
    for check in plan.checks:
        sign, tone = _MARKS[check.status]
        text = check.message or check.name
        checks.append((Cell(f"{getattr(signs, sign)} {text}", tone),))
    lines += _labelled("checks", checks)
    if plan.until:
        lines += _labelled("then", [(Cell(words(plan.until)),)])
    lines += _labelled("back", [(Cell(plan.back or "there is no way back"),)])
    return lines


def _diff_tone(row: str) -> Tone:
    return "done" if row.startswith("+") else "failed" if row.startswith("-") else "dim"


def diff_lines(plan: Plan) -> list[Line]:
    """Every line of every write's diff."""
    lines: list[Line] = []
    for write in plan.writes:
        lines.append((Cell(f"{write.method} {write.path}", "strong"),))
        lines += [(Cell(words(row), _diff_tone(row)),) for row in write.diff]
    return lines


def json_lines(plan: Plan) -> list[Line]:
    """The plan as JSON, as ``--dry-run -o json`` prints it."""
    text = msgspec.json.format(msgspec.json.encode(plan), indent=2).decode()
    return [(Cell(row),) for row in text.split("\n")]


def folded(line: Line, width: int) -> list[list[Cell]]:
    """A line in rows of a width, those after the first as far in as the first one's text."""
    head, *rest = line or (Cell(""),)
    if not rest or cell_len(head.text) != LABEL or width <= 3 * LABEL:
        return wrap_cells(line, width, words=True)
    rows = wrap_cells(rest, width - LABEL, words=True)
    return [[head if n == 0 else Cell(" " * LABEL), *row] for n, row in enumerate(rows)]


class PlanBox(Widget):
    """The dialog's box: lines that scroll, and below them the question and the answer."""

    DEFAULT_CSS: ClassVar[str] = "PlanBox { width: 100%; height: auto; }"
    ALLOW_SELECT = False
    can_focus = True

    def __init__(self, plan: Plan) -> None:
        super().__init__(id="box")
        self.plan = plan
        self.title = ""
        self.lines: list[Line] = []
        self.foot: list[Line] = []
        self.keys: tuple[str, str] = ("", "")
        self.top = 0
        self._rows: list[list[Cell]] = []

    def show(self, lines: list[Line], foot: list[Line], keys: tuple[str, str]) -> None:
        """Show these lines; the height follows when it must."""
        before = len(self._rows) + len(self.foot)
        if lines != self.lines:
            self.top = 0
        self.lines, self.foot, self.keys = lines, self._folded(foot), keys
        self._wrap()
        self.refresh(layout=before != len(self._rows) + len(self.foot))

    def _wrap(self) -> None:
        width = max(1, self.size.width - 4)
        self._rows = [row for line in self.lines for row in folded(line, width)]

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """As high as the lines, at most the screen."""
        del container, viewport
        rows = sum(len(folded(line, max(1, width - 4))) for line in self.lines)
        return max(4, min(rows + len(self.foot) + 2, self.app.size.height - 1))

    def scroll_lines(self, rows: int) -> None:
        """Scroll the plan."""
        room = max(1, self.size.height - 2 - len(self.foot))
        self.top = max(0, min(self.top + rows, len(self._rows) - room))
        self.refresh()

    def _folded(self, foot: list[Line]) -> list[Line]:
        """The question or what came of it, read whole at any width."""
        width = max(1, (self.size.width or self.app.size.width) - 4)
        return [tuple(row) for line in foot for row in folded(line, width)]

    def set_foot(self, foot: list[Line]) -> None:
        """Change the question only: its rows alone are sent."""
        foot = self._folded(foot)
        if len(foot) != len(self.foot):
            self.show(self.lines, foot, self.keys)
        elif foot != self.foot:
            self.foot = foot
            rows = len(foot)
            self.refresh(Region(0, self.size.height - 1 - rows, self.size.width, rows))

    def on_resize(self, event: events.Resize) -> None:
        """Wrap again."""
        del event
        self._wrap()
        self.scroll_lines(0)

    def render_line(self, y: int) -> Strip:
        """A row of the box."""
        palette, signs = palette_of(self.app), signs_of(self.app)
        width, height = self.size
        bar = palette[""] + palette[f"bar-{self.plan.tier.value}"]
        if y == 0:
            return self._edge(signs.corners[:2], self.title, "", width)
        if y == height - 1:
            return self._edge(signs.corners[2:], *self.keys, width)
        inner = y - 1
        first_foot = height - 2 - len(self.foot)
        cells: Sequence[Cell] = ()
        if inner >= first_foot:
            cells = self.foot[inner - first_foot]
        elif self.top + inner < len(self._rows):
            cells = self._rows[self.top + inner]
        body = compose_line(cells, max(0, width - 4), palette)
        return Strip(
            [
                Segment(signs.pipe, bar),
                Segment(" ", palette[""]),
                *body,
                Segment(" ", palette[""]),
                Segment(signs.pipe, bar),
            ],
            width,
        )

    def _edge(self, corners: str, left: str, right: str, width: int) -> Strip:
        """A border row in the tier's own colour, with words in it."""
        palette, signs = palette_of(self.app), signs_of(self.app)
        bar = palette[""] + palette[f"bar-{self.plan.tier.value}"]
        left = f" {fit(left, min(cell_len(left), width - 4))} " if left else ""
        room = width - 2 - cell_len(left) - 1
        right = f" {right} {signs.dash}" if right and cell_len(right) + 3 <= room else ""
        fill = signs.dash * (width - 2 - cell_len(left) - cell_len(right))
        return Strip([Segment(corners[0] + left + fill + right + corners[1], bar)], width)
