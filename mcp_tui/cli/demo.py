"""``mcp-tui demo``: the console on an embedded control plane, or that plane alone."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import msgspec

from mcp_tui.cli.output import Printer
from mcp_tui.config import Config, load
from mcp_tui.demo.stack import Stack, own_environment
from mcp_tui.demo.stack_files import GET_PROMETHEUS
from mcp_tui.domain.text import word
from mcp_tui.errors import UnreachableError, UsageError


def demo(args: argparse.Namespace) -> int:
    """Start the demo's servers, open the console on them, and end them with it.

    Raises:
        UsageError: There is no terminal, or no place for the demo's files.
        UnreachableError: With ``--no-console``: a server did not start.
    """
    for option, given in (("--kubeconfig", args.kubeconfig), ("--config-file", args.config_file)):
        if given:
            raise UsageError("the demo brings its own", where=option)
    if not args.no_console and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "the console needs a terminal",
            hint="mcp-tui demo --no-console serves, and prints how to connect",
        )
    stack = Stack(Path(args.dir) if args.dir else None, os.environ)
    if args.no_console:
        return _serve(stack)
    try:
        stack.start()
        return _open(args, stack)
    finally:
        stack.close()


def _open(args: argparse.Namespace, stack: Stack) -> int:
    from mcp_tui.cli.console import Demo, open_console

    # What the user configured for other clusters must not be reached from here.
    kept = own_environment(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)
    args.kubeconfig = str(stack.kubeconfig)
    notice = "" if stack.prometheus else f"prometheus: {GET_PROMETHEUS}"
    if not stack.has_git:
        notice = "git: not found on PATH: jobs are not cloned, and none can be submitted"
    extras = Demo(example=stack.train_config.read_text(), ready=stack.wait_plane, notice=notice)
    return open_console(args, _config(args, stack), demo=extras)


def _config(args: argparse.Namespace, stack: Stack) -> Config:
    config = load(stack.config, {**os.environ, "XDG_STATE_HOME": str(stack.state_home)})
    return msgspec.structs.replace(
        config,
        read_only=args.read_only,
        no_color=config.no_color or args.no_color,
        theme=getattr(args, "theme", ""),
        profile=getattr(args, "profile", "") or config.profile,
    )


class _Ended(BaseException):
    """Asked to end by a signal. Not an Exception: nothing on the way may take it for an error."""


def _serve(stack: Stack) -> int:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise _Ended

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    printer = Printer()
    try:
        stack.start()
        stack.wait_plane()
        for line in _instructions(stack):
            printer.line(line)
        stack.wait_mlflow()
        printer.note("MLflow is up; interrupt to end")
        stack.wait_end()
        raise UnreachableError("the demo was ended from outside")
    except _Ended:
        return 0
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        stack.close()
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _instructions(stack: Stack) -> list[str]:
    lines = [
        "# The demo serves until it is interrupted. In another terminal:",
        *stack.exports(),
        "# then, for example:",
        "#   mcp-tui                 (contexts: demo, demo-operator, demo-viewer, demo-prod, ...)",
    ]
    if stack.has_git:
        lines.append(
            f"#   mcp-tui job submit --config {word(str(stack.train_config))} "
            "--git-branch feature/v1.2 --watch"
        )
    else:
        lines.append("# git: not found on PATH: jobs are not cloned, and none can be submitted")
    lines.append(f"# MLflow      {stack.mlflow}")
    lines.append(f"# Prometheus  {stack.prometheus or GET_PROMETHEUS}")
    return lines
