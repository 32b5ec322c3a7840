"""The frame, the command line, the filter, help, and the ways out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_tui.domain.plan import Confirmation, Plan, Tier
from mcp_tui.errors import UnreachableError, UsageError
from mcp_tui.tui import commands
from mcp_tui.tui.app import Console
from mcp_tui.tui.bar import bar_cells
from mcp_tui.tui.keymap import KEYS, KeyMap, normalise, shown
from mcp_tui.tui.model import ConsoleOptions, SourceState
from mcp_tui.tui.run import prepare
from mcp_tui.tui.screens.confirm import ConfirmScreen
from mcp_tui.tui.screens.help import help_lines
from mcp_tui.tui.screens.submit import SubmitScreen
from mcp_tui.tui.theme import ASCII_SIGNS, PALETTES, ROLES, TIERS, UNICODE_SIGNS
from tests.tui.fake import NOW, FakeBackend, many
from tests.tui.fake_terminals import offer
from tests.tui.harness import changed, console, screen_lines, screen_text, until


async def test_the_first_frame_shows_the_names_before_the_backend_is_there() -> None:
    built: list[object] = []

    def build() -> FakeBackend:
        built.append(None)
        raise UnreachableError("no answer", where="prod", hint="mcp-tui doctor --context prod")

    app = Console(build, ConsoleOptions(contexts=("prod",), tier=Tier.PROD))
    async with app.run_test(size=(80, 24)) as pilot:
        first = screen_text(app)
        assert "PRODUCTION prod" in first
        assert "STATE" in first and "WHY" in first
        await until(pilot, lambda: "prod: no answer" in screen_text(app))
        assert built == [None]
        assert "mcp-tui doctor" in screen_text(app)


async def test_trouble_is_said_in_words_and_health_is_quiet() -> None:
    sources = (
        SourceState("k8s", "live", 0.0),
        SourceState("prometheus", "stale", 41.0),
        SourceState("mlflow", "down"),
    )
    backend = FakeBackend(tier=Tier.PROD, contexts=("prod",), sources=sources)
    async with console(backend, (100, 24)) as (app, _):
        bar = screen_lines(app)[0]
        assert bar.startswith(" PRODUCTION prod alice WRITE 03:02Z")
        assert "k8s 0s" in bar and "! prometheus STALE 41s" in bar and "! mlflow DOWN" in bar


@pytest.mark.parametrize("width", [20, 40, 60, 80, 132])
def test_a_narrow_bar_drops_what_is_well_first(width: int) -> None:
    sources = (SourceState("k8s", "live", 0.0), SourceState("prometheus", "stale", 41.0))
    state = replace(FakeBackend().state(), sources=sources, tier=Tier.PROD)
    text = "".join(cell.text for cell in bar_cells(state, width))
    assert text.startswith(" PRODUCTION dev")
    assert "STALE" in text
    if width < 60:
        assert "k8s" not in text


async def test_a_tick_without_a_change_draws_nothing() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        drawn = app.pane.table.rows_drawn
        dirty: list[object] = []
        for widget in app.screen.walk_children():
            widget.refresh = lambda *a, w=widget, **k: dirty.append(w)  # type: ignore[method-assign,misc]  # counted
        await changed(app, backend, pilot)
        assert app.pane.table.rows_drawn == drawn
        assert dirty == []


async def test_many_changes_are_drawn_once() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        asked: list[int] = []
        state = backend.state
        backend.state = lambda: asked.append(1) or state()  # type: ignore[method-assign,func-returns-value]  # counted
        for _ in range(1_000):
            backend.on_change()
        await until(pilot, lambda: not app._dirty)
        assert len(asked) <= 2


async def test_the_filter_follows_typing_and_keeps_the_last_good_one() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("/", *"ranker")
        assert backend.model.count == 2
        await pilot.press(*" /[/")
        assert "not a regular expression" in screen_text(app)
        assert backend.model.filter.startswith("ranker")
        await pilot.press("enter")
        assert app.screen.prompt.asking, "the text stays to be mended"
        await pilot.press(*(["backspace"] * 4), "enter")
        assert backend.model.filter == "ranker"
        assert "/ranker  2 of 6" in screen_text(app)
        await pilot.press("/", "ctrl+u", *"!ranker", "escape")
        assert backend.model.filter == "ranker", "Esc brings the one before back"
        await pilot.press("escape")
        assert backend.model.filter == ""


async def test_a_label_filter_and_faults_only() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("/", *"team=ads", "enter")
        assert backend.model.count == 2
        await pilot.press("escape", "f")
        assert backend.model.count == 2
        assert "faults only" in screen_text(app)


async def test_keys_typed_into_the_prompt_do_nothing_else() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("/", *"xszatq")
        assert not backend.actions.planned
        assert len(app.screen_stack) == 1
        assert app.screen.prompt.value == "xszatq"


async def test_commands_complete_and_keep_a_history(tmp_path: Path) -> None:
    backend = FakeBackend()
    history = tmp_path / "state" / "history"
    async with console(backend, history_file=str(history)) as (app, pilot):
        await pilot.press(":", *"ct", "tab", "space", *"te", "tab", "enter")
        await until(pilot, lambda: "ctx test" in backend.calls)
        assert "test" in screen_lines(app)[0]
        await pilot.press(":", "up")
        assert app.screen.prompt.value == "ctx test"
        await pilot.press("escape", ":", *"ctx dev,pr", "tab")
        assert app.screen.prompt.value == "ctx dev,prod"
        await pilot.press("enter")
        await until(pilot, lambda: "ctx dev,prod" in backend.calls)
    assert history.read_text("utf-8") == "ctx test\nctx dev,prod\n"
    assert history.stat().st_mode & 0o077 == 0
    async with console(FakeBackend(), history_file=str(history)) as (app, pilot):
        await pilot.press(":", "up")
        assert app.screen.prompt.value == "ctx dev,prod"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jbos", "no command jbos; did you mean jobs"),
        ("ctx nowhere", "no context nowhere"),
        ("sort nothing", "no column nothing"),
        ("theme pink", "no theme pink"),
    ],
)
async def test_a_wrong_command_says_so(line: str, said: str) -> None:
    backend = FakeBackend()
    async with console(backend, (120, 24)) as (app, pilot):
        app.command_line.run(line)
        await pilot.pause()
        assert said in screen_text(app)
        assert not [call for call in backend.calls if call.startswith("ctx")]


async def test_every_command_runs() -> None:
    backend = FakeBackend()
    arguments = {"ctx": "prod", "ns": "research", "sort": "name", "theme": "ansi16"}
    for command in commands.COMMANDS:
        async with console(backend) as (app, pilot):
            app.command_line.run(f"{command.name} {arguments.get(command.name, '')}")
            await pilot.pause()
    assert "ns research" in backend.calls


async def test_ns_and_zero_switch_namespaces() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("0")
        await until(pilot, lambda: "ns None" in backend.calls)
        await until(pilot, lambda: "Jobs / all namespaces" in screen_text(app))


async def test_help_lists_every_key_and_command() -> None:
    keymap = KeyMap({"cancel": "i"})
    for kind in ("jobs", "log"):
        text = ["".join(c.text for c in line) for line in help_lines(keymap, kind)]
        for key in keymap.keys:
            labels = " ".join(shown(n) for n in normalise(key.keys))
            assert any(labels in line and key.help in line for line in text), key.id
        for command in commands.COMMANDS:
            assert any(f":{command.name}" in line for line in text)
    backend = FakeBackend()
    async with console(backend, (100, 200)) as (app, pilot):
        await pilot.press("?")
        text_shown = screen_text(app)
        assert all(key.help in text_shown for key in KEYS)
        await pilot.press("q")
        assert len(app.screen_stack) == 1


async def test_a_moved_key_works_and_is_shown() -> None:
    backend = FakeBackend()
    async with console(backend, keys={"cancel": "i"}) as (app, pilot):
        assert "i cancel" in screen_lines(app)[-1]
        await pilot.press("x")
        assert not backend.actions.planned
        await pilot.press("i")
        await until(pilot, lambda: backend.actions.planned)


def test_keys_that_clash_are_refused_before_the_screen_is_taken() -> None:
    with pytest.raises(UsageError, match="already logs"):
        Console(FakeBackend, ConsoleOptions(keys={"cancel": "l"}))


@pytest.mark.parametrize("key", ["ctrl+q", "ctrl+p", "ctrl+z", "ctrl+s", "ctrl+a", "ctrl+b"])
async def test_keys_of_terminals_and_multiplexers_do_nothing(key: str) -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        before = screen_text(app)
        await pilot.press(key)
        assert app.is_running and len(app.screen_stack) == 1
        assert screen_text(app) == before


async def test_leaving_asks_and_a_held_q_does_not_leave() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("enter", "q", "q")
        assert "leave the console?" in screen_text(app)
        await pilot.press("q", "q", "q")
        assert app.is_running
        await pilot.press("escape")
        if not app.screen.prompt.asking:
            await pilot.press("q")
        await pilot.press("y")
        await pilot.pause()
    assert app.return_value == 0
    assert backend.calls[-1] == "stop"


async def test_ctrl_c_interrupts_and_twice_leaves() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("/", *"abc", "ctrl+c")
        assert not app.screen.prompt.asking
        assert "ctrl-c again leaves" in screen_text(app)
        assert app.is_running
        await pilot.press("ctrl+c")
        await pilot.pause()
    assert app.return_value == 0


async def test_read_only_refuses_every_write_and_says_so() -> None:
    backend = FakeBackend(read_only=True)
    async with console(backend) as (app, pilot):
        assert "READ-ONLY" in screen_lines(app)[0]
        assert "cancel" not in screen_lines(app)[-1]
        for key in "xtzas":
            await pilot.press(key)
            assert "read-only:" in screen_text(app)
        assert not backend.actions.planned


async def test_a_tab_is_not_copied_as_one() -> None:
    async with console(FakeBackend()) as (app, _):
        app.copy("a\tb\n\tc", "it")
        assert app.clipboard == "a   b\n    c"


async def test_copy_says_what_it_did() -> None:
    async with console(FakeBackend()) as (app, pilot):
        await pilot.press("c")
        assert app.clipboard == "ml/ranker-train-0412"
        assert "copied ml/ranker-train-0412" in screen_text(app)


async def test_no_colour_tells_everything_in_words_and_signs() -> None:
    async with console(FakeBackend(tier=Tier.PROD), no_color=True) as (app, _):
        strips = app.screen._compositor.render_strips()
        for strip in strips:
            for segment in strip:
                style = segment.style
                assert style is None or style.color is None or style.color.is_default
                assert style is None or style.bgcolor is None or style.bgcolor.is_default
        text = screen_text(app)
        for word in ("PRODUCTION", "\u2717 failed", "! stalled", "~ waiting", "> running"):
            assert word in text


async def test_no_color_in_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Console(FakeBackend, ConsoleOptions())
    assert app.palette.name == "none"


async def test_ascii_signs() -> None:
    async with console(FakeBackend(), ascii=True) as (app, pilot):
        assert "X failed" in screen_text(app)
        await pilot.press("x")
        await until(pilot, lambda: "cancel ranker" in screen_text(app))
        assert screen_text(app).isascii()


@pytest.mark.parametrize("name", list(PALETTES))
def test_every_palette_has_every_role(name: str) -> None:
    palette = PALETTES[name]
    for tier in TIERS:
        assert palette[f"bar-{tier}"], "each tier has a bar of its own"
    assert len({palette[f"bar-{tier}"] for tier in TIERS}) == 3
    assert palette["cursor"] and palette["match"]
    assert set(palette.styles) <= {*ROLES, *(f"bar-{tier}" for tier in TIERS)}


@pytest.mark.parametrize("signs", [UNICODE_SIGNS, ASCII_SIGNS])
def test_signs_take_one_cell_everywhere(signs: object) -> None:
    import unicodedata

    for field in ("failed", "attention", "waiting", "running", "done"):
        sign = getattr(signs, field)
        assert len(sign) == 1
        assert unicodedata.east_asian_width(sign) in {"N", "Na"}, "not ambiguous"


@pytest.mark.parametrize("name", list(PALETTES))
async def test_every_theme_opens_and_can_be_switched_to(name: str) -> None:
    async with console(FakeBackend(), theme=name) as (app, pilot):
        assert "ranker-train-0412" in screen_text(app)
        for other in PALETTES:
            app.command_line.run(f"theme {other}")
            await pilot.pause()
            assert app.palette.name == other
            await pilot.press("s")
            await pilot.press("escape")


def test_the_ssh_profile_is_taken_by_itself() -> None:
    env = {"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}
    options = prepare(ConsoleOptions(), env)
    assert options.profile == "ssh" and options.theme == "ansi16"
    assert int(env["TEXTUAL_FPS"]) <= 60
    assert env["ESCDELAY"] == "300"
    assert env["TEXTUAL_ANIMATIONS"] == "none"
    env = {"SSH_CONNECTION": "x", "TEXTUAL_FPS": "20"}
    assert prepare(ConsoleOptions(profile="normal"), env).profile == "normal"
    assert env["TEXTUAL_FPS"] == "20", "what the user set stays"


async def test_the_preview_follows_the_cursor_on_a_wide_screen_only() -> None:
    backend = FakeBackend()
    async with console(backend, (80, 24)) as (app, pilot):
        await pilot.press("j")
        await until(pilot, lambda: any(c.startswith("focus uid") for c in backend.calls))
        assert not backend.details.asked
        await pilot.resize_terminal(140, 30)
        await until(pilot, lambda: "then run marked" in screen_text(app))
        asked = len(backend.details.asked)
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: len(backend.details.asked) > asked)
        assert len(backend.details.asked) - asked == 1, "a moving cursor fetches nothing"
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "then run marked" not in screen_text(app))


async def test_detail_tabs_are_lazy_and_esc_returns_to_the_same_place() -> None:
    backend = FakeBackend(many(500))
    async with console(backend) as (app, pilot):
        await pilot.press("/", *"job-00", "enter", "pagedown", "j")
        table = app.pane.table
        place = (table.cursor_key, table.top, backend.model.filter)
        await pilot.press("enter")
        await until(pilot, lambda: "OOMKilled in train-node-1" in screen_text(app))
        assert [a.split()[0] for a in backend.details.asked] == ["overview"]
        await pilot.press("tab")
        await until(pilot, lambda: "exit 137, 3 restarts" in screen_text(app))
        await pilot.press("tab", "tab")
        await until(pilot, lambda: "Killed" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: "apiVersion: batch/v1" in screen_text(app))
        await pilot.press("escape")
        assert (table.cursor_key, table.top, backend.model.filter) == place


async def test_writes_are_dead_in_logs() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("l")
        await until(pilot, lambda: "Killed" in screen_text(app))
        for key in "xtzas":
            await pilot.press(key)
        assert not backend.actions.planned
        assert len(app.screen_stack) == 2
        await pilot.press("shift+tab", "x")
        await until(pilot, lambda: backend.actions.planned)


async def test_an_attempt_and_a_pod_can_be_chosen_for_logs() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press("l")
        await until(pilot, lambda: len(backend.details.log_options) == 1)
        await pilot.press("[")
        await until(pilot, lambda: len(backend.details.log_options) == 2)
        assert backend.details.log_options[1].previous == 1
        assert "attempt -1" in screen_text(app)
        await pilot.press("[")
        assert "no earlier attempt is kept" in screen_text(app)
        assert "attempt -1" in screen_text(app)
        await until(pilot, lambda: "Killed" in screen_text(app))
        await pilot.press("k", "k")
        assert not app.screen.view.follows
        await pilot.press("]")
        await until(pilot, lambda: len(backend.details.log_options) == 3)
        assert backend.details.log_options[2].previous == 0
        assert app.screen.view.follows, "another log is shown from its newest line"
        await pilot.press("]")
        assert "this is the newest attempt" in screen_text(app)
        app.screen.show("Pods")
        await until(pilot, lambda: "exit 137" in screen_text(app))
        await pilot.press("G", "enter")
        await until(pilot, lambda: len(backend.details.log_options) == 4)
        assert backend.details.log_options[3].container == "train"


async def test_a_shell_is_asked_for_where_the_cursor_is_and_never_when_read_only() -> None:
    backend = FakeBackend()
    offered = offer(backend)
    async with console(backend) as (app, pilot):
        await pilot.press("e")
        # The test's driver cannot give its terminal over: said, and nothing run.
        await until(pilot, lambda: "cannot be given over" in screen_text(app))
        await pilot.press("enter")
        app.screen.show("Pods")
        await until(pilot, lambda: "exit 137" in screen_text(app))
        await pilot.press("j", "e")
        await until(pilot, lambda: len(offered.asked) == 2)
        assert offered.asked[0] == ("", "")
        assert offered.asked[1][0] == "ranker-train-0412-0"
        assert not offered.ran
        app.screen.show("Logs")
        await pilot.press("e")
        assert len(offered.asked) == 2
        app.screen.show("Pods")
        backend.current = replace(backend.current, read_only=True)
        await changed(app, backend, pilot)
        await pilot.press("e")
        assert "read-only: shell is refused" in screen_text(app)
        assert len(offered.asked) == 2


async def test_ports_are_forwarded_shown_and_closed() -> None:
    backend = FakeBackend()
    offered = offer(backend)
    async with console(backend) as (app, pilot):
        for wrong in ("x", "80:0", "70000", "1:2:3", "80 81"):
            await pilot.press(":", *f"forward {wrong}", "enter")
            await until(pilot, lambda: "write a port" in screen_text(app))
        assert not offered.asked
        await pilot.press(":", *"forward 8080:80", "enter")
        await until(pilot, lambda: "127.0.0.1:8080 leads to port 80" in screen_text(app))
        assert offered.asked == [("", 8080, 80)]
        await changed(app, backend, pilot)
        assert "port 8080>80" in screen_text(app)
        await pilot.press(":", *"forward stop", "enter")
        await until(pilot, lambda: "1 forwarded port closed" in screen_text(app))
        await changed(app, backend, pilot)
        assert "8080>80" not in screen_text(app)


async def test_in_production_a_shell_is_typed_for() -> None:
    backend = FakeBackend()
    offered = offer(backend, Confirmation.TYPED)
    async with console(backend) as (app, pilot):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "PRODUCTION" in screen_text(app)
        now = [app.screen.clock() + 1.0]
        app.screen.clock = lambda: now[0]
        app.screen.when = lambda _event: now[0]
        await pilot.press("enter")
        assert not offered.ran
        for key in ("d", "e", "v", "slash", *"train", "enter"):
            now[0] += 0.2
            await pilot.press(key)
        await until(pilot, lambda: "cannot be given over" in screen_text(app))


async def test_a_part_that_fails_says_so_in_its_place() -> None:
    backend = FakeBackend()

    async def fails(key: str) -> str:
        raise UnreachableError("no answer in 10 s", where="dev")

    backend.details.yaml = fails  # type: ignore[method-assign]  # a fault
    async with console(backend) as (app, pilot):
        await pilot.press("y")
        await until(pilot, lambda: "dev: no answer in 10 s" in screen_text(app))
        await pilot.press("d")
        await until(pilot, lambda: "Name:  ranker" in screen_text(app))


async def test_the_clock_is_the_backends() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        backend.current = replace(backend.current, now=NOW + 3_600)
        await changed(app, backend, pilot)
        assert "04:02Z" in screen_lines(app)[0]


async def test_a_defect_is_one_line_and_the_rest_lives_on() -> None:
    backend = FakeBackend()

    async def breaks(key: str) -> str:
        raise RuntimeError("\x1b[31mnobody foresaw this")

    backend.details.yaml = breaks  # type: ignore[method-assign]  # a fault
    async with console(backend) as (app, pilot):
        await pilot.press("y")
        await until(pilot, lambda: "RuntimeError: nobody foresaw this" in screen_text(app))
        await pilot.press("d")
        await until(pilot, lambda: "Name:  ranker" in screen_text(app))


async def test_a_backend_that_breaks_at_its_start_is_said() -> None:
    def build() -> FakeBackend:
        raise RuntimeError("broken at once")

    app = Console(build, ConsoleOptions(contexts=("dev",)))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "RuntimeError: broken at once" in screen_text(app))
        await pilot.press("?", "q")
        assert app.is_running


async def test_ctrl_c_leaves_a_prompt_as_esc_does() -> None:
    backend = FakeBackend()
    async with console(backend) as (app, pilot):
        await pilot.press(*"/ranker")
        await until(pilot, lambda: backend.model.filter == "ranker")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: backend.model.filter == "")
        assert app.is_running


async def test_ctrl_c_gives_up_a_plan_that_a_form_waits_for() -> None:
    backend = FakeBackend()
    asked, go_on = asyncio.Event(), asyncio.Event()
    whole = backend.actions.plan_submit

    async def slow(*args: Any, **more: Any) -> Plan:
        asked.set()
        await go_on.wait()
        return await whole(*args, **more)

    backend.actions.plan_submit = slow  # type: ignore[method-assign]  # a server that is slow
    async with console(backend) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, SubmitScreen))
        await pilot.press("ctrl+o")
        await asked.wait()
        await pilot.press("ctrl+c")
        go_on.set()
        await until(pilot, lambda: not any(w.group == "plan" for w in app.workers))
        assert isinstance(app.screen, SubmitScreen)
