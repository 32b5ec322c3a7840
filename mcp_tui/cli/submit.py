"""``mcp-tui job submit``: from a config and a git branch to a job, and with ``--watch`` to its
end."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from mcp_tui.actions.unfinished import look_for
from mcp_tui.cli.act import exit_code, report
from mcp_tui.cli.confirm import confirmed
from mcp_tui.cli.follow import Follow, check_options, follow
from mcp_tui.cli.journal import say_unfinished
from mcp_tui.cli.session import Session, open_session
from mcp_tui.cli.settings import asked_namespace
from mcp_tui.domain.plan import OutcomeStatus, Plan
from mcp_tui.domain.text import clean_line
from mcp_tui.domain.trainconfig import TrainConfig, parse_train_config
from mcp_tui.errors import UsageError

_LARGEST = 1024 * 1024
_PROOF = 30.0


async def submit(args: argparse.Namespace) -> int:
    """Resolve, plan, check, confirm, apply, and follow."""
    check_options(args)
    # A job that is followed shows its effect by itself, and its timeout is of another kind.
    proof = _PROOF if args.watch or args.timeout is None else args.timeout
    config = read_config(args.config)
    await say_unfinished(args)
    async with open_session(args) as session:
        plan = await planned(session, config, args)
        engine = session.engine(proof)
        plan = await engine.check(plan)
        done = await confirmed(plan, args, session.printer)
        if done is not None:
            return done
        try:
            outcomes = await engine.apply(plan, progress=session.printer.note)
        except asyncio.CancelledError:
            # A job that is there goes on, and one that may be is to be looked for.
            if any(o.status is not OutcomeStatus.FAILED for o in engine.interrupted):
                session.printer.note(f"look for it with: {look_for(plan.targets[0], plan.id)}")
            raise
        target = outcomes[0].target
        failed = outcomes[0].status in (OutcomeStatus.FAILED, OutcomeStatus.UNKNOWN)
        if failed or not args.watch:
            code = report(outcomes, args, session.printer)
            if outcomes[0].status is OutcomeStatus.UNPROVEN:
                return code
            return exit_code(outcomes)
        return await follow(
            session,
            Follow(
                kind=target.kind,
                namespace=target.namespace,
                name=target.name,
                uid=target.uid,
                logs=args.logs,
                timeout=args.timeout,
                output=args.output,
            ),
        )


def read_config(source: str) -> TrainConfig:
    """Read and check a train config; ``-`` is standard input.

    Raises:
        UsageError: It cannot be read, or says something wrong, with line and column.
    """
    name = "standard input" if source == "-" else clean_line(source)
    try:
        if source == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise UsageError(
            "there is no such train config", where=name, hint="mcp-tui job init FILE writes one"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read the train config: {error.strerror}", where=name) from None
    if len(data) > _LARGEST:
        raise UsageError("a train config has at most 1 MiB", where=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError("the train config is not UTF-8", where=f"{name}:{line}") from None
    return parse_train_config(text, filename=name)


async def planned(session: Session, config: TrainConfig, args: argparse.Namespace) -> Plan:
    """The plan of a submission, not checked yet.

    Raises:
        UsageError: No such branch, or a bad name. UnreachableError: Git or MLflow is not there.
    """
    settings = session.chosen.config
    return await session.engine().plan_submission(
        config,
        ref=args.git_branch or config.code.ref,
        namespace=asked_namespace(args) or config.namespace or session.namespace,
        uri=settings.mlflow_in_cluster or session.connection.mlflow_uri_for_pods,
        now=time.time(),
        with_run=not args.no_run,
        without_run="--no-run goes on without an MLflow run; nothing was done",
        name=args.name,
        git_image=settings.git_image,
    )
