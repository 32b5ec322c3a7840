"""Approvals: what a record is for, who may give one, and which of those given count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_tui.domain.approval import (
    MAX_RECORD,
    TAG,
    Approval,
    Identity,
    Level,
    Mode,
    Rule,
    Subject,
    cel_given,
    cel_own_name,
    decode,
    encode,
    records,
    subject,
)
from mcp_tui.domain.approval_rules import (
    DEFAULTS,
    Standing,
    judge,
    may_fill,
    read_rule,
    refusal,
    rule_for,
)
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import UsageError
from tests.hostile.texts import hostile

FILES = [("MLmodel", 700), ("model.pkl", 9_000), ("data", None)]
WHAT = subject("ranker", "42", b"run_id: 7be2", FILES)
LEADS = Level(name="ml-lead", people=("bo", "eva@example.org"), groups=("ml-leads",))
SRE = Level(name="sre", groups=("sre",))
RULE = Rule(mode=Mode.LEVELS, levels=(LEADS, SRE), configured=True)
AT = 1_780_000_000.0


def yes(level: str, by: str, *, at: float = AT, group: str = "", what: Subject = WHAT,
        tracker: str = "", reason: str = "fine") -> dict[str, str]:  # fmt: skip
    record = Approval(
        level=level, by=by, at=at, group=group, subject=what.digest, tracker=tracker, reason=reason
    )
    return {TAG + level: encode(record)}


# --- the subject


def test_a_subject_is_the_same_whatever_the_order_of_its_files() -> None:
    assert subject("ranker", "42", b"run_id: 7be2", FILES[::-1]) == WHAT
    assert WHAT.digest.startswith("sha256:") and len(WHAT.digest) == 71


names = st.text(max_size=8)
listings = st.lists(st.tuples(names, st.none() | st.integers(0, 10**12)), max_size=4)


@given(names, names, st.binary(max_size=8), listings, names, names, st.binary(max_size=8), listings)
def test_two_subjects_have_one_digest_only_when_they_are_one(
    m1: str, v1: str, b1: bytes, l1: list[tuple[str, int | None]],
    m2: str, v2: str, b2: bytes, l2: list[tuple[str, int | None]],
) -> None:  # fmt: skip
    def key(listing: list[tuple[str, int | None]]) -> list[tuple[str, int]]:
        return sorted((path, -1 if size is None else size) for path, size in listing)

    same = (m1, v1, b1, key(l1)) == (m2, v2, b2, key(l2))
    assert (subject(m1, v1, b1, l1).digest == subject(m2, v2, b2, l2).digest) == same
    assert subject(m1, v1, b1, l1).digest != subject(m1 + "x", v1, b1, l1).digest


@pytest.mark.parametrize(
    "changed",
    [
        subject("ranker2", "42", b"run_id: 7be2", FILES),
        subject("ranker", "43", b"run_id: 7be2", FILES),
        subject("ranker", "42", b"run_id: 7be3", FILES),
        subject("ranker", "42", b"run_id: 7be2", FILES[:2]),
        subject("ranker", "42", b"run_id: 7be2", [*FILES[:1], ("model.pkl", 9_001), FILES[2]]),
        subject("ranker", "42", b"run_id: 7be2", [*FILES, ("new", 0)]),
    ],
)
def test_an_approval_expires_when_the_subject_changes(changed: Subject) -> None:
    tags = yes("ml-lead", "bo") | yes("sre", "al", group="sre")
    assert judge(RULE, tags, WHAT, ["kim"]).complete
    after = judge(RULE, tags, changed, ["kim"])
    assert [each.standing for each in after.levels] == [Standing.EXPIRED] * 2
    assert after.given == 0 and not after.complete
    # And it can be given anew.
    assert refusal(RULE, "ml-lead", Identity(user="bo"), tags, changed, ["kim"]) == ""


# --- the record

plain = st.text(st.characters(codec="ascii", exclude_characters="|", exclude_categories=["Cc"]),
                max_size=20)  # fmt: skip


@given(plain.filter(bool), plain, plain, hostile, st.integers(0, 4_000_000_000))
def test_a_record_is_read_back_as_it_was(
    by: str, group: str, tracker: str, reason: str, at: int
) -> None:
    record = Approval(
        level="sre", by=by, group=group, tracker=tracker, at=at, reason=reason, subject=WHAT.digest
    )
    text = encode(record)
    assert len(text) <= MAX_RECORD
    assert text.startswith(f"by={by}|group={group}|")
    assert text.endswith(f"|for={WHAT.digest}")
    assert text.count("|") == 5 and "\n" not in text and "\x1b" not in text
    found = decode("sre", text)
    assert found is not None
    assert (found.by, found.group, found.tracker, found.at, found.subject) == (
        by, group, tracker, at, WHAT.digest,
    )  # fmt: skip
    assert encode(found) == text


@pytest.mark.parametrize("name", ["a|b", "a\nb", "a\x1b[2J", "", "x" * 501])
def test_a_name_that_could_pass_for_anothers_stands_in_no_record(name: str) -> None:
    with pytest.raises(UsageError):
        encode(Approval(level="sre", by=name, at=AT, subject=WHAT.digest))


GOOD = yes("sre", "al", group="sre")[TAG + "sre"]


@pytest.mark.parametrize(
    "text",
    [
        "", "approved", GOOD + "|", GOOD.replace("by=", "By="), GOOD.replace("by=al", "by="),
        GOOD.replace("for=sha256:", "for="), GOOD[:-1], GOOD.replace("|why=", "|why=a|"),
        GOOD.replace("Z|", "|"), "x" * 5_000, GOOD.replace("fine", "fi\x1bne"),
        "|".join(reversed(GOOD.split("|"))),
    ],
)  # fmt: skip
def test_what_is_no_record_is_no_approval(text: str) -> None:
    assert decode("sre", text) is None
    found = judge(RULE, {TAG + "sre": text}, WHAT, ["kim"]).levels[1]
    assert found.standing is Standing.INVALID
    assert found.reason == "its record cannot be read"


@given(hostile)
def test_any_text_is_a_record_or_none(text: str) -> None:
    decode("sre", text)
    judge(RULE, {TAG + "sre": text, TAG + text: text, text: text}, WHAT, [text])


def test_records_are_found_among_other_tags() -> None:
    assert records({TAG + "sre": "x", "team": "y", "mcp-tui.approvalx": "z"}) == {"sre": "x"}


# --- who may


def test_who_may_fill_a_level() -> None:
    assert may_fill(LEADS, Identity(user="bo")) == (True, "")
    assert may_fill(LEADS, Identity(user="Eva@Example.org", groups=("ml-leads",))) == (True, "")
    assert may_fill(LEADS, Identity(user="al", groups=("x", "ml-leads"))) == (True, "ml-leads")
    assert may_fill(LEADS, Identity(user="ml-leads")) == (False, "")
    # Groups are exact: to a server they are no names of people.
    assert may_fill(LEADS, Identity(user="al", groups=("ML-Leads",))) == (False, "")


AL = Identity(user="al", groups=("sre", "ml-leads"), tracker="al.mlflow")


@pytest.mark.parametrize(
    ("level", "who", "tags", "authors", "says"),
    [
        ("sre", AL, {}, ["kim"], ""),
        ("ops", AL, {}, ["kim"], "there is no level 'ops'; there are ml-lead, sre"),
        ("sre", Identity(user="bo"), {}, ["kim"], "neither named for sre"),
        ("sre", AL, yes("sre", "di", group="sre"), ["kim"], "given already, by di"),
        ("sre", AL, yes("ml-lead", "AL", group="ml-leads"), ["kim"], "cannot fill two levels"),
        ("sre", AL, {}, ["Al"], "made it"),
        ("sre", AL, {}, ["al.mlflow"], "made it"),
        ("sre", AL, {}, [], "nobody knows who made it"),
        ("sre", AL, {}, [""], "nobody knows who made it"),
        # What does not count keeps nobody from giving a right one.
        ("sre", AL, {TAG + "sre": "nonsense"}, ["kim"], ""),
        ("sre", AL, yes("ml-lead", "al"), ["kim"], ""),
    ],
)
def test_who_may_give_an_approval_now(
    level: str, who: Identity, tags: dict[str, str], authors: list[str], says: str
) -> None:
    found = refusal(RULE, level, who, tags, WHAT, authors)
    assert says in found and bool(found) == bool(says)


def test_a_tier_may_let_people_approve_their_own() -> None:
    free = Rule(mode=Mode.LEVELS, levels=(SRE,), own=True)
    assert refusal(free, "sre", AL, {}, WHAT, ["al"]) == ""
    assert judge(free, yes("sre", "al", group="sre"), WHAT, []).complete


# --- which count


def test_two_people_for_two_levels() -> None:
    tags = yes("ml-lead", "bo") | yes("sre", "al", group="sre")
    found = judge(RULE, tags, WHAT, ["kim"])
    assert found.complete and found.text() == "approvals 2 of 2"
    assert found.levels[0].text().startswith("ml-lead  given by bo 2026-05-28 20:26Z: fine")
    assert found.levels[1].text().startswith("sre  given by al (sre)")
    one = judge(RULE, yes("ml-lead", "bo"), WHAT, ["kim"])
    assert one.text() == "approvals 1 of 2"
    assert one.levels[1].reason == "waits for anybody of sre"


def test_one_person_fills_one_level_and_the_oldest_counts() -> None:
    tags = yes("ml-lead", "AL", group="ml-leads", at=AT + 60) | yes("sre", "al", group="sre")
    found = judge(RULE, tags, WHAT, ["kim"])
    assert [each.standing for each in found.levels] == [Standing.INVALID, Standing.GIVEN]
    assert "has filled sre" in found.levels[0].reason


def test_a_record_of_one_who_may_not_does_not_count() -> None:
    for tags in (
        yes("sre", "al"),  # came by no group, and is not named
        yes("sre", "al", group="ml-leads"),  # a group of another level
        yes("sre", "kim", group="sre"),  # made it
        yes("sre", "al", group="sre", tracker="Kim"),  # made it, by MLflow's name
    ):
        found = judge(RULE, tags, WHAT, ["kim"]).levels[1]
        assert found.standing is Standing.INVALID, tags


PEOPLE = ("bo", "Bo", "al", "kim", "eva@example.org")
record_st = st.tuples(
    st.sampled_from(PEOPLE), st.sampled_from(("", "sre", "ml-leads")), st.integers(0, 3),
    st.sampled_from((WHAT, subject("ranker", "43", b"", []))),
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(("ml-lead", "sre", "other")), record_st),
    st.sampled_from(([], ["kim"], ["bo", "x"])),
    st.booleans(),
)
def test_what_counts_is_always_by_different_people_who_may(
    given_: dict[str, tuple[str, str, int, Subject]], authors: list[str], own: bool
) -> None:
    rule = Rule(mode=Mode.LEVELS, levels=(LEADS, SRE), own=own)
    tags: dict[str, str] = {}
    for level, (by, group, at, what) in given_.items():
        tags |= yes(level, by, group=group, at=AT + at, what=what)
    found = judge(rule, tags, WHAT, authors)
    counted = [each for each in found.levels if each.standing is Standing.GIVEN]
    people = [each.approval.by.casefold() for each in counted if each.approval]
    assert len(set(people)) == len(people) == found.given
    for each in counted:
        assert each.approval is not None and each.approval.subject == WHAT.digest
        named = each.approval.by.casefold() in [p.casefold() for p in each.level.people]
        assert named or each.approval.group in each.level.groups
        assert own or (authors and each.approval.by.casefold() not in authors)
    assert found.complete == (len(counted) == 2)
    # A record more never takes away that the tier is content, but for one of a person who is on
    # record already; a record less never makes it content.
    for level in tags:
        fewer = {name: text for name, text in tags.items() if name != level}
        assert judge(rule, fewer, WHAT, authors).complete <= (len(fewer) >= 2)
    # Nobody who is refused could have been counted: giving it all the same changes nothing.
    for who in (Identity(user="al", groups=("sre",)), Identity(user="bo"), Identity(user="kim")):
        for level in rule.levels:
            may, group = may_fill(level, who)
            why = refusal(rule, level.name, who, tags, WHAT, authors)
            if not why:
                assert may
                after = judge(
                    rule, tags | yes(level.name, who.user, group=group, at=AT + 9), WHAT, authors
                )
                place = rule.levels.index(level)
                assert after.levels[place].standing is Standing.GIVEN
                assert after.given == found.given + 1


# --- the configuration


def test_rules_of_the_configuration() -> None:
    assert read_rule("none") == Rule(mode=Mode.NONE, configured=True)
    assert read_rule("notify").mode is Mode.NOTIFY
    tree = {"levels": [{"name": "ml-lead", "people": ["bo"]}, {"name": "sre", "groups": ["sre"]}]}
    assert read_rule(tree) == Rule(
        mode=Mode.LEVELS, levels=(Level(name="ml-lead", people=("bo",)), SRE), configured=True
    )
    assert read_rule({**tree, "own": True}).own
    told = judge(rule_for(Tier.PROD, {}), {}, WHAT)
    assert told.complete and "no approvals are configured for this tier" in told.told
    assert judge(DEFAULTS[Tier.DEV], {}, WHAT).told == ()
    assert rule_for(Tier.DEV, {Tier.DEV: RULE}) is RULE


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ("all", "neither"),
        (7, "neither"),
        ({}, "1 to 10 levels"),
        ({"levels": []}, "1 to 10 levels"),
        ({"levels": [{}] * 11}, "1 to 10 levels"),
        ({"level": []}, "unknown key 'level'"),
        ({"levels": [7]}, "a level is a table"),
        ({"levels": [{"name": "a", "who": ["b"]}]}, "a level is a table"),
        ({"levels": [{"name": "A b", "people": ["b"]}]}, "small letters"),
        ({"levels": [{"people": ["b"]}]}, "small letters"),
        ({"levels": [{"name": "a"}]}, "neither people nor groups"),
        ({"levels": [{"name": "a", "people": "bo"}]}, "list of names"),
        ({"levels": [{"name": "a", "people": ["b|c"]}]}, "list of names"),
        ({"levels": [{"name": "a", "groups": [""]}]}, "list of names"),
        ({"levels": [{"name": "a", "people": ["b"]}] * 2}, "one name"),
        ({"levels": [{"name": "a", "people": ["b"]}], "own": "no"}, "true or false"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(tree: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_rule(tree)


def test_policies_are_for_levels_only() -> None:
    assert "'approval.mcp-tui.io/sre'" in cel_own_name("sre")
    assert '"group=sre"' in cel_given(SRE, "'sha256:x'")
    for name in ("a'b", "", "A", "-a"):
        with pytest.raises(UsageError):
            cel_own_name(name)
