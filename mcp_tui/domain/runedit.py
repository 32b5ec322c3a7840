"""Changes to a run's record: what is sent, and how to see afterwards whether it was done."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from mcp_tui.domain import keys
from mcp_tui.domain.run import Run
from mcp_tui.domain.text import clean, clean_line, without_credentials
from mcp_tui.errors import UsageError

MAX_TAG_KEY: Final = 250
MAX_TAG_VALUE: Final = 8_000
_KEY: Final = re.compile(r"[/\w.\- :]+")


class EditKind(StrEnum):
    """What is done to a run."""

    SET_TAG = "set-tag"
    DELETE_TAG = "delete-tag"
    RENAME = "rename"
    DELETE = "delete"
    RESTORE = "restore"


class RunEdit(msgspec.Struct, frozen=True, kw_only=True):
    """One change to one run.

    Attributes:
        kind: What is done.
        run_id: To which run; empty while it is for any (:meth:`of`).
        key: The tag's name; empty for the others.
        value: The tag's value, or the new name.
    """

    kind: EditKind
    run_id: str = ""
    key: str = ""
    value: str = ""

    def checked(self) -> RunEdit:
        """The same, if MLflow can take it.

        Raises:
            UsageError: A name that MLflow refuses, a value that is too long, or no value.
        """
        if self.kind in (EditKind.SET_TAG, EditKind.DELETE_TAG):
            shown = clean_line(self.key, limit=80)
            if not _KEY.fullmatch(self.key) or len(self.key) > MAX_TAG_KEY:
                raise UsageError(
                    f"{shown!r} is not a tag's name",
                    hint="letters, digits, _ - . / : and spaces, at most 250 of them",
                )
            if without_credentials(self.value) != self.value:
                raise UsageError(
                    f"the value of tag {shown!r} has a credential in a URL (not shown)",
                    hint="take it out: whoever may see the run may read it",
                )
            if len(self.value) > MAX_TAG_VALUE:
                raise UsageError(
                    f"the value of tag {shown!r} has {len(self.value):,} characters",
                    hint=f"at most {MAX_TAG_VALUE:,}",
                )
        # MLflow takes an empty name for none given, answers 200, and changes nothing.
        if self.kind is EditKind.RENAME and not self.value.strip():
            raise UsageError("a run cannot have an empty name")
        if len(self.value) > MAX_TAG_VALUE:
            raise UsageError("a name that long cannot be kept", hint=f"at most {MAX_TAG_VALUE:,}")
        return self

    def line(self) -> str:
        """``set tag stage=prod``: for a plan, a record, a message."""
        key, value = clean_line(self.key, limit=250), clean_line(self.value, limit=200)
        match self.kind:
            case EditKind.SET_TAG:
                return f"set tag {key}={value}"
            case EditKind.DELETE_TAG:
                return f"delete tag {key}"
            case EditKind.RENAME:
                return f"rename to {value}"
            case kind:
                return f"{kind} run"

    def is_done(self, run: Run) -> bool:
        """Whether the run, as read again, shows that this was done, by us or by anybody."""
        match self.kind:
            case EditKind.SET_TAG:
                # What was read is cleaned; what is written is as somebody gave it.
                return run.tags.get(self.key) == clean(self.value)
            case EditKind.DELETE_TAG:
                return self.key not in run.tags
            case EditKind.RENAME:
                return run.name == clean(self.value)
            case EditKind.DELETE:
                return run.is_deleted
            case EditKind.RESTORE:
                return not run.is_deleted

    def now(self, run: Run) -> str | None:
        """What is there where it changes something; None for a tag that is not."""
        match self.kind:
            case EditKind.SET_TAG | EditKind.DELETE_TAG:
                return run.tags.get(self.key)
            case EditKind.RENAME:
                return run.name
            case EditKind.DELETE | EditKind.RESTORE:
                return "deleted" if run.is_deleted else "active"

    @property
    def what(self) -> str:
        """What it changes: ``tag stage``, ``name``, ``lifecycle``."""
        match self.kind:
            case EditKind.SET_TAG | EditKind.DELETE_TAG:
                return f"tag {clean_line(self.key, limit=250)}"
            case EditKind.RENAME:
                return "name"
            case EditKind.DELETE | EditKind.RESTORE:
                return "lifecycle"

    def of(self, run_id: str) -> RunEdit:
        """The same change to a run."""
        return msgspec.structs.replace(self, run_id=run_id)

    def back(self, run: Run) -> RunEdit | None:
        """What takes it back, going by the run before it; None when there is nothing to do."""
        if self.is_done(run):
            return None
        match self.kind:
            case EditKind.SET_TAG | EditKind.DELETE_TAG:
                old = run.tags.get(self.key)
                kind = EditKind.DELETE_TAG if old is None else EditKind.SET_TAG
                return msgspec.structs.replace(self, kind=kind, value=old or "")
            case EditKind.RENAME:
                return msgspec.structs.replace(self, value=run.name) if run.name else None
            case EditKind.DELETE:
                return msgspec.structs.replace(self, kind=EditKind.RESTORE)
            case EditKind.RESTORE:
                return msgspec.structs.replace(self, kind=EditKind.DELETE)


class SeenEdit(msgspec.Struct, frozen=True, kw_only=True):
    """A change, and what was there when it was planned; None for a tag that was not."""

    edit: RunEdit
    was: str | None = None


PROTECTED: Final = frozenset({keys.TAG_RUN_NAME, keys.TAG_PARENT_RUN})
"""Tags that mean something to MLflow itself: a plan says so before it changes one."""
