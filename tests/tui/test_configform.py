"""Fields read from a train config and written back where they stand."""

from __future__ import annotations

import pytest
import yaml

from mcp_tui.domain.trainconfig import EXAMPLE, parse_train_config
from mcp_tui.domain.yamlmarks import ConfigError
from mcp_tui.tui.configform import ITEMS, errors_of, form_fields, write

MINIMAL = "image: a\ncode: {url: https://x.example/y.git}\ncommand: c\n"


def values(text: str) -> dict[str, str]:
    return {field.id: field.value for field in form_fields(text)}


def test_the_example_fills_the_form_and_all_of_it_may_be_changed() -> None:
    found = values(EXAMPLE)
    assert found["code.ref"] == "main"
    assert found["parameters"] == "learning-rate=0.001 epochs=20"
    assert found["nodes"] == "1"
    assert not any(field.fixed for field in form_fields(EXAMPLE))


NEW = {
    "name": "new",
    "image": "reg/x:1",
    "code.url": "https://git.example.com/z.git",
    "code.ref": "feature/a",
    "code.path": "sub",
    "command": 'python a.py --x "1 2" # no',
    "parameters": "epochs=3 'note=two words' a=1e-3",
    "nodes": "4",
    "resources.cpu": "500m",
    "resources.memory": "8Gi",
    "resources.accelerators": "nvidia.com/gpu=2",
    "queue": "123",
    "experiment": "on",
    "total_steps": "10",
    "deadline": "1d",
    "namespace": "ml",
}


@pytest.mark.parametrize("text", [EXAMPLE, MINIMAL.replace("{url: ", "\n  url: ").replace("}", "")])
def test_every_field_can_be_set_and_is_read_back_by_the_planner(text: str) -> None:
    assert set(NEW) == {item.id for item in ITEMS}
    changed = write(text, NEW)
    expected = NEW | {"parameters": values(changed)["parameters"]}
    assert values(changed) == expected
    config = parse_train_config(changed.replace(" # no", ""))
    assert config.parameters == {"epochs": "3", "note": "two words", "a": "1e-3"}
    assert (config.nodes, config.total_steps, config.queue) == (4, 10, "123")
    assert config.experiment == "on"
    assert config.resources.accelerators == {"nvidia.com/gpu": 2}


@pytest.mark.parametrize("name", list(NEW))
def test_one_changed_field_changes_no_other(name: str) -> None:
    changed = write(EXAMPLE, {name: NEW[name]})
    before, after = yaml.safe_load(EXAMPLE), yaml.safe_load(changed)
    first = name.partition(".")[0]
    before.pop(first, None)
    after.pop(first, None)
    assert before == after
    comments = [line.partition("#")[2] for line in EXAMPLE.splitlines() if "#" in line]
    assert all(comment in changed for comment in comments), "comments stay"


@pytest.mark.parametrize("name", [n for n in NEW if n not in {"image", "code.url", "command"}])
def test_an_emptied_field_is_out_and_comes_back(name: str) -> None:
    full = write(EXAMPLE, {name: NEW[name]})
    without = write(full, {name: ""})
    assert values(without)[name] == ""
    parse_train_config(without)
    assert values(write(without, {name: NEW[name]}))[name] == values(full)[name]


def test_nothing_changed_is_the_same_text() -> None:
    assert write(EXAMPLE, {}) == EXAMPLE
    assert write(EXAMPLE, values(EXAMPLE)) == EXAMPLE


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (MINIMAL, "code.url"),
        ("image: a\ncommand: [a, b]\n", "command"),
        ("image: a\ncommand: |\n  a\n  b\n", "command"),
        ("image: &x a\nname: *x\n", "image"),
        ("parameters: {a: 1}\n", "parameters"),
        ("parameters:\n  a: [1]\n", "parameters"),
    ],
)
def test_what_a_line_cannot_hold_is_left_to_the_text(text: str, name: str) -> None:
    field = next(field for field in form_fields(text) if field.id == name)
    assert "ctrl-t" in field.fixed


def test_faults_are_told_by_field() -> None:
    text = "name: X\nimage: a b\ncode:\n  url: https://x.example/y.git\nfoo: 1\n"
    with pytest.raises(ConfigError) as caught:
        parse_train_config(text)
    errors = errors_of(text, caught.value)
    assert set(errors) == {"name", "image", "command", ""}
    assert "foo" in errors[""]


@pytest.mark.parametrize("typed", ["a", "a=", "=1", "'a=1"])
def test_pairs_that_are_none_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="parameters: "):
        write(EXAMPLE, {"parameters": typed})


def test_an_empty_value_is_filled_in() -> None:
    assert values(write("image:\nname: x\n", {"image": "a"}))["image"] == "a"
    assert write("image:   # which\nname: x\n", {"image": "a"}).startswith("image: a")


def test_rubbish_is_refused_in_words() -> None:
    for text in ("", "[", "- a", "a: &x [*x]"):
        with pytest.raises(ConfigError):
            form_fields(text)
