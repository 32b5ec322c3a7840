"""Pictures of the screens: compared with ``snapshots/``, which the README shows.

Change one on purpose with ``make snapshots`` and look at what changed before keeping it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from mcp_tui.actions.evidence import GateLine
from mcp_tui.domain.plan import Confirmation, Tier
from mcp_tui.domain.trainconfig import EXAMPLE
from mcp_tui.tui.app import Console
from mcp_tui.tui.model import SourceState
from mcp_tui.tui.screens.confirm import ConfirmScreen
from tests.tui.fake import JOBS, FakeBackend, FakeJob
from tests.tui.harness import make, screen_text, until

# The pictures are named after what they show, not after this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*Can not relate snapshot:UserWarning")

SIZES = {"80x24": (80, 24), "200x50": (200, 50)}

MORE = tuple(
    FakeJob(f"{name}-{n:04d}", state, done, since, why)
    for n, (name, state, done, since, why) in enumerate(
        (
            ("ranker-eval", "failed", "10%", "2h", "ImagePullBackOff: registry/train:v9 not found"),
            ("embed-v3", "waiting", "", "40m", "Unschedulable: 0/12 nodes have 8 gpu"),
            ("ctr-hourly", "running", "12%", "3m", "loss 0.702 falling; 41 min left"),
            ("ctr-hourly", "running", "55%", "20m", "loss 0.511 falling; 18 min left"),
            ("fraud-daily", "running", "99%", "5h", "loss 0.090 flat; 1 min left"),
            ("tower-user", "done", "", "3h", "recall@50 0.412  run 91aa"),
            ("tower-item", "done", "", "3h", "recall@50 0.398  run 91ab"),
        ),
        start=17,
    )
)

Step = Callable[[Pilot[int], Console, FakeBackend], Awaitable[None]]


async def _nothing(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    if app.size.width >= 132:
        await until(pilot, lambda: "then run marked" in screen_text(app))


async def _filter(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("space", "/", *"!ranker hourly")


async def _help(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("?")


async def _detail(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: "train-node-1" in screen_text(app))


async def _logs(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("l")
    await until(pilot, lambda: "Killed" in screen_text(app))
    await pilot.press("T")


async def _whose(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await _nothing(pilot, app, backend)
    await pilot.press("L")
    await until(pilot, lambda: "the attempt before" in screen_text(app))


async def _typed(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("x")
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
    screen = app.screen
    assert isinstance(screen, ConfirmScreen)
    screen._opened = time.monotonic() - 5
    await pilot.press(*"prod")


async def _yes(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    backend.actions.confirmation = Confirmation.YES
    await pilot.press("z")
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))


async def _submit(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("s")
    app.screen.editor.text = "name: ranker\n  bad: 1\n"
    await pilot.press("ctrl+o")
    await until(pilot, lambda: "line 2" in screen_text(app))


async def _retry(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("t")
    await until(pilot, lambda: "64Gi" in screen_text(app))
    await pilot.press("ctrl+u", *"lots", "ctrl+o")
    await until(pilot, lambda: "is no quantity" in screen_text(app))


async def _form(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("s")
    app.screen.editor.text = EXAMPLE
    await pilot.press("ctrl+t", "tab", "tab", "tab", "ctrl+u", *"feature/v2")


async def _models(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await pilot.press("4")
    await until(pilot, lambda: "+ ranker" in screen_text(app))
    await pilot.press("G", "enter", "j", "j", "j")
    await until(pilot, lambda: "version 7" in screen_text(app))
    if app.size.width >= 132:
        await until(pilot, lambda: "ranker version 5  " in screen_text(app))


async def _alias_history(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await _models(pilot, app, backend)
    await pilot.press("h")
    await until(pilot, lambda: "in spite of a failed gate" in screen_text(app))


async def _promote_form(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    await _models(pilot, app, backend)
    await pilot.press("k", "k", "p")
    await until(pilot, lambda: "champion is version 5" in screen_text(app))
    await pilot.press("tab", *"better recall")


async def _promote(pilot: Pilot[int], app: Console, backend: FakeBackend) -> None:
    backend.models.gates = (
        GateLine(passed=True, said="f1_macro >= 0.90: 0.940 (f1_macro)"),
        GateLine(passed=False, said="latency_p99_ms <= 40: 44.0 (latency_p99_ms)"),
    )
    await _promote_form(pilot, app, backend)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))


def _dev() -> FakeBackend:
    return FakeBackend((*JOBS, *MORE))


def _prod() -> FakeBackend:
    return FakeBackend((*JOBS, *MORE), tier=Tier.PROD, contexts=("prod",), cluster="prod-eu-1")


def _empty() -> FakeBackend:
    return FakeBackend(())


def _stale() -> FakeBackend:
    backend = _prod()
    backend.model.put([replace(job, stale=True) for job in backend.model.jobs.values()])
    sources = (
        SourceState("k8s", "retrying", 41.0, "connection refused", 8.0),
        SourceState("mlflow", "live", 2.0),
    )
    backend.current = replace(backend.current, sources=sources)
    return backend


def _broken() -> FakeBackend:
    backend = _empty()
    backend.model.phase = "broken"
    backend.model.note = (
        "prod: connection refused by 10.0.0.1:6443",
        "tried 4 times since 02:58Z; again in 8 s",
        "mcp-tui doctor --context prod",
    )
    sources = (SourceState("k8s", "down", None, "connection refused", 8.0),)
    backend.current = replace(backend.current, sources=sources)
    return backend


PICTURES: dict[str, tuple[Callable[[], FakeBackend], Step, dict[str, object]]] = {
    "jobs-dev": (_dev, _nothing, {}),
    "jobs-prod": (_prod, _nothing, {}),
    "filter": (_dev, _filter, {}),
    "help": (_dev, _help, {}),
    "detail": (_dev, _detail, {}),
    "logs": (_dev, _logs, {}),
    "whose-logs": (_dev, _whose, {}),
    "confirm-typed": (_prod, _typed, {}),
    "confirm-yes": (_dev, _yes, {}),
    "submit": (_dev, _submit, {}),
    "submit-form": (_dev, _form, {}),
    "retry": (_dev, _retry, {}),
    "models": (_prod, _models, {}),
    "models-history": (_prod, _alias_history, {}),
    "models-form": (_prod, _promote_form, {}),
    "models-promote": (_prod, _promote, {}),
    "empty": (_empty, _nothing, {}),
    "stale": (_stale, _nothing, {}),
    "broken": (_broken, _nothing, {}),
    "no-colour": (_prod, _nothing, {"no_color": True}),
    "colour-blind": (_prod, _nothing, {"theme": "colourblind"}),
    "ansi16": (_prod, _nothing, {"theme": "ansi16"}),
    "ascii": (_dev, _nothing, {"ascii": True}),
}


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("name", list(PICTURES))
def test_picture(name: str, size: str, snap_compare: Callable[..., bool]) -> None:
    build, step, options = PICTURES[name]
    backend = build()
    app = make(backend, **options)

    async def before(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: app.ready)
        if backend.model.count or name not in {"empty", "broken"}:
            await step(pilot, app, backend)
        await pilot.pause()

    assert snap_compare(app, terminal_size=SIZES[size], run_before=before)
