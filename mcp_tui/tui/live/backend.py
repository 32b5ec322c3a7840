"""The live backend: contexts opened, followed and switched, and what the frame shows of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from mcp_tui.actions.journal import Journal
from mcp_tui.config import Config
from mcp_tui.domain.kube import Namespace
from mcp_tui.domain.kube_wire import ObjectList
from mcp_tui.domain.plan import Tier
from mcp_tui.errors import McpTuiError, UsageError
from mcp_tui.sources.connect import Connection
from mcp_tui.sources.kubernetes.kubeconfig import Kubeconfig
from mcp_tui.sources.kubernetes.resources import NAMESPACES
from mcp_tui.store.turn import Turn
from mcp_tui.tui.live import keeping, prometheus, standing
from mcp_tui.tui.live.context import Live
from mcp_tui.tui.live.jobs_model import JobsModel
from mcp_tui.tui.live.parts import Parts
from mcp_tui.tui.live.ranked import split
from mcp_tui.tui.live.taking import Taking
from mcp_tui.tui.model import (
    Actions,
    ConsoleState,
    DetailProvider,
    PaneModel,
    Phase,
    SourceState,
)
from mcp_tui.tui.model_runs import RunActions, RunDetails

if TYPE_CHECKING:
    from mcp_tui.tui.model_curves import Evidence
    from mcp_tui.tui.model_models import ModelsBackend

_LATER: Final = ("mcp_tui.tui.live.details", "mcp_tui.tui.live.acts")
_TIERS: Final = (Tier.PROD, Tier.TEST, Tier.DEV)


class LiveBackend:
    """Implements :class:`mcp_tui.tui.model.ConsoleBackend`.

    Args:
        config: The configuration.
        load: Reads the kubeconfig; called when the console starts, not before.
        names: Contexts to open; empty takes the current one.
        namespace: The one to look at; empty takes each context's own, None looks at all.
        env: The environment.
        demo: Said on the frame in place of the tier, but for production.
        example: The train config that a submission starts from; empty for the documented one.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Kubeconfig],
        names: Sequence[str],
        namespace: str | None,
        env: Mapping[str, str],
        *,
        demo: bool = False,
        example: str = "",
    ) -> None:
        self.config = config
        self._load = load
        self._names = tuple(names)
        self._namespace = namespace
        self._env = env
        self._demo = demo
        self.example = example
        self._kubeconfig: Kubeconfig | None = None
        self._journal = Journal(config.state_dir)
        self._beginning: asyncio.Task[None] | None = None
        self.turn = Turn()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._namespaces: set[str] = set()
        self.lives: dict[str, Live] = {}
        self.jobs = JobsModel(self._status, self._is_stale)
        self._taking = Taking(self.jobs, lambda: self.lives.values(), self.turn, self._keep_causes)
        self.parts = Parts(self)

    # -- what the shell asks ----------------------------------------------------------------

    @cached_property
    def details(self) -> DetailProvider:
        """Parts of an object."""
        from mcp_tui.tui.live.details import LiveDetails

        return LiveDetails(self)

    @cached_property
    def evidence(self) -> Evidence:
        """Runs looked at together."""
        from mcp_tui.tui.live.evidence import LiveEvidence

        return LiveEvidence(self)

    def run_of(self, key: str) -> str:
        """The reference of a job's run; empty where it has none."""
        view = self.jobs.view(key)
        live, _ = self.live_of(key)
        return f"{live.name}/{view.run_id}" if view is not None and view.run_id else ""

    @cached_property
    def actions(self) -> Actions:
        """Plans and writes."""
        from mcp_tui.tui.live.acts import LiveActions

        return LiveActions(self)

    @cached_property
    def run_details(self) -> RunDetails:
        """Parts of a run."""
        from mcp_tui.tui.live.runs_details import LiveRunDetails

        return LiveRunDetails(self)

    @property
    def models(self) -> ModelsBackend:
        """What the Models pane shows and plans."""
        return cast("ModelsBackend", self.parts.part("models"))

    @cached_property
    def run_actions(self) -> RunActions:
        """Plans about runs."""
        from mcp_tui.tui.live.runs_acts import LiveRunActions

        return LiveRunActions(self)

    def pane(self, name: str) -> PaneModel:
        """The model of a pane."""
        return self.jobs if name == "jobs" else self.parts.part(name).model

    def contexts(self) -> Sequence[str]:
        """Every context of the kubeconfig."""
        return [c.name for c in self._kubeconfig.contexts()] if self._kubeconfig else self._names

    def namespaces(self) -> Sequence[str]:
        """Those listed or seen."""
        return sorted(self._namespaces | {v.key.namespace for v in self.jobs.views()})

    def state(self) -> ConsoleState:
        """The frame's contents."""
        lives = list(self.lives.values())
        several = len(lives) > 1
        sources: list[SourceState] = []
        for live in lives:
            sources += live.sources(f"{live.name}:" if several else "")
        sources += self.parts.sources({n: f"{n}:" if several else "" for n in self.lives})
        tiers = {live.settings.tier for live in lives}
        tier = next((t for t in _TIERS if t in tiers), Tier.DEV)
        return ConsoleState(
            now=time.time(),
            contexts=tuple(self.lives) or self._names,
            cluster=", ".join(dict.fromkeys(live.connection.info.cluster for live in lives)),
            tier=tier,
            user=", ".join(dict.fromkeys(live.user for live in lives if live.user)),
            namespace=self._shown_namespace(),
            read_only=bool(lives) and all(live.settings.read_only for live in lives),
            sources=tuple(sources),
            # The demo has a context that is dressed as production.
            demo=self._demo and tier is not Tier.PROD,
        )

    def _shown_namespace(self) -> str | None:
        if self._namespace is None:
            return None
        names = {live.feed.namespace or "" for live in self.lives.values()}
        return ", ".join(sorted(names)) if names else self._namespace

    def _is_open(self, live: Live) -> bool:
        return self.lives.get(live.name) is live

    def _is_stale(self, context: str) -> bool:
        live = self.lives.get(context)
        return live is None or live.is_stale

    def _status(self) -> tuple[Phase, tuple[str, ...]]:
        every = self._namespace is None
        return standing.of_jobs(self.lives.values(), "" if every else self._shown_namespace() or "")

    # -- starting, stopping, switching ------------------------------------------------------

    def begin(self) -> None:
        """Open the contexts in the background, before there is a screen to show them on.

        What goes wrong is told by :meth:`start`.
        """
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin())

    async def start(self, on_change: Callable[[], None]) -> None:
        """Read the kubeconfig and open the contexts, where that is not begun; waits for no server.

        Rows are made from now on.
        """
        self.begin()
        assert self._beginning is not None
        await self._beginning
        self._taking.start(on_change)

    async def _begin(self) -> None:
        self._kubeconfig = await asyncio.to_thread(self._load)
        names = self._names or ((self._kubeconfig.current,) if self._kubeconfig.current else ())
        if not names:
            known = ", ".join(c.name for c in self._kubeconfig.contexts()) or "none"
            raise UsageError("no context is chosen", hint=f"use --context; known: {known}")
        self._open(names)

    async def stop(self) -> None:
        """End everything."""
        self._taking.stop()
        begun = () if self._beginning is None else (self._beginning,)
        for task in (*begun, *self._tasks):
            task.cancel()
        await asyncio.gather(
            self.parts.stop(),
            *begun,
            *(live.close() for live in self.lives.values()),
            *self._tasks,
            return_exceptions=True,
        )

    def _open(self, names: Sequence[str]) -> None:
        if self._kubeconfig is None:
            raise UsageError("the console has not started yet")
        opened: dict[str, Live] = {}
        for name in dict.fromkeys(names):
            info = self._kubeconfig.context(name)
            settings = self.config.for_context(
                name, self._env, extension=info.extension, origin=info.origin
            )
            namespace = self._namespace
            if namespace == "":
                namespace = settings.namespace or info.namespace or "default"
            opened[name] = Live(
                name,
                Connection(info, settings, env=self._env),
                namespace,
                self._journal,
                self._taking.changed,
                self.turn,
                approvals=self.config.approvals,
            )
        # Only now, when every name was found, is anything that is open given up.
        old, self.lives = self.lives, opened
        self._names = tuple(opened)
        for gone in old.values():
            self.spawn(gone.close())
        self.parts.reopen()
        self.jobs.scope(contexts=len(opened), namespaced=self._namespace is not None)
        for live in opened.values():
            live.feed.start()
            self.spawn(self._introduce(live))
            if live.connection.prometheus is not None:
                self.spawn(
                    prometheus.watch(live, partial(self._is_open, live), self._taking.changed)
                )
        self._taking.changed()

    async def _introduce(self, live: Live) -> None:
        """Who we are there, and which namespaces there are; tried until it answers."""
        await live.feed.listed()
        # What acts is imported once the rows are there, and in a thread: it takes some frames.
        await self._taking.rested()
        for module in _LATER:
            await asyncio.to_thread(import_module, module)
        while self._is_open(live):
            try:
                live.user = await live.engine.user()
                page = await live.connection.kube.get(
                    NAMESPACES.path(None), ObjectList[Namespace], params={"limit": "500"}
                )
                self._namespaces |= {n.metadata.name for n in page.items}
            except McpTuiError:
                if live.user:
                    break  # Namespaces may not be listed: those seen are offered.
                await asyncio.sleep(5.0)
                continue
            break
        self._taking.changed()

    async def switch_context(self, names: Sequence[str]) -> None:
        """Look at other contexts; UsageError when one is unknown, and nothing changes then."""
        self._open(names)

    async def switch_namespace(self, namespace: str | None) -> None:
        """Look at one namespace, or at all."""
        self._namespace = namespace
        self._open(tuple(self.lives))

    async def refresh(self) -> None:
        """Ask again what is asked at intervals."""
        for live in self.lives.values():
            live.feed.refresh()
        self.parts.refresh()

    def attend(self) -> None:
        """Somebody is at the keys."""
        for live in self.lives.values():
            live.feed.attend()

    def key(self) -> None:
        """A key came: what is not about it waits for its frame."""
        self.turn.key()

    def focus(self, key: str | None) -> None:
        """The object under the cursor."""
        context, uid = split(key or "")
        for live in self.lives.values():
            live.feed.focus(uid if live.name == context else None)

    def visible(self, keys: Sequence[str]) -> None:
        """The rows on screen."""
        rows = [split(key) for key in keys]
        for live in self.lives.values():
            live.feed.visible([uid for context, uid in rows if context == live.name])

    def front(self, pane: str) -> None:
        """Jobs are followed whatever is looked at; what others show, while they are in front."""
        self.parts.front(pane)

    def live_of(self, key: str) -> tuple[Live, str]:
        """The context of a row's key, and its uid, or a run's id.

        Raises:
            UsageError: Its context is not looked at any more.
        """
        context, uid = split(key)
        live = self.lives.get(context)
        if live is None:
            raise UsageError("its context is not open any more")
        return live, uid

    def only(self) -> Live:
        """The one open context, for what has no row: a submission.

        Raises:
            UsageError: Several are open.
        """
        if len(self.lives) != 1:
            raise UsageError(
                "several contexts are open", hint="choose the one to submit to with :ctx NAME"
            )
        return next(iter(self.lives.values()))

    # -- changes ----------------------------------------------------------------------------

    def tell(self) -> None:
        """Something other than jobs is new: drawn at once."""
        self._taking.tell()

    def _keep_causes(self, live: Live, uids: frozenset[str]) -> None:
        for work in keeping.causes(live, uids):
            self.spawn(work)

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Let something run beside the console; it ends with it."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
