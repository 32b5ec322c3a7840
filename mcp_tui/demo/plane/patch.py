"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386)."""

from __future__ import annotations

import copy
from typing import Any

from mcp_tui.demo.plane.model import Obj
from mcp_tui.demo.plane.status import StatusError, bad_request

MAX_OPERATIONS = 10_000
"""As the API server limits them."""


def _rejected() -> StatusError:
    return StatusError(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        generic=True,
    )


def merge_patch(target: Any, patch: Any) -> Any:
    """``target`` with ``patch`` merged in; a null removes."""
    if not isinstance(patch, dict):
        return patch
    result: Obj = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _steps(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise _rejected()
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _index(step: str, length: int) -> int:
    if not step.isdigit() or (len(step) > 1 and step[0] == "0") or int(step) >= length:
        raise _rejected()
    return int(step)


def _child(holder: Any, step: str) -> Any:
    if isinstance(holder, dict):
        if step not in holder:
            raise _rejected()
        return holder[step]
    if isinstance(holder, list):
        return holder[_index(step, len(holder))]
    raise _rejected()


def _look(document: Any, pointer: str) -> Any:
    for step in _steps(pointer):
        document = _child(document, step)
    return document


def _holder(document: Any, pointer: str) -> tuple[Any, str]:
    steps = _steps(pointer)
    if not steps:
        raise _rejected()
    *way, last = steps
    for step in way:
        document = _child(document, step)
    return document, last


def _add(document: Any, pointer: str, value: Any) -> Any:
    if pointer == "":
        return value
    holder, last = _holder(document, pointer)
    if isinstance(holder, dict):
        holder[last] = value
    elif isinstance(holder, list):
        holder.insert(len(holder) if last == "-" else _index(last, len(holder) + 1), value)
    else:
        raise _rejected()
    return document


def _remove(document: Any, pointer: str) -> Any:
    holder, last = _holder(document, pointer)
    removed = _child(holder, last)
    if isinstance(holder, dict):
        del holder[last]
    else:
        del holder[int(last)]
    return removed


def _replace(document: Any, pointer: str, value: Any) -> Any:
    if pointer == "":
        return value
    holder, last = _holder(document, pointer)
    if isinstance(holder, dict):
        # Upstream's library adds a member that is not there, against the RFC.
        holder[last] = value
    else:
        _child(holder, last)
        holder[int(last)] = value
    return document


def _test(document: Any, pointer: str, value: Any) -> None:
    holder, last = _holder(document, pointer) if pointer else ({"": document}, "")
    if isinstance(holder, dict) and last not in holder and value is None:
        return  # an absent member equals null, as upstream's library has it
    found = _child(holder, last)
    if found != value or isinstance(found, bool) is not isinstance(value, bool):
        raise _rejected()


def json_patch(document: Obj, operations: Any) -> Any:
    """``document`` (changed in place) after the operations, or none of them.

    Raises:
        StatusError: 400 for what is no JSON Patch; 413 for too many operations; 422 where an
            operation cannot be done or a ``test`` does not hold.
    """
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into a JSON Patch")
    if len(operations) > MAX_OPERATIONS:
        text = (
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, "
            f"got {len(operations)}"
        )
        raise StatusError(413, "RequestEntityTooLarge", text)
    result: Any = document
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request("error decoding patch: json: an operation is not an object")
        result = _apply(result, operation)
    return result


def _apply(document: Any, operation: Obj) -> Any:
    path, name = operation.get("path"), operation.get("op")
    if not isinstance(path, str):
        raise _rejected()
    if name in ("add", "replace") and "value" not in operation:
        raise _rejected()
    value = copy.deepcopy(operation.get("value"))
    source = operation.get("from")
    if name in ("move", "copy") and not isinstance(source, str):
        raise _rejected()
    match name:
        case "add":
            return _add(document, path, value)
        case "remove":
            _remove(document, path)
            return document
        case "replace":
            return _replace(document, path, value)
        case "test":
            _test(document, path, value)
            return document
        case "move":
            return _add(document, path, _remove(document, str(source)))
        case "copy":
            return _add(document, path, copy.deepcopy(_look(document, str(source))))
        case _:
            raise _rejected()
