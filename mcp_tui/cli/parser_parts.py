"""What the arguments of several commands are made of."""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

from mcp_tui.cli.output import FORMATS
from mcp_tui.domain.text import clean_line
from mcp_tui.errors import UsageError

Run = Callable[[argparse.Namespace], Any]


def late(module: str, function: str) -> Run:
    """A handler that is imported when it is called: ``mcp_tui.cli.<module>.<function>``."""

    def run(args: argparse.Namespace) -> Any:
        return getattr(importlib.import_module(f"mcp_tui.cli.{module}"), function)(args)

    return run


class Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that usage errors look like all others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # An abbreviation that works today is another option tomorrow.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise UsageError(clean_line(message), hint=f"see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Say what an unknown word is near to, in every Python's words alike."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(str(value), known, n=1)
        what = action.metavar if isinstance(action.metavar, str) else action.dest
        what = what.lower() if not action.option_strings else "/".join(action.option_strings)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"unknown {what} {clean_line(str(value))!r}", hint=hint)


def common_options(*, top: bool) -> argparse.ArgumentParser:
    """Options that every command takes, before or after its name."""
    missing: Any = None if top else argparse.SUPPRESS
    false: Any = False if top else argparse.SUPPRESS
    p = argparse.ArgumentParser(add_help=False)
    g = p.add_argument_group("common options")
    g.add_argument("--context", default=missing, metavar="A[,B]", help="kubeconfig context(s)")
    g.add_argument("-n", "--namespace", default=missing, metavar="NS", help="namespace")
    g.add_argument(
        "-A", "--all-namespaces", action="store_true", default=false, help="every namespace"
    )
    g.add_argument("--kubeconfig", default=missing, metavar="FILE", help="instead of KUBECONFIG")
    g.add_argument(
        "--config-file", default=missing, metavar="FILE", help="mcp-tui's own configuration"
    )
    g.add_argument(
        "--read-only", action="store_true", default=false, help="nothing that writes leaves"
    )
    g.add_argument("--no-color", action="store_true", default=false, help="no colours")
    return p


def output(p: argparse.ArgumentParser, default: str = "table") -> None:
    """What comes out, in which form."""
    p.add_argument("-o", "--output", choices=FORMATS, default=default, help="format")


def judges(p: argparse.ArgumentParser) -> None:
    """Its exit code says more than that it was printed: a reader that goes away is no success."""
    p.set_defaults(judges=True)


def confirmable(p: argparse.ArgumentParser) -> None:
    """It plans a write, and asks before it is sent."""
    judges(p)
    p.add_argument(
        "--dry-run",
        action="store_true",
        help="show the plan, checked by the server's own dry run; change nothing",
    )
    p.add_argument(
        "--confirm", metavar="CONTEXT/NAME", default="", help="confirm without being asked"
    )
    p.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    p.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="DURATION", help="to see the effect"
    )


def seconds(text: str) -> float:
    """A duration; of what is none argparse says so."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], text[-1]) if text and text[-1] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90, 30s, 5m or 2h")
    return value


def count(text: str) -> int:
    """A whole number, or 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def some(text: str) -> int:
    """At least one, at most a million."""
    value = count(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000000")
    return value
