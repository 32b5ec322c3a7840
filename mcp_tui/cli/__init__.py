"""The command line: everything that a pane shows, without importing Textual."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Sequence

from mcp_tui.errors import ExitCode, McpTuiError


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and turn every error into one line and an exit code.

    Returns:
        The exit code; see :class:`mcp_tui.errors.ExitCode`.
    """
    from mcp_tui.cli.output import Printer
    from mcp_tui.cli.parser import parse

    printer = Printer(color=False)
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        result = args.run(args)
        code = asyncio.run(result) if asyncio.iscoroutine(result) else result
        sys.stdout.flush()
        return int(code)
    except McpTuiError as error:
        printer.note(f"mcp-tui: {error.line()}")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (``| head``): nothing is wrong. Python would complain
        # when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except Exception as error:  # noqa: BLE001 - no traceback ever reaches a user
        where = _save_crash()
        printer.note(
            f"mcp-tui: a defect: {type(error).__name__}; details are in {where}; please report it"
        )
        return 70


def _save_crash() -> str:
    """Keep the traceback where a report can find it; returns the file, or why there is none."""
    from mcp_tui.config import state_dir

    path = state_dir(os.environ) / "crash.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "a") as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"no file ({error.strerror})"
    return str(path)
