"""Every command of the parser, with arguments that every sweep over the commands runs it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ALL = ("table", "wide", "json", "yaml", "name")
SOME = ("table", "json", "yaml")
TABLES = ("table", "json", "md", "csv")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        words: As typed, without the program's name.
        arguments: What it is tried with. In braces: ``job`` is a job that runs, ``failed`` one that
            has failed, ``held`` one that is suspended, ``config`` a train config's file, ``model``
            a registered model of two versions and ``context`` the context's name.
        formats: What ``-o`` takes; empty where there is no such option.
        writes: It changes something once it is confirmed.
        terminal: It takes the terminal.
        serves: It goes on until it is ended, but for its dry run.
    """

    words: str
    arguments: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    writes: bool = False
    terminal: bool = False
    serves: bool = False

    def argv(self, names: Mapping[str, str], output: str = "") -> list[str]:
        """The whole command line, without the program's name.

        Args:
            names: For what stands in braces.
            output: The format; empty for the command's own.
        """
        before, dashes, rest = list(self.arguments), list[str](), list[str]()
        if "--" in before:
            at = before.index("--")
            before, dashes, rest = before[:at], ["--"], before[at + 1 :]
        given = [*self.words.split(), *(text.format(**names) for text in before)]
        return [*given, *(("-o", output) if output else ()), *dashes, *rest]


COMMANDS: tuple[Command, ...] = (
    Command("console", terminal=True),
    Command("demo", terminal=True),
    Command("doctor", ("--timeout", "5"), ALL),
    Command("contexts", (), ALL),
    Command("journal", (), ALL),
    Command("completion", ("bash",)),
    Command("job ls", ("--timeout", "5"), ALL),
    Command("job show", ("{failed}",), ALL),
    Command("job logs", ("{failed}", "--timestamps")),
    Command(
        "job submit",
        ("--config", "{config}", "--no-run"),
        SOME,
        writes=True,
    ),
    Command("job cancel", ("{job}", "--confirm", "{context}/{job}"), SOME, writes=True),
    Command("job suspend", ("{job}", "--confirm", "{context}/{job}"), SOME, writes=True),
    Command("job resume", ("{held}", "--confirm", "{context}/{held}"), SOME, writes=True),
    Command("job delete", ("{failed}", "--confirm", "{context}/{failed}"), SOME, writes=True),
    Command(
        "job retry",
        ("{failed}", "--no-run", "--memory", "2Gi", "--confirm", "{context}/{failed}"),
        SOME,
        writes=True,
    ),
    Command("job shell", ("{job}", "--confirm", "{context}/{job}", "--", "true"), writes=True),
    Command(
        "job forward", ("{job}", "0:80", "--confirm", "{context}/{job}"), writes=True, serves=True
    ),
    Command(
        "eval",
        ("0" * 32, "--champion", "{model}@champion", "--gate", "f1_macro >= champion - 0.01"),
        TABLES,
    ),
    Command("run ls", ("--limit", "20"), (*ALL, "csv")),
    Command("run experiments", (), ALL),
    Command("run show", ("0" * 32,), ALL),
    Command("run download", ("0" * 32, "model/MLmodel")),
    Command("run curves", ("0" * 32, "--metric", "loss"), ("table", "json", "csv")),
    Command("run compare", ("0" * 32, "1" * 32), TABLES),
    Command(
        "approve",
        ("{model}/2", "--level", "sre", "--reason", "good", "--confirm", "{context}/{model}"),
        SOME,
        writes=True,
    ),
    Command("approvals", ("{model}",), ALL),
    Command("run tag", ("0" * 32, "stage=prod", "old-"), SOME, writes=True),
    Command("run rename", ("0" * 32, "better"), SOME, writes=True),
    Command("run delete", ("0" * 32, "--confirm", "{context}/00000000"), SOME, writes=True),
    Command("run restore", ("0" * 32,), SOME, writes=True),
    Command("model ls", (), ALL),
    Command("model show", ("{model}",), ALL),
    Command("model history", ("{model}",), ALL),
    Command(
        "model promote",
        ("{model}/2", "--why", "better", "--confirm", "{context}/{model}"),
        SOME,
        writes=True,
    ),
    Command(
        "model rollback",
        ("{model}", "--to", "1", "--confirm", "{context}/{model}"),
        SOME,
        writes=True,
    ),
    Command("job init"),
    Command("job schema"),
)
