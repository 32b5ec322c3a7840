"""What the lines of the frame say. Pure functions over the state, so that tests need no screen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rich.cells import cell_len

from mcp_tui.domain.text import clean_line
from mcp_tui.tui.cells import fit
from mcp_tui.tui.model import PANES, Cell, ConsoleState, PaneModel, SourceState
from mcp_tui.tui.theme import TIER_WORDS

_CALL = re.compile(
    r"^(?:(?:[A-Z]+ /\S* at \S+|\w+ at \S+ [A-Z]+ /\S*): |.*?: (?=the credential plugin ))"
)
"""Which call or command went wrong: said by doctor; on one line the reason matters more."""

_LEAST = 16
"""Cells that a long name keeps of itself."""


def age(seconds: float) -> str:
    """An age in its largest unit: ``9s``, ``40s`` (in tens from ten), ``12m``, ``3h``, ``2d``."""
    whole = max(0, int(seconds))
    if whole < 10:
        return f"{whole}s"
    if whole < 60:
        return f"{whole // 10 * 10}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86_400:
        return f"{whole // 3600}h"
    return f"{whole // 86_400}d"


def exact_age(seconds: float) -> str:
    """As :func:`age`, to the second below two minutes: for what is not healthy."""
    whole = max(0, int(seconds))
    return f"{whole}s" if whole < 120 else age(whole)


def source_text(source: SourceState) -> tuple[str, bool]:
    """A source in words, and whether it is healthy."""
    name = clean_line(source.name)
    if source.state == "live":
        return (f"{name} {age(source.age)}" if source.age is not None else name), True
    if source.state == "polling":
        return f"{name} polls {age(source.age or 0.0)}", True
    if source.state == "connecting":
        return f"{name} ..", True
    word = {"denied": "DENIED", "down": "DOWN", "retrying": "STALE"}.get(source.state, "STALE")
    if source.state == "retrying" and source.age is None:
        word = "DOWN"
    told = f" {exact_age(source.age)}" if source.age is not None else ""
    return f"! {name} {word}{told}", False


def grouped(state: ConsoleState) -> list[tuple[str, bool]]:
    """Sources in words; those of one kind that are healthy in all contexts stand together."""
    kinds: dict[str, list[SourceState]] = {}
    for source in state.sources:
        kinds.setdefault(source.name.rpartition(":")[2], []).append(source)
    told: list[tuple[str, bool]] = []
    for kind, sources in kinds.items():
        well = [s for s in sources if source_text(s)[1] and s.age is not None]
        # One that never spoke must not hide behind those that do.
        told += [source_text(source) for source in sources if source not in well]
        if well:
            # The oldest speaks for all of them.
            oldest = max(well, key=lambda source: source.age or 0.0)
            told.append(source_text(replace(oldest, name=kind)))
    return told


def bar_cells(state: ConsoleState, width: int) -> tuple[Cell, ...]:
    """Line 1: tier, context, user, mode, clock, then each source; trouble is never cut first."""
    sources = [source_text(source) for source in state.sources]
    bad = [text for text, healthy in sources if not healthy]
    for context, user in _ROOMS:
        head = _head(state, width, context, user)
        room = width - cell_len(head)
        if _length(bad) <= room:
            break
    good = [text for text, healthy in sources if healthy]
    if _length(bad + good) > room:
        sources = grouped(state)
        good = [text for text, healthy in sources if healthy]
    while good and _length(bad + good) > room:
        good.pop()
    shown = len(bad)
    while shown > 1 and _length([*bad[:shown], *_more(len(bad) - shown)]) > room:
        shown -= 1
    keep = set(bad[:shown]) | set(good)
    told = [text for text, _ in sources if text in keep] + _more(len(bad) - shown)
    return (Cell(head), Cell("".join(f"  {text}" for text in told)))


_ROOMS = ((24, 20), (24, 10), (24, 0), (16, 0), (10, 0))
"""Cells for the contexts and for the user: the first that leave trouble its room."""


def _head(state: ConsoleState, width: int, context: int, user: int) -> str:
    contexts = ",".join(clean_line(name) for name in state.contexts) or "no context"
    cluster = clean_line(state.cluster)
    words = [TIER_WORDS[state.tier.value] if not state.demo else "DEMO", _cut(contexts, context)]
    if cluster and cluster not in state.contexts and width >= 120:
        words.append(f"({cluster})")
    if state.user and user:
        name = clean_line(state.user)
        words.append(name if cell_len(name) <= user else fit(name, user))
    clock = datetime.fromtimestamp(state.now, UTC).strftime("%H:%MZ")
    return " " + " ".join([*words, "READ-ONLY" if state.read_only else "WRITE", clock])


def _cut(name: str, room: int) -> str:
    """In its middle: names of clusters differ at their ends."""
    return name if cell_len(name) <= room else fit(name, room, cut="middle").rstrip()


def _more(count: int) -> list[str]:
    return [f"+{count}"] if count else []


def _length(texts: Sequence[str]) -> int:
    return sum(cell_len(text) + 2 for text in texts)


def reason(text: str) -> str:
    """Why a call failed, without which one it was."""
    return _CALL.sub("", clean_line(text))


def trouble(state: ConsoleState) -> str:
    """The first unhealthy source in the server's own words, and when it is tried again."""
    for source in state.sources:
        if not source_text(source)[1] and (source.message or source.retry_in is not None):
            words = reason(source.message)
            again = (
                f"again in {max(0, round(source.retry_in))} s"
                if source.retry_in is not None
                else ""
            )
            return f"{clean_line(source.name)}: " + "; ".join(
                part for part in (words, again) if part
            )
    return ""


