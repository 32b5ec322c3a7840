"""Every key and command, made of the registries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import BindingType

from mcp_tui.tui.commands import COMMANDS
from mcp_tui.tui.keymap import SCOPE_TITLES, SCOPES, KeyMap, normalise, shown
from mcp_tui.tui.model import Cell, Line
from mcp_tui.tui.screens.frame import bindings_for
from mcp_tui.tui.screens.viewer import ViewScreen


def help_lines(keymap: KeyMap, kind: str) -> Iterator[Line]:
    """The keys alive on ``kind`` of screen first, then the others, commands and filters."""
    order = [*SCOPES[kind], *(scope for scope in SCOPE_TITLES if scope not in SCOPES[kind])]
    for scope in order:
        keys = [key for key in keymap.keys if key.scope == scope]
        yield (Cell(SCOPE_TITLES[scope], "heading"),)
        for key in keys:
            labels = " ".join(shown(name) for name in normalise(key.keys))
            act = " (opens a plan)" if key.kind == "act" else ""
            yield (Cell(f"  {labels:<16}", "key"), Cell(f"{key.help}{act}"))
        yield ()
    yield (Cell("  ctrl-z          ", "key"), Cell("to the shell; fg comes back"))
    yield ()
    yield (Cell("In forms and the editor", "heading"),)
    for text, meaning in (
        ("Tab Down", "next field; in a form Enter shows the plan too"),
        ("ctrl-o", "check it and show the plan"),
        ("ctrl-t", "a submission as a form, or as text again"),
        ("ctrl-r", "without an MLflow run, or with one again"),
        ("Esc", "back; what was typed is kept"),
    ):
        yield (Cell(f"  {text:<16}", "key"), Cell(meaning))
    yield ()
    yield (Cell("Commands", "heading"),)
    for command in COMMANDS:
        names = " ".join(f":{name}" for name in (command.name, *command.aliases))
        yield (Cell(f"  {names:<16}", "key"), Cell(command.help))
    yield ()
    yield (Cell("Filters", "heading"),)
    for text, meaning in (
        ("text", "rows that contain it; several words must all be there"),
        ("/regex/", "rows that match it"),
        ("!text", "rows without it"),
        ("label=value", "rows with that label"),
    ):
        yield (Cell(f"  {text:<16}", "key"), Cell(meaning))


class HelpScreen(ViewScreen, inherit_bindings=False):
    """The help.

    Args:
        kind: The kind of screen it was asked on.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings_for("view")

    def __init__(self, kind: str) -> None:
        super().__init__(("Help",))
        self._kind = kind

    def on_mount(self) -> None:
        """Fill in the lines: the keymap is the app's."""
        self.view.set_lines(help_lines(self.console.keymap, self._kind))

    def action_help(self) -> None:
        """Already here."""
        self.action_back()
