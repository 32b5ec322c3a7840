"""The key registry: one meaning a letter, nothing taken from terminals, clashes said."""

import string

import pytest

from mcp_tui.errors import UsageError
from mcp_tui.tui.keymap import (
    ESCAPE_TAILS,
    FORBIDDEN,
    KEYS,
    SCOPES,
    KeyMap,
    markdown_table,
    normalise,
)


def test_the_defaults_hold_their_own_rules() -> None:
    KeyMap()


def test_nothing_forbidden_is_bound() -> None:
    bound = {name for key in KEYS for name in normalise(key.keys)}
    assert not bound & set(FORBIDDEN)
    assert {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q", "ctrl+z", "ctrl+p"} <= set(FORBIDDEN)


def test_reading_and_writing_never_share_a_letter() -> None:
    look = {n for k in KEYS if k.kind == "look" for n in normalise(k.keys)}
    act = {n for k in KEYS if k.kind == "act" for n in normalise(k.keys)}
    assert act and not look & act
    assert act <= set(string.ascii_lowercase), "no write is a capital"
    assert not {a.upper() for a in act} & act
    assert not act & ESCAPE_TAILS


def test_no_two_keys_alive_together_share_a_key() -> None:
    for screen in SCOPES:
        seen: dict[str, str] = {}
        for key in KeyMap().alive(screen):
            for name in normalise(key.keys):
                assert name not in seen, f"{screen}: {name} is {seen.get(name)} and {key.id}"
                seen[name] = key.id


def test_writes_are_dead_in_logs() -> None:
    assert not [key.id for key in KeyMap().alive("log") if key.kind == "act"]
    assert [key.id for key in KeyMap().alive("jobs") if key.kind == "act"]


def test_a_key_can_be_moved() -> None:
    keymap = KeyMap({"cancel": "k", "up": "up"})
    assert keymap.label("cancel") == "k"
    assert keymap.overrides == {"cancel": "k", "up": "up"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"cancel": "l"}, "l is already logs"),
        ({"logs": "x"}, "x is already cancel"),
        ({"cancel": "X"}, "lower-case"),
        ({"cancel": "ctrl+a"}, "screen's prefix"),
        ({"help": "Ctrl-Q"}, "flow control"),
        ({"nonsense": "x"}, "no action is called nonsense"),
        ({"help": " "}, "no key given"),
        ({"wrap": "x"}, "already"),
    ],
)
def test_a_bad_rebinding_says_which(overrides: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        KeyMap(overrides)
    assert said in str(caught.value)


def test_the_readme_table_has_every_key() -> None:
    lines = list(markdown_table())
    for key in KEYS:
        assert any(line.endswith(f"| {key.id} |") for line in lines)
    assert all(line.count("|") - line.count("\\|") == 5 for line in lines)


def test_hints_leave_writes_out_when_read_only() -> None:
    keymap = KeyMap()
    assert ("x", "cancel") in keymap.hints("jobs")
    assert ("x", "cancel") not in keymap.hints("jobs", read_only=True)
