"""What is written of a frame, on a terminal emulator: the frame, and nothing twice."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip

from mcp_tui.tui import collector, exact

WIDTH, HEIGHT = 16, 4
CONSOLE = Console(color_system="truecolor", force_terminal=True, width=WIDTH)
STYLES = (None, Style(bold=True), Style(color="red"), Style(reverse=True))

pieces = st.tuples(st.text(alphabet="ab 12中é", max_size=6), st.sampled_from(STYLES))


@st.composite
def lines(draw: st.DrawFn) -> Strip:
    """A line of the whole width."""
    segments = [Segment(text, style) for text, style in draw(st.lists(pieces, max_size=5)) if text]
    return Strip(segments).adjust_cell_length(WIDTH)


screens = st.lists(lines(), min_size=HEIGHT, max_size=HEIGHT)
steps = st.lists(
    st.tuples(
        screens,
        st.sampled_from(["whole", "parts", "lost"]),
        st.integers(1, WIDTH - 1),
        st.lists(st.integers(0, WIDTH), min_size=2 * HEIGHT, max_size=2 * HEIGHT),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    exact.SHOWN.forget()
    yield
    exact.SHOWN.forget()


def whole(screen: Sequence[Strip]) -> exact.ExactLayout:
    return exact.ExactLayout([[line] for line in screen], Region(0, 0, WIDTH, HEIGHT))


def boundaries(line: Strip) -> list[int]:
    """Where a line may be cut: not within a wide character."""
    found = [0]
    for segment in line:
        for character in segment.text:
            found.append(found[-1] + cell_len(character))
    return sorted(set(found))


def at_boundary(cell: int, *of: Strip) -> int:
    """The last place up to a cell at which all of these may be cut."""
    return max(set.intersection(*(set(boundaries(each)) for each in of)) & set(range(cell + 1)))


def parts(
    old: Sequence[Strip], new: Sequence[Strip], cut: int, ends: Sequence[int]
) -> tuple[exact.ExactUpdate, list[Strip]]:
    """An update of a part of each line, and what the screen is then."""
    chops, chop_ends, spans, now = [], [], [], []
    for y, (before, after) in enumerate(zip(old, new, strict=True)):
        first, last = sorted(at_boundary(end, before, after) for end in ends[2 * y : 2 * y + 2])
        line = Strip.join((before.crop(0, first), after.crop(first, last), before.crop(last)))
        at = at_boundary(cut, line) or WIDTH
        # As two widgets beside each other give it.
        chops.append({0: line.crop(0, at), at: line.crop(at)} if at < WIDTH else {0: line})
        chop_ends.append([at, WIDTH] if at < WIDTH else [WIDTH])
        if first < last:
            spans.append((y, first, last))
        now.append(line)
    return exact.ExactUpdate(chops, spans, chop_ends), now


def shown(screen: Sequence[Strip]) -> list[tuple[str, bool, str, bool]]:
    """What each cell should be."""
    cells = []
    for line in screen:
        for segment in line:
            style = segment.style or Style()
            color = style.color.name if style.color is not None else "default"
            for character in segment.text:
                look = (bool(style.bold), color, bool(style.reverse))
                cells.append((character, *look))
                cells += [("", *look)] * (cell_len(character) - 1)
    return cells


def seen(terminal: pyte.Screen) -> list[tuple[str, bool, str, bool]]:
    """What each cell is."""
    return [
        (cell.data, cell.bold, cell.fg, cell.reverse)
        for y in range(HEIGHT)
        for cell in (terminal.buffer[y][x] for x in range(WIDTH))
    ]


@given(steps)
def test_the_terminal_shows_what_was_drawn(
    drawn: list[tuple[list[Strip], str, int, list[int]]],
) -> None:
    exact.SHOWN.forget()
    terminal = pyte.Screen(WIDTH, HEIGHT)
    terminal.reset_mode(pyte.modes.DECAWM)
    stream = pyte.Stream(terminal)
    screen = [Strip.blank(WIDTH) for _ in range(HEIGHT)]
    stream.feed(whole(screen).render_segments(CONSOLE))
    for new, how, cut, ends in drawn:
        if how == "parts":
            update, screen = parts(screen, new, cut, ends)
            stream.feed(update.render_segments(CONSOLE))
        else:
            if how == "lost":
                stream.feed("\x1b[2J\x1b[Hsomething else wrote here\r\n")
                exact.SHOWN.forget()
            screen = new
            stream.feed(whole(screen).render_segments(CONSOLE))
        assert seen(terminal) == shown(screen)
    # Not before: parts that lie over each other are made one by that.
    assert not whole(screen).render_segments(CONSOLE), "it is all there"


@given(st.lists(st.tuples(st.integers(0, WIDTH - 1), st.text("abc", min_size=1)), max_size=20))
def test_parts_lie_over_each_other_as_they_were_drawn(drawn: list[tuple[int, str]]) -> None:
    exact.SHOWN.whole(0, Strip.blank(WIDTH))
    cells = [" "] * WIDTH
    for x, text in drawn:
        text = text[: WIDTH - x]
        exact.SHOWN.part(0, x, Strip([Segment(text)]))
        cells[x : x + len(text)] = text
    line = exact.SHOWN.line(0)
    assert line is not None
    assert line.text == "".join(cells)


def test_a_cell_that_changes_a_thousand_times_is_laid_over_its_line_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laid: list[object] = []
    divide = Segment.divide
    monkeypatch.setattr(Segment, "divide", lambda *all_: laid.append(all_) or divide(*all_))
    exact.SHOWN.whole(0, Strip.blank(WIDTH))
    for turn in range(1000):
        exact.SHOWN.part(0, 2, Strip([Segment(f"{turn:>4}")]))
        exact.SHOWN.part(0, 8, Strip([Segment(f"{turn:>5}")]))
    assert not laid
    line = exact.SHOWN.line(0)
    assert line is not None
    assert line.text == "   999    999   "
    assert len(laid) == 2


def test_a_piece_that_does_not_fit_says_that_the_line_is_not_known() -> None:
    exact.SHOWN.whole(0, Strip.blank(WIDTH))
    exact.SHOWN.part(0, WIDTH - 2, Strip([Segment("wider")]))
    assert exact.SHOWN.line(0) is None
    update = whole([Strip.blank(WIDTH)] * HEIGHT)
    assert update.render_segments(CONSOLE)


@given(screens, screens)
def test_what_is_there_is_not_drawn_again(one: list[Strip], other: list[Strip]) -> None:
    exact.SHOWN.forget()
    assert whole(one).render_segments(CONSOLE)
    assert not whole(one).render_segments(CONSOLE)
    both = [other[0], *one[1:]]
    assert whole(both).render_segments(CONSOLE).count("\x1b[1;") <= 1
    assert "\x1b[2;" not in whole(both).render_segments(CONSOLE)


def test_a_change_at_the_end_of_a_line_is_drawn_from_there() -> None:
    line = Strip([Segment("running "), Segment("3s      ", Style(bold=True))])
    later = Strip([Segment("running "), Segment("4s      ", Style(bold=True))])
    whole([line] * HEIGHT).render_segments(CONSOLE)
    update = exact.ExactUpdate([{0: later}] * HEIGHT, [(1, 8, 10)], [[WIDTH]] * HEIGHT)
    assert update.render_segments(CONSOLE) == "\x1b[2;9H\x1b[1m4s\x1b[0m"


@pytest.mark.parametrize("text", ["中", "e\u0301", "\u2713\ufe0f", "\U0001fae8", "\U0001f600"])
def test_behind_what_terminals_measure_each_in_its_way_nothing_is_drawn_alone(text: str) -> None:
    width = cell_len(f"{text} running 3s")
    line, later = (Strip([Segment(f"{text} running "), Segment(age)]) for age in ("3s", "4s"))
    spans = [(1, width - 2, width)]
    update = exact.ExactUpdate([{0: later}] * HEIGHT, spans, [[width]] * HEIGHT)
    assert text in update.render_segments(CONSOLE)
    before = Strip([Segment("- running 3s")]).adjust_cell_length(width)
    exact.SHOWN.whole(1, line)
    update = exact.ExactUpdate([{0: before}] * HEIGHT, [(1, 0, 1)], [[width]] * HEIGHT)
    assert "3s" in update.render_segments(CONSOLE), "it stood elsewhere, as far as we know"
    exact.SHOWN.whole(0, line)
    layout = exact.ExactLayout([[later]], Region(0, 0, width, 1))
    assert text in layout.render_segments(CONSOLE)


def test_signs_and_lines_are_no_hindrance() -> None:
    assert exact.sure(Strip([Segment("\u2713 done \u2502 \u2836\u2500 caf\u00e9 ...")]))


def test_a_strip_that_is_drawn_whole_is_gone_with_its_last_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Strip, "divide", Strip.divide)  # Put back at the end.
    collector.spare()
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            strip = Strip([Segment("a row")], 5)
            assert strip.divide([5]) == [strip]
            assert [part.text for part in strip.divide([2, 5])] == ["a ", "row"]
        del strip
        assert gc.collect() < 100
    finally:
        gc.enable()
