"""Cutting text in cells and laying columns out."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mcp_tui.tui.cells import fit, lay_out, take, take_end
from mcp_tui.tui.columns import JOB_COLUMNS
from mcp_tui.tui.model import Cell
from mcp_tui.tui.widgets.logview import wrap_cells

TEXT = st.text(max_size=60)
WIDE = st.text(alphabet="ab 中文字エ한😀é\u0301x", max_size=40)


@given(st.one_of(TEXT, WIDE), st.integers(0, 50))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    for align in ("left", "right"):
        for cut in ("end", "middle"):
            assert cell_len(fit(text, width, align=align, cut=cut)) == width  # type: ignore[arg-type]  # literals


@given(WIDE, st.integers(0, 30))
def test_take_never_splits_a_wide_character(text: str, width: int) -> None:
    assert cell_len(take(text, width)) <= width
    assert text.startswith(take(text, width))
    assert cell_len(take_end(text, width)) <= width
    assert text.endswith(take_end(text, width))


@given(WIDE, st.integers(2, 20), st.booleans())
def test_wrapping_loses_nothing(text: str, width: int, words: bool) -> None:
    rows = wrap_cells([Cell(text)], width, words=words)
    kept = "".join(cell.text for row in rows for cell in row)
    if words:
        # The blank at which a row ends stands on neither of the two rows.
        assert kept.replace(" ", "") == text.replace(" ", "")
    else:
        assert kept == text
    assert all(sum(cell_len(cell.text) for cell in row) <= width for row in rows)


def test_a_name_keeps_its_end() -> None:
    assert fit("ranker-train-nightly-0412", 14, cut="middle") == "ranker..y-0412"


def test_the_cut_has_no_sign_of_ambiguous_width() -> None:
    assert fit("abcdefgh", 5) == "abc.."


@given(st.integers(1, 260))
def test_columns_never_leave_the_screen(width: int) -> None:
    slots = lay_out(JOB_COLUMNS, width)
    assert slots or width < 2
    at = 0
    for slot in slots:
        assert slot.x >= at and slot.width > 0
        at = slot.x + slot.width
    assert at <= max(width, 2)


def test_columns_go_in_their_order() -> None:
    shown = {
        width: [JOB_COLUMNS[slot.column].id for slot in lay_out(JOB_COLUMNS, width)]
        for width in (200, 80, 60, 34)
    }
    assert len(shown[200]) > len(shown[80]) > len(shown[60]) > len(shown[34])
    assert shown[34] == ["state", "name"]
    assert "why" in shown[60], "the reason goes after everything that is not the object itself"
    assert shown[80][-1] == "why"
