"""One container of a pod: pulled in name only, prepared, started, watched, restarted, ended."""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from mcp_tui.demo.kubelet import environment
from mcp_tui.demo.kubelet.access import Json
from mcp_tui.demo.kubelet.backoff import BackOff
from mcp_tui.demo.kubelet.expansion import expand
from mcp_tui.demo.kubelet.images import ImageError, check_image, pull_policy
from mcp_tui.demo.kubelet.logs import LogWriter
from mcp_tui.demo.kubelet.mapping import PathMap
from mcp_tui.demo.kubelet.probes import Probes
from mcp_tui.demo.kubelet.process import Command, Running, StartError
from mcp_tui.demo.kubelet.quantity import limit_bytes
from mcp_tui.demo.kubelet.refusals import CreateError, refuse
from mcp_tui.demo.kubelet.sources import ConfigError
from mcp_tui.demo.kubelet.status import Record
from mcp_tui.demo.kubelet.volumes import VolumeError, inside

if TYPE_CHECKING:
    from mcp_tui.demo.kubelet.pod import PodWorker

_MESSAGE: Final = 4_096
_FALLBACK: Final = (80, 2_048)


class Container:
    """Supervises one container until it has ended for good.

    Args:
        pod: The pod it belongs to.
        spec: The container's spec.
        record: Its status.
        policy: Always, OnFailure or Never.
    """

    def __init__(self, pod: PodWorker, spec: Json, record: Record, policy: str) -> None:
        self.pod = pod
        self.spec = spec
        self.record = record
        self.policy = policy
        self.name = record.name
        self.directory = pod.directory / "containers" / self.name
        self.started = asyncio.Event()
        self.command: Command | None = None
        self.paths = PathMap({})
        self._crashes: BackOff = pod.runtime.new_backoff()
        self._pulls: BackOff = pod.runtime.new_backoff()
        self._process: Running | None = None
        self._stopping = False
        self._oom = False
        self._task: asyncio.Task[None] | None = None
        self._probes: Probes | None = None

    # -- for others -------------------------------------------------------------------------

    @property
    def field_path(self) -> str:
        """The field path that events name."""
        return f"spec.{'initContainers' if self.record.init else 'containers'}{{{self.name}}}"

    @property
    def running(self) -> bool:
        """A process is up."""
        return self._process is not None

    @property
    def group(self) -> int | None:
        """The process group of the process that is up."""
        return None if self._process is None else self._process.pid

    def log_path(self, *, previous: bool = False) -> Path:
        """The log of this instance or the one before it."""
        number = self.record.restarts - (1 if previous else 0)
        return self.pod.directory / "logs" / self.name / f"{number}.log"

    def start(self) -> asyncio.Task[None]:
        """Begin to supervise."""
        if self._task is None:
            self._task = self.pod.spawn(self._supervise())
        return self._task

    async def stop(self, grace: float, why: str = "") -> None:
        """End the container for good: TERM, KILL after ``grace`` seconds."""
        self._stopping = True
        if self._process is not None:
            self._event("Normal", "Killing", why or f"Stopping container {self.name}")
            await self._pre_stop(grace)
            await self._process.stop(grace)
        elif self._task is not None:
            self._task.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def kill_now(self) -> None:
        """KILL what runs, whatever grace period somebody else is waiting for."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    async def kill(self, why: str) -> None:
        """End this instance because a probe says so; the restart policy decides what follows."""
        if self._process is not None:
            self._event("Normal", "Killing", why)
            await self._process.stop(self.pod.grace)

    # -- the life of a container ------------------------------------------------------------

    async def _supervise(self) -> None:
        if self.record.terminated is not None:
            # Ended, or lost, before this run of the node.
            if not self._restarts():
                return
            self.record.restarts += 1
        while True:
            try:
                await self._pull()
                command = await self._prepare()
                await self._run(command)
            except StartError as error:
                self._fail_start(str(error))
            if self._stopping or not self._restarts():
                return
            await self._crash_wait()
            self.record.restarts += 1

    def _restarts(self) -> bool:
        return self.policy == "Always" or (self.policy == "OnFailure" and self.record.failed)

    async def _crash_wait(self) -> None:
        delay = self._crashes.step()
        if delay <= 0:
            return
        meta = self.pod.meta
        where = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        # Long enough to be seen as terminated, as between two syncs of a kubelet.
        await asyncio.sleep(min(0.5, delay / 4))
        self._event(
            "Warning", "BackOff", f"Back-off restarting failed container {self.name} in pod {where}"
        )
        shown = _duration(delay)
        self.record.wait(
            "CrashLoopBackOff",
            f"back-off {shown} restarting failed container={self.name} pod={where}",
        )
        self.pod.changed()
        await asyncio.sleep(delay)

    async def _pull(self) -> None:
        """Judge the image; wait, with a kubelet's reasons, for one that cannot be had."""
        image, policy = str(self.spec.get("image", "")), pull_policy(self.spec)
        runtime = self.pod.runtime
        while True:
            try:
                present = image in runtime.images
                if policy == "Never" and not present:
                    raise ImageError(
                        "ErrImageNeverPull",
                        f'Container image "{image}" is not present with pull policy of Never',
                    )
                if not present:
                    self._check(image)
                    runtime.images.add(image)
                self._event(
                    "Normal",
                    "Pulled",
                    f'Container image "{image}" is taken as present: this node runs the command'
                    " with the programs of its own machine",
                )
                return
            except ImageError as error:
                await self._pull_failed(image, error)

    def _check(self, image: str) -> None:
        try:
            check_image(image)
        except ImageError as error:
            if error.reason == "ErrImagePull":
                self._event("Normal", "Pulling", f'Pulling image "{image}"')
                self._event("Warning", "Failed", f'Failed to pull image "{image}": {error}')
            raise

    async def _pull_failed(self, image: str, error: ImageError) -> None:
        self._wait(error.reason, str(error))
        kind = "InspectFailed" if error.reason == "InvalidImageName" else "Failed"
        text = error.reason if error.reason == "ErrImagePull" else f"{error.reason}: {error}"
        self._event("Warning", kind, f"Error: {text}")
        delay = self._pulls.step() or self._pulls.step()
        if error.reason != "ErrImagePull":
            await asyncio.sleep(delay)
            return
        await asyncio.sleep(min(1.0, delay / 2))
        self._event("Normal", "BackOff", f'Back-off pulling image "{image}"')
        self._event("Warning", "Failed", "Error: ImagePullBackOff")
        self._wait("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {error}')
        await asyncio.sleep(delay)

    async def _prepare(self) -> Command:
        """Put the command together; wait for what it refers to."""
        retry = BackOff(self.pod.runtime.scaled(2.0), self.pod.runtime.scaled(15.0))
        while True:
            try:
                return await self._make_command()
            except ConfigError as error:
                reason, message = "CreateContainerConfigError", str(error)
            except (CreateError, VolumeError, OSError) as error:
                reason, message = "CreateContainerError", str(error)
            self._wait(reason, message)
            self._event("Warning", "Failed", f"Error: {message}")
            await asyncio.sleep(retry.step() or retry.step())

    async def _make_command(self) -> Command:
        refuse(self.spec)
        home, temporary = self.directory / "home", self.directory / "tmp"
        root = self.directory / "root"
        for directory in (home, temporary, root):
            directory.mkdir(parents=True, exist_ok=True)
        host, port = self.pod.runtime.api_address
        around = environment.Surroundings(
            home, temporary, str(self.pod.meta["name"])[:63], host, port,
            self.pod.runtime.options.path,
        )  # fmt: skip
        values = await environment.container_env(self.spec, self.pod.references, around)
        self.paths = self._path_map(values, root)
        words = [str(w) for w in (*self.spec["command"], *(self.spec.get("args") or ()))]
        argv = [self.paths.replace(expand(word, values)) for word in words]
        mapped = {key: self.paths.replace(value) for key, value in values.items()}
        env = environment.with_runtime(mapped, around)
        cwd = root
        if self.spec.get("workingDir"):
            cwd = Path(self.paths.replace(str(self.spec["workingDir"])))
            cwd.mkdir(parents=True, exist_ok=True)
        return Command(argv, env, cwd, b"HOME=" + str(home).encode())

    def _path_map(self, values: dict[str, str], root: Path) -> PathMap:
        mounts = {}
        for mount in self.spec.get("volumeMounts") or []:
            path = str(PurePosixPath("/", str(mount.get("mountPath", ""))))
            if path == "/":
                raise CreateError("a volume cannot be mounted at / by this node")
            real = self.pod.volume_path(str(mount.get("name", "")))
            sub = str(mount.get("subPath") or expand(str(mount.get("subPathExpr") or ""), values))
            if sub:
                real = inside(real, sub)
                if not real.exists():
                    real.mkdir(parents=True, exist_ok=True)
            mounts[path] = str(real)
        message = self._message_path()
        mounts.setdefault(str(PurePosixPath("/", self._message_mount())), str(message))
        work = str(PurePosixPath("/", str(self.spec.get("workingDir") or "/")))
        under = any(work == path or work.startswith(path + "/") for path in mounts)
        if work != "/" and not under:
            mounts[work] = str(inside(root, work))
        return PathMap(mounts)

    def _message_mount(self) -> str:
        return str(self.spec.get("terminationMessagePath") or "/dev/termination-log")

    def _message_path(self) -> Path:
        return self.directory / "termination-log"

    async def _run(self, command: Command) -> None:
        self.command = command
        self._message_path().write_bytes(b"")
        self.record.container_id = f"process://{uuid.uuid4().hex}{uuid.uuid4().hex}"
        self._event("Normal", "Created", "Container created")
        log = LogWriter(self.log_path())
        self._forget_old_logs()
        self._oom = False
        runtime = self.pod.runtime
        try:
            self._process = process = await Running.start(command, runtime.guardian, log.write)
        except BaseException:
            log.close()
            raise
        began = time.time()
        limit = limit_bytes(self.spec.get("resources"), "memory")
        if limit:
            runtime.memory.add(process.pid, limit, self._out_of_memory)
        self._probes = Probes(self)
        self.record.probed_ready = self._probes.ready
        self.record.probed_started = self._probes.started
        self.record.run(self.record.container_id, began)
        self._event("Normal", "Started", "Container started")
        self._probes.start()
        if self.record.probed_started:
            self.started.set()
        self.pod.changed()
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await process.stop(0)
            await process.wait()
            raise
        finally:
            await self._probes.stop()
            runtime.memory.remove(process.pid)
            self._process = None
            log.close()
        self._crashes.ran(time.time() - began)
        reason = "OOMKilled" if self._oom and code == 137 else "Error" if code else "Completed"
        self.record.end(code, reason, time.time(), self._message(code))
        self.pod.changed()

    def _out_of_memory(self) -> None:
        self._oom = True
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    def _message(self, code: int) -> str:
        text = b""
        with suppress(OSError), self._message_path().open("rb") as stream:
            text = stream.read(_MESSAGE)
        if (
            not text
            and code
            and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        ):
            lines, size = _FALLBACK
            with suppress(OSError):
                tail = self.log_path().read_bytes()[-64 * 1024 :].splitlines()[-lines:]
                text = b"\n".join(line.split(b" ", 3)[-1] for line in tail)[-size:]
        return text.decode("utf-8", "replace")

    def _forget_old_logs(self) -> None:
        old = self.record.restarts - 2
        if old >= 0:
            for path in self.log_path().parent.glob(f"{old}.log*"):
                path.unlink(missing_ok=True)

    def _fail_start(self, message: str) -> None:
        text = (
            "failed to create containerd task: failed to create shim task: OCI runtime create"
            f" failed: unable to start container process: error during container init: {message}"
        )
        self._event("Warning", "Failed", f"Error: {text}")
        self.record.wait("RunContainerError", text)
        self.record.end(128, "StartError", time.time(), text)
        self.pod.changed()

    async def _pre_stop(self, grace: float) -> None:
        hook = ((self.spec.get("lifecycle") or {}).get("preStop") or {}).get("exec")
        if hook and self.command is not None and grace > 0:
            with suppress(StartError, TimeoutError):
                async with asyncio.timeout(grace):
                    await self.execute([str(word) for word in hook.get("command") or []])

    async def execute(self, argv: list[str]) -> tuple[int, bytes]:
        """Run a command beside the container's process: exit code and the first of its output.

        Raises:
            StartError: If it cannot be started.
        """
        assert self.command is not None  # it is running
        command = Command(
            [self.paths.replace(word) for word in argv], self.command.env, self.command.cwd
        )
        output = bytearray()

        def keep(_stream: str, data: bytes) -> None:
            output.extend(data[: max(0, 10_240 - len(output))])

        process = await Running.start(command, self.pod.runtime.guardian, keep)
        try:
            return await process.wait(), bytes(output)
        except asyncio.CancelledError:
            await process.stop(0)
            await process.wait()
            raise

    def probe_changed(self, *, started: bool, ready: bool) -> None:
        """A probe has news."""
        self.record.probed_started, self.record.probed_ready = started, ready
        if started:
            self.started.set()
        self.pod.changed()

    def _wait(self, reason: str, message: str) -> None:
        self.record.wait(reason, message)
        self.pod.changed()

    def _event(self, kind: str, reason: str, message: str) -> None:
        self.pod.runtime.events.pod(self.pod.pod, kind, reason, message, container=self.field_path)

    def probe_event(self, kind: str, message: str) -> None:
        """Tell of a probe that failed."""
        self._event("Warning", "Unhealthy", f"{kind} probe failed: {message}")


def _duration(seconds: float) -> str:
    """Seconds as Go prints a duration: 10s, 1m20s, 500ms."""
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
