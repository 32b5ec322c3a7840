"""The arguments of the commands about runs: ``eval`` and ``run compare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from mcp_tui.cli.parser import _confirmable, _count, _late, _output, _Parser

TABLES: Final = ("table", "json", "md", "csv")
"""Formats of what is a table and goes into a review or a spreadsheet."""

_EXAMPLES: Final = """\
RUN is a run's id, or a model version: NAME/VERSION or NAME@ALIAS.

examples:
  mcp-tui eval 7be2... --gates gates.toml
  mcp-tui eval ranker/42 --champion ranker@champion --gates gates.toml -o md
  mcp-tui eval 7be2... 4410... --gate 'f1_macro >= 0.90' --gate 'latency_p99_ms <= 40'

exit codes: 0 all gates passed, 1 a gate failed, 6 none failed but one cannot be told,
2 the command, the configuration or the gates make no sense, 3 refused, 4 MLflow was not reached
"""


def add_commands(
    commands: Any, add: Callable[..., argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add them to the parser."""
    evaluate = add(
        commands,
        "eval",
        _late("evaluate", "evaluate"),
        "put candidates beside the champion, and hold them against gates",
    )
    evaluate.formatter_class = argparse.RawDescriptionHelpFormatter
    evaluate.epilog = _EXAMPLES
    evaluate.add_argument("runs", nargs="+", metavar="RUN", help="a candidate")
    evaluate.add_argument("--champion", default="", metavar="RUN", help="what is live")
    evaluate.add_argument(
        "--gates", default="", metavar="FILE", help="gates, instead of the configuration's"
    )
    evaluate.add_argument(
        "--gate", action="append", default=[], metavar="RULE", help="one more gate; may repeat"
    )
    _formats(evaluate)

    add_approvals(commands, add)
    text = "compare and change runs"
    run = commands.add_parser(
        "run", help=text, description=text[0].upper() + text[1:] + ".", parents=[common]
    )
    verbs = run.add_subparsers(metavar="VERB", parser_class=_Parser, title="verbs",
                               required=True)  # fmt: skip
    compare = _late("evaluate", "compare")
    both = add(verbs, "compare", compare, "show what differs between runs", words="run compare")
    both.add_argument("runs", nargs="+", metavar="RUN", help="a run's id, NAME/VERSION, NAME@ALIAS")
    both.add_argument("--all", dest="everything", action="store_true", help="what is equal, too")
    _formats(both)
    _edit_commands(verbs, add)


def add_approvals(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """``approve`` and ``approvals``."""
    approve = add(
        commands, "approve", _late("approve", "approve"), "approve a model version, on record"
    )
    approve.add_argument("name", metavar="MODEL/VERSION")
    approve.add_argument("--level", required=True, metavar="NAME", help="which you fill")
    approve.add_argument("--reason", required=True, metavar="TEXT", help="recorded with it")
    _confirmable(approve)
    approvals = add(
        commands,
        "approvals",
        _late("approve", "approvals"),
        "show how a version's approvals stand, or those of a model's newest versions",
    )
    approvals.add_argument("name", metavar="MODEL[/VERSION]")
    approvals.add_argument("--limit", type=_count, default=5, metavar="N", help="the newest N")
    _output(approvals)


def _edit_commands(verbs: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that change what MLflow keeps of a run."""
    one: dict[str, Any] = {"metavar": "RUN", "help": "a run's id"}
    tag = add(verbs, "tag", _late("runedit", "tag"), "set and delete a run's tags", words="run tag")
    tag.add_argument("run_id", **one)
    tag.add_argument("tags", nargs="+", metavar="KEY=VALUE", help="or KEY- to delete it")
    rename = add(
        verbs, "rename", _late("runedit", "rename"), "give a run another name", words="run rename"
    )
    rename.add_argument("run_id", **one)
    rename.add_argument("name", metavar="NAME")
    for verb, text in (
        ("delete", "put runs into MLflow's bin"),
        ("restore", "take runs out of MLflow's bin"),
    ):
        p = add(verbs, verb, _late("runedit", verb), text, words=f"run {verb}")
        p.add_argument("run_ids", nargs="+", **one)
        _confirmable(p)
    for p in (tag, rename):
        _confirmable(p)


def _formats(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", choices=TABLES, default="table", help="format")
