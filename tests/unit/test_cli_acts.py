"""What the commands that act take and refuse before anything is sent: no server is there."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from mcp_tui.actions import shell as inside
from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.kinds import kind_of
from mcp_tui.cli import shell, submit
from mcp_tui.cli.output import Printer
from mcp_tui.cli.parser import parse
from mcp_tui.cli.session import Session
from mcp_tui.config import Config
from mcp_tui.domain.plan import Outcome, OutcomeStatus, Plan, Tier
from mcp_tui.errors import (
    ApiError,
    ExitCode,
    GoneError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from mcp_tui.sources.connect import Connection
from tests.unit.submitting import TARGET, plan_with

PLACE = inside.Place(namespace="ml", pod="a-0", container="main", uid="p")


def seen(kind: str = "Job", uid: str = "u", *owners: str) -> Seen:
    metadata = {
        "name": "a",
        "namespace": "ml",
        "uid": uid,
        "ownerReferences": [{"uid": owner} for owner in owners],
    }
    return Seen(obj={"kind": kind, "metadata": metadata, "spec": {}}, kind=kind_of(kind))


async def agreed(monkeypatch: pytest.MonkeyPatch, plan: Plan, *words: str) -> int | None:
    async def checked(engine: Engine, plan: Plan, place: inside.Place) -> Plan:
        return plan

    monkeypatch.setattr(inside, "check", checked)
    args = parse(["job", plan.verb.value, "a", *words])
    return await shell._agreed(cast(Engine, None), plan, PLACE, args, Printer(color=False))


@pytest.mark.parametrize("tier", [Tier.DEV, Tier.TEST, Tier.PROD])
@pytest.mark.parametrize("verb", ["shell", "forward"])
async def test_a_wrong_word_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, tier: Tier, verb: str
) -> None:
    """Where nothing is asked for, too: it says that something else is meant."""
    scope, ports = Scope(context="c", tier=tier), ("80",) if verb == "forward" else ()
    plan = (
        inside.plan_forward(scope, seen(), PLACE, 0, 80)
        if ports
        else inside.plan_shell(scope, seen(), PLACE)
    )
    with pytest.raises(RefusedError, match=r"--confirm 'prod/a' is not 'c/a'; nothing was done"):
        await agreed(monkeypatch, plan, *ports, "--confirm", "prod/a")
    assert await agreed(monkeypatch, plan, *ports, "--confirm", "c/a") is None


async def test_where_nothing_is_asked_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = inside.plan_shell(Scope(context="c", tier=Tier.DEV), seen(), PLACE)
    assert await agreed(monkeypatch, plan) is None
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("deadline", ["0.5", "0.001", "0.01m"])
def test_a_part_of_a_second_does_not_remove_a_deadline(deadline: str) -> None:
    args = parse(["job", "retry", "a", "--deadline", deadline])
    with pytest.raises(UsageError, match=r"--deadline: a deadline is 1s or more; 0 removes it"):
        asyncio.run(args.run(args))


@pytest.mark.parametrize("status", list(OutcomeStatus))
async def test_an_interrupted_submission_says_how_to_look_at_what_it_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: OutcomeStatus
) -> None:
    class Interrupted:
        interrupted = (Outcome(target=TARGET, status=status, message="m"),)

        async def check(self, plan: Plan) -> Plan:
            return plan

        async def apply(self, plan: Plan, *, progress: Any) -> None:
            raise asyncio.CancelledError

    plan_with(monkeypatch, Printer(color=False), lambda _: Interrupted())
    with pytest.raises(asyncio.CancelledError):
        await submit.submit(parse(["job", "submit", "--config", "x"]))
    told = "look for it with: mcp-tui --context c -n ml job ls -l mcp-tui.io/plan-id=0000"
    assert (told in capsys.readouterr().err) is (status is not OutcomeStatus.FAILED)


class Cluster:
    """Jobs called ``a`` by kind, and what is answered instead."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers

    async def see(self, kind: str, namespace: str, name: str) -> Seen:
        answer = self.answers.get(kind) or GoneError(f"there is no {kind} {name} in {namespace}")
        if isinstance(answer, BaseException):
            raise answer
        return cast(Seen, answer)


async def find(text: str, answers: Mapping[str, Any]) -> Seen:
    chosen = argparse.Namespace(name="c", namespace="ml")
    session = Session(
        cast(Any, chosen), cast(Config, None), cast(Connection, None), Printer(color=False)
    )
    return await session.find(text, cast(Engine, Cluster(answers)))


MISSING = (ApiError("not served", status=404), ApiError("not for you", status=403))


@pytest.mark.parametrize("error", MISSING, ids=["404", "403"])
async def test_a_kind_that_is_not_there_hides_no_job(error: ApiError) -> None:
    job = seen()
    assert await find("a", {"Job": job, "TrainJob": error}) is job


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ApiError("the webhook failed", status=500), ExitCode.UNREACHABLE),
        (UnreachableError("no answer within 10 s", hint="is it up?"), ExitCode.UNREACHABLE),
    ],
)
async def test_a_kind_that_could_not_be_looked_at_may_have_one_of_that_name(
    error: UnreachableError | ApiError, code: ExitCode
) -> None:
    job = seen("Job", "u", "t")
    with pytest.raises(type(error)) as told:
        await find("a", {"Job": job, "TrainJob": error})
    assert told.value.exit_code is code
    assert told.value.line().endswith("; Job/a names the one that is there")
    assert str(told.value) == told.value.line()
    # Who says the kind means that one.
    assert await find("Job/a", {"Job": job, "TrainJob": error}) is job


async def test_several_of_a_name_are_told_apart_by_their_kinds() -> None:
    root = seen("TrainJob", "t")
    assert await find("a", {"Job": seen("Job", "u", "t"), "TrainJob": root}) is root
    with pytest.raises(UsageError, match="say which: Job/a, TrainJob/a"):
        await find("a", {"Job": seen(), "TrainJob": root, "RayJob": UnreachableError("no answer")})
    with pytest.raises(GoneError, match="there is no job 'a'"):
        await find("a", {})
