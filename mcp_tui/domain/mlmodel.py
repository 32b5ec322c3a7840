"""A model's MLmodel file, as far as it says what the model takes and gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mcp_tui.domain.model import Signature
from mcp_tui.domain.text import clean, clean_line

if TYPE_CHECKING:
    from mcp_tui.domain import yamlmarks

LARGEST: Final = 256 * 1024
"""Bytes of an MLmodel file that are read; real ones have a few thousand."""
_LONGEST: Final = 20_000
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")


def parse_mlmodel(data: bytes) -> Signature | None:
    """The signature and the flavors of an MLmodel file; None for what is none.

    The file is anybody's: it is read with bounds on its size and on what its aliases make of it,
    what it says is cleaned, and what is not of the kind that it should be counts as not said.
    """
    from mcp_tui.domain import yamlmarks

    try:
        root, problems = yamlmarks.load(data.decode("utf-8"), filename="MLmodel", most=LARGEST)
    except (yamlmarks.ConfigError, UnicodeDecodeError):
        return None
    if problems:  # of a key that stands twice, others take the other value
        return None
    found = _members(root)
    parts = _members(found.get("signature"))
    size = _text(found.get("model_size_bytes"), "int")
    return Signature(
        inputs=clean(_text(parts.get("inputs"), "str"), limit=_LONGEST),
        outputs=clean(_text(parts.get("outputs"), "str"), limit=_LONGEST),
        params=clean(_text(parts.get("params"), "str"), limit=_LONGEST),
        flavors=tuple(clean_line(f, limit=60) for f in list(_members(found.get("flavors")))[:20]),
        # Unquoted, 3.10 is a number to YAML.
        mlflow_version=clean_line(_text(found.get("mlflow_version"), "str", "float"), limit=40),
        size=int(size) if _SIZE.fullmatch(size) else None,
    )


def columns(schema: str) -> tuple[str, ...]:
    """A part of a signature as ``name: type``, one a column; empty for what cannot be read."""
    import msgspec

    try:
        found = msgspec.json.decode(schema.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return ()
    if not isinstance(found, list):
        return ()
    told = []
    for each in found[:200]:
        if isinstance(each, Mapping):
            kind = each.get("type")
            tensor = each.get("tensor-spec")
            if kind == "tensor" and isinstance(tensor, Mapping):
                kind = f"tensor {tensor.get('dtype')} {tensor.get('shape')}"
            name = clean_line(str(each.get("name") or ""), limit=80)
            kind = clean_line(str(kind), limit=80)
            told.append(f"{name}: {kind}" if name else kind)
    return tuple(told)


def _members(node: yamlmarks.Node | None) -> dict[str, yamlmarks.Node]:
    """The members of a map; none of what is no map."""
    from mcp_tui.domain import yamlmarks

    return {k.text: v for k, v in node.items} if isinstance(node, yamlmarks.Mapping) else {}


def _text(node: yamlmarks.Node | None, *kinds: str) -> str:
    """What a value of one of these kinds is written as; empty for any other."""
    from mcp_tui.domain import yamlmarks

    if isinstance(node, yamlmarks.Scalar) and node.kind in kinds:
        return node.text
    return ""
