"""The history of an alias, told from its record, and where a rollback goes.

Moves form a stack: a promotion lays a version on top, a rollback takes it off again. Pressing undo
twice therefore goes two versions back, never forth to the one that was just taken back. A move that
is not on record is found where the record and the alias disagree; it is put into the history as
somebody else's, and what was live before it is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby

import msgspec

from mcp_tui.domain.alias import Intent, Record, Records


class MoveState(StrEnum):
    """What became of a move.

    ``DONE``: its console saw it done. ``FOUND``: it has no end, and the alias pointed there
    afterwards. ``NOT_DONE``: the server refused it, or the alias stayed where it was. ``UNKNOWN``:
    nothing says. ``FOREIGN``: somebody moved the alias past the record.
    """

    DONE = "done"
    FOUND = "found"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"
    FOREIGN = "foreign"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history. ``record`` is None for a move that is not on record."""

    came: str
    to: str
    state: MoveState
    record: Record | None = None

    @property
    def intent(self) -> Intent | None:
        """What was written down before it."""
        return self.record.intent if self.record is not None else None


class Back(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rollback goes.

    Attributes:
        possible: Whether the record says so.
        to: The version; empty where the alias was not set before.
        why_not: Why it cannot be said.
        perhaps: A version that was live earlier, to be named on purpose; empty for none.
    """

    possible: bool
    to: str = ""
    why_not: str = ""
    perhaps: str = ""


class History(msgspec.Struct, frozen=True, kw_only=True):
    """An alias as it came to where it is, oldest first.

    Attributes:
        current: The version that it points to; empty for none.
        unended: Records of moves that were begun and never ended.
        problems: What could not be read, in words.
    """

    model: str
    alias: str
    current: str
    moves: tuple[Move, ...]
    back: Back
    unended: tuple[Record, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def lived(self) -> frozenset[str]:
        """Every version that it pointed to at some time, as far as that was seen."""
        done = (MoveState.DONE, MoveState.FOUND, MoveState.FOREIGN)
        # Whoever planned a move looked first, whatever became of it.
        seen = {each.came for each in self.moves} | {m.to for m in self.moves if m.state in done}
        return frozenset((seen | {self.current}) - {""})

    @property
    def foreign(self) -> Move | None:
        """The last move, where it is not on record."""
        last = self.moves[-1] if self.moves else None
        return last if last is not None and last.state is MoveState.FOREIGN else None


class _Gap(msgspec.Struct, frozen=True):
    """In the stack: what lay here is not known."""

    why: str
    perhaps: str = ""


class _Tale:
    """The state of the telling: what is live, and what lies below it."""

    def __init__(self, live: str) -> None:
        self.live = live
        self.below: list[str | _Gap] = []
        self.moves: list[Move] = []

    def seen_at(self, value: str) -> None:
        """Somebody looked, and the alias pointed there."""
        if value == self.live:
            return
        self.moves.append(Move(came=self.live, to=value, state=MoveState.FOREIGN))
        was, now = _named(self.live), _named(value)
        why = f"somebody moved it from {was} to {now} past the record"
        self.below += [self.live, _Gap(why, self.live)] if self.live else [_Gap(why)]
        self.live = value

    def do(self, record: Record, state: MoveState, *, gap: str = "") -> None:
        """A move of ours was done."""
        intent = record.intent
        self.moves.append(Move(came=intent.came, to=intent.to, state=state, record=record))
        at = [i for i, each in enumerate(self.below) if each == intent.to]
        if intent.verb == "rollback" and at and not gap:
            del self.below[at[-1] :]
        elif gap:
            self.below += [self.live, _Gap(gap, self.live)]
        else:
            self.below.append(self.live)
        self.live = intent.to

    def leave(self, record: Record, state: MoveState) -> None:
        """A move of ours was not done, or nobody knows."""
        intent = record.intent
        self.moves.append(Move(came=intent.came, to=intent.to, state=state, record=record))


def history(
    model: str, alias: str, found: Records, *, current: str, versions: frozenset[str]
) -> History:
    """The history of an alias.

    Args:
        found: Its record.
        current: The version that it points to now; empty for none.
        versions: Those that the model has.
    """
    groups = [list(group) for _, group in groupby(found.moves, key=lambda r: r.intent.seq)]
    tale = _Tale(groups[0][0].intent.came if groups else current)
    refused = {r.plan[:12] for r in found.moves if _certainly_not(r)}
    for index, group in enumerate(groups):
        later = groups[index + 1] if index + 1 < len(groups) else ()
        after = {r.intent.came for r in later} or {current}
        _tell(tale, group, next(iter(after)) if len(after) == 1 else None, refused)
    tale.seen_at(current)
    return History(
        model=model,
        alias=alias,
        current=current,
        moves=tuple(tale.moves),
        back=_back(tale, alias, versions, recorded=bool(groups)),
        unended=found.unended,
        problems=found.problems,
    )


def _tell(tale: _Tale, group: Sequence[Record], after: str | None, refused: set[str]) -> None:
    """Tell the moves that were planned without knowing of each other: one, but for a race."""
    for came in dict.fromkeys(r.intent.came for r in group):
        tale.seen_at(came)
    done = [r for r in group if _done(r, after)]
    if len(group) == 1:
        [record] = group
        if done:
            # Who planned while another was under way may have moved before it or after it.
            raced = not refused.issuperset(record.intent.open)
            why = "another move was under way at the same time" if raced else ""
            tale.do(record, _how(record), gap=why)
            _look_after(tale, record)
        elif _certainly_not(record) or after == record.intent.came:
            tale.leave(record, MoveState.NOT_DONE)
        else:
            tale.leave(record, MoveState.UNKNOWN)
        return
    for record in group:
        if record not in done:
            state = MoveState.NOT_DONE if _certainly_not(record) else MoveState.UNKNOWN
            tale.leave(record, state)
    others = [r for r in group if r not in done and not _certainly_not(r)]
    for record in sorted(done, key=lambda r: r.intent.to == after):
        raced_here = len(done) > 1 or bool(others)
        tale.do(record, _how(record), gap="two moved it at the same time" if raced_here else "")
    if len(done) == 1:
        _look_after(tale, done[0])


def _look_after(tale: _Tale, record: Record) -> None:
    """Who moved it looked afterwards, and may have found it elsewhere."""
    if record.end is not None and record.end.seen is not None:
        tale.seen_at(record.end.seen)


def _done(record: Record, after: str | None) -> bool:
    return record.end.moved if record.end is not None else record.intent.to == after


def _certainly_not(record: Record) -> bool:
    return record.end is not None and not record.end.moved


def _how(record: Record) -> MoveState:
    return MoveState.FOUND if record.end is None else MoveState.DONE


def _named(version: str) -> str:
    return f"version {version}" if version else "nothing"


def _back(tale: _Tale, alias: str, versions: frozenset[str], *, recorded: bool) -> Back:
    if not recorded:
        if not tale.live:
            return Back(possible=False, why_not=f"{alias} is not set, and nothing is on record")
        return Back(possible=False, why_not=f"no move of {alias} is on record")
    perhaps = next(_candidates(tale, versions), "")
    if not tale.below:
        why = f"the record begins with {_named(tale.live)}"
        return Back(possible=False, why_not=why)
    before = tale.below[-1]
    if isinstance(before, _Gap):
        return Back(possible=False, why_not=before.why, perhaps=perhaps)
    if before and before not in versions:
        why = f"version {before}, which was live before, was deleted"
        return Back(possible=False, why_not=why, perhaps=perhaps)
    return Back(possible=True, to=before)


def _candidates(tale: _Tale, versions: frozenset[str]) -> Iterator[str]:
    """Versions that were live earlier, the newest first."""
    for each in reversed(tale.below):
        version = each.perhaps if isinstance(each, _Gap) else each
        if version and version in versions and version != tale.live:
            yield version
