"""Actions whose process was ended before they were: found in the journal, and said.

Whether such an action did anything is not known from here: the cluster knows, by the plan's id or
by the object itself, and how to ask it is what is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mcp_tui.actions.aliaslook import MODEL_VERSION
from mcp_tui.actions.journal import Action, Journal, is_running
from mcp_tui.actions.runedits import RUN
from mcp_tui.domain import keys
from mcp_tui.domain.plan import Target, Verb
from mcp_tui.domain.text import clean_line, word
from mcp_tui.errors import UsageError

_SAID_FOR: Final = 86_400.0
# Of another machine's process nothing is known: no action takes that long.
_ELSEWHERE: Final = 3_600.0
_MAKING: Final = (Verb.SUBMIT, Verb.RETRY)
_NO_WRITE: Final = (Verb.SHELL, Verb.FORWARD)


def look_for(target: Target, plan_id: str) -> str:
    """The command that shows what a plan made."""
    return f"{_mcp_tui(target)} job ls -l {keys.PLAN_ID}={plan_id}"


def advice(action: Action) -> str:
    """What to do about an action that did not end, in words."""
    started = action.started
    if not started.targets:
        return "look at the objects themselves"
    target = started.targets[0]
    if target.kind == MODEL_VERSION:
        # What was done, the record of the alias says: the history tells it.
        told = f"mcp-tui --context {word(target.context)} model history {word(target.name)}"
        return f"what became of it says: {told}"
    if target.kind == RUN:
        told = f"mcp-tui --context {word(target.context)} run show {word(target.uid)}"
        return f"what became of it says: {told}"
    if started.verb in _MAKING:
        return f"whether its job was made says: {look_for(target, started.plan)}"
    name = target.name if target.kind == "Job" else f"{target.kind}/{target.name}"
    return f"what became of it says: {_mcp_tui(target)} job show {word(name)}"


def unfinished(journal: Journal, *, now: float, contexts: Sequence[str] = ()) -> list[Action]:
    """Writing actions of the last day that did not end, and whose process is gone; oldest first.

    Args:
        now: Unix time in seconds.
        contexts: Only of these; empty for all.

    Raises:
        UsageError: The journal is there and cannot be read.
    """
    return [
        action
        for action in journal.actions(newest=True)
        if action.ended is None
        and action.started.verb not in _NO_WRITE
        # The clock may have been set back since: what is to come is as near as what was.
        and abs(now - action.started.at) <= _SAID_FOR
        and (not contexts or action.started.context in contexts)
        and not _goes_on(action, now)
    ]


def line(actions: Sequence[Action]) -> str:
    """The newest of them in one line; empty when there are none."""
    if not actions:
        return ""
    started = actions[-1].started
    when = datetime.fromtimestamp(started.at, UTC).strftime("%H:%M:%SZ")
    target = started.targets[0] if started.targets else None
    what = f" {target.namespace}/{target.name}".replace(" /", " ") if target is not None else ""
    more = f"; {len(actions) - 1} more: mcp-tui journal" if len(actions) > 1 else ""
    words = f"{started.verb.value}{what} of {when} did not end; {advice(actions[-1])}{more}"
    return clean_line(words, limit=1_000)


def said(journal: Journal, *, now: float, contexts: Sequence[str] = ()) -> str:
    """:func:`line` of :func:`unfinished`; empty where the journal cannot be read.

    Whoever writes needs the journal first, and says then what is wrong with it.
    """
    try:
        return line(unfinished(journal, now=now, contexts=contexts))
    except UsageError:
        return ""


def _goes_on(action: Action, now: float) -> bool:
    running = is_running(action.started.process)
    return now - action.started.at < _ELSEWHERE if running is None else running


def _mcp_tui(target: Target) -> str:
    return f"mcp-tui --context {word(target.context)} -n {word(target.namespace)}"
