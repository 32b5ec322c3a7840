"""The ``:`` commands: one plain tuple, used by the command line, its completion and the help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from mcp_tui.tui.model import PANES
from mcp_tui.tui.theme import PALETTES

Argument = Literal["", "contexts", "namespace", "theme", "column", "values", "text"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its names, what its argument is, and a line of help."""

    name: str
    help: str
    argument: Argument = ""
    aliases: tuple[str, ...] = ()


COMMANDS: tuple[Command, ...] = (
    *(Command(pane.id, f"the {pane.title} pane; an argument filters it", "text") for pane in PANES),
    Command("ctx", "look at another context, or several: a,b", "contexts", ("context",)),
    Command("ns", "look at one namespace; all for every one", "namespace", ("namespace",)),
    Command("filter", "filter the list: text, /regex/, !not, label=value", "text"),
    Command("sort", "sort by a column; urgency for the pane's own order", "column"),
    Command(
        "columns",
        "columns of the runs: metrics.f1 params.lr; none, or default for a guess",
        "values",
    ),
    Command("deleted", "the runs in the bin of the experiments that are open, or out of it"),
    Command("theme", "another colour scheme", "theme"),
    Command("submit", "plan a new job"),
    Command("retry", "plan a new try with changes: memory=128Gi cpu=8", "text"),
    Command("forward", "forward a port of the job or pod: 8080:80; stop ends it", "text"),
    Command("curves", "the curves of a run: RUN [METRIC], or several RUNs", "text"),
    Command("compare", "runs side by side: RUN RUN..", "text"),
    Command("eval", "evaluations and gates: RUN.. [against=RUN]", "text"),
    Command("scatter", "a parameter against a metric: RUN RUN..", "text"),
    Command("unmark", "clear all marks"),
    Command("refresh", "ask the sources again now"),
    Command("help", "every key and command", "", ("h",)),
    Command("q", "leave", "", ("quit", "exit")),
)


def find(word: str) -> Command | None:
    """The command of a name, an alias or an unambiguous beginning."""
    for command in COMMANDS:
        if word == command.name or word in command.aliases:
            return command
    begun = [c for c in COMMANDS if word and c.name.startswith(word)]
    return begun[0] if len(begun) == 1 else None


def unknown(word: str) -> str:
    """What to say of a word that is no command."""
    names = [name for c in COMMANDS for name in (c.name, *c.aliases)]
    near = get_close_matches(word, names, n=1)
    return f"no command {word}" + (f"; did you mean {near[0]}" if near else "; Tab lists them")


def complete(
    line: str,
    *,
    contexts: Sequence[str] = (),
    namespaces: Sequence[str] = (),
    columns: Sequence[str] = (),
    values: Sequence[str] = (),
) -> list[str]:
    """Whole lines that ``line`` could become."""
    word, space, rest = line.lstrip().partition(" ")
    if not space:
        return [c.name for c in COMMANDS if c.name.startswith(word)]
    command = find(word)
    if command is None:
        return []
    pools: dict[str, Sequence[str]] = {
        "contexts": contexts,
        "namespace": ("all", *namespaces),
        "theme": tuple(PALETTES),
        "column": ("urgency", *columns),
    }
    if command.argument == "values":
        before, blank, last = rest.rpartition(" ")
        named = ("none", "default", *values) if not blank else values
        quoted = (f'"{name}"' if " " in name else name for name in named)
        return [f"{word} {before}{blank}{name}" for name in quoted if last in name]
    pool = pools.get(command.argument, ())
    before, comma, last = rest.rpartition(",") if command.argument == "contexts" else ("", "", rest)
    return [f"{word} {before}{comma}{name}" for name in pool if name.startswith(last.strip())]
