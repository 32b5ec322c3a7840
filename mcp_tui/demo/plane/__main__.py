"""``python -m mcp_tui.demo.plane``: serves until its standard input or its parent is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from mcp_tui.demo.plane.controllers import Pace
from mcp_tui.demo.plane.model import EXTRAS
from mcp_tui.demo.plane.server import EmbeddedPlane, PlaneOptions
from mcp_tui.errors import McpTuiError

_PARENT_SECONDS = 0.5


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mcp-tui-plane", description=__doc__)
    add = parser.add_argument
    add("--dir", type=Path, required=True, help="for certificates, kubeconfig and the node's files")
    add("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    add("--fd", type=int, help="of a listening socket to serve on instead")
    add("--tokens", type=Path, help="a file of JSON: role -> bearer token")
    add("--namespace", action="append", default=[], help="made at the start (default: ml)")
    add("--with", dest="extras", default="", help=f"custom kinds, of {','.join(EXTRAS)}")
    add("--context", default="demo", help="name of the administrator's context")
    add("--history", type=int, default=5000, help="changes remembered per resource")
    add("--bookmark-seconds", type=float, default=30.0)
    add("--back-off", type=float, default=10.0, help="seconds before a failed pod's replacement")
    add("--node", action="store_true", help="start a process node too")
    add("--node-argument", action="append", default=[], help="passed on to the node")
    return parser.parse_args(arguments)


async def _gone(parent: int, stdin: bool) -> None:
    """Returns when the parent is gone, or the pipe that it held our standard input by."""
    closed = asyncio.Event()
    if stdin:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )

        async def drain() -> None:
            while await reader.read(4096):
                pass
            closed.set()

        draining = asyncio.create_task(drain())
    while os.getppid() == parent and not closed.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PARENT_SECONDS):
                await closed.wait()
    if stdin:
        draining.cancel()


async def _serve(options: argparse.Namespace, parent: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    # A terminal or /dev/null says nothing about who started us; a pipe does.
    mode = os.fstat(0).st_mode
    piped = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    plane = EmbeddedPlane(
        options.dir.absolute(),
        PlaneOptions(
            port=options.port,
            listener=socket.socket(fileno=options.fd) if options.fd is not None else None,
            tokens=json.loads(options.tokens.read_text()) if options.tokens else {},
            namespaces=tuple(options.namespace or ["ml"]),
            extras=tuple(name for name in options.extras.split(",") if name),
            context=options.context,
            history=options.history,
            bookmark_seconds=options.bookmark_seconds,
            pace=Pace(back_off=options.back_off),
            node=options.node,
            node_arguments=tuple(options.node_argument),
        ),
    )
    async with plane:
        sys.stdout.write(plane.ready_line() + "\n")
        sys.stdout.flush()
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(_gone(parent, piped))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    # Asked at once: a parent that dies while we start would be mistaken for its successor.
    parent = os.getppid()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    try:
        asyncio.run(_serve(_options(arguments), parent))
    except McpTuiError as error:
        sys.stderr.write(f"{error.line()}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
