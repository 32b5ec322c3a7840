"""``mcp-tui job init`` and ``mcp-tui job schema``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mcp_tui.cli.output import Printer
from mcp_tui.domain.text import clean_line, word
from mcp_tui.domain.trainconfig import EXAMPLE, json_schema
from mcp_tui.errors import ExitCode, UsageError


def init(args: argparse.Namespace) -> int:
    """Print the documented example, or write it to a file that does not exist yet."""
    printer = Printer(color=False)
    if args.file == "-":
        printer.text(EXAMPLE.rstrip("\n"))
        return ExitCode.OK
    path = Path(args.file)
    try:
        with path.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise UsageError(
            "the file exists already", where=clean_line(str(path)), hint="--force overwrites it"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=clean_line(str(path))) from None
    shown = word(str(path))
    printer.note(f"wrote {shown}; edit it, then: mcp-tui job submit --config {shown} --dry-run")
    return ExitCode.OK


def schema(_args: argparse.Namespace) -> int:
    """Print the JSON Schema, for editors that complete YAML by one."""
    Printer(color=False).data(json_schema(), "json")
    return ExitCode.OK
