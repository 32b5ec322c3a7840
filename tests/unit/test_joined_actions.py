"""Every action of the product stands in ``tests/joined/actions.py``; found here without it."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import mcp_tui
from mcp_tui import actions
from mcp_tui.cli.parser import build
from mcp_tui.domain.plan import Verb
from tests.joined.actions import ACTIONS, APART

ROOT = Path(mcp_tui.__file__).parent
# The methods by which a client writes; what reads by POST is not among them.
WRITING = {
    "set_tag",
    "update_run",
    "log_batch",
    "log_inputs",
    "create_run",
    "edit_run",
    "create_experiment",
    "ensure_experiment",
    "send",
    "request",
    "call",
    "create_model",
    "ensure_model",
    "create_version",
    "copy_version",
    "set_alias",
    "delete_alias",
    "set_version_tag",
    "delete_version_tag",
}
# The modules that may call them, and what for.
KNOWN = {
    "actions/checks.py": "dry runs, which store nothing",
    "actions/engine.py": "the writes of a plan",
    "actions/keep.py": "an action of its own",
    "actions/lease.py": "what keeps other consoles out while a plan of a model is applied",
    "actions/parent.py": "reads",
    "actions/record.py": "the Event of a plan",
    "actions/seeing.py": "reads",
    "store/pulse.py": "reads",
}


def modules() -> Iterator[ModuleType]:
    for each in pkgutil.walk_packages(actions.__path__, f"{actions.__name__}."):
        yield importlib.import_module(each.name)


def planners() -> dict[str, Callable[..., Any]]:
    """Whatever makes a Plan of something that is none: by its annotation, and not by its name."""
    found: dict[str, Callable[..., Any]] = {}
    for module in modules():
        members = [
            (name, each)
            for owner in [module, *(c for _, c in inspect.getmembers(module, inspect.isclass))]
            for name, each in inspect.getmembers(owner, inspect.isfunction)
        ]
        for name, each in members:
            takes = {str(a) for n, a in each.__annotations__.items() if n != "return"}
            makes = str(each.__annotations__.get("return")) == "Plan"
            if makes and "Plan" not in takes and not name.startswith("_"):
                found[each.__qualname__] = each
    return found


def test_every_verb_is_there() -> None:
    assert {a.verb for a in ACTIONS if a.verb is not None} == set(Verb)


def test_every_planner_is_gone_through() -> None:
    through = {f.__qualname__ for a in ACTIONS for f in a.through}
    # The engine's goes through the pure one.
    missing = set(planners()) - through - {"plan_retry"}
    assert not missing, f"not in ACTIONS: {missing}"
    assert len(planners()) >= 7


def test_whoever_writes_is_an_action() -> None:
    """A call of a client's writing method outside these modules is an action that nobody tests."""
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        name = str(path.relative_to(ROOT))
        if name.startswith(("sources/", "demo/")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                client = re.search(r"(kube|mlflow|client|caller|_client)$", owner)
                if node.func.attr in WRITING and client:
                    found.setdefault(name, set()).add(node.func.attr)
    assert set(found) <= set(KNOWN), found
    assert "actions/keep.py" in found and "actions/engine.py" in found
    kept = importlib.import_module("mcp_tui.actions.keep")
    own = {
        each
        for _, each in inspect.getmembers(kept, inspect.isfunction)
        if each.__module__ == kept.__name__ and not each.__name__.startswith("_")
    }
    assert own <= {f for a in ACTIONS for f in a.through}


def test_every_command_that_asks_for_a_confirmation_is_there() -> None:
    [groups] = [a.choices for a in build()._actions if isinstance(a.choices, dict)]
    confirmable = {
        ("", group)
        for group, above in groups.items()
        if any("--confirm" in action.option_strings for action in above._actions)
    } | {
        (group, name)
        for group, above in groups.items()
        for verbs in [a.choices for a in above._actions if isinstance(a.choices, dict)]
        for name, parser in verbs.items()
        if any("--confirm" in action.option_strings for action in parser._actions)
    }
    assert confirmable == {(a.group, a.command[0]) for a in ACTIONS if a.command}
    for action in ACTIONS:
        if action.command:
            words = [*action.group.split(), *(w.replace("FILE", "x.yaml") for w in action.command)]
            assert build().parse_args(words).run is not None


def test_every_entry_says_what_it_may_write() -> None:
    assert len({a.name for a in ACTIONS}) == len(ACTIONS)
    for action in ACTIONS:
        assert action.writes and all(re.compile(each) for each in action.writes)
        assert (action.plan is None) == (action.name in APART)
