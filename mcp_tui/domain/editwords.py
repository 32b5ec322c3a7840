"""Changes to runs as a person types them: ``tag stage=prod old-``, ``rename x``, ``delete``."""

from __future__ import annotations

import shlex
from typing import Final

from mcp_tui.domain.runedit import EditKind, RunEdit
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

VERBS: Final = ("tag", "rename", "delete", "restore")
_NO_WORDS: Final = {"delete": EditKind.DELETE, "restore": EditKind.RESTORE}


def edits_of(text: str) -> tuple[RunEdit, ...]:
    """The changes that a line asks for, each checked.

    Raises:
        UsageError: It asks for none, or for one that MLflow cannot take.
    """
    verb, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if verb in _NO_WORDS:
        if rest:
            raise UsageError(f"{verb} takes nothing more", hint=f"write {verb} alone")
        return (RunEdit(kind=_NO_WORDS[verb]),)
    if verb == "rename":
        return (RunEdit(kind=EditKind.RENAME, value=rest).checked(),)
    if verb == "tag":
        try:
            words = shlex.split(rest)
        except ValueError:
            raise UsageError("a quote is not closed") from None
        if not words:
            raise UsageError("no tag is named", hint="tag stage=prod, or tag stage- to delete it")
        return tuple(tag_edit(word).checked() for word in words)
    raise UsageError(
        f"{clean_line(verb, limit=40)!r} is no change to a run" if verb else "no change is named",
        hint=f"one of {', '.join(VERBS)}",
    )


def tag_edit(word: str) -> RunEdit:
    """``key=value`` or ``key-``.

    Raises:
        UsageError: It is neither.
    """
    key, equals, value = word.partition("=")
    if equals and key:
        return RunEdit(kind=EditKind.SET_TAG, key=key, value=value)
    if not equals and len(key) > 1 and key.endswith("-"):
        return RunEdit(kind=EditKind.DELETE_TAG, key=key[:-1])
    raise UsageError(f"{clean_line(word, limit=80)!r} is neither KEY=VALUE nor KEY-")
