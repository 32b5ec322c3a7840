"""The record of an alias: MLflow keeps none, so each move leaves tags on the version it is about.

MLflow moves an alias silently, the last write wins, and it has no compare-and-set. A move of ours
is therefore written down *before* it happens (the intent: from, to, who, when, why), then done,
then its end is written beside it. Each move has keys of its own (its plan's id is in them), so the
records of two consoles cannot overwrite each other, and a console killed between two of the three
leaves an intent without an end, from which the next start says what was done.

What cannot be known: a move by somebody else and back again between two looks leaves no trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from mcp_tui.domain.text import clean, clean_line

PREFIX: Final = "mcp-tui.alias."
"""What the keys of the record begin with; the plan's id follows, and ``.end`` for its end."""
END: Final = ".end"
LONGEST: Final = 4_500
"""Characters of a value: MLflow 2.x takes 5,000, 3.x 100,000."""
LONGEST_WHY: Final = 1_000
MAX_SEQ: Final = 1_000_000_000

_PLAN: Final = re.compile(r"[0-9a-f]{32}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,9}")
_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED: Final = re.compile(r"latest|v[0-9]+", re.IGNORECASE)

Verb = Literal["promote", "rollback"]


def alias_fault(alias: str) -> str:
    """Why MLflow would not take it as an alias; empty when it does."""
    if not _ALIAS.fullmatch(alias):
        return "an alias has letters, digits, _ and - only"
    if _RESERVED.fullmatch(alias):
        return "MLflow keeps latest and v1, v2, ... for itself"
    return ""


