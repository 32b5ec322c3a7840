"""``mcp-tui completion``: a static script for bash, zsh or fish, made from the parser."""

from __future__ import annotations

import argparse

from mcp_tui.cli.output import Printer
from mcp_tui.cli.parser import build
from mcp_tui.errors import ExitCode


def completion(args: argparse.Namespace) -> int:
    """Print the script; the README says where to put it."""
    import shtab

    Printer(color=False).line(shtab.complete(build(), shell=args.shell).rstrip("\n"))
    return ExitCode.OK
