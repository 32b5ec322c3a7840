"""Whether a model version's approvals stand: who may give one, and which of those given count.

The records are those of :mod:`mcp_tui.domain.approval`, which says what they bind and what not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from mcp_tui.domain.approval import (
    LEVEL_NAME,
    Approval,
    Identity,
    Level,
    Mode,
    Rule,
    Subject,
    decode,
    records,
)
from mcp_tui.domain.plan import Tier
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

DEFAULTS: Final[Mapping[Tier, Rule]] = {
    Tier.DEV: Rule(mode=Mode.NONE),
    Tier.TEST: Rule(mode=Mode.NOTIFY),
    Tier.PROD: Rule(mode=Mode.NOTIFY),
}
"""Where nothing is configured nobody can be asked: production is told of, and it is said that no
approvals are asked for."""


class Standing(StrEnum):
    """How a level stands. Only ``GIVEN`` counts."""

    GIVEN = "given"
    MISSING = "missing"
    EXPIRED = "expired"
    INVALID = "invalid"


class LevelStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One level, with its record where there is one and the reason where it does not count."""

    level: Level
    standing: Standing
    approval: Approval | None = None
    reason: str = ""

    def text(self) -> str:
        """``ml-lead  given by bo 2026-11-24 13:40Z: looks good``."""
        found = self.approval
        if self.standing is Standing.GIVEN and found is not None:
            when = datetime.fromtimestamp(found.at, UTC).strftime("%Y-%m-%d %H:%MZ")
            by = f"{found.by} ({found.group})" if found.group else found.by
            why = f": {found.reason}" if found.reason else ""
            return f"{self.level.name}  given by {by} {when}{why}"
        return f"{self.level.name}  {self.standing}: {self.reason}"


