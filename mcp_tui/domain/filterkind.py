"""Whether what is typed behind ``/`` is MLflow's filter language or words for the rows at hand."""

from __future__ import annotations

from typing import Final

from mcp_tui.domain.runfilter import ATTRIBUTES, ENTITIES, NUMERIC_ATTRIBUTES, tokens

_BARE: Final = frozenset(ATTRIBUTES) | NUMERIC_ATTRIBUTES


def is_query(text: str) -> bool:
    """Whether a filter is for the server: it begins with ``metrics.``, or compares an attribute.

    ``status=failed`` without blanks and quotes is a quick filter, as in every list.
    """
    pieces = list(tokens(text.strip()))
    while pieces and pieces[0].kind in ("open", "space"):
        pieces.pop(0)
    if len(pieces) < 2 or pieces[0].kind != "word":
        return False
    if pieces[0].text in ENTITIES and pieces[1].kind == "dot":
        return True
    if pieces[0].text not in _BARE:
        return False
    rest = [piece for piece in pieces[1:] if piece.kind != "space"]
    spaced = pieces[1].kind == "space"
    if rest and rest[0].kind == "operator":
        value = rest[1].kind if len(rest) > 1 else ""
        return spaced or value in ("text", "broken", "number")
    words = ("LIKE", "ILIKE", "IN", "NOT", "IS")
    return spaced and bool(rest) and rest[0].text.upper() in words
