"""What a field of a config file may hold: one description that both reads it and publishes it.

A :class:`Shape` reads a node of :mod:`mcp_tui.domain.yamlmarks` into plain data, reporting every
fault with its place, and gives the JSON Schema (2020-12) of the same rule. Values are quoted in
messages only where they cannot be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mcp_tui.domain import yamlmarks as ym
from mcp_tui.domain.text import clean, clean_line

BAD: Final = object()
"""Returned by :meth:`Shape.read` when the fault was reported."""

Report = Callable[[ym.Mark, str, str], None]


class Shape:
    """Base of all; ``what`` is how the value is called in messages."""

    what = "a value"

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        """Read ``node``; report faults and return :data:`BAD` if it cannot be taken."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """JSON Schema of what :meth:`read` takes."""
        raise NotImplementedError

    def _wrong(self, node: ym.Node, path: str, report: Report) -> Any:
        found = _found(node)
        hint = ""
        if isinstance(node, ym.Scalar) and self.what.startswith("text"):
            shown = clean_line(node.text, limit=40)
            if node.kind == "bool":
                hint = f'YAML reads {shown} as true or false; put it in quotes: "{shown}"'
            elif node.kind in {"int", "float"}:
                hint = f'put it in quotes: "{shown}"'
        if isinstance(node, ym.Scalar) and node.kind == "null":
            report(node.mark, f"`{path}` has no value", "give one, or remove the line")
        else:
            report(node.mark, f"`{path}` must be {self.what}, not {found}", hint)
        return BAD


def _found(node: ym.Node) -> str:
    if isinstance(node, ym.Mapping):
        return "a map"
    if isinstance(node, ym.Sequence):
        return "a list"
    return {"str": "text", "int": "a number", "float": "a number", "bool": "true or false"}.get(
        node.kind, "nothing"
    )


class Text(Shape):
    """Text, optionally of a pattern.

    Args:
        what: The value in words, starting with ``text``.
        pattern: A regular expression that must match all of it (ECMA and Python alike).
        hint: What to do when it does not.
        limit: The most characters.
        echo: Quote the value in messages; False for what may hold a credential.
    """

    def __init__(
        self,
        what: str = "text",
        *,
        pattern: str = "",
        hint: str = "",
        limit: int = 1_024,
        echo: bool = True,
    ) -> None:
        self.what = what
        self._pattern = re.compile(pattern) if pattern else None
        self._hint = hint
        self._limit = limit
        self._echo = echo

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Scalar) or node.kind != "str":
            return self._wrong(node, path, report)
        return self._checked(node, path, report)

    def _checked(self, node: ym.Scalar, path: str, report: Report) -> Any:
        text = node.text
        if not text:
            report(node.mark, f"`{path}` is empty", "give a value, or remove the line")
            return BAD
        if clean(text, limit=len(text)) != text:
            report(node.mark, f"`{path}` holds control or invisible characters", "remove them")
            return BAD
        if len(text) > self._limit:
            report(node.mark, f"`{path}` has {len(text)} characters, over {self._limit}", "")
            return BAD
        if self._pattern is not None and not self._pattern.fullmatch(text):
            shown = f" ({clean_line(text, limit=60)!r})" if self._echo else ""
            report(node.mark, f"`{path}` is not {self.what}{shown}", self._hint)
            return BAD
        return text

    def schema(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": self._limit}
        if self._pattern is not None:
            out["pattern"] = self._pattern.pattern
        return out


class Literal(Text):
    """Any scalar, taken as it is written: ``NO``, ``1e-4``, ``010`` and ``true`` stay that."""

    def __init__(self, *, limit: int = 8_192) -> None:
        super().__init__("a single value", limit=limit, echo=False)

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Scalar):
            return self._wrong(node, path, report)
        if node.kind == "null":
            report(node.mark, f"`{path}` has no value", 'for empty text write ""')
            return BAD
        return "" if not node.text else self._checked(node, path, report)

    def schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"], "maxLength": self._limit}


class Amount(Text):
    """A quantity such as ``500m`` or ``2``: text of a pattern, or a number that fits it."""

    LOW, HIGH = 0.001, 100_000

    def __init__(self, what: str, *, pattern: str, hint: str, numbers: bool) -> None:
        super().__init__(what, pattern=pattern, hint=hint, limit=24)
        self._numbers = numbers

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Scalar) or node.kind not in {"str", "int", "float"}:
            return self._wrong(node, path, report)
        if node.kind == "str":
            return self._checked(node, path, report)
        if not self._numbers:
            report(node.mark, f"`{path}` needs a unit", self._hint)
            return BAD
        text = self._checked(node, path, report)
        if text is not BAD and not self.LOW <= float(text) <= self.HIGH:
            report(node.mark, f"`{path}` must be from {self.LOW} to {self.HIGH}", "")
            return BAD
        return text

    def schema(self) -> dict[str, Any]:
        text = super().schema()
        if not self._numbers:
            return text
        number = {"type": "number", "minimum": self.LOW, "maximum": self.HIGH}
        return {"anyOf": [text, number]}


class Whole(Shape):
    """A whole number in a range, in plain decimal."""

    def __init__(self, low: int, high: int) -> None:
        self.what = f"a whole number from {low} to {high}"
        self._low, self._high = low, high

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Scalar) or node.kind not in {"int", "float"}:
            return self._wrong(node, path, report)
        if not re.fullmatch(r"-?(0|[1-9][0-9]{0,17})(\.0+)?", node.text):
            shown = clean_line(node.text, limit=40)
            report(node.mark, f"`{path}` must be {self.what} in plain decimal, not {shown}", "")
            return BAD
        value = int(node.text.partition(".")[0])
        if not self._low <= value <= self._high:
            report(node.mark, f"`{path}` must be {self.what}, not {value}", "")
            return BAD
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self._low, "maximum": self._high}


class Choice(Shape):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.what = "one of " + ", ".join(words)
        self._words = words

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if isinstance(node, ym.Scalar) and node.kind == "str" and node.text in self._words:
            return node.text
        if isinstance(node, ym.Scalar) and node.kind == "str":
            shown = clean_line(node.text, limit=40)
            report(
                node.mark, f"`{path}` must be {self.what}, not {shown!r}", near(shown, self._words)
            )
            return BAD
        return self._wrong(node, path, report)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self._words)}


class ListOf(Shape):
    """A list; a mistake in one item does not hide those in others."""

    def __init__(self, item: Shape, *, most: int, least: int = 0) -> None:
        self.what = "a list"
        self._item, self._most, self._least = item, most, least

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Sequence):
            return self._wrong(node, path, report)
        if not self._least <= len(node.items) <= self._most:
            message = f"`{path}` must have {self._least} to {self._most} items"
            report(node.mark, f"{message}, not {len(node.items)}", "")
            return BAD
        values = [
            self._item.read(item, f"{path}[{index}]", report)
            for index, item in enumerate(node.items)
        ]
        return BAD if BAD in values else tuple(values)

    def schema(self) -> dict[str, Any]:
        out = {"type": "array", "items": self._item.schema(), "maxItems": self._most}
        return {**out, "minItems": self._least} if self._least else out


class MapOf(Shape):
    """A map with free keys of a pattern.

    Args:
        value: Shape of the values.
        key_what: A key in words.
        key: Pattern of the keys.
        key_limit: The most characters of a key.
        reserved: Keys that may not be given, with the reason.
    """

    def __init__(
        self,
        value: Shape,
        *,
        key_what: str,
        key: str,
        key_limit: int = 253,
        most: int = 200,
        reserved: Mapping[str, str] | None = None,
    ) -> None:
        self.what = "a map"
        self._value, self._key_what, self._most = value, key_what, most
        self._key = re.compile(key)
        self._key_limit = key_limit
        self._reserved = reserved or {}

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Mapping):
            return self._wrong(node, path, report)
        if len(node.items) > self._most:
            report(node.mark, f"`{path}` has {len(node.items)} entries, over {self._most}", "")
            return BAD
        out: dict[str, Any] = {}
        good = True
        for key, value in node.items:
            shown = clean_line(key.text, limit=60)
            if len(key.text) > self._key_limit or not self._key.fullmatch(key.text):
                report(key.mark, f"{shown!r} in `{path}` is not {self._key_what}", "")
                good = False
            elif key.text in self._reserved:
                report(key.mark, f"`{path}.{shown}` may not be given", self._reserved[key.text])
                good = False
            out[key.text] = self._value.read(value, f"{path}.{shown}", report)
        return out if good and BAD not in out.values() else BAD

    def schema(self) -> dict[str, Any]:
        names: dict[str, Any] = {"pattern": self._key.pattern, "maxLength": self._key_limit}
        if self._reserved:
            names["not"] = {"enum": list(self._reserved)}
        return {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": self._value.schema(),
            "maxProperties": self._most,
        }


class Either(Shape):
    """Text, or a list: told apart by the node."""

    def __init__(self, text: Shape, listed: Shape) -> None:
        self.what = "text or a list"
        self._text, self._list = text, listed

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if isinstance(node, ym.Sequence):
            return self._list.read(node, path, report)
        if isinstance(node, ym.Mapping):
            return self._wrong(node, path, report)
        return self._text.read(node, path, report)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self._text.schema(), self._list.schema()]}


class Field(msgspec.Struct, frozen=True):
    """A named field of a :class:`Record`."""

    name: str
    shape: Shape
    doc: str
    required: bool = False
    default: Any = None


class Record(Shape):
    """A map with known fields, made into a msgspec struct.

    Args:
        type_: The struct; its own defaults hold for absent fields.
        fields: All of its fields.
        synonyms: Names that people try, with the field that is meant.
    """

    def __init__(
        self,
        type_: type[msgspec.Struct],
        fields: Sequence[Field],
        *,
        synonyms: Mapping[str, str] | None = None,
    ) -> None:
        self.what = "a map"
        self._type = type_
        self._fields = {field.name: field for field in fields}
        self._synonyms = synonyms or {}

    def read(self, node: ym.Node, path: str, report: Report) -> Any:
        if not isinstance(node, ym.Mapping):
            return self._wrong(node, path, report)
        values: dict[str, Any] = {}
        prefix = f"{path}." if path else ""
        for key, value in node.items:
            field = self._fields.get(key.text)
            if field is None:
                report(key.mark, self._unknown(key.text, path), self._meant(key.text))
                values[""] = BAD
                continue
            values[field.name] = field.shape.read(value, prefix + field.name, report)
        for field in self._fields.values():
            if field.required and field.name not in values:
                report(node.mark, f"`{prefix}{field.name}` is missing", field.doc.split(". ")[0])
                values[""] = BAD
        return BAD if BAD in values.values() else self._type(**values)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(self._fields)

    def _unknown(self, key: str, path: str) -> str:
        shown = clean_line(key, limit=60)
        return f"unknown field `{shown}`" + (f" in `{path}`" if path else "")

    def _meant(self, key: str) -> str:
        if key in self._synonyms:
            return f"write `{self._synonyms[key]}`"
        return near(key, tuple(self._fields))

    def schema(self) -> dict[str, Any]:
        properties = {}
        for field in self._fields.values():
            properties[field.name] = {"description": field.doc, **field.shape.schema()}
            if field.default is not None:
                properties[field.name]["default"] = field.default
        return {
            "type": "object",
            "properties": properties,
            "required": [f.name for f in self._fields.values() if f.required],
            "additionalProperties": False,
        }


def near(word: str, words: Sequence[str]) -> str:
    """``did you mean ...?`` for a word close to one of ``words``; else empty."""
    found = difflib.get_close_matches(word.lower()[:80], words, n=1, cutoff=0.6)
    return f"did you mean `{found[0]}`?" if found else ""
