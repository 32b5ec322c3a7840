"""A submission of the command line whose plan and engine are the test's."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_tui.cli import submit
from mcp_tui.cli.output import Printer
from mcp_tui.domain.plan import Plan, Target, Tier, Verb

TARGET = Target(context="c", kind="Job", namespace="ml", name="a", uid="u")


def plan_with(
    monkeypatch: pytest.MonkeyPatch, printer: Printer, engine: Callable[[float], Any]
) -> None:
    """Have ``job submit`` make this plan, and apply it by that engine."""
    plan = Plan(
        id="0" * 32, verb=Verb.SUBMIT, context="c", tier=Tier.DEV, targets=(TARGET,), writes=()
    )

    @contextlib.asynccontextmanager
    async def opened(args: argparse.Namespace) -> AsyncIterator[Any]:
        yield SimpleNamespace(printer=printer, engine=engine)

    async def answer(*_: object) -> Plan:
        return plan

    async def silent(*_: object) -> None:
        return None

    monkeypatch.setattr(submit, "open_session", opened)
    monkeypatch.setattr(submit, "planned", answer)
    for name in ("confirmed", "say_unfinished"):
        monkeypatch.setattr(submit, name, silent)
    monkeypatch.setattr(submit, "read_config", lambda _: None)