class Approvals(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a version may go on; ``told`` are the notes that go with it."""

    rule: Rule
    levels: tuple[LevelStanding, ...]
    told: tuple[str, ...] = ()

    @property
    def given(self) -> int:
        """How many levels are given."""
        return sum(each.standing is Standing.GIVEN for each in self.levels)

    @property
    def complete(self) -> bool:
        """Whether all are."""
        return self.given == len(self.rule.levels)

    def text(self) -> str:
        """``approvals 1 of 2``; what the tier asks for where that is none."""
        if self.rule.mode is Mode.LEVELS:
            return f"approvals {self.given} of {len(self.rule.levels)}"
        return "no approval is asked for"


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's; letter case aside, which directories leave aside too."""
    return bool(one) and one.casefold() == other.casefold()


def may_fill(level: Level, who: Identity) -> tuple[bool, str]:
    """Whether somebody may fill a level, and by which group; empty where they are named."""
    if any(same_person(person, who.user) for person in level.people):
        return True, ""
    group = next((group for group in level.groups if group in who.groups), None)
    return (False, "") if group is None else (True, group)


def is_own(by: str, tracker: str, authors: Collection[str]) -> bool:
    """Whether somebody approves what they made; ``authors`` are all names it was made under."""
    return any(same_person(name, author) for author in authors for name in (by, tracker))


def refusal(
    rule: Rule,
    level_name: str,
    who: Identity,
    tags: Mapping[str, str],
    what: Subject,
    authors: Collection[str] = (),
) -> str:
    """Why somebody may not give an approval now; empty when they may.

    Args:
        rule: The tier's.
        level_name: The level they would fill.
        who: They.
        tags: The version's tags, with the records that are there.
        what: What the version is now.
        authors: Who made it, by every name that is known: who started the run, registered the
            version, submitted the job.
    """
    level = next((each for each in rule.levels if each.name == level_name), None)
    if level is None:
        known = ", ".join(each.name for each in rule.levels)
        return f"there is no level {clean_line(level_name, limit=80)!r}" + (
            f"; there are {known}" if known else ": this tier asks for no approval"
        )
    if not may_fill(level, who)[0]:
        return f"{who.user} is neither named for {level.name} nor in one of its groups"
    reason = _not_own(rule, who.user, who.tracker, authors)
    if reason:
        return reason
    for each in judge(rule, tags, what, authors).levels:
        found = each.approval
        if each.standing is not Standing.GIVEN or found is None:
            continue
        if each.level.name == level_name:
            return f"{level_name} is given already, by {found.by}"
        if same_person(found.by, who.user):
            return f"{who.user} has filled {each.level.name}: one person cannot fill two levels"
    return ""


def judge(
    rule: Rule, tags: Mapping[str, str], what: Subject, authors: Collection[str] = ()
) -> Approvals:
    """Look at every level of a tier: what is on record, and whether it counts.

    A record counts when it is for exactly this subject, by one who is named or came by a group of
    the level, who has not filled an earlier level, and who did not make it where the tier forbids
    that. Of one person's several records the oldest counts. What a record says of its group was
    checked when it was given; from a tag it can only be believed.

    Args:
        rule: The tier's.
        tags: The version's tags.
        what: What the version is now.
        authors: Who made it, by every name that is known.
    """
    texts = records(tags)
    found: dict[str, Approval | None] = {
        level.name: decode(level.name, texts[level.name]) if level.name in texts else None
        for level in rule.levels
    }
    order = sorted(
        rule.levels, key=lambda level: (a.at if (a := found[level.name]) else 0.0, level.name)
    )
    filled: dict[str, str] = {}
    standings: dict[str, LevelStanding] = {}
    for level in order:
        record = found[level.name]
        standing, reason = _stands(rule, level, record, level.name in texts, what, authors, filled)
        if standing is Standing.GIVEN and record is not None:
            filled[record.by.casefold()] = level.name
        standings[level.name] = LevelStanding(
            level=level, standing=standing, approval=record, reason=reason
        )
    told = () if rule.mode is not Mode.NOTIFY else ("nobody is asked; it is told",)
    if not rule.configured and rule.mode is not Mode.NONE:
        told = (*told, "no approvals are configured for this tier")
    return Approvals(
        rule=rule, levels=tuple(standings[level.name] for level in rule.levels), told=told
    )


def _stands(
    rule: Rule,
    level: Level,
    record: Approval | None,
    there: bool,
    what: Subject,
    authors: Collection[str],
    filled: Mapping[str, str],
) -> tuple[Standing, str]:
    if record is None:
        if there:
            return Standing.INVALID, "its record cannot be read"
        return Standing.MISSING, f"waits for {who_may(level)}"
    if record.subject != what.digest:
        return Standing.EXPIRED, f"{record.by} approved what it was before: it has changed since"
    named = any(same_person(person, record.by) for person in level.people)
    if not named and (not record.group or record.group not in level.groups):
        return Standing.INVALID, f"{record.by} is not one who may"
    own = _not_own(rule, record.by, record.tracker, authors)
    if own:
        return Standing.INVALID, own
    if record.by.casefold() in filled:
        other = filled[record.by.casefold()]
        return Standing.INVALID, f"{record.by} has filled {other}: one person cannot fill two"
    return Standing.GIVEN, ""


def _not_own(rule: Rule, by: str, tracker: str, authors: Collection[str]) -> str:
    if rule.own:
        return ""
    if not any(authors):
        return "nobody knows who made it, and this tier lets nobody approve their own"
    if is_own(by, tracker, authors):
        return f"{by} made it, and this tier lets nobody approve their own"
    return ""


def who_may(level: Level) -> str:
    """``bo, or anybody of ml-leads``."""
    parts = list(level.people) + [f"anybody of {group}" for group in level.groups]
    return ", or ".join(parts)


# --- the configuration


def read_rule(tree: Any) -> Rule:
    """A tier's rule from the configuration: ``"none"``, ``"notify"``, or a table with levels.

    Raises:
        UsageError: It says something else; ``where`` is the key below the tier's, if any.
    """
    if isinstance(tree, str) and tree in (Mode.NONE, Mode.NOTIFY):
        return Rule(mode=Mode(tree), configured=True)
    if not isinstance(tree, Mapping):
        raise UsageError('neither "none", "notify" nor a table with levels')
    for key in tree:
        if key not in ("levels", "own"):
            raise UsageError(f"unknown key {clean_line(str(key), limit=80)!r}", where=str(key),
                             hint="known here: levels, own")  # fmt: skip
    own, listed = tree.get("own", False), tree.get("levels")
    if not isinstance(own, bool):
        raise UsageError("own is true or false", where="own")
    if not isinstance(listed, list) or not 1 <= len(listed) <= 10:
        raise UsageError("levels is a list of 1 to 10 levels", where="levels")
    levels = tuple(_read_level(each) for each in listed)
    if len({level.name for level in levels}) != len(levels):
        raise UsageError("two levels have one name", where="levels")
    return Rule(mode=Mode.LEVELS, levels=levels, own=own, configured=True)


def _read_level(tree: Any) -> Level:
    if not isinstance(tree, Mapping) or not set(tree) <= {"name", "people", "groups"}:
        raise UsageError("a level is a table of name, people and groups", where="levels")
    name = tree.get("name")
    if not isinstance(name, str) or not LEVEL_NAME.fullmatch(name):
        raise UsageError(
            f"a level's name is small letters, digits and dashes, not {clean_line(str(name))!r}",
            where="name",
        )
    people, groups = _names(tree, "people", name), _names(tree, "groups", name)
    if not people and not groups:
        raise UsageError(f"level {name} names neither people nor groups", where="levels")
    return Level(name=name, people=people, groups=groups)


def _names(tree: Mapping[str, Any], key: str, level: str) -> tuple[str, ...]:
    names: Sequence[Any] = tree.get(key, [])
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name and clean_line(name) == name and "|" not in name
        for name in names
    ):
        raise UsageError(f"{key} of level {level} is a list of names, none with a |", where=key)
    return tuple(names)


def rule_for(tier: Tier, configured: Mapping[Tier, Rule]) -> Rule:
    """What a tier asks for: as configured, or the default."""
    return configured.get(tier, DEFAULTS[tier])
