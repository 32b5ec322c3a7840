"""The places where text enters, each by itself: what one of them lets by, no later one has to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from textual import events

from mcp_tui.config import Endpoint, load
from mcp_tui.sources import git
from mcp_tui.sources.endpoint import connect
from mcp_tui.sources.gate import Gate
from mcp_tui.sources.kubernetes.kubeconfig import load_kubeconfig
from mcp_tui.sources.mlflow import MlflowClient
from mcp_tui.tui.live.backend import LiveBackend
from mcp_tui.tui.model import Cell, LogLine
from mcp_tui.tui.screens.frame import FrameScreen
from mcp_tui.tui.screens.submit import SubmitScreen
from mcp_tui.tui.widgets.logview import plain
from tests.faults.follow import until as wait_until
from tests.hostile.test_decode import assert_safe
from tests.hostile.texts import ATTACKS, unsafe
from tests.hostile.world import RUN_ID, STATES, World
from tests.tui.fake import FakeBackend
from tests.tui.harness import console, screen_text, until

_NAMED = {name for name, _ in STATES}


def test_what_git_says_is_clean_and_understood() -> None:
    for text in ATTACKS:
        for before in (
            "",
            "fatal: ",
            "\x1b[31mfatal: \x1b[m",
            "git@x: Permission denied (publickey) ",
        ):
            said = f"{before}{text}".encode("utf-8", "surrogatepass")
            assert not unsafe(git._failure(said, "here").line()), text
    coloured = b"warning: redirected\n\x1b[31mfatal: \x1b[1mrepository 'x' not found\x1b[m\n"
    assert "repository 'x' not found" in git._failure(coloured, "here").line()
    # What is hidden between the letters of a credential hides no credential.
    split = "fatal: unable to access 'https://bob:hun\x1b[0mter\u200b2@git.example/x': no".encode()
    line = git._failure(split, "here").line()
    assert "ter" not in line and "hun" not in line, line


async def test_what_is_pasted_into_the_editor_is_what_is_seen() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        screen = app.screen
        assert isinstance(screen, SubmitScreen)
        for text in ATTACKS:
            screen.editor.load_text(text)
            assert not unsafe(screen.editor.text, keep="\n\t"), text
            screen.editor.load_text("")
            screen.editor.post_message(events.Paste(f"{text}-end"))
            await until(pilot, lambda: "-end" in screen.editor.text or not screen.editor.text)
            assert not unsafe(screen.editor.text, keep="\n\t"), text


async def test_what_mlflow_says_is_clean() -> None:
    for start in range(0, len(ATTACKS), 12):
        with World(ATTACKS[start : start + 12]) as world:
            endpoint = Endpoint(url=f"{world.url}/mlflow")
            gate = Gate(read_only=False)
            client = MlflowClient(connect("mlflow", endpoint, gate=gate, env={}, kube=None))
            try:
                assert_safe(await client.get_run(RUN_ID))
                assert_safe(await client.search_runs(["1"]))
                assert_safe(await client.get_experiment_by_name("x"))
            finally:
                await client.aclose()


async def test_the_yaml_of_every_object_is_clean(tmp_path: Path) -> None:
    with World(list(ATTACKS)) as world:
        env = world.files(tmp_path)
        told = asyncio.Event()
        backend = LiveBackend(load(env=env), lambda: load_kubeconfig(env), ("dev",), "", env)
        await backend.start(told.set)
        try:
            jobs = backend.jobs
            await wait_until(lambda: jobs.phase == "ready" and jobs.count > 5, 60.0)
            keys = [jobs.row(number).key for number in range(jobs.count)]
            # Those whose names are hostile cannot be asked for by them.
            keys = [key for key in keys if jobs.name_of(key).partition("/")[2] in _NAMED]
            assert len(keys) == len(_NAMED)
            for key in keys:
                text = await backend.details.yaml(key)
                assert len(text) > 200 and not unsafe(text, keep="\n\t"), json.dumps(text)[:300]
        finally:
            await backend.stop()


def test_what_is_saved_and_searched_is_clean() -> None:
    for text in ATTACKS:
        for item in (LogLine(text), LogLine("x", source=text), (Cell(text), Cell(text))):
            line = plain(item)
            assert not unsafe(line), text


@pytest.mark.parametrize(
    "name",
    ["~nobody-of-that-name/x", "a/" * 3000, "n" * 300, "/dev/null"],
    ids=["no home", "too deep", "too long", "there"],
)
async def test_a_name_that_no_file_can_have_is_said(name: str, tmp_path: Path) -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("y")
        await until(pilot, lambda: "[YAML]" in screen_text(app))
        await pilot.press("W")
        await until(pilot, lambda: "save as " in screen_text(app))
        screen = app.screen
        assert isinstance(screen, FrameScreen)
        screen.answer(screen.prompt.ask, name)
        await until(pilot, lambda: "not saved" in screen_text(app))
