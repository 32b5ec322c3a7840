"""A model's MLmodel file, as far as it says what the model takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_tui.domain.model import Signature
from mcp_tui.domain.text import clean, clean_line

LARGEST: Final = 256 * 1024
"""Bytes of an MLmodel file that are read; real ones have a few thousand."""
_LONGEST: Final = 20_000


def parse_mlmodel(data: bytes) -> Signature | None:
    """The signature and the flavors of an MLmodel file; None for what is none.

    The file is anybody's: it is read by YAML's safe loader, and what it says is cleaned.
    """
    import yaml

    if len(data) > LARGEST:
        return None
    try:
        found = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    if not isinstance(found, Mapping):
        return None
    flavors = found.get("flavors")
    size = found.get("model_size_bytes")
    signature = found.get("signature")
    parts: Mapping[str, Any] = signature if isinstance(signature, Mapping) else {}
    return Signature(
        inputs=_text(parts.get("inputs")),
        outputs=_text(parts.get("outputs")),
        params=_text(parts.get("params")),
        flavors=tuple(clean_line(str(f), limit=60) for f in list(flavors)[:20])
        if isinstance(flavors, Mapping)
        else (),
        mlflow_version=clean_line(str(found.get("mlflow_version") or ""), limit=40),
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
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


def _text(value: Any) -> str:
    return clean(value, limit=_LONGEST) if isinstance(value, str) else ""
