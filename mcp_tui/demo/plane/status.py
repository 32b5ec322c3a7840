"""Errors as the API server words them: a ``Status`` object with an HTTP code.

The wording follows k8s.io/apimachinery ``api/errors``; clients match on ``reason`` and ``details``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mcp_tui.demo.plane.model import Kind, Obj


class StatusError(Exception):
    """An answer other than success. Carries the whole ``Status``.

    Args:
        generic: Not about any object: upstream such a Status has empty details.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Obj | None = None,
        continue_: str = "",
        generic: bool = False,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.details = dict(details or {})
        self.continue_ = continue_
        self.generic = generic
        self.warnings: list[str] | None = None
        if retry_after is not None:
            self.details["retryAfterSeconds"] = retry_after

    def body(self) -> Obj:
        """The Status object."""
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_} if self.continue_ else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details or self.generic:
            status["details"] = self.details
        status["code"] = self.code
        return status


def _about(kind: Kind, name: str) -> Obj:
    details: Obj = {}
    if name:
        details["name"] = name
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.plural
    return details


def not_found(kind: Kind, name: str) -> StatusError:
    """404 for an object that is not there."""
    text = f'{kind.resource} "{name}" not found'
    return StatusError(404, "NotFound", text, details=_about(kind, name))


def no_such_path() -> StatusError:
    """404 for a path that no resource has."""
    text = "the server could not find the requested resource"
    return StatusError(404, "NotFound", text, generic=True)


def already_exists(kind: Kind, name: str) -> StatusError:
    """409 on creating what is there."""
    text = f'{kind.resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", text, details=_about(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> StatusError:
    """409 on a stale resourceVersion or a failed precondition."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )
    text = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return StatusError(409, "Conflict", text, details=_about(kind, name))


def forbidden(kind: Kind, name: str, why: str) -> StatusError:
    """403 by a rule of the resource itself (not by authorisation)."""
    text = f'{kind.resource} "{name}" is forbidden: {why}'
    return StatusError(403, "Forbidden", text, details=_about(kind, name))


def unauthorized() -> StatusError:
    """401."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def bad_request(why: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", why)


def method_not_allowed() -> StatusError:
    """405: the resource is there, the verb is not served."""
    text = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", text, generic=True)


def not_acceptable() -> StatusError:
    """406."""
    text = "406: Not Acceptable\n\nAvailable representations: application/json"
    return StatusError(406, "NotAcceptable", text, generic=True)


def unsupported_media(accepted: Sequence[str]) -> StatusError:
    """415, naming what is accepted."""
    text = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return StatusError(415, "UnsupportedMediaType", text)


def expired(why: str, continue_: str = "") -> StatusError:
    """410: the history asked for is compacted."""
    return StatusError(410, "Expired", why, continue_=continue_)


def internal(why: str) -> StatusError:
    """500."""
    return StatusError(
        500,
        "InternalError",
        f"Internal error occurred: {why}",
        details={"causes": [{"message": why}]},
    )


def not_implemented(why: str) -> StatusError:
    """501: known, and deliberately not served here."""
    return StatusError(501, "NotImplemented", why)


class Fault:
    """One invalid field, as ``field.Error``."""

    __slots__ = ("detail", "field", "reason")

    def __init__(self, reason: str, field: str, detail: str) -> None:
        self.reason = reason
        self.field = field
        self.detail = detail


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid_value(field: str, value: Any, why: str) -> Fault:
    """A value that breaks a rule."""
    return Fault("FieldValueInvalid", field, f"Invalid value: {_shown(value)}: {why}")


def required(field: str, why: str = "") -> Fault:
    """A value that is missing."""
    return Fault("FieldValueRequired", field, "Required value" + (f": {why}" if why else ""))


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Fault:
    """A value outside an enumeration."""
    names = ", ".join(f'"{item}"' for item in supported)
    return Fault(
        "FieldValueNotSupported",
        field,
        f"Unsupported value: {_shown(value)}: supported values: {names}",
    )


def duplicate(field: str, value: Any) -> Fault:
    """A value that must be unique and is not."""
    return Fault("FieldValueDuplicate", field, f"Duplicate value: {_shown(value)}")


def unknown_value(field: str, value: Any) -> Fault:
    """A reference to something that is not there."""
    return Fault("FieldValueNotFound", field, f"Not found: {_shown(value)}")


def forbidden_value(field: str, why: str) -> Fault:
    """A field that must not be set or changed."""
    return Fault("FieldValueForbidden", field, f"Forbidden: {why}")


def invalid(qualified_kind: str, name: str, faults: Sequence[Fault]) -> StatusError:
    """422 with one cause per fault."""
    lines = [f"{fault.field}: {fault.detail}" for fault in faults]
    lines = list(dict.fromkeys(lines))
    shown = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    kind, _, group = qualified_kind.partition(".")
    details: Obj = {"name": name} if name else {}
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [
        {"reason": fault.reason, "message": fault.detail, "field": fault.field} for fault in faults
    ]
    return StatusError(
        422, "Invalid", f'{qualified_kind} "{name}" is invalid: {shown}', details=details
    )
