"""The JSON Schema says exactly what the parser takes, judged by an independent validator."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_tui.domain import yamlmarks
from mcp_tui.domain.trainconfig import EXAMPLE, dump, json_schema, parse_train_config
from mcp_tui.domain.trainfields import RECORD

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GOOD: dict[str, list[Any]] = {
    "name": ["a", "churn-2"],
    "image": ["python:3.11", "r.example.com:5000/a/b@sha256:" + "0" * 64],
    "code": [
        {"url": "https://h/x"},
        {"url": "git@h:x", "ref": "feature/v1", "path": "a/b", "secret": "s", "auth": "ssh"},
    ],
    "command": ["a b", ["a", "b"]],
    "parameters": [{}, {"lr": 0.1, "n": 3, "s": "x", "b": True, "e": ""}],
    "parameters_as": ["args", "env", "none"],
    "env": [{"A": "b", "N": 1}, {"F": False}],
    "secrets": [{"A": {"secret": "s", "key": "k"}}],
    "secrets_from": [[], ["a", "b.c"]],
    "nodes": [1, 4096, 2.0],
    "resources": [
        {},
        {"cpu": 2, "cpu_limit": "500m", "memory": "1.5Gi"},
        {"cpu": 0.5, "memory": "0.5Gi"},
        {"cpu": 0.25, "accelerators": {"nvidia.com/gpu": 8}},
    ],
    "queue": ["team-a"],
    "retries": [0, 3],
    "on_disruption": ["restart", "fail"],
    "deadline": ["4h", "1d2h"],
    "ttl": ["30m"],
    "experiment": ["churn (α)"],
    "total_steps": [1, 10**15],
    "data": [[{"name": "n", "digest": "d", "source": "s3://b/x"}]],
    "kind": ["auto", "job", "trainjob"],
    "namespace": ["ml"],
    "labels": [{"a/b": "c", "team": "x.y_z"}],
    "annotations": [{"example.com/a": "free text, with: signs"}],
    "tolerations": [[{"key": "k", "operator": "Exists", "effect": "NoExecute"}]],
}

BAD_VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**18, "", " ", "A_B", "x/y", "-x", "a" * 300, "1", "4 hours", "8GB",
    "https://u:p@h/x", "https://h/x?y=z", [], [1], ["a", ""], {}, {"a": None}, {"a b": "c"},
    {"url": "x"}, {"cpu": "lots"}, {"memory": 8}, {"A": {"secret": "S"}}, {"mcp-tui.io/x": "y"},
    {"MLFLOW_RUN_ID": "x"}, {"A": ["x"]}, [{"name": 1}], {"nvidia.com/gpu": 0},
    [{"effect": "Never"}], [{"name": "a", "source": "s3://k:s@b"}], {"cpu": 0}, {"cpu": 100001},
]  # fmt: skip


def accepted(value: Any) -> bool:
    """Whether the parser takes each field of it (rules over several fields left out)."""
    text = json.dumps(value, ensure_ascii=False)
    root, problems = yamlmarks.load(text, filename="t")

    def report(mark: Any, message: str, hint: str) -> None:
        problems.append(yamlmarks.Problem(mark, message, hint))

    RECORD.read(root, "", report)
    return not problems


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(RECORD.names)


def test_every_field_is_described() -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for name, field in node.get("properties", {}).items():
                assert field.get("description"), name
            for child in node.values():
                walk(child)

    walk(SCHEMA)


def test_the_example_and_a_dump_fit_the_schema() -> None:
    VALIDATOR.validate(yaml.safe_load(EXAMPLE))
    VALIDATOR.validate(yaml.safe_load(dump(parse_train_config(EXAMPLE))))


BASE = {"image": "a", "code": {"url": "https://h/x"}, "command": "c"}


@pytest.mark.parametrize("field", sorted(GOOD))
def test_good_values_are_good_for_both(field: str) -> None:
    for value in GOOD[field]:
        config = {**BASE, field: value}
        assert accepted(config), value
        VALIDATOR.validate(config)


@pytest.mark.parametrize("field", [*RECORD.names, "unknown"])
def test_both_judge_odd_values_alike(field: str) -> None:
    for value in BAD_VALUES:
        config = {**BASE, field: value}
        assert accepted(config) == VALIDATOR.is_valid(config), (field, value)


@pytest.mark.parametrize(
    ("field", "make", "limit"),
    [
        ("env", lambda text: {"A": text}, 8_192),
        ("parameters", lambda text: {"a": text}, 6_000),
        ("parameters", lambda text: {text: "a"}, 250),
        ("annotations", lambda text: {"a": text}, 8_192),
        ("command", lambda text: text, 16_384),
        ("command", lambda text: [text], 16_384),
        ("name", lambda text: text, 40),
        ("experiment", lambda text: text, 500),
        ("secrets_from", lambda text: ["a"] * len(text), 20),
        ("env", lambda text: {f"A{i}": "x" for i in range(len(text))}, 200),
    ],
)
def test_both_draw_the_same_line_at_lengths(field: str, make: Any, limit: int) -> None:
    for length in (limit, limit + 1):
        config = {**BASE, field: make("a" * length)}
        assert accepted(config) == VALIDATOR.is_valid(config) == (length == limit)


_WORDS = st.text(alphabet="abzAZ019-_./:@= é$#?~+", min_size=0, max_size=12)
_LEAVES = st.one_of(
    _WORDS,
    st.integers(-5, 10**6),
    st.booleans(),
    st.none(),
    st.floats(0.001, 10**4, allow_nan=False),
    st.sampled_from([v for values in GOOD.values() for v in values]),
)
_KEYS = st.one_of(
    _WORDS, st.sampled_from(["url", "ref", "path", "secret", "key", "cpu", "memory", "name", "A"])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*RECORD.names, "x"]), _VALUES, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_both_judge_anything_alike(extra: dict[str, Any]) -> None:
    config = {**BASE, **extra}
    assert accepted(config) == VALIDATOR.is_valid(config)


@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in GOOD.items()}))
@settings(max_examples=100, deadline=None)
def test_whole_configs_round_trip(extra: dict[str, Any]) -> None:
    config = {**BASE, **extra}
    if config.get("kind") == "trainjob":
        config["runtime"] = "torch"
    if config.get("total_steps"):
        config["parameters"] = {}
    config["secrets"] = {}
    parsed = parse_train_config(json.dumps(config, ensure_ascii=False))
    assert parse_train_config(dump(parsed)) == parsed
