"""The arguments of the commands about runs: ``eval`` and ``run compare``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from mcp_tui.cli.output import FORMATS
from mcp_tui.cli.parser_parts import Parser, confirmable, judges, late, output, some

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
        late("evaluate", "evaluate"),
        "put candidates beside the champion, and hold them against gates",
    )
    judges(evaluate)
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
    text = "list, show, draw, compare and change runs"
    run = commands.add_parser(
        "run", help=text, description=text[0].upper() + text[1:] + ".", parents=[common]
    )
    verbs = run.add_subparsers(metavar="VERB", parser_class=Parser, title="verbs",
                               required=True)  # fmt: skip
    _read_commands(verbs, add)
    compare = late("evaluate", "compare")
    both = add(verbs, "compare", compare, "show what differs between runs", words="run compare")
    both.add_argument("runs", nargs="+", metavar="RUN", help="a run's id, NAME/VERSION, NAME@ALIAS")
    both.add_argument("--all", dest="everything", action="store_true", help="what is equal, too")
    _formats(both)
    _edit_commands(verbs, add)


def add_approvals(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """``approve`` and ``approvals``."""
    approve = add(
        commands, "approve", late("approve", "approve"), "approve a model version, on record"
    )
    approve.add_argument("name", metavar="MODEL/VERSION")
    approve.add_argument("--level", required=True, metavar="NAME", help="which you fill")
    approve.add_argument("--reason", required=True, metavar="TEXT", help="recorded with it")
    confirmable(approve)
    approvals = add(
        commands,
        "approvals",
        late("approve", "approvals"),
        "show how a version's approvals stand, or those of a model's newest versions",
    )
    approvals.add_argument("name", metavar="MODEL[/VERSION]")
    approvals.add_argument(
        "--limit", type=some, default=5, metavar="N", help="of a model: the newest N"
    )
    output(approvals)
    judges(approvals)


def _read_commands(verbs: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that read runs."""
    ls = add(verbs, "ls", late("runs", "ls"), "list runs, the newest first", words="run ls")
    ls.add_argument("--filter", default="", help="MLflow's own; OR and parentheses too")
    ls.add_argument("--sort", default="", metavar="WHAT", help="metrics.f1, '-params.lr', end_time")
    ls.add_argument("--limit", type=some, default=50, metavar="N", help="the first N")
    ls.add_argument("-w", "--watch", action="store_true", help="go on, a line a change")
    ls.add_argument("-o", "--output", choices=(*FORMATS, "csv"), default="table", help="format")
    of_all = add(
        verbs, "experiments", late("runs", "experiments"), "list experiments",
        words="run experiments",
    )  # fmt: skip
    of_all.add_argument("--limit", type=some, default=50, metavar="N", help="the N changed last")
    of_all.add_argument(
        "--read", type=some, default=100, metavar="N", help="runs of each that are counted"
    )
    output(of_all)
    for p in (ls, of_all):
        p.add_argument(
            "-e", "--experiment", action="append", default=[], metavar="NAME", help="or its id"
        )
        p.add_argument("--view", choices=("active", "deleted", "all"), default="active")
    reference = "a run's id, NAME/VERSION, NAME@ALIAS"
    show = add(verbs, "show", late("runshow", "show"), "show one run", words="run show")
    show.add_argument("run_id", metavar="RUN", help=reference)
    show.add_argument("--artifacts", action="store_true", help="its files, as a tree")
    show.add_argument("--artifact", default="", metavar="PATH", help="the head of one")
    output(show)
    download = add(
        verbs, "download", late("runfiles", "download"), "download artifacts of a run",
        words="run download",
    )  # fmt: skip
    download.add_argument("run_id", metavar="RUN", help=reference)
    download.add_argument("path", nargs="?", default="", metavar="PATH", help="one, or a folder")
    download.add_argument("--dir", default=".", metavar="DIR", help="where to; it has to be there")
    curves = add(
        verbs, "curves", late("curves", "curves"), "draw metrics of runs", words="run curves"
    )
    curves.add_argument("runs", nargs="+", metavar="RUN", help=reference)
    curves.add_argument(
        "-m", "--metric", action="append", default=[], metavar="NAME", help="may repeat"
    )
    curves.add_argument("--by", choices=("step", "time", "relative"), default="step")
    curves.add_argument("--log", action="store_true", help="a logarithmic y axis")
    curves.add_argument(
        "--smooth", type=_weight, default=0.0, metavar="WEIGHT", help="from 0 to below 1"
    )
    curves.add_argument("--size", default="", metavar="WxH", help="such as 80x24")
    curves.add_argument(
        "--points", type=some, default=320, metavar="N", help="of each line, at most 2500"
    )
    curves.add_argument("-o", "--output", choices=("table", "json", "csv"), default="table")


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


def _edit_commands(verbs: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs that change what MLflow keeps of a run."""
    one: dict[str, Any] = {"metavar": "RUN", "help": "a run's id, NAME/VERSION, NAME@ALIAS"}
    tag = add(verbs, "tag", late("runedit", "tag"), "set and delete a run's tags", words="run tag")
    tag.add_argument("run_id", **one)
    tag.add_argument("tags", nargs="+", metavar="KEY=VALUE", help="or KEY- to delete it")
    rename = add(
        verbs, "rename", late("runedit", "rename"), "give a run another name", words="run rename"
    )
    rename.add_argument("run_id", **one)
    rename.add_argument("name", metavar="NAME")
    for verb, text in (
        ("delete", "put runs into MLflow's bin"),
        ("restore", "take runs out of MLflow's bin"),
    ):
        p = add(verbs, verb, late("runedit", verb), text, words=f"run {verb}")
        p.add_argument("run_ids", nargs="+", **one)
        confirmable(p)
    for p in (tag, rename):
        confirmable(p)


def _formats(p: argparse.ArgumentParser) -> None:
    p.add_argument("-o", "--output", choices=TABLES, default="table", help="format")
