"""Every command that the parser knows is among those that every sweep runs, as it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from mcp_tui.cli.parser import build, parse
from tests.joined.commands import COMMANDS

NAMES = {
    "job": "a",
    "failed": "b",
    "held": "c",
    "config": "train-config.yaml",
    "model": "ranker",
    "context": "dev",
}


def leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every parser below which there is none, by its words."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in below:
        for name, sub in action.choices.items():
            yield from leaves(sub, (*words, name))
    if not below:
        yield " ".join(words), parser


def test_every_command_has_joined() -> None:
    there = [words for words, _ in leaves(build())]
    assert sorted(command.words for command in COMMANDS) == sorted(there)


def test_every_format_has_joined() -> None:
    there = dict(leaves(build()))
    for command in COMMANDS:
        options = [a for a in there[command.words]._actions if a.dest == "output"]
        choices = tuple(options[0].choices or ()) if options else ()
        assert set(command.formats) == set(choices), command.words


def test_every_command_that_asks_for_a_confirmation_is_known_to_write() -> None:
    for words, parser in leaves(build()):
        asks = any(action.dest == "confirm" for action in parser._actions)
        command = next(each for each in COMMANDS if each.words == words)
        assert command.writes == asks, words


def test_the_arguments_are_accepted() -> None:
    for command in COMMANDS:
        for output in command.formats or ("",):
            args = parse(["--context", "dev", *command.argv(NAMES, output)])
            assert args.command == command.words
