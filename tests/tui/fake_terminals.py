"""Shells and forwarded ports of the backend in memory: what may also stand in its details."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from mcp_tui.domain.plan import Confirmation, Plan, Target, Tier, Verb, Write


def offer(backend: Any, confirmation: Confirmation = Confirmation.NONE) -> FakeTerminals:
    """Let a backend's details offer them."""
    fake = FakeTerminals(backend, confirmation)
    for name in ("plan_shell", "shell", "plan_forward", "forward", "forwards", "stop_forwards"):
        setattr(backend.details, name, getattr(fake, name))
    return fake


class FakeTerminals:
    """Plans, and remembers what it was asked for."""

    def __init__(self, backend: Any, confirmation: Confirmation) -> None:
        self.backend = backend
        self.confirmation = confirmation
        self.asked: list[tuple[object, ...]] = []
        self.ran: list[str] = []
        self.open: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def _plan(self, verb: Verb, summary: str) -> Plan:
        prod = self.confirmation is Confirmation.TYPED
        target = Target(context="dev", kind="Job", namespace="ml", name="train", uid="u")
        write = Write(system="kubernetes", method="GET", path="/x", summary=summary)
        return Plan(
            id="feed1234",
            verb=verb,
            context="dev",
            tier=Tier.PROD if prod else Tier.DEV,
            targets=(target,),
            writes=(write,),
            confirmation=self.confirmation,
        )

    async def plan_shell(self, key: str, pod: str, container: str) -> Plan:
        self.asked.append((pod, container))
        return self._plan(Verb.SHELL, "run a shell")

    async def shell(self, plan: Plan) -> str:
        self.ran.append(plan.verb.value)
        assert sys.__stdin__ is not None
        assert sys.__stdout__ is not None
        sys.__stdout__.write("sh-5$ ")
        sys.__stdout__.flush()
        self.meanwhile()
        line = await asyncio.to_thread(sys.__stdin__.readline)
        return f"the shell said {line.strip()}"

    async def plan_forward(self, key: str, pod: str, local: int, remote: int) -> Plan:
        self.asked.append((pod, local, remote))
        return self._plan(Verb.FORWARD, f"forward {local} to {remote}")

    async def forward(self, plan: Plan, say: Callable[[str], None]) -> str:
        self.ran.append(plan.writes[0].summary)
        self.open.append("8080>80")
        return "127.0.0.1:8080 leads to port 80"

    def forwards(self) -> Sequence[str]:
        return self.open

    async def stop_forwards(self, port: int = 0) -> int:
        count, self.open = len(self.open), []
        return count
