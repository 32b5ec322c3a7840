"""Actions whose process was ended before they were, or that somebody interrupted before their
outcome was known: found in the journal, and said.

What did not end is said at each start for a week: a kill on Friday is read on Monday, and where
its line was read already is nowhere written down. What was interrupted was told of there and then,
and is said for a day.

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
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Target, Verb
from mcp_tui.domain.text import clean_line, word
from mcp_tui.errors import ExitCode, UsageError

_SAID_FOR: Final = 7 * 86_400.0
_INTERRUPTED_FOR: Final = 86_400.0
# Of another machine's process nothing is known: no action takes that long.
_ELSEWHERE: Final = 3_600.0
_MAKING: Final = (Verb.SUBMIT, Verb.RETRY)
_NO_WRITE: Final = (Verb.SHELL, Verb.FORWARD)


def look_for(target: Target, plan_id: str) -> str:
    """The command that shows what a plan made."""
    return f"{_mcp_tui(target)} job ls -l {word(f'{keys.PLAN_ID}={plan_id}')}"


def advice(action: Action) -> str:
    """What to do about an action whose outcome is not known, in words."""
    started, target = action.started, _target(action)
    if target is None:
        return "look at the objects themselves"
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
    """Writing actions of the last week that did not end, and whose process is gone; and those of
    the last day that were interrupted before it was known what became of them; oldest first.

    Args:
        now: Unix time in seconds.
        contexts: Only of these; empty for all.

    Raises:
        UsageError: The journal is there and cannot be read.
    """
    return [
        action
        for action in journal.actions(since=now - _SAID_FOR)
        if action.started.verb not in _NO_WRITE
        and (not contexts or action.started.context in contexts)
        and _is_open(action, now)
    ]


def line(actions: Sequence[Action]) -> str:
    """The newest of them in one line; empty when there are none."""
    if not actions:
        return ""
    started, target = actions[-1].started, _target(actions[-1])
    when = datetime.fromtimestamp(started.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    what = f" {target.namespace}/{target.name}".replace(" /", " ") if target is not None else ""
    more = f"; {len(actions) - 1} more: mcp-tui journal" if len(actions) > 1 else ""
    how = "did not end"
    if (cut := _cut_off(actions[-1])) is not None:
        how = f"was interrupted, and it is unknown what became of it ({cut.message})"
    words = f"{started.verb.value}{what} of {when} {how}; {advice(actions[-1])}{more}"
    return clean_line(words, limit=1_000)


def said(journal: Journal, *, now: float, contexts: Sequence[str] = ()) -> str:
    """:func:`line` of :func:`unfinished`; empty where the journal cannot be read.

    Whoever writes needs the journal first, and says then what is wrong with it.
    """
    try:
        return line(unfinished(journal, now=now, contexts=contexts))
    except UsageError:
        return ""


def _is_open(action: Action, now: float) -> bool:
    # The clock may have been set back since: what is to come is as near as what was.
    away = abs(now - action.started.at)
    if action.ended is None:
        return away <= _SAID_FOR and not _goes_on(action, now)
    return away <= _INTERRUPTED_FOR and _cut_off(action) is not None


def _cut_off(action: Action) -> Outcome | None:
    """The first outcome that is unknown because somebody interrupted; None where none is."""
    for outcome in () if action.ended is None else action.ended.outcomes:
        interrupted = outcome.exit_code == ExitCode.INTERRUPTED
        if outcome.status is OutcomeStatus.UNKNOWN and interrupted:
            return outcome
    return None


def _target(action: Action) -> Target | None:
    """The object that is to be looked at: the first whose outcome is not known."""
    cut = _cut_off(action)
    return cut.target if cut is not None else next(iter(action.started.targets), None)


def _goes_on(action: Action, now: float) -> bool:
    running = is_running(action.started.process)
    return now - action.started.at < _ELSEWHERE if running is None else running


def _mcp_tui(target: Target) -> str:
    return f"mcp-tui --context {word(target.context)} -n {word(target.namespace)}"
