"""``mcp-tui eval`` and ``mcp-tui run compare``: candidates and runs side by side, as text."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp_tui.cli.output import Column, Printer, cut
from mcp_tui.cli.tracker import Tracker, open_tracker
from mcp_tui.domain import compare as compared
from mcp_tui.domain import evaltable
from mcp_tui.domain.evaluation import Evaluation
from mcp_tui.domain.gaterules import Gate, GateError, parse, parse_file
from mcp_tui.domain.gates import GateResult, GateStatus, check, documents, lines
from mcp_tui.domain.noise import ONE_FIGURE, Verdict
from mcp_tui.domain.tabular import to_markdown
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import ExitCode, UsageError
from mcp_tui.store.candidates import Named, find, read

_MOST = 50
_WIDE = 40
_MAX_GATES_FILE = 1024 * 1024


async def evaluate(args: argparse.Namespace) -> int:
    """Show candidates beside the champion, and say which gates they pass."""
    _check_number(args.runs, least=1)
    instead, more = _from_file(args.gates), _from_words(args.gate)
    async with open_tracker(args) as tracker:
        gates = (*(instead or tracker.settings.gates), *more)
        champion_ref = [args.champion] if args.champion else []
        every = await asyncio.gather(
            *(_evaluation(tracker, ref) for ref in [*champion_ref, *args.runs])
        )
        champion = every[0] if champion_ref else None
        candidates = every[len(champion_ref) :]
        table = evaltable.side_by_side(
            candidates,
            champion,
            also=[gate.metric for gate in gates],
            directions=tracker.config.metrics,
        )
        results = [
            check(gates, candidate, champion, told=told)
            for candidate, told in zip(candidates, table.differences, strict=True)
        ]
        with tracker.printer.at_best():
            _print(tracker.printer, args.output, table, candidates, results)
    statuses = {each.status for one in results for each in one}
    if GateStatus.FAILED in statuses:
        return ExitCode.GATE_FAILED
    return ExitCode.CANNOT_TELL if GateStatus.CANNOT_TELL in statuses else ExitCode.OK


def _from_file(name: str) -> tuple[Gate, ...]:
    """The gates of ``--gates``; empty when none is named: a file without any is refused."""
    if not name:
        return ()
    path = Path(name)
    shown = clean_line(str(path), limit=300)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_GATES_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or "not a file's name"
        raise UsageError(f"the gates cannot be read: {why}", where=shown) from None
    if len(data) > _MAX_GATES_FILE:
        raise UsageError("larger than any file of gates", where=shown)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError("the gates are not UTF-8", where=f"{shown}:{line}") from None
    return parse_file(text, str(path))


def _from_words(rules: Sequence[str]) -> tuple[Gate, ...]:
    """The gates of ``--gate``."""
    found = []
    for number, rule in enumerate(rules, 1):
        try:
            found.append(parse(rule))
        except GateError as error:
            where = f"--gate {number}, column {error.column}"
            raise UsageError(error.what, where=where, hint=error.hint) from None
    return tuple(found)


def _check_number(references: Sequence[str], *, least: int) -> None:
    if not least <= len(references) <= _MOST:
        raise UsageError(f"{len(references)} runs; between {least} and {_MOST} can be compared")
    twice = [each for each in references if references.count(each) > 1]
    if twice:
        raise UsageError(f"run {clean_line(twice[0], limit=100)!r} is given twice")


async def _evaluation(tracker: Tracker, reference: str) -> Evaluation:
    return await read(tracker.client, await find(tracker.client, reference))


def _print(
    printer: Printer,
    output: str,
    table: evaltable.EvalTable,
    candidates: Sequence[Evaluation],
    results: Sequence[Sequence[GateResult]],
) -> None:
    asked = any(results)
    if output == "json":
        gates = [
            {
                "run_id": candidate.run_id,
                "label": candidate.label,
                "passed": all(r.status is GateStatus.PASSED for r in one) if one else None,
                "gates": documents(one),
            }
            for candidate, one in zip(candidates, results, strict=True)
        ]
        printer.data({**evaltable.as_document(table), "candidates": gates}, "json")
        return
    if output == "csv":
        printer.lines(evaltable.as_csv(table).splitlines())
    elif output == "md":
        printer.lines(evaltable.as_markdown(table).splitlines())
        if asked:
            printer.line()
            head = ["gate", "candidate", "result", "why"]
            rows = [
                [each.gate.rule, candidate.label, each.status.value, each.message]
                for candidate, one in zip(candidates, results, strict=True)
                for each in one
            ]
            printer.lines(to_markdown(head, rows).splitlines())
    else:
        _eval_table(printer, table)
        if asked:
            printer.line()
    for candidate, one in zip(candidates, results, strict=True):
        for each, text in zip(one, lines(one), strict=True):
            told = f"{text}" if len(candidates) == 1 else f"{candidate.label}: {text}"
            if output == "table":
                style = "done" if each.status is GateStatus.PASSED else "failed"
                style = "attention" if each.status is GateStatus.CANNOT_TELL else style
                printer.line(printer.styled(told, style))
            elif output == "csv":
                printer.note(told)
    for line in (*table.problems, *_untold(table, candidates)):
        printer.note(f"note: {line}")


def _untold(table: evaltable.EvalTable, candidates: Sequence[Evaluation]) -> list[str]:
    """Why differences cannot be told from noise, each reason once."""
    found = []
    for candidate, told in zip(candidates, table.differences, strict=True):
        reasons = dict.fromkeys(
            each.reason
            for each in told.values()
            if each.verdict is Verdict.CANNOT_TELL
            and each.delta is not None
            and each.reason != ONE_FIGURE
        )
        found += [f"{candidate.label}: noise cannot be told: {reason}" for reason in reasons]
    return found


def _eval_table(printer: Printer, table: evaltable.EvalTable) -> None:
    columns: list[Column[evaltable.EvalRow]] = [
        Column("FIGURE", lambda row: f"{row.title} {row.unit}".strip())
    ]
    for at, column in enumerate(table.columns):
        role = " (champion)" if column.role == "champion" else ""
        columns.append(_column(cut(column.label, _WIDE) + role, at))
    if table.rows:
        printer.table(table.rows, columns)
    else:
        printer.line("no figures of an evaluation are logged")


def _column(title: str, at: int) -> Column[evaltable.EvalRow]:
    def style(row: evaltable.EvalRow) -> str:
        difference = row.differences[at]
        if difference is not None and difference.verdict is Verdict.WORSE:
            return "failed"
        return "done" if at in row.best else ""

    return Column(title, lambda row: row.cell(at), style=style)


async def compare(args: argparse.Namespace) -> int:
    """Show what differs between runs."""
    _check_number(args.runs, least=2)
    async with open_tracker(args) as tracker:
        found: list[Named] = list(
            await asyncio.gather(*(find(tracker.client, ref) for ref in args.runs))
        )
        comparison = compared.compare(
            [each.run for each in found], directions=tracker.config.metrics
        )
        printer, everything = tracker.printer, args.everything
        if args.output == "json":
            printer.data(compared.as_document(comparison, everything=everything), "json")
        elif args.output == "csv":
            printer.lines(compared.as_csv(comparison, everything=everything).splitlines())
        elif args.output == "md":
            printer.lines(compared.as_markdown(comparison, everything=everything).splitlines())
        else:
            _compare_table(printer, comparison, everything=everything)
    return ExitCode.OK


def _compare_table(printer: Printer, comparison: compared.Comparison, *, everything: bool) -> None:
    rows = comparison.shown(everything=everything)
    columns: list[Column[compared.Row]] = [
        Column("WHAT", lambda row: row.section.value),
        Column("NAME", lambda row: cut(row.name, _WIDE)),
    ]
    for at, head in enumerate(comparison.runs):
        columns.append(_run_column(cut(head.label, _WIDE), at))
    if rows:
        printer.table(rows, columns)
    if any(row.best for row in rows):
        printer.note("* the best of its row")
    hidden = comparison.hidden()
    if hidden and not everything:
        printer.note(f"{hidden} rows more say the same of all; --all shows them")


def _run_column(title: str, at: int) -> Column[compared.Row]:
    def text(row: compared.Row) -> str:
        said: Any = row.texts[at]
        shown = "-" if said is None else cut(said, _WIDE)
        return f"{shown} *" if at in row.best else shown

    return Column(title, text, style=lambda row: "done" if at in row.best else "")
