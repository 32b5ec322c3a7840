"""Decoding of objects by the fields of their kind: types are checked, unknown fields reported.

The fields come from ``demo/data/fields.json``: per structure, its JSON fields and their types in
a small notation (``s`` string, ``i`` integer, ``n`` number, ``b`` boolean, ``*`` anything,
``q`` string or number, ``[T`` list, ``{T`` map, otherwise a structure's name).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from mcp_tui.demo.plane.model import Kind, Obj, decode
from mcp_tui.demo.plane.status import StatusError, bad_request

_GO_NAMES = {"s": "string", "i": "int32", "n": "float64", "b": "bool"}


@cache
def fields() -> dict[str, dict[str, str]]:
    """Structure -> JSON field -> type."""
    raw = resources.files("mcp_tui.demo").joinpath("data/fields.json").read_bytes()
    found: dict[str, dict[str, str]] = decode(raw)
    return found


class _WrongType(Exception):
    def __init__(self, path: str, found: str, wanted: str) -> None:
        self.text = f"cannot unmarshal {found} into Go struct field {path} of type {wanted}"
        super().__init__(self.text)


def _found(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number" if isinstance(value, int) else f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


class _Walk:
    def __init__(self) -> None:
        self.unknown: list[str] = []

    def value(self, type_: str, value: Any, path: str, owner: str) -> Any:
        """``value`` as ``type_``, without nulls and unknown fields. Raises _WrongType."""
        match type_[0]:
            case "*":
                return value
            case "[":
                if not isinstance(value, list):
                    raise _WrongType(f"{owner}.{path}", _found(value), f"[]{_name(type_[1:])}")
                return [
                    self.value(type_[1:], item, f"{path}[{index}]", owner)
                    for index, item in enumerate(value)
                    if item is not None
                ]
            case "{":
                if not isinstance(value, dict):
                    raise _WrongType(
                        f"{owner}.{path}", _found(value), f"map[string]{_name(type_[1:])}"
                    )
                return {
                    key: self.value(type_[1:], item, path, owner)
                    for key, item in value.items()
                    if item is not None
                }
        if type_ in _SCALARS:
            good = isinstance(value, _SCALARS[type_])
            if isinstance(value, bool) and type_ != "b":
                good = False
            if not good:
                raise _WrongType(f"{owner}.{path}", _found(value), _name(type_))
            return value
        return self.structure(type_, value, path, owner)

    def structure(self, type_: str, value: Any, path: str, owner: str) -> Obj:
        if not isinstance(value, dict):
            raise _WrongType(f"{owner}.{path}", _found(value), f"v1.{type_}")
        known = fields()[type_]
        result: Obj = {}
        for name, item in value.items():
            where = f"{path}.{name}" if path else name
            wanted = known.get(name)
            if wanted is None:
                self.unknown.append(where)
            elif item is not None:
                found = self.value(wanted, item, where, type_)
                # Empty lists and maps are as good as absent, and upstream encodes them so.
                if found or wanted[0] not in "[{":
                    result[name] = found
        return result


_SCALARS: dict[str, tuple[type, ...]] = {
    "s": (str,),
    "i": (int,),
    "n": (int, float),
    "b": (bool,),
    "q": (str, int, float),
}


def _name(type_: str) -> str:
    return _GO_NAMES.get(type_, f"v1.{type_}")


def conform(kind: Kind, obj: Any, *, mode: str = "Warn") -> tuple[Obj, list[str]]:
    """``obj`` as the kind's structure, and a warning per unknown field.

    Args:
        mode: ``fieldValidation``: Strict refuses unknown fields, Warn reports, Ignore drops them.

    Raises:
        StatusError: 400 for a wrong type or kind, or for an unknown field under Strict.
    """
    if not isinstance(obj, dict):
        raise unreadable(kind, f"not an object but {_found(obj)}")
    _check_identity(kind, obj)
    walk = _Walk()
    if kind.fixed:
        try:
            result = walk.structure(kind.kind, obj, "", "")
        except _WrongType as fault:
            raise _undecodable(kind, f"json: {fault.text}") from None
    else:
        result = {name: item for name, item in obj.items() if item is not None}
        metadata = obj.get("metadata") or {}
        try:
            result["metadata"] = walk.structure("ObjectMeta", metadata, "metadata", "")
        except _WrongType as fault:
            raise _undecodable(kind, f"json: {fault.text}") from None
    result["kind"] = kind.kind
    result["apiVersion"] = kind.api_version
    result.setdefault("metadata", {})
    warnings = [f'unknown field "{path}"' for path in walk.unknown]
    if warnings and mode == "Strict":
        raise _undecodable(kind, f"strict decoding error: {', '.join(warnings)}")
    return result, warnings if mode != "Ignore" else []


def unreadable(kind: Kind, why: str) -> StatusError:
    """400 for a body that is not even an object."""
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get "
        f"version/kind; json parse error: {why}"
    )


def _undecodable(kind: Kind, why: str) -> StatusError:
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'
    )


def _check_identity(kind: Kind, obj: Obj) -> None:
    name, version = obj.get("kind"), obj.get("apiVersion")
    if name in (None, kind.kind) and version in (None, kind.api_version):
        return
    raise bad_request(
        f"the object provided is unrecognized (must be of type {kind.kind}): no kind "
        f'"{name or kind.kind}" is registered for version "{version or kind.api_version}"'
    )