def panes_cells(current: str, said: str = "", width: int = 0) -> tuple[Cell, ...]:
    """Line 2: the panes that exist, and at the right what is wrong."""
    cells: list[Cell] = []
    for pane in PANES:
        cells.append(Cell(" "))
        cells.append(Cell(f"{pane.number} {pane.title}", "strong" if pane.id == current else "dim"))
    room = width - sum(cell_len(cell.text) for cell in cells) - 3
    if said and room > 8:
        said = fit(said, min(room, cell_len(said)))
        cells += [Cell(" " * (room + 2 - cell_len(said))), Cell(said, "attention")]
    return tuple(cells)


def crumbs_cells(
    crumbs: Sequence[str], right: Sequence[Cell], width: int, notes: Sequence[Cell] = ()
) -> tuple[Cell, ...]:
    """Line 3: where one is at the left, counts and order at the right.

    A long name is cut in its middle before what stands at the right goes.
    """
    tail = list(right)
    beside = _width(notes) + _width(tail) + 2
    left = " " + " / ".join(_short(crumbs, max(width * 2 // 5, width - beside) - 1))
    cells = [Cell(left, "strong"), *notes]
    used = _width(cells)
    while tail and used + _width(tail) + 1 > width:
        tail.pop()
    gap = width - used - _width(tail) - 1
    return (*cells, Cell(" " * max(1, gap)), *tail)


def _width(cells: Iterable[Cell]) -> int:
    return sum(cell_len(clean_line(cell.text)) for cell in cells)


def _short(crumbs: Sequence[str], width: int) -> list[str]:
    """Crumbs that fit a width, as far as the longest can give way."""
    parts = [clean_line(part) for part in crumbs]
    lengths = [cell_len(part) for part in parts]
    over = sum(lengths) + 3 * (len(parts) - 1) - width
    if parts and over > 0:
        at = lengths.index(max(lengths))
        room = max(_LEAST, lengths[at] - over)
        if room < lengths[at]:
            parts[at] = fit(parts[at], room, cut="middle")
    return parts


def order_words(model: PaneModel) -> str:
    """The order of a list in words."""
    column, reverse = model.sort
    if not column:
        return model.own_order
    title = next((c.title.lower() for c in model.columns if c.id == column), column)
    return f"by {title}" + (", reversed" if reverse else "")


def hint_cells(hints: Sequence[tuple[str, str]], width: int) -> tuple[Cell, ...]:
    """The keys line. The last hint (all keys) stays when others must go."""
    shown = list(hints)
    while len(shown) > 1 and sum(cell_len(k) + cell_len(t) + 3 for k, t in shown) > width:
        shown.pop(-2)
    cells: list[Cell] = []
    for key, title in shown:
        cells += [Cell(" "), Cell(key, "key"), Cell(f" {title} ")]
    return tuple(cells)
