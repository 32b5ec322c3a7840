"""The query of a list or watch, checked as the API server checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_tui.demo.plane.model import Kind
from mcp_tui.demo.plane.selectors import Selector, selector
from mcp_tui.demo.plane.status import (
    Fault,
    StatusError,
    bad_request,
    forbidden_value,
    invalid,
    unsupported,
)

_OPTIONS = "ListOptions.meta.k8s.io"


@dataclass(frozen=True)
class ListOptions:
    """The checked query of a list or watch."""

    match: Selector | None
    selected: bool
    limit: int
    continue_: str
    version: str
    version_match: str
    watch: bool
    bookmarks: bool
    timeout: float | None
    initial_events: bool | None


def read_options(kind: Kind, query: Mapping[str, str], *, name: str = "") -> ListOptions:
    """Raises StatusError 400 or 422."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    watch = _flag(query, "watch")
    initial = _flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
    continue_ = query.get("continue", "")
    fields = query.get("fieldSelector", "")
    if name:
        fields = f"{fields},metadata.name={name}" if fields else f"metadata.name={name}"
    options = ListOptions(
        match=selector(kind, query.get("labelSelector", ""), fields),
        selected=bool(query.get("labelSelector") or fields),
        limit=_number(query, "limit"),
        continue_=continue_,
        version=version,
        version_match=match,
        watch=watch,
        bookmarks=_flag(query, "allowWatchBookmarks"),
        timeout=float(_number(query, "timeoutSeconds")) or None,
        initial_events=initial,
    )
    faults = _watch_faults(options) if watch else _list_faults(options)
    if faults:
        raise invalid(_OPTIONS, "", faults)
    if version and not version.isdigit():
        text = f'resourceVersion: Invalid value: "{version}": {_not_a_number(version)}'
        if watch:
            raise StatusError(500, "", text)
        raise bad_request(f"invalid resource version: {text}")
    return options


def _not_a_number(text: str) -> str:
    return f'strconv.ParseUint: parsing "{text}": invalid syntax'


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("1", "true")


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    if not text.lstrip("-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(int(text), 0)


_MATCHES = ("Exact", "NotOlderThan")


def _list_faults(options: ListOptions) -> list[Fault]:
    match = options.version_match
    found: list[Fault] = []
    if options.initial_events is not None:
        why = "sendInitialEvents is forbidden for list"
        found.append(forbidden_value("sendInitialEvents", why))
    if not match:
        return found
    if not options.version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(forbidden_value("resourceVersionMatch", why))
    if options.continue_:
        why = "resourceVersionMatch is forbidden when continue is provided"
        found.append(forbidden_value("resourceVersionMatch", why))
    if match not in _MATCHES:
        found.append(unsupported("resourceVersionMatch", match, (*_MATCHES, "")))
    if match == "Exact" and options.version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(forbidden_value("resourceVersionMatch", why))
    return found


def _watch_faults(options: ListOptions) -> list[Fault]:
    match = options.version_match
    found: list[Fault] = []
    if options.initial_events is not None and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        found.append(forbidden_value("resourceVersionMatch", why))
    if match and options.initial_events is None:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        found.append(forbidden_value("resourceVersionMatch", why))
    if match and options.initial_events is not None and match != "NotOlderThan":
        found.append(unsupported("resourceVersionMatch", match, ("NotOlderThan",)))
    return found
