"""Errors that reach a user: each says what is wrong, where, and what to do.

Everything raised on purpose derives from :class:`McpTuiError`; the command line prints it as one
line and exits with its code, a pane shows it in its place. Anything else is a defect.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes that a script can trust; the README lists them."""

    OK = 0
    JOB_FAILED = 1
    GATE_FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    GONE = 5
    CANNOT_TELL = 6
    INTERRUPTED = 130
    CUT_OFF = 141


class McpTuiError(Exception):
    """Something a user can understand and act on.

    Args:
        what: What is wrong, sentence case, without a full stop; already sanitised.
        where: The file and line, URL, object or context concerned; empty when there is none.
        hint: What to do about it; empty when there is nothing to advise.
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(self.line())

    def line(self) -> str:
        """The one line shown to a user: ``where: what; hint``."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.hint}" if self.hint else text

    def lines(self) -> list[str]:
        """The same for who can show several: a line for each of its faults."""
        return [self.line()]


def out_of_files(error: BaseException) -> bool:
    """Whether it was the want of a file descriptor that something failed for."""
    # A library that cannot be opened is an ImportError without a number.
    return isinstance(error, OSError | ImportError) and (
        getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE)
        or os.strerror(errno.EMFILE) in str(error)
    )


class UsageError(McpTuiError):
    """Wrong arguments, configuration, kubeconfig or train config."""

    exit_code = ExitCode.USAGE


class RefusedError(McpTuiError):
    """Not allowed: RBAC, tier, read-only, admission, or a confirmation that was not given."""

    exit_code = ExitCode.REFUSED


class MovedError(RefusedError):
    """What was planned is about something that somebody else changed meanwhile; nothing was sent.

    It may be planned again, and asked again.
    """


class UnreachableError(McpTuiError):
    """A server could not be reached, or did not answer before the deadline."""

    exit_code = ExitCode.UNREACHABLE


class GoneError(McpTuiError):
    """The object was deleted or replaced by somebody else."""

    exit_code = ExitCode.GONE


class ApiError(McpTuiError):
    """A server answered with an error of its own.

    Args:
        status: The HTTP status.
        reason: The server's machine-readable reason (Kubernetes ``Status.reason``, MLflow
            ``error_code``); empty if it gave none.
        retry_after: Seconds the server asked to wait, or None.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int,
        reason: str = "",
        retry_after: float | None = None,
        where: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        if status in (401, 403) or status == 422:
            self.exit_code = ExitCode.REFUSED
        elif status == 429 or status >= 500:
            self.exit_code = ExitCode.UNREACHABLE
        else:
            self.exit_code = ExitCode.USAGE


class UnknownOutcomeError(UnreachableError):
    """A write left this machine and no answer came back: it may or may not have happened.

    Never repeat such a write blindly: look for what it made by its client-made tag first.
    """
