"""Shells in containers and forwarded ports, on live clusters."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_tui.actions import shell as inside
from mcp_tui.actions import terminal
from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Seen
from mcp_tui.domain.plan import Plan, Tier
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import GoneError, McpTuiError
from mcp_tui.sources.kubernetes.exec import open_exec
from mcp_tui.sources.kubernetes.portforward import watched_forward
from mcp_tui.sources.kubernetes.transport import KubeClient

if TYPE_CHECKING:
    from mcp_tui.tui.live.backend import LiveBackend
    from mcp_tui.tui.live.context import Live


@dataclass(frozen=True, slots=True)
class _Planned:
    """Where a plan leads: what its words alone do not say."""

    live: Live
    place: inside.Place
    local: int = 0
    remote: int = 0


@dataclass(slots=True)
class _Forwarding:
    """A forward under way."""

    task: asyncio.Task[None]
    remote: int
    port: int = 0


class LiveTerminals:
    """Implements :class:`mcp_tui.tui.model.Terminals`."""

    def __init__(self, backend: LiveBackend) -> None:
        self._backend = backend
        self._planned: dict[str, _Planned] = {}
        self._forwarding: dict[str, _Forwarding] = {}

    # -- plans ------------------------------------------------------------------------------

    async def plan_shell(self, key: str, pod: str, container: str) -> Plan:
        """Plan a shell in a container; see :func:`mcp_tui.actions.shell.plan_shell`."""
        live, seen = await self._see(key)
        place = await inside.find_place(live.engine.kube, seen, pod=pod, container=container)
        plan = inside.plan_shell(live.engine.scope, seen, place)
        return await self._checked(plan, _Planned(live, place))

    async def plan_forward(self, key: str, pod: str, local: int, remote: int) -> Plan:
        """Plan a forwarded port; see :func:`mcp_tui.actions.shell.plan_forward`."""
        live, seen = await self._see(key)
        place = await inside.find_place(live.engine.kube, seen, pod=pod, any_container=True)
        plan = inside.plan_forward(live.engine.scope, seen, place, local, remote)
        return await self._checked(plan, _Planned(live, place, local, remote))

    async def _see(self, key: str) -> tuple[Live, Seen]:
        live, _ = self._backend.live_of(key)
        view = self._backend.jobs.view(key)
        if view is None:
            raise GoneError(f"{self._backend.jobs.name_of(key)} is gone")
        row = view.key
        return live, await live.engine.see(row.kind, row.namespace, row.name, row.uid)

    async def _checked(self, plan: Plan, planned: _Planned) -> Plan:
        plan = await inside.check(planned.live.engine, plan, planned.place)
        # One question is open at a time: what was planned before was not agreed to.
        self._planned = {plan.id: planned}
        return plan

    # -- shells -----------------------------------------------------------------------------

    async def shell(self, plan: Plan) -> str:
        """Run a planned shell on this process's terminal, which is ours and cooked meanwhile."""
        planned = self._planned.pop(plan.id)
        engine, place = planned.live.engine, planned.place
        stdin = (sys.__stdin__ or sys.stdin).fileno()
        # Where the console is drawn; its standard output may be redirected.
        stdout = (sys.__stderr__ or sys.stderr).fileno()
        async with inside.recorded(engine, plan) as record:
            async with open_exec(
                engine.kube,
                place.namespace,
                place.pod,
                inside.SHELL,
                container=place.container,
                tty=True,
            ) as session:
                announcing = asyncio.create_task(record.announce(place.words))
                await asyncio.to_thread(os.write, stdout, _greeting(plan, place).encode())
                try:
                    code = await terminal.attach(session, tty=True, stdin=stdin, stdout=stdout)
                finally:
                    warning = await announcing
            record.ended(f"exit code {code} in {place.words}")
        if session.message and code in (126, 127):
            return f"no shell in {place.words}: {session.message}"
        said = f"the shell in {place.words} ended with exit code {code}"
        return f"{said}; {warning}" if warning else said

    # -- ports ------------------------------------------------------------------------------

    async def forward(self, plan: Plan, say: Callable[[str], None]) -> str:
        """Begin a planned forward; it goes on until it is stopped, or its pod is gone."""
        planned = self._planned.pop(plan.id)
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = self._backend.spawn(self._keep(plan, planned, started, say))
        forwarding = self._forwarding[plan.id] = _Forwarding(task, planned.remote)
        task.add_done_callback(lambda _task: self._forwarding.pop(plan.id, None))
        forwarding.port = await started
        return (
            f"127.0.0.1:{forwarding.port} leads to port {planned.remote} of {planned.place.words}"
        )

    async def _keep(
        self,
        plan: Plan,
        planned: _Planned,
        started: asyncio.Future[int],
        say: Callable[[str], None],
    ) -> None:
        live, place = planned.live, planned.place
        # A connection of its own: the context that is looked at may be another by then.
        kube = KubeClient(live.connection.info, gate=live.connection.gate)
        engine = Engine(kube, None, live.engine.scope, live.engine.journal)
        words = f"port {planned.remote} of {place.words}"
        try:
            async with (
                inside.recorded(engine, plan) as record,
                watched_forward(
                    kube,
                    place.namespace,
                    place.pod,
                    planned.remote,
                    uid=place.uid,
                    local_port=planned.local,
                    on_error=say,
                ) as forwarded,
            ):
                started.set_result(forwarded.port)
                # Ended by the user, as it is meant to be, unless the pod goes first.
                record.ended(f"{words}, until ended")
                warning = await record.announce(words)
                if warning:
                    say(warning)
                await forwarded.over()
        except McpTuiError as error:
            if started.done():
                say(error.line())
            else:
                started.set_exception(error)
        finally:
            if not started.done():
                started.cancel()
            await kube.aclose()

    def forwards(self) -> Sequence[str]:
        """The forwards under way: ``8080>80``."""
        return [f"{f.port}>{f.remote}" for f in self._forwarding.values() if f.port]

    async def stop_forwards(self, port: int = 0) -> int:
        """End the forward of a local port, or (0) all; returns how many there were."""
        tasks = [f.task for f in self._forwarding.values() if port in (0, f.port)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)


def _greeting(plan: Plan, place: inside.Place) -> str:
    """Where one is: on a terminal that says nothing else of it."""
    tier = "PRODUCTION " if plan.tier is Tier.PROD else ""
    where = f"{clean_line(plan.context)}, {clean_line(place.namespace)}"
    return f"{tier}{where}: {place.words}; exit comes back to the console\n"