def is_version(text: str) -> bool:
    """Whether it is a version's number."""
    return _VERSION.fullmatch(text) is not None


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A move as it was meant, written before it is done.

    Attributes:
        v: Of this shape.
        model: Named in it, as a copied version carries the tags of the one it was copied from.
        came: The version that the alias pointed to; empty for none.
        to: The version that it is moved to; empty where the alias is taken away.
        seq: One more than that of every record known when it was planned: an order that does not
            hang on anybody's clock. Two with the same number did not know of each other.
        open: Plans (their ids' first 12 digits) that may have been under way then.
        at: Unix time in seconds, by the clock of who did it.
        gates: What the gates said, a line each.
        override: Why it was done although a gate failed.
        made: What it was made of: ``commit``, ``image``, ``config``, ``data``.
    """

    v: int = 1
    verb: Verb
    model: str
    alias: str
    came: str
    to: str
    seq: int
    at: float
    who: str = ""
    why: str = ""
    override: str = ""
    gates: tuple[str, ...] = ()
    made: Mapping[str, str] = {}
    open: tuple[str, ...] = ()

    @property
    def on(self) -> str:
        """The version that the record stands on."""
        return self.to or self.came


class End(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a move ended.

    Attributes:
        moved: Whether the server did it; False only when that is certain.
        seen: Where the alias pointed when it was looked at afterwards; empty for nowhere, None when
            it could not be looked at.
        at: Unix time in seconds.
    """

    moved: bool
    at: float
    seen: str | None = None


class AliasMove(msgspec.Struct, frozen=True, kw_only=True):
    """The move of an alias as a plan has it.

    Attributes:
        known: The plans that were on record when it was planned: another one is a move meanwhile.
    """

    intent: Intent
    known: tuple[str, ...] = ()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A move as it is on record: what was meant, and how it ended if that is known."""

    plan: str
    intent: Intent
    end: End | None = None

    @property
    def _order(self) -> tuple[int, float, str]:
        return (self.intent.seq, self.intent.at, self.plan)


class VersionTags(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the model, and its tags as they are."""

    version: str
    tags: Mapping[str, str] = {}


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What is on record of one alias, oldest first, and what could not be read."""

    moves: tuple[Record, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def plans(self) -> frozenset[str]:
        """The plans of all of them."""
        return frozenset(each.plan for each in self.moves)

    @property
    def unended(self) -> tuple[Record, ...]:
        """Those that were begun and have no end."""
        return tuple(each for each in self.moves if each.end is None)

    @property
    def next_seq(self) -> int:
        """The number of the next one."""
        return min(max((r.intent.seq for r in self.moves), default=0) + 1, MAX_SEQ)


def intent_key(plan: str) -> str:
    """The key of an intent's tag."""
    return f"{PREFIX}{plan}"


def end_key(plan: str) -> str:
    """The key of an end's tag."""
    return f"{PREFIX}{plan}{END}"


def intent_value(intent: Intent) -> str:
    """An intent as a tag's value, within MLflow's limits: what is too long is cut, and marked."""
    fitted = msgspec.structs.replace(
        intent,
        who=clean_line(intent.who, limit=200),
        why=clean(intent.why, limit=LONGEST_WHY),
        override=clean(intent.override, limit=LONGEST_WHY),
        gates=tuple(clean_line(g, limit=160) for g in intent.gates[:40]),
        made={clean_line(k, limit=20): clean_line(v, limit=120) for k, v in intent.made.items()},
        open=intent.open[:8],
    )
    while len(value := msgspec.json.encode(fitted).decode()) > LONGEST:
        if len(fitted.gates) > 1:
            kept = fitted.gates[: len(fitted.gates) // 2]
            left = len(intent.gates) - len(kept) + (1 if len(kept) > 1 else 0)
            kept = (*kept[:-1], f"... {left} more") if len(kept) > 1 else ()
            fitted = msgspec.structs.replace(fitted, gates=kept)
        else:
            cut = max(len(fitted.why), len(fitted.override)) // 2
            fitted = msgspec.structs.replace(
                fitted,
                why=clean(fitted.why, limit=cut),
                override=clean(fitted.override, limit=cut),
                gates=(),
            )
            if cut < 8:
                fitted = msgspec.structs.replace(fitted, made={}, who=fitted.who[:40])
    return value


def end_value(end: End) -> str:
    """An end as a tag's value."""
    return msgspec.json.encode(end).decode()


def is_record(key: str) -> bool:
    """Whether a tag is of the record; a copy of a version must not carry it."""
    return key.startswith(PREFIX)


def records(model: str, alias: str, versions: Iterable[VersionTags]) -> Records:
    """What is on record of an alias, read from the tags of all versions.

    Tags are anybody's to write: what cannot be read is said and left out. What stands on a version
    that it does not name was copied there, and says nothing.
    """
    moves: list[Record] = []
    problems: list[str] = []
    for each in versions:
        for key, value in each.tags.items():
            if not key.startswith(PREFIX) or key.endswith(END):
                continue
            plan = key.removeprefix(PREFIX)
            intent = _intent(plan, value)
            if intent is None:
                shown = clean_line(key, limit=60)
                problems.append(f"tag {shown} of version {each.version} cannot be read")
                continue
            if (intent.model, intent.on) != (model, each.version) or intent.alias != alias:
                continue
            end = _end(each.tags.get(end_key(plan)))
            if end is None and end_key(plan) in each.tags:
                problems.append(f"the end of plan {plan[:8]} on version {each.version} "
                                "cannot be read")  # fmt: skip
            moves.append(Record(plan=plan, intent=intent, end=end))
    moves.sort(key=lambda r: r._order)
    return Records(moves=tuple(moves), problems=tuple(problems))


def aliases_on_record(model: str, tags_of_versions: Iterable[Mapping[str, str]]) -> list[str]:
    """The aliases of a model that were ever moved on record, set or not."""
    found: set[str] = set()
    for tags in tags_of_versions:
        for key, value in tags.items():
            if key.startswith(PREFIX) and not key.endswith(END):
                intent = _intent(key.removeprefix(PREFIX), value)
                if intent is not None and intent.model == model:
                    found.add(intent.alias)
    return sorted(found)


def _intent(plan: str, value: str) -> Intent | None:
    if not _PLAN.fullmatch(plan) or len(value) > 2 * LONGEST:
        return None
    try:
        found = msgspec.json.decode(value, type=Intent)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    right = (
        found.v == 1
        and 0 < found.seq <= MAX_SEQ
        and 0 <= found.at < 1e11
        and all(not v or is_version(v) for v in (found.came, found.to))
        and bool(found.on)
        and found.came != found.to
        and not alias_fault(found.alias)
    )
    if not right:
        return None
    safe: dict[str, Any] = {
        "model": found.model,  # Compared, and never shown from here.
        "who": clean_line(found.who, limit=200),
        "why": clean(found.why, limit=LONGEST_WHY),
        "override": clean(found.override, limit=LONGEST_WHY),
        "gates": tuple(clean_line(g, limit=200) for g in found.gates[:40]),
        "made": {
            clean_line(k, limit=20): clean_line(v, limit=200)
            for k, v in list(found.made.items())[:8]
        },
        "open": tuple(clean_line(p, limit=32) for p in found.open[:8]),
    }
    return msgspec.structs.replace(found, **safe)


def _end(value: str | None) -> End | None:
    if value is None or len(value) > 2 * LONGEST:
        return None
    try:
        found = msgspec.json.decode(value, type=End)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not 0 <= found.at < 1e11 or (found.seen and not is_version(found.seen)):
        return None
    return found
