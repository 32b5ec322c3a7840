"""One command's session with a cluster: its connection, its engine, what it prints with."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from mcp_tui.actions.engine import Engine
from mcp_tui.actions.jobs import Scope, Seen
from mcp_tui.actions.journal import Journal
from mcp_tui.actions.kinds import JOB_KINDS
from mcp_tui.cli.output import Printer
from mcp_tui.cli.settings import Chosen, configuration, one
from mcp_tui.config import Config
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ApiError, GoneError, McpTuiError, UsageError
from mcp_tui.sources.connect import Connection


class Session:
    """What a command works with.

    Attributes:
        chosen: The context.
        namespace: The one that the command works in.
    """

    def __init__(
        self, chosen: Chosen, config: Config, connection: Connection, printer: Printer
    ) -> None:
        self.chosen = chosen
        self.namespace = chosen.namespace or "default"
        self.config = config
        self.connection = connection
        self.printer = printer

    def engine(self, proof_timeout: float | None = None) -> Engine:
        """An engine that acts on this context."""
        return Engine(
            self.connection.kube,
            self.connection.mlflow,
            Scope(context=self.chosen.name, tier=self.chosen.config.tier),
            Journal(self.config.state_dir),
            proof_timeout=60.0 if proof_timeout is None else proof_timeout,
            approvals=self.config.approvals,
        )

    async def find(self, text: str, engine: Engine) -> Seen:
        """The job named ``NAME`` or ``KIND/NAME``.

        Raises:
            GoneError: There is none.
            UsageError: The kind is unknown, or several kinds have one of that name.
        """
        kind, slash, name = text.rpartition("/")
        rows = [
            row
            for row in JOB_KINDS
            if not slash or kind.lower() in (row.kind.lower(), row.plural, row.plural[:-1])
        ]
        if not rows:
            known = ", ".join(row.kind for row in JOB_KINDS)
            raise UsageError(f"{clean_line(kind)!r} is not a job kind", hint=f"known: {known}")
        if not name or clean_line(name) != name or "/" in name:
            raise UsageError(f"{clean_line(text)!r} is not a job's name")
        tries = await asyncio.gather(
            *(engine.see(row.kind, self.namespace, name) for row in rows), return_exceptions=True
        )
        roots = _roots([t for t in tries if isinstance(t, Seen)])
        if len(roots) > 1:
            names = ", ".join(f"{s.kind.kind}/{s.name}" for s in roots)
            raise UsageError(f"{clean_line(name)!r} is several jobs", hint=f"say which: {names}")
        for error in tries:
            missing = isinstance(error, GoneError) or (
                isinstance(error, ApiError) and error.status in (403, 404) and len(rows) > 1
            )
            if isinstance(error, BaseException) and not missing:
                # Another may be of that name too, and be its root: the kind has to be said.
                raise _with_kind(error, roots)
        if roots:
            return roots[0]
        first = tries[0]
        if isinstance(first, ApiError):
            raise first
        raise GoneError(
            f"there is no job {clean_line(name)!r}",
            where=f"{self.chosen.name}, namespace {clean_line(self.namespace)}",
            hint="mcp-tui job ls lists them; -n chooses the namespace",
        )


def _roots(found: Sequence[Seen]) -> list[Seen]:
    """Those that none of the others made: a TrainJob makes a JobSet and a Job of its own name."""
    return [
        s
        for s in found
        if not any(
            owner.get("uid") == other.uid
            for owner in (s.obj.get("metadata") or {}).get("ownerReferences") or ()
            for other in found
        )
    ]


def _with_kind(error: BaseException, found: Sequence[Seen]) -> BaseException:
    """The error; where one was found all the same also how to name that one."""
    if found and isinstance(error, McpTuiError):
        named = f"{found[0].kind.kind}/{clean_line(found[0].name)} names the one that is there"
        error.hint = "; ".join(filter(None, (error.hint, named)))
        error.args = (error.line(),)
    return error


@contextlib.asynccontextmanager
async def open_session(args: argparse.Namespace) -> AsyncIterator[Session]:
    """A session for a command that works on one context; closed at the end.

    Raises:
        UsageError: The options do not say which context, or the configuration is wrong.
    """
    chosen = one(args)
    config = configuration(args)
    printer = Printer(color=False if config.no_color else None)
    connection = Connection(chosen.info, chosen.config, dry_run=getattr(args, "dry_run", False))
    try:
        if connection.mlflow is None:
            await connection.find_endpoints(chosen.namespace)
        yield Session(chosen, config, connection, printer)
    finally:
        await connection.aclose()
