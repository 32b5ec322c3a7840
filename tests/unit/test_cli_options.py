"""Options that are honoured or refused, never passed over; no server is there."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from mcp_tui.cli import doctor, jobs, main, models, submit
from mcp_tui.cli.follow import _Lines
from mcp_tui.cli.output import Printer
from mcp_tui.cli.parser import parse
from mcp_tui.cli.runs import chosen
from mcp_tui.cli.settings import Chosen
from mcp_tui.cli.views import columns
from mcp_tui.config import Config
from mcp_tui.domain.jobview import JobKey, JobState, JobView
from mcp_tui.domain.model import RegisteredModel
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan
from mcp_tui.errors import UsageError
from mcp_tui.store.select import parse_filter
from tests.unit.submitting import TARGET, plan_with


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("job show a --logs", "--logs: log lines come with --watch only; add it; mcp-tui job logs"),
        ("job submit --config x --logs", "--logs: log lines come with --watch only"),
        ("job show a -w --logs -o json", "--logs: log lines are no JSON; leave -o out"),
        ("job submit --config x -w --logs -o yaml", "--logs: log lines are no YAML"),
        ("job show a -w -o name", "--watch: a name does not change; -o table, json or yaml"),
        ("job show a --timeout 5m", "--timeout: only --watch waits"),
        ("model promote m/1 --artifact model", "--artifact: only --run registers"),
        ("model promote m/1 --to n --no-alias --alias x", "--alias: --no-alias moves none"),
        ("model history m/1", "of the model; name m alone"),
        ("run show r --artifacts --artifact a", "--artifacts: shows all of them"),
        ("run curves r --log -o json", "--log: only the chart has it"),
        ("run curves r --size 80x24 -o csv", "--size: only the chart has it"),
    ],
)
def test_what_would_be_passed_over_is_refused(words: str, said: str) -> None:
    args = parse(words.split())
    with pytest.raises(UsageError) as caught:
        asyncio.run(args.run(args))
    assert said in caught.value.line()


@pytest.mark.parametrize("command", ["journal", "approvals m"])
def test_the_newest_none_are_not_asked_for(command: str) -> None:
    with pytest.raises(UsageError, match="'0' is not a number from 1"):
        parse([*command.split(), "--limit", "0"])


def test_each_fault_of_a_file_has_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text('image: ""\ncode: {url: x}\ncommand: 1\nnodes: 0\nttl: 1\n')
    assert main(["job", "submit", "--config", str(path)]) == 2
    told = capsys.readouterr().err.splitlines()
    starts = [f"mcp-tui: {path}:{line}:" for line in range(1, 6)]
    assert [line[: len(start)] for line, start in zip(told, starts, strict=True)] == starts


# What was done from here


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal: one action in prod, then many in dev."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("MCP_TUI_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "mcp-tui").mkdir()
    lines = []
    for at in range(61):
        context, namespace = ("dev", "ml") if at else ("prod", "eu")
        target = {"context": context, "kind": "Job", "namespace": namespace, "name": "a"}
        entry = {"at": at, "plan": f"p{at}", "verb": "cancel", "context": context, "tier": "dev",
                 "targets": [{**target, "uid": "u"}]}  # fmt: skip
        lines += [{**entry, "event": event} for event in ("started", "ended")]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "mcp-tui" / "journal.jsonl").write_text(text)


@pytest.mark.parametrize(
    ("words", "plans"),
    [
        ("--context prod", ["p0"]),
        ("-n eu", ["p0"]),
        ("-n eu -A --limit 1", ["p60"]),
        ("--context dev -n eu", []),
        ("--context prod --limit 1", ["p0"]),
        ("--limit 2", ["p59", "p60"]),
        ("--limit 100", [f"p{at}" for at in range(61)]),
    ],
)
@pytest.mark.usefixtures("done")
def test_the_newest_are_those_of_what_is_asked_for(
    capsys: pytest.CaptureFixture[str], words: str, plans: list[str]
) -> None:
    assert main(["journal", "-o", "name", *words.split()]) == 0
    assert capsys.readouterr().out.split() == plans


@pytest.mark.usefixtures("done")
def test_contexts_may_be_written_with_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "-o", "name", "--limit", "100", "--context", "dev, prod"]) == 0
    assert len(capsys.readouterr().out.split()) == 61


@pytest.mark.usefixtures("done")
def test_nothing_that_matches_is_not_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "--context", "other"]) == 0
    assert "nothing yet that matches in " in capsys.readouterr().err


# Jobs


def job(name: str, state: JobState = JobState.RUNNING, urgency: int = 0) -> JobView:
    key = JobKey("dev", "Job", "ml", name, f"u-{name}")
    return JobView(key=key, state=state, since=1.0, why="", urgency=(urgency, 0.0, name))


def test_a_followed_job_is_yaml_where_yaml_is_asked_for() -> None:
    out = io.StringIO()
    lines = _Lines(Printer(out=out, color=False), "yaml")
    for view in (job("a"), job("a"), job("a", JobState.DONE)):
        lines.data(view)
    told = yaml.safe_load(out.getvalue())
    assert [(each["name"], each["state"]) for each in told] == [("a", "running"), ("a", "done")]


def test_causes_are_asked_for_of_what_is_shown() -> None:
    views = [job(f"other-{n:02}", JobState.FAILED) for n in range(60)]
    wanted = [job("mine-1", urgency=9), job("mine-2", urgency=8)]
    first = jobs._looked_at([*views, *wanted], parse_filter("mine"))
    assert first[:2] == ["u-mine-2", "u-mine-1"]
    assert len(first) == 50
    assert jobs._looked_at([*wanted, *views], None)[0] == "u-other-00"


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
async def test_a_job_that_was_never_shown_is_not_said_to_be_gone(output: str) -> None:
    class Feed:
        rows: Sequence[JobView] = (job("mine"), job("other"))

        def views(self) -> Sequence[JobView]:
            return self.rows

    out, feed, changed = io.StringIO(), Feed(), asyncio.Event()
    shown = columns(contexts=False, namespaces=False)
    args = parse(["job", "ls", "-w", "--filter", "mine", "-o", output])
    watching = asyncio.create_task(
        jobs._go_on(
            [cast(Any, feed)], changed, shown, args, Printer(out=out, color=False),
            parse_filter(args.filter),
        )
    )  # fmt: skip
    try:
        await asyncio.sleep(0)
        feed.rows = ()
        changed.set()
        async with asyncio.timeout(10):
            while not out.getvalue():
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    if output == "table":
        assert out.getvalue() == "- gone  mine\n"
        return
    told = yaml.safe_load(out.getvalue())  # a line of JSON is one of YAML too
    [told] = told if output == "yaml" else [told]
    assert (told["name"], told["state"], told["gone"]) == ("mine", "running", True)


@pytest.mark.parametrize(
    ("words", "proof"), [("", 30.0), ("--timeout 5m", 300.0), ("--timeout 5m --watch", 30.0)]
)
async def test_a_submission_waits_for_its_effect_as_long_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, words: str, proof: float
) -> None:
    asked: list[float] = []

    class Fails:
        async def check(self, plan: Plan) -> Plan:
            return plan

        async def apply(self, plan: Plan, *, progress: Any) -> list[Outcome]:
            return [Outcome(target=TARGET, status=OutcomeStatus.FAILED, message="m")]

    def engine(timeout: float) -> Fails:
        asked.append(timeout)
        return Fails()

    plan_with(monkeypatch, Printer(out=io.StringIO(), color=False), engine)
    assert await submit.submit(parse(["job", "submit", "--config", "x", *words.split()])) == 3
    assert asked == [proof]


# Others


@pytest.mark.parametrize(
    ("words", "namespace", "where"),
    [("-A", "", "in every namespace: "), ("-n eu", "eu", "in namespace eu: ")],
)
async def test_doctor_asks_what_one_may_where_it_is_told(
    monkeypatch: pytest.MonkeyPatch, words: str, namespace: str, where: str
) -> None:
    asked = set()

    class Kube:
        async def can_i(self, verb: str, group: str, plural: str, namespace: str, *_: str) -> Any:
            asked.add(namespace)
            return SimpleNamespace(allowed=True)

    async def examined(chosen: Chosen, timeout: float) -> list[doctor.Finding]:
        return await doctor._rights(chosen, cast(Any, SimpleNamespace(kube=Kube())), timeout)

    info = SimpleNamespace(name="c", namespace="ml", extension=None, origin="")
    monkeypatch.setattr(doctor, "_examine", examined)
    monkeypatch.setattr(doctor, "kubeconfig", lambda _: SimpleNamespace(context=lambda _: info))
    args = parse(["doctor", *words.split()])
    found = await doctor._safely("c", args, Config(), timeout=9.0)
    assert asked == {namespace}
    assert found[0].message.startswith(where)


@pytest.mark.parametrize(
    ("view", "asked"),
    [("active", "ACTIVE_ONLY"), ("deleted", "DELETED_ONLY"), ("all", "ALL")],
)
async def test_experiments_of_a_view_are_those_of_it(
    monkeypatch: pytest.MonkeyPatch, view: str, asked: str
) -> None:
    from mcp_tui.cli import runs

    seen = []

    class Client:
        async def search_experiments(self, *, view: str, **_: object) -> Any:
            seen.append(view)
            return SimpleNamespace(experiments=[], next_page_token="")

    @contextlib.asynccontextmanager
    async def opened(args: argparse.Namespace) -> AsyncIterator[Any]:
        yield SimpleNamespace(client=Client(), printer=Printer(out=io.StringIO(), color=False))

    monkeypatch.setattr(runs, "open_tracker", opened)
    assert await runs.experiments(parse(["run", "experiments", "--view", view])) == 0
    assert seen == [asked]
    assert await chosen(cast(Any, Client()), []) == ([], False)
    assert seen == [asked, "ACTIVE_ONLY"]


async def test_what_was_read_is_counted_before_the_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Client:
        async def search_models(self, *, page_token: str) -> Any:
            found = [RegisteredModel(name=f"m{n}") for n in range(3)]
            return SimpleNamespace(registered_models=found, next_page_token="more")

    out, err = io.StringIO(), io.StringIO()

    @contextlib.asynccontextmanager
    async def opened(args: argparse.Namespace) -> AsyncIterator[Any]:
        yield SimpleNamespace(printer=Printer(out=out, err=err, color=False))

    monkeypatch.setattr(models, "open_session", opened)
    monkeypatch.setattr(models, "registry", lambda _: Client())
    monkeypatch.setattr(models, "_MOST_PAGES", 2)
    assert await models.ls(parse(["model", "ls", "--filter", "m1", "-o", "name"])) == 0
    assert out.getvalue() == "m1\nm1\n"
    assert err.getvalue() == "there are more than the 6 that were read\n"
