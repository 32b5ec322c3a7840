"""``mcp-tui completion``: a script for bash, zsh or fish, made from the parser.

It is static, but for the names of contexts: those are asked of ``mcp-tui contexts``, which reads
the kubeconfig and calls no server.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mcp_tui.cli.output import Printer
from mcp_tui.cli.parser import build
from mcp_tui.errors import ExitCode

_FILES: Final = frozenset({"config", "config_file", "kubeconfig", "file"})
_FOLDERS: Final = frozenset({"dir"})
_ASK: Final = "command mcp-tui contexts -o name 2>/dev/null"
_CONTEXTS: Final = {
    "bash": "_mcp_tui_contexts",
    "zsh": "_mcp_tui_contexts",
    "fish": f"({_ASK})",
}
# A name may be anybody's: ``compgen -W`` would run what stands in it, and so would the command line
# that it is written into. What a shell could read as more than a word is not offered.
_BASH: Final = f"""\
_mcp_tui_contexts() {{
  local name
  while IFS= read -r name; do
    [[ $name == "$1"* && $name != *[^A-Za-z0-9._@:/+=,-]* ]] && printf '%s\\n' "$name"
  done < <({_ASK})
}}
"""
_PREAMBLE: Final = {
    "bash": _BASH,
    "zsh": f'_mcp_tui_contexts() {{ compadd -- "${{(@f)$({_ASK})}}"; }}\n',
    "fish": "",
}


def completion(args: argparse.Namespace) -> int:
    """Print the script; the README says where to put it."""
    import shtab

    parser = build()
    for action in _actions(parser):
        # shtab reads this attribute of an action.
        if action.dest in _FILES:
            _completed_by(action, shtab.FILE)
        elif action.dest in _FOLDERS:
            _completed_by(action, shtab.DIRECTORY)
        elif action.dest == "context":
            _completed_by(action, _CONTEXTS)
    script = shtab.complete(parser, shell=args.shell, preamble=_PREAMBLE[args.shell])
    Printer(color=False).text(script.rstrip("\n"))
    return ExitCode.OK


def _completed_by(action: Any, how: Mapping[str, Any]) -> None:
    action.complete = how


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _actions(sub)
