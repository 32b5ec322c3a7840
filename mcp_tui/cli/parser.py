"""The arguments of every command. Handlers are imported only when their command is run."""

from __future__ import annotations

import argparse
import difflib
import itertools
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from mcp_tui import __version__
from mcp_tui.cli.parser_parts import (
    Parser,
    Run,
    common_options,
    confirmable,
    count,
    judges,
    late,
    output,
    seconds,
    some,
)
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

# Where a file or a folder of this machine is named, whose name may be any bytes.
_FILES: Final = ("kubeconfig", "config_file", "config", "dir", "gates", "file")
# What Python makes of a byte of an argument that is no text.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def build() -> argparse.ArgumentParser:
    """The whole parser; also what completion and the README's table are made from."""
    common = common_options(top=False)
    parser = Parser(
        prog="mcp-tui",
        description="The terminal console of a machine-learning control plane.",
        parents=[common_options(top=True)],
    )
    parser.add_argument("--version", action="version", version=f"mcp-tui {__version__}")
    _console_options(parser)
    parser.set_defaults(run=late("console", "console"), command="console", judges=False)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser, title="commands")

    def add(to: Any, name: str, run: Run, text: str, *, words: str = "") -> argparse.ArgumentParser:
        p: argparse.ArgumentParser = to.add_parser(
            name, help=text, description=text[0].upper() + text[1:] + ".", parents=[common]
        )
        p.set_defaults(run=run, command=words or name, judges=False)
        return p

    console = add(commands, "console", late("console", "console"), "open the console")
    _console_options(console)
    _job_commands(commands, add, common)
    _model_commands(commands, add, common)

    demo = add(
        commands, "demo", late("demo", "demo"), "open the console on an embedded control plane"
    )
    _console_options(demo)
    demo.add_argument(
        "--no-console", action="store_true", help="serve only, and print how to connect"
    )
    demo.add_argument("--dir", metavar="DIR", help="keep its files there, instead of a new one")

    doctor = add(
        commands, "doctor", late("doctor", "doctor"), "say what is reachable, allowed and missing"
    )
    output(doctor)
    judges(doctor)
    doctor.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="DURATION", help="for each question"
    )
    contexts = add(
        commands, "contexts", late("contexts", "contexts"), "list contexts, tiers and endpoints"
    )
    output(contexts)
    journal = add(
        commands, "journal", late("journal", "journal"), "list what this console has done"
    )
    output(journal)
    journal.add_argument(
        "--limit", type=some, default=50, metavar="N",
        help="the newest N, of the contexts and the namespace that are named",
    )  # fmt: skip
    from mcp_tui.cli.parser_runs import add_commands

    add_commands(commands, add, common)
    completion = add(
        commands, "completion", late("completion", "completion"), "print a shell's completion"
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser


def _console_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--theme", default=argparse.SUPPRESS, help="colour scheme")
    p.add_argument(
        "--profile",
        choices=("auto", "local", "ssh"),
        default=argparse.SUPPRESS,
        help="how the line is: ssh draws less",
    )


def _job_commands(
    commands: Any, add: Callable[..., argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = "list, show, submit and act on training jobs"
    job = commands.add_parser(
        "job", help=text, description=text[0].upper() + text[1:] + ".", parents=[common]
    )
    verbs = job.add_subparsers(metavar="VERB", parser_class=Parser, title="verbs", required=True)

    ls = add(verbs, "ls", late("jobs", "ls"), "list jobs", words="job ls")
    output(ls)
    ls.add_argument("-l", "--selector", default="", metavar="LABELS", help="label selector")
    ls.add_argument("--filter", default="", help="as / in the console")
    ls.add_argument("-w", "--watch", action="store_true", help="go on, a line a change")
    ls.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="DURATION", help="for the whole list"
    )

    show = add(verbs, "show", late("jobs", "show"), "show one job", words="job show")
    show.add_argument("name", help="NAME, or KIND/NAME")
    output(show)
    show.add_argument("-w", "--watch", action="store_true", help="follow it to its end")
    show.add_argument("--logs", action="store_true", help="with --watch: its log lines too")
    show.add_argument(
        "--timeout",
        type=seconds,
        default=None,
        metavar="DURATION",
        help="with --watch: give up after so long a silence; the default is never",
    )

    logs = add(verbs, "logs", late("logs", "logs"), "print a job's logs", words="job logs")
    logs.add_argument("name", help="NAME, or KIND/NAME")
    logs.add_argument("-f", "--follow", action="store_true", help="go on")
    logs.add_argument("-p", "--previous", action="store_true", help="of the container before")
    logs.add_argument("-c", "--container", default="", help="one container")
    logs.add_argument("--pod", default="", help="one pod")
    logs.add_argument("--rank", type=count, default=None, help="one completion index")
    logs.add_argument(
        "--tail", type=count, default=None, metavar="N", help="the newest N lines of each pod"
    )
    logs.add_argument("--timestamps", action="store_true", help="with the server's time")

    submit = add(
        verbs, "submit", late("submit", "submit"), "submit a training job", words="job submit"
    )
    submit.formatter_class = argparse.RawDescriptionHelpFormatter
    submit.epilog = _SUBMIT_EXAMPLES
    submit.add_argument(
        "--config", required=True, metavar="FILE", help="train-config.yaml; - is stdin"
    )
    submit.add_argument("--git-branch", default="", metavar="REF", help="branch, tag or commit")
    submit.add_argument("--name", default="", help="instead of the config's name")
    submit.add_argument("-w", "--watch", action="store_true", help="follow it to its end")
    submit.add_argument("--logs", action="store_true", help="with --watch: its log lines too")
    submit.add_argument(
        "--no-run", action="store_true", help="without an MLflow run, when MLflow is not there"
    )
    confirmable(submit)
    submit.set_defaults(timeout=None)
    for action in submit._actions:
        if action.dest == "timeout":
            action.help = (
                "to see the effect, 30s; with --watch: give up after so long a silence, never"
            )

    for verb, text in (
        ("cancel", "stop jobs for good: deleted with their pods, their runs KILLED"),
        ("suspend", "end jobs' pods and hold them"),
        ("resume", "let suspended jobs go on"),
        ("delete", "remove finished jobs"),
    ):
        p = add(verbs, verb, late("act", verb), text, words=f"job {verb}")
        p.add_argument("names", nargs="+", metavar="NAME", help="NAME, or KIND/NAME")
        confirmable(p)
    retry = add(
        verbs, "retry", late("act", "retry"), "submit a job again, with changes", words="job retry"
    )
    retry.add_argument("names", nargs=1, metavar="NAME", help="NAME, or KIND/NAME")
    retry.add_argument("--memory", default=None, help="such as 128Gi")
    retry.add_argument("--cpu", default=None, help="such as 8 or 500m")
    retry.add_argument(
        "--deadline", type=seconds, default=None, metavar="DURATION", help="0 removes it"
    )
    retry.add_argument("--retries", type=count, default=None, help="backoffLimit")
    retry.add_argument("--env", action="append", default=[], metavar="KEY=VALUE", help="may repeat")
    retry.add_argument("--no-run", action="store_true", help="without an MLflow run")
    confirmable(retry)

    _inside_commands(verbs, add)

    init = add(
        verbs,
        "init",
        late("schema", "init"),
        "print a documented train-config.yaml",
        words="job init",
    )
    init.add_argument("--force", action="store_true", help="overwrite the file")
    init.add_argument("file", nargs="?", default="-", help="written there; - (the default) prints")
    add(
        verbs,
        "schema",
        late("schema", "schema"),
        "print the JSON Schema of train-config.yaml",
        words="job schema",
    )


def _model_commands(
    commands: Any, add: Callable[..., argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = "list, show, promote and roll back registered models"
    model = commands.add_parser(
        "model", help=text, description=text[0].upper() + text[1:] + ".", parents=[common]
    )
    verbs = model.add_subparsers(metavar="VERB", parser_class=Parser, title="verbs", required=True)

    ls = add(verbs, "ls", late("models", "ls"), "list registered models", words="model ls")
    output(ls)
    ls.add_argument("--filter", default="", metavar="TEXT", help="only names that have it")
    show = add(
        verbs,
        "show",
        late("models", "show"),
        "show a model's versions, or one of them",
        words="model show",
    )
    show.add_argument("name", metavar="NAME[/VERSION]")
    output(show)
    history = add(
        verbs,
        "history",
        late("models", "history"),
        "show how an alias came to where it is",
        words="model history",
    )
    history.add_argument("name", metavar="NAME")
    output(history)
    promote = add(
        verbs,
        "promote",
        late("promote", "promote"),
        "move an alias to a version, registered or copied first where asked",
        words="model promote",
    )
    promote.formatter_class = argparse.RawDescriptionHelpFormatter
    promote.epilog = _PROMOTE_EXAMPLES
    promote.add_argument("name", metavar="NAME/VERSION", help="or NAME, with --run")
    promote.add_argument(
        "--run", dest="of_run", default="", metavar="RUN", help="register this run's model first"
    )
    promote.add_argument(
        "--artifact", default="", metavar="PATH", help="with --run: where in it the model is"
    )
    promote.add_argument(
        "--to", default="", metavar="NAME", help="copy it to another model, once, first"
    )
    promote.add_argument("--no-alias", action="store_true", help="register or copy only")
    promote.add_argument(
        "--override", default="", metavar="REASON", help="though a gate failed; recorded"
    )
    rollback = add(
        verbs,
        "rollback",
        late("promote", "rollback"),
        "move an alias back to where it was before, by its record",
        words="model rollback",
    )
    rollback.add_argument("name", metavar="NAME")
    rollback.add_argument(
        "--to", default="", metavar="VERSION", help="to this one, that was there before"
    )
    for p in (history, promote, rollback):
        p.add_argument("--alias", default="champion", help="the default is champion")
    for p in (promote, rollback):
        p.add_argument("--why", default="", metavar="TEXT", help="recorded with it")
        confirmable(p)


_PROMOTE_EXAMPLES = """\
examples:
  mcp-tui model promote ranker/5 --dry-run
  mcp-tui model promote ranker --run 7be2... --alias challenger --why "new features"
  mcp-tui --context prod model promote ranker/5 --to ranker-prod --confirm prod/ranker-prod
  mcp-tui --context prod model rollback ranker-prod
"""


_SUBMIT_EXAMPLES = """\
examples:
  mcp-tui job init train-config.yaml
  mcp-tui job submit --config train-config.yaml --dry-run
  mcp-tui job submit --config train-config.yaml --git-branch feature/v1.2 --watch --logs
  mcp-tui --context prod job submit --config train-config.yaml --confirm prod/NAME
  mcp-tui job submit --config - --no-run -o json --dry-run < train-config.yaml
"""


def _inside_commands(verbs: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    shell = add(
        verbs, "shell", late("shell", "shell"), "open a shell in a container", words="job shell"
    )
    shell.add_argument("name", help="NAME, or KIND/NAME; -- COMMAND... runs that instead")
    shell.add_argument("-c", "--container", default="", help="instead of the main one")
    forward = add(
        verbs,
        "forward",
        late("shell", "forward"),
        "forward a local port to a pod",
        words="job forward",
    )
    forward.add_argument("name", help="NAME, or KIND/NAME")
    forward.add_argument("ports", metavar="[LOCAL:]REMOTE", help="such as 8080:80")
    for p in (shell, forward):
        p.add_argument("--pod", default="", help="instead of the first that runs")
        p.add_argument("--dry-run", action="store_true", help="show the plan; open nothing")
        p.add_argument(
            "--confirm", metavar="CONTEXT/NAME", default="", help="confirm without being asked"
        )
        p.set_defaults(output="table", words=[])


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse arguments.

    Raises:
        UsageError: They make no sense; names the argument. ``--help`` and ``--version`` exit.
    """
    argv, words = _split_command(argv)
    parser = build()
    args, rest = parser.parse_known_args(argv)
    if rest:
        _unknown(parser, rest)
    if words:
        args.words = words
    _refuse_bytes(parser, args)
    return args


def _refuse_bytes(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse what is no text: a file may be called so, and nothing that a server is asked for."""
    for dest, value in vars(args).items():
        given = value if isinstance(value, list) else [value]
        if dest not in _FILES and any(isinstance(x, str) and _SURROGATE.search(x) for x in given):
            raise UsageError(
                f"{_called(parser, args.command, dest)} has bytes that are no"
                f" {sys.getfilesystemencoding()} text",
                hint=f"see {parser.prog} --help",
            )


def _called(parser: argparse.ArgumentParser, command: str, dest: str) -> str:
    """What a command's help calls an argument."""
    called = "COMMAND"  # what follows "--"
    for word in ("", *command.split()):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                parser = action.choices[word]
        for action in parser._actions:
            if action.dest == dest:
                called = "/".join(action.option_strings) or str(action.metavar or dest).upper()
    return called


def _unknown(parser: argparse.ArgumentParser, rest: Sequence[str]) -> NoReturn:
    """Refuse what no option or argument takes, with the option that it is near to."""
    options = sorted(_options(parser))
    near: list[str] = []
    if rest[0].startswith("-"):
        option = rest[0].partition("=")[0]
        if option in options:
            raise UsageError(f"{option} is no option here", hint=f"see {parser.prog} --help")
        near = difflib.get_close_matches(option, options, n=1)
    raise UsageError(
        f"unknown argument{'s' if len(rest) > 1 else ''} {clean_line(' '.join(rest))!r}",
        hint=f"did you mean {near[0]}?" if near else f"see {parser.prog} --help",
    )


def _options(parser: argparse.ArgumentParser) -> set[str]:
    found: set[str] = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                found |= _options(sub)
    return found


def _split_command(argv: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """What follows ``--`` of ``job shell`` is a command's, whatever it looks like."""
    if "--" not in argv:
        return argv, []
    at = list(argv).index("--")
    before = list(argv[:at])
    if not any(pair == ("job", "shell") for pair in itertools.pairwise(before)):
        return argv, []
    return before, list(argv[at + 1 :])
