"""Jobs as documents (JSON, YAML) and as the columns of a printed table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcp_tui.cli.output import Column, Printer
from mcp_tui.domain.job import JobState, JobView
from mcp_tui.domain.quantity import format_bytes, format_cpu
from mcp_tui.domain.reltime import absolute, age, duration

_STYLES = {
    JobState.FAILED: "failed",
    JobState.STALLED: "attention",
    JobState.WAITING: "waiting",
    JobState.SUSPENDED: "waiting",
    JobState.RUNNING: "running",
    JobState.DONE: "done",
}


def document(view: JobView) -> Mapping[str, Any]:
    """A row as a script reads it: its identity by name, its cause also as the one line; times are
    epoch seconds."""
    fields: dict[str, Any] = msgspec.to_builtins(view, str_keys=True)
    del fields["key"], fields["urgency"]
    cause = fields.pop("cause")
    if view.cause is not None:
        cause = {"line": view.cause.line(), **cause}
    return {**view.key._asdict(), **fields, "cause": cause}


def columns(*, contexts: bool, namespaces: bool) -> list[Column[JobView]]:
    """The columns of a list; context and namespace where there are several."""
    found: list[Column[JobView]] = [
        Column("STATE", lambda v: f"{v.state.ascii} {v.state.value}", style=_style)
    ]
    if contexts:
        found.append(Column("CONTEXT", lambda v: v.key.context))
    found.append(Column("NAMESPACE", lambda v: v.key.namespace, wide=not namespaces))
    found += [
        Column("KIND", lambda v: v.key.kind, wide=True),
        Column("NAME", lambda v: v.key.name),
        Column("DONE", lambda v: v.done_text()),
        Column("SINCE", lambda v: age(time.time() - v.since)),
        Column("TOOK", lambda v: duration(v.duration) if v.duration is not None else "", wide=True),
        Column("OWNER", lambda v: v.owner, wide=True),
        Column("QUEUE", lambda v: v.queue, wide=True),
        Column("CPU", lambda v: format_cpu(v.cpu) if v.cpu else "", wide=True),
        Column("MEMORY", lambda v: format_bytes(v.memory) if v.memory else "", wide=True),
        Column("GPU", lambda v: f"{v.accelerators:g}" if v.accelerators else "", wide=True),
        Column("COMMIT", lambda v: v.commit[:8], wide=True),
        Column("RUN", lambda v: v.run_id[:8], wide=True),
        Column("WHY / NEWEST", lambda v: v.why),
    ]
    return found


def _style(view: JobView) -> str:
    return _STYLES[view.state]


def print_views(
    views: Sequence[JobView], shown: Sequence[Column[JobView]], output: str, printer: Printer
) -> None:
    """Rows in a format; as data one list of documents."""
    if output in ("json", "yaml"):
        printer.documents(map(document, views), output)
    elif output == "name":
        printer.lines(map(reference, views))
    elif views:
        printer.table(views, shown, wide=output == "wide")


def reference(view: JobView) -> str:
    """``kind/name``, as the other commands take it."""
    return f"{view.key.kind.lower()}/{view.key.name}"


def described(view: JobView) -> list[str]:
    """One job in words, a fact a line."""
    facts: list[tuple[str, str]] = [
        ("job", f"{view.key.kind} {view.key.namespace}/{view.key.name}"),
        ("context", view.key.context),
        ("state", f"{view.state.value} since {absolute(view.since)}"),
        ("why", view.why),
        ("cause", view.cause.sentence() if view.cause is not None else ""),
        ("progress", view.progress.counts() if view.progress is not None else ""),
        ("created", absolute(view.created)),
        ("started", absolute(view.started) if view.started else ""),
        ("finished", absolute(view.finished) if view.finished else ""),
        ("took", duration(view.duration) if view.duration is not None else ""),
        ("pods", f"{view.active} active, {view.ready} ready, {view.failed} failed"),
        ("owner", view.owner),
        ("queue", view.queue),
        ("image", view.image),
        ("code", " ".join(filter(None, (view.git_url, view.branch, view.commit)))),
        ("run", view.run_id + (f" ({view.run_note})" if view.run_note else "")),
        ("parent", view.parent),
    ]
    return [f"{name:<9} {text}" for name, text in facts if text]
