"""What the files of an evaluation are made of, read with care: JSON, CSV, numbers and labels."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

from mcp_tui.domain.text import clean_line, one_line

MAX_CLASSES: Final = 1_000
MAX_ROWS: Final = 500_000
MAX_LABEL: Final = 200


class Wrong(Exception):
    """What is wrong with a file, in words."""


def parse_json(text: str, *, lines: bool = False) -> Any:
    """JSON, or JSON lines as a list; Python's NaN and infinities are taken."""
    try:
        if lines:
            # Only there: in a text other breaks may stand as they are.
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        # Python's own, since it takes the NaN that Python's own writes.
        return json.loads(text)
    except RecursionError:
        raise Wrong("nested too deep") from None
    except ValueError as error:
        raise Wrong(f"not valid JSON: {one_line(str(error))[:200]}") from None


def parse_csv(text: str) -> list[list[str]]:
    """Rows that are not blank, split at commas, semicolons or tabs as the first line has them."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if row and any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > MAX_ROWS + 1:
                raise Wrong(f"more than {MAX_ROWS:,} rows")
    except csv.Error as error:
        raise Wrong(f"not valid CSV: {one_line(str(error))[:200]}") from None
    if not rows:
        raise Wrong("it is empty")
    return rows


def number_of(value: object) -> float | None:
    """A number; None for what is none, is not finite, or is too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def share_of(value: object, what: str) -> float | None:
    """A number from 0 to 1; None for what is no number."""
    number = number_of(value)
    if number is not None and not 0.0 <= number <= 1.0:
        raise Wrong(f"{what} is {number:g}, which is no share between 0 and 1")
    return number


_WHOLE: Final = re.compile(r"(-?[0-9]+)\.0+")


def word_of(value: object) -> str:
    """A label or an id as text: 1, 1.0 and "1.0" are the same one."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    elif (
        value is None
        or isinstance(value, dict | list | tuple | bytes)
        # Python refuses to write very long ones.
        or (type(value) is int and abs(value) >= 10**40)
    ):
        return ""
    else:
        text = str(value).strip()
        found = _WHOLE.fullmatch(text)
        text = found[1] if found else text
    return clean_line(text, limit=MAX_LABEL).strip()


def labels_of(values: Iterable[object]) -> tuple[str, ...]:
    """The names of classes, each once."""
    found = tuple(word_of(value) for value in values)
    if not found or len(found) > MAX_CLASSES:
        raise Wrong(f"{len(found):,} classes; between 1 and {MAX_CLASSES:,} can be read")
    for label in found:
        if not label:
            raise Wrong("a class has no name")
    if len(set(found)) != len(found):
        twice = next(label for label in found if found.count(label) > 1)
        raise Wrong(f"class {twice!r} stands twice")
    return found
