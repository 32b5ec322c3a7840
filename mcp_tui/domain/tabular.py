"""Tables as CSV and Markdown that do nothing but show: no formula runs, no markup takes hold."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from mcp_tui.domain.text import clean_line

Cell = str | float | None

# Spreadsheets take a cell that starts so for a formula (OWASP, "CSV Injection"); in East Asian
# settings the wide forms too.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_PLAIN_MARKDOWN: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9 .%,()+-]*)?|-|-?[0-9][0-9.e+-]*")
_LINKED: Final = re.compile(r"www\.", re.IGNORECASE)
_BACKTICKS: Final = re.compile(r"`+")


def to_csv(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """CSV with every text in quotes, and an apostrophe before what a spreadsheet would run.

    Numbers stand as they are, with all their digits; what is missing is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([_safe(each) for each in head])
    for row in rows:
        writer.writerow(["" if cell is None else _safe(cell) for cell in row])
    return out.getvalue()


def _safe(cell: str | float) -> str | float:
    if not isinstance(cell, str):
        return cell
    text = clean_line(cell, limit=65_536)
    # Blanks before it do not keep a spreadsheet from seeing a formula.
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def to_markdown(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> str:
    """A table as GitHub and GitLab read it; what is missing is empty."""
    lines = [_line(head), _line(["---"] * len(head), plain=True)]
    lines += [_line(["" if cell is None else cell for cell in row]) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str], *, plain: bool = False) -> str:
    return "| " + " | ".join(cell if plain else markdown(cell) for cell in cells) + " |"


def markdown(text: str) -> str:
    """A text for a cell: as it is where it is but letters and digits, else as code.

    Inside code nothing is markup: no link, image, mention or HTML. A backslash before a bar cannot
    be written in a table, so a blank comes between the two.
    """
    text = clean_line(text, limit=65_536).strip()
    if _PLAIN_MARKDOWN.fullmatch(text) and not _LINKED.search(text):
        return text
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * (longest + 1)
    text = text.replace("\\|", "\\ |").replace("|", "\\|")
    if text.endswith("\\"):
        # Else the bar that ends the cell would be taken for a part of it.
        text += " "
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{edge}{text}{edge}{fence}"
