"""Startup, readiness and liveness probes: exec, httpGet and tcpSocket. Anything else passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mcp_tui.demo.kubelet.process import StartError

if TYPE_CHECKING:
    from mcp_tui.demo.kubelet.container import Container

_KINDS: Final = ("exec", "httpGet", "tcpSocket")


@dataclass
class _Count:
    """Successes or failures in a row."""

    good: int = 0
    bad: int = 0

    def add(self, *, passed: bool) -> None:
        self.good, self.bad = (self.good + 1, 0) if passed else (0, self.bad + 1)


class Probes:
    """The probes of one container instance."""

    def __init__(self, container: Container) -> None:
        self._container = container
        spec = container.spec
        self._startup = self._known(spec.get("startupProbe"))
        self._readiness = self._known(spec.get("readinessProbe"))
        self._liveness = self._known(spec.get("livenessProbe"))
        self.started = self._startup is None
        self.ready = self._readiness is None
        self._tasks: list[asyncio.Task[None]] = []

    @staticmethod
    def _known(probe: dict[str, Any] | None) -> dict[str, Any] | None:
        return probe if probe and any(kind in probe for kind in _KINDS) else None

    def start(self) -> None:
        """Begin to probe."""
        self._tasks.append(asyncio.create_task(self._all()))

    async def stop(self) -> None:
        """End the probes of an instance that has ended."""
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _all(self) -> None:
        if self._startup is not None:
            await self._loop("Startup", self._startup, self._on_startup)
            if not self.started:
                return
        async with asyncio.TaskGroup() as group:
            if self._readiness is not None:
                group.create_task(self._loop("Readiness", self._readiness, self._on_readiness))
            if self._liveness is not None:
                group.create_task(self._loop("Liveness", self._liveness, self._on_liveness))

    async def _loop(
        self, kind: str, probe: dict[str, Any], judge: Callable[[dict[str, Any], _Count], bool]
    ) -> None:
        count = _Count()
        await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
        while True:
            fault = await self._once(probe)
            count.add(passed=fault is None)
            if fault is not None:
                self._container.probe_event(kind, fault)
            if judge(probe, count):
                return
            await asyncio.sleep(float(probe.get("periodSeconds") or 10))

    def _on_startup(self, probe: dict[str, Any], count: _Count) -> bool:
        if count.good:
            self.started = True
            self._tell()
        return bool(count.good) or self._dead("startup", probe, count)

    def _on_readiness(self, probe: dict[str, Any], count: _Count) -> bool:
        ready = self.ready
        if count.good >= int(probe.get("successThreshold") or 1):
            ready = True
        if count.bad >= int(probe.get("failureThreshold") or 3):
            ready = False
        if ready != self.ready:
            self.ready = ready
            self._tell()
        return False

    def _on_liveness(self, probe: dict[str, Any], count: _Count) -> bool:
        return self._dead("liveness", probe, count)

    def _dead(self, kind: str, probe: dict[str, Any], count: _Count) -> bool:
        if count.bad < int(probe.get("failureThreshold") or 3):
            return False
        name = self._container.name
        why = f"Container {name} failed {kind} probe, will be restarted"
        self._container.pod.spawn(self._container.kill(why))
        return True

    def _tell(self) -> None:
        self._container.probe_changed(started=self.started, ready=self.ready)

    async def _once(self, probe: dict[str, Any]) -> str | None:
        """One try: None if it passed, else what was wrong."""
        try:
            async with asyncio.timeout(float(probe.get("timeoutSeconds") or 1)):
                if "exec" in probe:
                    words = [str(w) for w in probe["exec"].get("command") or []]
                    code, output = await self._container.execute(words)
                    return None if code == 0 else output.decode("utf-8", "replace").strip()
                if "httpGet" in probe:
                    return await self._http(probe["httpGet"])
                await self._tcp(probe["tcpSocket"])
                return None
        except TimeoutError:
            return "command timed out" if "exec" in probe else "context deadline exceeded"
        except (StartError, OSError, ValueError) as error:
            return str(error)

    def _port(self, action: dict[str, Any]) -> int:
        port = action.get("port")
        if isinstance(port, int):
            return port
        for entry in self._container.spec.get("ports") or []:
            if entry.get("name") == port:
                return int(entry.get("containerPort", 0))
        return int(str(port))

    async def _tcp(self, action: dict[str, Any]) -> None:
        host = str(action.get("host") or self._container.pod.runtime.host_ip)
        _, writer = await asyncio.open_connection(host, self._port(action))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _http(self, action: dict[str, Any]) -> str | None:
        import httpx

        scheme = str(action.get("scheme") or "HTTP").lower()
        host = str(action.get("host") or self._container.pod.runtime.host_ip)
        url = f"{scheme}://{host}:{self._port(action)}/{str(action.get('path') or '/').lstrip('/')}"
        headers = {str(h.get("name")): str(h.get("value")) for h in action.get("httpHeaders") or []}
        try:
            # A kubelet does not check the certificate of a probe either.
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:  # noqa: S501
                answer = await client.get(url, headers=headers, follow_redirects=False)
        except httpx.HTTPError as error:
            return f'Get "{url}": {error}'
        if 200 <= answer.status_code < 400:
            return None
        return f"HTTP probe failed with statuscode: {answer.status_code}"
