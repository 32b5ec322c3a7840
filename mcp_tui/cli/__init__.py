"""The command line: everything that a pane shows, without importing Textual."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mcp_tui.errors import ExitCode, McpTuiError, out_of_files

if TYPE_CHECKING:
    from mcp_tui.cli.output import Printer

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)
"""What a system call says where an output cannot be written for want of room, or is closed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, and turn every error into one line (a file's into one a fault) and an exit code.

    Returns:
        The exit code; see :class:`mcp_tui.errors.ExitCode`.
    """
    try:
        return _run(argv)
    except BrokenPipeError:
        # The reader of our output went away (``| head``): nothing is wrong.
        forget_output()
        return int(ExitCode.OK)
    except KeyboardInterrupt:
        # While modules were still being imported, or while an error was printed.
        return int(ExitCode.INTERRUPTED)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        forget_output()
        with contextlib.suppress(OSError):
            sys.stderr.write(f"mcp-tui: cannot write the output: {error.strerror}\n")
        return int(ExitCode.USAGE)


def _run(argv: Sequence[str] | None) -> int:
    try:
        from mcp_tui.cli import ending
        from mcp_tui.cli.output import Printer, stand_in

        stand_in()
        printer = Printer(color=False)
        from mcp_tui.cli.parser import parse

        args = parse(sys.argv[1:] if argv is None else argv)
        try:
            result = args.run(args)
            code = ending.run(result) if asyncio.iscoroutine(result) else result
        except BrokenPipeError:
            if not args.judges:
                raise
            # Nobody may take it for done, or for passed.
            forget_output()
            return int(ExitCode.CUT_OFF)
        if code:
            with printer.at_best():
                sys.stdout.flush()
        sys.stdout.flush()
        return int(code)
    except SystemExit:
        # ``--help`` and ``--version`` have written; a reader that went away is found out here.
        sys.stdout.flush()
        raise
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except McpTuiError as error:
        # Of a file with several faults each has a line of its own.
        for line in error.lines():
            printer.note(f"mcp-tui: {line}")
        return int(error.exit_code)
    except (OSError, ImportError) as error:
        number = getattr(error, "errno", None)
        if isinstance(error, BrokenPipeError) or number in NO_ROOM:
            raise
        if out_of_files(error):
            printer.note("mcp-tui: too many files are open; raise the limit: ulimit -n")
            return int(ExitCode.USAGE)
        return _defect(printer, error)
    except Exception as error:  # noqa: BLE001 - no traceback ever reaches a user
        return _defect(printer, error)


def forget_output() -> None:
    """Have stdout lead nowhere: Python would complain when it flushes the rest at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _defect(printer: Printer, error: Exception) -> int:
    where = _save_crash()
    printer.note(
        f"mcp-tui: a defect: {type(error).__name__}; details are in {where}; please report it"
    )
    return 70


def _save_crash() -> str:
    """Keep the traceback where a report can find it; returns the file, or why there is none."""
    from mcp_tui.config import state_dir
    from mcp_tui.domain.text import clean

    path = state_dir(os.environ) / "crash.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "a", encoding="utf-8", errors="backslashreplace") as file:
            # An error's words may be anybody's, and the file is read in a terminal.
            file.write(clean(traceback.format_exc(), limit=1_000_000))
    except OSError as error:
        return f"no file ({error.strerror})"
    return str(path)
